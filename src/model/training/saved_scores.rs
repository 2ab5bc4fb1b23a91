//! The saved form of a window's scores.

use serde::{Deserialize, Serialize};

use super::lists::UserLists;
use super::prequential::PrequentialScores;
use super::rollback_scores::RollbackScores;
use super::segments::SegmentScores;
use crate::model::Scores;

/// A window's scores as they are saved: those of the newest versions are always there.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedScores {
    champion: Scores,
    predecessor: Scores,
    newest: Scores,
    no_skill: Scores,
    rollback: Option<RollbackScores>,
    lists: Option<UserLists>,
    segments: SegmentScores,
    persistence: Option<Scores>,
}

impl From<PrequentialScores> for SavedScores {
    fn from(scores: PrequentialScores) -> Self {
        let PrequentialScores { champion, predecessor, newest, no_skill, rollback, lists, segments, persistence } =
            scores;
        let newest = newest.unwrap_or_else(|| champion.clone());
        SavedScores { champion, predecessor, newest, no_skill, rollback, lists, segments, persistence }
    }
}

impl From<SavedScores> for PrequentialScores {
    fn from(saved: SavedScores) -> Self {
        let SavedScores { champion, predecessor, newest, no_skill, rollback, lists, segments, persistence } = saved;
        let newest = (newest != champion).then_some(newest);
        PrequentialScores { champion, predecessor, newest, no_skill, rollback, lists, segments, persistence }
    }
}
