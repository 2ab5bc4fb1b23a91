//! The saved form of a window's scores.

use serde::{Deserialize, Serialize};

use super::lists::UserLists;
use super::rollback_scores::RollbackScores;
use super::segments::SegmentScores;
use crate::model::Scores;

/// A window's scores as they are saved: those of the newest versions are always there.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedScores {
    pub champion: Scores,
    pub predecessor: Scores,
    pub newest: Scores,
    pub no_skill: Scores,
    pub rollback: Option<RollbackScores>,
    pub lists: Option<UserLists>,
    pub segments: SegmentScores,
    pub persistence: Option<Scores>,
}
