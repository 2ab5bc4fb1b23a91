//! Options on how inputs are prepared, beside bins and crosses.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{InputForm, ModelError, ModelKind};

/// How inputs are prepared, beside bins and crosses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InputOptions {
    /// The share of a number's values at either end that is brought to the value there; 0 for none.
    pub winsorise: f64,
    /// The number of examples from which on a category has a slot of its own.
    pub min_count: u64,
    /// The number of windows after which a category that has not come is forgotten; 0 for never.
    pub expire: u64,
    /// Strings that are texts, by input.
    pub tokens: Vec<String>,
    /// The most words of a text that are an entry together.
    pub ngrams: usize,
}

impl Default for InputOptions {
    fn default() -> Self {
        InputOptions { winsorise: 0.0, min_count: 1, expire: 0, tokens: Vec::new(), ngrams: 1 }
    }
}

/// The values that `min_count` may have.
pub const MIN_COUNT: RangeInclusive<i64> = 1..=1_000_000;

/// The values that `expire` may have.
pub const EXPIRE: RangeInclusive<i64> = 0..=1_000_000;

/// The values that `ngrams` may have.
pub const NGRAMS: RangeInclusive<i64> = 1..=5;

impl InputOptions {
    /// The shares that `winsorise` may be.
    pub const WINSORISE: &str = "a share from 0 up to, but not including, 0.5";

    /// Returns whether a share may be cut off at either end.
    pub fn admits_winsorise(share: f64) -> bool {
        (0.0..0.5).contains(&share)
    }

    pub(super) fn is_default(&self) -> bool {
        *self == InputOptions::default()
    }

    /// Returns whether the uses of hashed slots are counted.
    pub(super) fn counts_slots(&self) -> bool {
        self.min_count > 1 || self.expire > 0
    }

    /// Returns what is wrong with the options of a model of a kind, beside ranges of whole numbers.
    pub(super) fn check(&self, kind: &ModelKind) -> Vec<ModelError> {
        let mut errors = Vec::new();
        let of_rows = [("winsorise", self.winsorise > 0.0), ("min_count", self.min_count > 1)];
        for (option, _) in of_rows.into_iter().filter(|(_, is_set)| *is_set && kind.reads == InputForm::Observations) {
            errors.push(ModelError::NeedlessOption { kind: kind.name, option });
        }
        if self.expire > 0 && !kind.by_steps {
            errors.push(ModelError::NothingToForget { kind: kind.name });
        }
        if !Self::admits_winsorise(self.winsorise) {
            let (name, expected) = ("winsorise".to_owned(), Self::WINSORISE.to_owned());
            errors.push(ModelError::OutOfRange { name, found: self.winsorise, expected });
        }
        errors
    }
}
