//! Predictions without skill, which are the same for all examples of a champion, counted together.

use super::history::{RetainedVersion, VersionHistory, by_number};
use crate::model::Scores;

/// Examples that were not counted yet, of one champion.
#[derive(Default)]
pub(super) struct NoSkillCounts {
    champion: usize,
    /// By truth.
    times: [u64; 2],
    /// Working memory.
    spread: Vec<f64>,
}

impl NoSkillCounts {
    /// Adds an example with the position of its champion.
    pub fn add(&mut self, history: &VersionHistory, champion: usize, label: f64, scores: &mut Scores) {
        if !matches!(scores, Scores::Binary(_) | Scores::Anomaly(_)) {
            let RetainedVersion { no_skill, classes, .. } = &history.retained[champion];
            return scores.add(by_number(no_skill, classes, &mut self.spread), label);
        }
        if champion != self.champion {
            self.count(history, scores);
            self.champion = champion;
        }
        self.times[usize::from(label > 0.5)] += 1;
    }

    /// Counts the examples that were added.
    pub fn count(&mut self, history: &VersionHistory, scores: &mut Scores) {
        for (label, times) in [0.0, 1.0].into_iter().zip(std::mem::take(&mut self.times)) {
            if times > 0 {
                scores.add_times(&history.retained[self.champion].no_skill, label, times);
            }
        }
    }
}
