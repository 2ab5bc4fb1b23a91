//! Scores of predictions, one by one and in the lists that they rank.

use super::{RankingSums, Scores};

/// Scores of the same predictions in both ways.
#[derive(Clone, Debug)]
pub struct ListedScores {
    /// Scores of single predictions.
    pub each: Scores,
    /// Scores of ranked lists; of none if the predictions rank none.
    pub lists: RankingSums,
}

impl ListedScores {
    /// Adds everything that `other` has counted.
    ///
    /// # Panics
    /// If `other` is of another task.
    pub fn merge(&mut self, other: &ListedScores) {
        self.each.merge(&other.each);
        self.lists.merge(&other.lists);
    }

    /// Returns every metric that has an answer, by name; those of lists last.
    pub fn all(&self) -> Vec<(&'static str, f64)> {
        self.each.all().into_iter().chain(self.lists.all()).collect()
    }

    /// Returns one metric. `None` if it is not of this task or has no answer.
    pub fn get(&self, name: &str) -> Option<f64> {
        let of_lists = || self.lists.all().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        self.each.get(name).or_else(of_lists)
    }
}
