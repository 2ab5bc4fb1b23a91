//! What a window's end makes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::WindowScores;
use crate::model::Predictor;
use crate::time::EventTime;

/// What the gate said of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Published,
    Refused,
}

impl Decision {
    /// As `model.json` has it.
    pub fn name(self) -> &'static str {
        match self {
            Decision::Published => "published",
            Decision::Refused => "refused",
        }
    }
}

/// What a window's end makes.
#[derive(Clone, Debug)]
pub struct Version {
    /// From 1, in window order.
    pub number: u64,
    pub window_start: EventTime,
    pub window_end: EventTime,
    /// The version it continued from.
    pub parent: Option<u64>,
    /// Examples it learnt in this window.
    pub examples: u64,
    /// Metrics by version: on held-out examples where there is a gate, else the prequential scores of the window's
    /// champion.
    pub scores: BTreeMap<u64, BTreeMap<String, f64>>,
    pub decision: Decision,
    pub reason: String,
    /// The champion from `window_end` on.
    pub champion: u64,
    /// How predictions fared in this window.
    pub prequential: WindowScores,
    pub predictor: Arc<Predictor>,
}
