//! The scores by which a champion is rolled back: its own beside those of the champion before it.

use serde::{Deserialize, Serialize};

use super::lists::RankedLists;
use super::paired::PairedScores;
use crate::model::{ListedScores, Scores, Scoring};

/// Scores of the newest champion and of the one before it, on the examples that the newest one was champion for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RollbackScores {
    pub champion: Scores,
    pub predecessor: Scores,
    /// The same examples in lists, ranked by either, if they are scored so.
    pub lists: Option<RankedLists<2>>,
}

impl RollbackScores {
    /// Scores of no predictions.
    pub fn new(scoring: Scoring, in_lists: bool) -> Self {
        let (champion, predecessor) = (Scores::new(scoring), Scores::new(scoring));
        RollbackScores { champion, predecessor, lists: in_lists.then(RankedLists::default) }
    }

    /// Returns the scores of the champion and of the one before it. Each list is sorted twice.
    pub fn pair(&self) -> PairedScores {
        let [champion, predecessor] = self.lists.as_ref().map(RankedLists::sums).unwrap_or_default();
        PairedScores {
            own: ListedScores { each: self.champion.clone(), lists: champion },
            other: ListedScores { each: self.predecessor.clone(), lists: predecessor },
        }
    }

    /// Returns whether these are scores of that kind.
    pub fn fits(&self, scoring: Scoring, in_lists: bool) -> bool {
        self.champion.is_of(scoring) && self.predecessor.is_of(scoring) && self.lists.is_some() == in_lists
    }
}
