//! The rollback of a champion that falls behind the one before it.
//!
//! At a window's end the newest champion is compared with its predecessor, by the gate's metric over the examples of the
//! window that it was champion for, each predicted before its label was known. If it is worse by more than `rollback`, the
//! predecessor is champion again and the lineage goes back to it: whatever has continued from the champion is refused.
//! A predecessor that was itself rolled back is never returned to.

use super::comparison::{Verdict, short};
use super::setup::TrainingSetup;
use super::state::TrainingState;
use super::version::Decision;

/// A champion that has fallen behind.
pub(super) struct FallenChampion {
    pub version: u64,
    /// The champion before it.
    pub predecessor: u64,
    /// The decision on the version of the window, which continues from the fallen one.
    pub verdict: Verdict,
}

/// Returns the champion if it has fallen behind its predecessor in the open window.
pub(super) fn fallen(setup: &TrainingSetup, state: &TrainingState) -> Option<FallenChampion> {
    let gate = setup.gate()?;
    let limit = gate.rollback?;
    let (scores, previous) = (state.window.scores.rollback.as_ref()?, state.previous.as_ref()?);
    let champion = state.history.champion()?.number;
    let scores = scores.pair();
    let behind = scores.worse_by(&gate.metric)?;
    if behind.is_nan() || behind <= limit {
        return None;
    }
    let ((count, of), predecessor) = (scores.counted(&gate.metric), previous.version);
    let reason = format!(
        "it continues from version {champion}, which is rolled back to version {predecessor}: {} was worse by {} on the {count} \
         {of} of the window; more than {limit}",
        gate.metric,
        short(behind)
    );
    let verdict = Verdict { decision: Decision::Refused, reason, scores: None };
    Some(FallenChampion { version: champion, predecessor, verdict })
}
