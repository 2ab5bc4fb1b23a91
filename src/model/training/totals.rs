//! Scores of all windows of a trainer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::prequential::PrequentialScores;
use crate::model::{Scores, Scoring};

/// The scores of all windows so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct TotalScores {
    champion: Scores,
    no_skill: Scores,
}

/// The metrics of all predictions of a model, each made before its label was known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OverallScores {
    /// Examples that were scored.
    pub examples: u64,
    /// Of the versions that were champion at the time of each example.
    pub champion: BTreeMap<String, f64>,
    /// Of predicting the mean label or the class frequencies.
    pub no_skill: BTreeMap<String, f64>,
}

impl TotalScores {
    pub fn new(scoring: Scoring) -> Self {
        TotalScores { champion: Scores::new(scoring), no_skill: Scores::new(scoring) }
    }

    /// Adds the scores of a window.
    pub fn add(&mut self, window: &PrequentialScores) {
        self.champion.merge(&window.champion);
        self.no_skill.merge(&window.no_skill);
    }

    /// Returns the metrics.
    pub fn summary(&self) -> OverallScores {
        let finite = |scores: &Scores| {
            let finite = scores.all().into_iter().filter(|(_, value)| value.is_finite());
            finite.map(|(name, value)| (name.to_owned(), value)).collect()
        };
        OverallScores {
            examples: self.champion.examples(),
            champion: finite(&self.champion),
            no_skill: finite(&self.no_skill),
        }
    }

    /// Returns whether these are scores of that kind.
    pub fn fit(&self, scoring: Scoring) -> bool {
        self.champion.is_of(scoring) && self.no_skill.is_of(scoring)
    }
}
