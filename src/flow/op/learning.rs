//! The surroundings of a learning operator: its saved state, what it reports, and what is wanted of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::admission::{LabelAdmission, RefusedInWindow, RefusedLabels};
use crate::model::{DriftAlarm, OverallScores, SavedArms, Version, WaitingWindow};
use crate::time::EventTime;

/// Saved state of the operator.
#[derive(Serialize, Deserialize)]
pub struct LearnState {
    pub(super) trainer: Vec<u8>,
    pub(super) window_end: Option<EventTime>,
    pub(super) admission: LabelAdmission,
    pub(super) arms: SavedArms,
}

/// A report of what is learnt.
pub enum LearningReport {
    /// A window's end made a version. `busy` is the time that scoring and learning took since the one before.
    Version { version: Box<Version>, busy: Duration },
    /// The champion's error has risen.
    Drift(DriftAlarm),
    /// The window that ended then has made no version: its examples wait for more.
    Waiting(EventTime, WaitingWindow),
    /// Labels of a window that has ended were refused.
    Refused(RefusedInWindow),
    /// The operator has ended.
    Ended(Box<LearningTotals>),
}

/// The counts and scores of a model from its first example on.
pub struct LearningTotals {
    /// Examples with a label, those included whose label was refused.
    pub received: u64,
    pub refused: RefusedLabels,
    pub scores: OverallScores,
    /// The state, to score examples that still wait for a label; `None` unless those are wanted.
    pub state: Option<LearnState>,
}

/// The scored examples that are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeptExamples {
    /// No examples.
    #[default]
    Nothing,
    /// Examples with a label.
    Labelled,
    /// All examples; a label that is missing or was refused is null.
    All,
}
