//! Versions: the results of training windows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ArmWindow, Stability, WindowScores};
use crate::model::Predictor;
use crate::time::EventTime;

/// The gate's decision on a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Published,
    Refused,
}

impl Decision {
    /// Returns the spelling in `model.json`.
    pub fn name(self) -> &'static str {
        match self {
            Decision::Published => "published",
            Decision::Refused => "refused",
        }
    }
}

/// A version of a model, made at a window's end.
#[derive(Clone, Debug)]
pub struct Version {
    /// Number of the version, from 1, in window order.
    pub number: u64,
    pub window_start: EventTime,
    pub window_end: EventTime,
    /// The version that learning continued from.
    pub parent: Option<u64>,
    /// Examples learnt in this window, and for the first version in those waited out before.
    pub examples: u64,
    /// Metrics by version: of the held-out examples if there is a gate, else the prequential scores of the window's
    /// champion.
    pub scores: BTreeMap<u64, BTreeMap<String, f64>>,
    pub decision: Decision,
    pub reason: String,
    /// The champion from `window_end` on; 0 if there is none yet.
    pub champion: u64,
    /// The version that was champion in the window and fell behind its predecessor, which is champion again.
    pub rolled_back: Option<u64>,
    /// True if it was refused because its error on its own window is above that of no skill.
    pub diverged: bool,
    /// Scores of the predictions in this window.
    pub prequential: WindowScores,
    /// Scores of the arms of a split in this window, which are no business of the trainer: empty as it makes the version.
    pub arms: Vec<ArmWindow>,
    /// The values of this window against those of the window in which the champion was trained.
    pub stability: Stability,
    pub predictor: Arc<Predictor>,
}
