//! Scores of two versions on the same examples, and how much worse the one is.

use crate::model::{Better, ListedScores, RankingMetric, RankingSums, Scores, Scoring};

/// Scores of two versions on the same examples.
#[derive(Clone)]
pub(super) struct PairedScores {
    /// Scores of the version that is judged.
    pub own: ListedScores,
    /// Scores of the version that it is compared with.
    pub other: ListedScores,
}

impl PairedScores {
    /// Scores of no predictions, which will rank each one exactly.
    pub fn ranking_all(scoring: Scoring) -> Self {
        let none = || ListedScores { each: Scores::ranking_all(scoring), lists: RankingSums::default() };
        PairedScores { own: none(), other: none() }
    }

    /// Adds everything that `more` has counted.
    pub fn merge(&mut self, more: &PairedScores) {
        self.own.merge(&more.own);
        self.other.merge(&more.other);
    }

    /// Returns how much worse the one is than the other, by a metric. `None` if it has no answer on one of them.
    pub fn worse_by(&self, metric: &str) -> Option<f64> {
        let (own, other) = (self.own.get(metric)?, self.other.get(metric)?);
        Some(match Better::of(metric)? {
            Better::Lower => difference(own, other),
            Better::Higher => difference(other, own),
            Better::Zero => difference(own.abs(), other.abs()),
        })
    }

    /// Returns the number of what a metric is the mean of, and its name: examples or lists.
    pub fn counted(&self, metric: &str) -> (u64, &'static str) {
        match RankingMetric::find(metric) {
            Some(_) => (self.own.lists.lists(), "lists"),
            None => (self.own.each.examples(), "examples"),
        }
    }
}

/// Returns `a − b`. Two metrics that are infinite alike are equal.
fn difference(a: f64, b: f64) -> f64 {
    if a == b { 0.0 } else { a - b }
}
