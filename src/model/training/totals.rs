//! Scores of all windows of a trainer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::prequential::{PrequentialScores, ScoredRoles, of_persistence};
use super::segments::{SegmentScores, SegmentSummaries};
use crate::model::{RankingSums, Scores, Scoring};

/// The scores of all windows so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct TotalScores {
    champion: Scores,
    no_skill: Scores,
    persistence: Option<Scores>,
    segments: SegmentScores,
    /// Scores of lists as ranked by the champions.
    champion_lists: RankingSums,
    /// Scores of lists as ranked by popularity.
    popularity_lists: RankingSums,
}

/// The metrics of all predictions of a model, each made before its label was known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OverallScores {
    /// Examples that were scored.
    pub examples: u64,
    /// Metrics of the versions that were champion at the time of each example.
    pub champion: BTreeMap<String, f64>,
    /// Metrics of predicting the mean label or the class frequencies; in lists, of ranking by popularity.
    pub no_skill: BTreeMap<String, f64>,
    /// Metrics of predicting the last known label of the same key; none if no key is named.
    pub persistence: BTreeMap<String, f64>,
    /// Metrics by column and value; none if no column is named.
    pub segments: SegmentSummaries,
}

impl TotalScores {
    pub fn new(scoring: Scoring, roles: ScoredRoles) -> Self {
        TotalScores {
            champion: Scores::new(scoring),
            no_skill: Scores::new(scoring),
            persistence: roles.with_persistence.then(|| Scores::new(scoring)),
            segments: SegmentScores::default(),
            champion_lists: RankingSums::default(),
            popularity_lists: RankingSums::default(),
        }
    }

    /// Adds the scores of a window, given its [`PrequentialScores::list_sums`].
    pub fn add(&mut self, window: &PrequentialScores, lists: &[RankingSums; 4]) {
        self.champion.merge(&window.champion);
        self.no_skill.merge(&window.no_skill);
        self.segments.merge(&window.segments);
        if let (Some(all), Some(more)) = (&mut self.persistence, &window.persistence) {
            all.merge(more);
        }
        let [champion, _, _, popularity] = lists;
        self.champion_lists.merge(champion);
        self.popularity_lists.merge(popularity);
    }

    /// Returns the metrics.
    pub fn summary(&self) -> OverallScores {
        let finite = |scores: &Scores, lists: &RankingSums| {
            let finite = scores.all().into_iter().chain(lists.all()).filter(|(_, value)| value.is_finite());
            finite.map(|(name, value)| (name.to_owned(), value)).collect()
        };
        OverallScores {
            examples: self.champion.examples(),
            champion: finite(&self.champion, &self.champion_lists),
            no_skill: finite(&self.no_skill, &self.popularity_lists),
            persistence: of_persistence(self.persistence.as_ref())
                .into_iter()
                .filter(|(_, value)| value.is_finite())
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            segments: self.segments.summaries(),
        }
    }

    /// Returns whether these are scores of that kind.
    pub fn fit(&self, scoring: Scoring, roles: ScoredRoles) -> bool {
        self.champion.is_of(scoring)
            && self.no_skill.is_of(scoring)
            && self.persistence.is_some() == roles.with_persistence
            && self.persistence.iter().all(|scores| scores.is_of(scoring))
            && self.segments.fit(scoring)
    }
}
