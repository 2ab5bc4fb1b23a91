//! Options on the preparation of inputs, beside bins and crosses.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// The preparation of inputs, beside bins and crosses.
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
}
