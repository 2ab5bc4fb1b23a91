//! One window's examples on their way into a version.

use serde::{Deserialize, Serialize};

use super::prequential::Prequential;
use crate::model::preparation::{Layout, Observations, Statistics, mix};
use crate::model::{Learner, Task};
use crate::time::EventTime;

/// What has been learnt since the last close.
pub(super) struct Window {
    /// Of the examples learnt or buffered.
    pub statistics: Statistics,
    /// One a shard; none before the first example to learn.
    pub learners: Vec<Box<dyn Learner>>,
    /// Examples to learn, by shard.
    pub trained: Vec<u64>,
    /// The first window's examples, in pieces of [`PIECE`] rows.
    pub pending: Vec<Labelled>,
    pub held: Labelled,
    pub scores: Prequential,
}

/// Held-out examples of a window that has ended.
#[derive(Serialize, Deserialize)]
pub(super) struct Held {
    pub end: EventTime,
    pub examples: Labelled,
}

/// Observations with their labels, and the shards that learn them.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Labelled {
    pub observations: Observations,
    pub labels: Vec<f64>,
    pub shards: Vec<u32>,
}

/// Rows of a piece of the buffer: what is buffered grows without being moved.
const PIECE: usize = 4096;

impl Window {
    pub fn new(layout: &Layout, task: Task) -> Self {
        Window {
            statistics: Statistics::new(layout),
            learners: Vec::new(),
            trained: vec![0; layout.options().shards],
            pending: Vec::new(),
            held: Labelled::default(),
            scores: Prequential::new(task),
        }
    }

    /// Keeps an example to be learnt at the close.
    pub fn buffer(&mut self, observations: &Observations, row: usize, label: f64, shard: usize) {
        if self.pending.last().is_none_or(|piece| piece.labels.len() >= PIECE) {
            self.pending.push(Labelled::default());
        }
        let piece = self.pending.last_mut().expect("a piece was just made sure of");
        piece.push(observations, row, label, shard);
    }

    /// Examples to learn.
    pub fn examples(&self) -> u64 {
        self.trained.iter().sum()
    }
}

impl Labelled {
    pub fn push(&mut self, observations: &Observations, row: usize, label: f64, shard: usize) {
        self.observations.push(observations, row);
        self.labels.push(label);
        self.shards.push(shard as u32);
    }

    /// Whether this was made for `layout` and holds what it says.
    pub fn fits(&self, layout: &Layout) -> bool {
        let shards = layout.options().shards;
        self.observations.fits(layout)
            && self.observations.len() == self.labels.len()
            && self.labels.len() == self.shards.len()
            && self.labels.iter().all(|label| label.is_finite())
            && self.shards.iter().all(|shard| (*shard as usize) < shards)
    }
}

/// What becomes of an example.
pub(super) enum Role {
    /// Never learnt; kept for the gate.
    HeldOut,
    Shard(usize),
}

/// By the hash of its key alone: all examples of a key have one role, in every window.
pub(super) fn role(hash: u64, holdout: f64, shards: usize) -> Role {
    const HOLDOUT: u64 = 1;
    const SHARD: u64 = 2;
    let share = (mix(hash, HOLDOUT) >> 11) as f64 / (1_u64 << 53) as f64;
    if share < holdout { Role::HeldOut } else { Role::Shard((mix(hash, SHARD) % shards as u64) as usize) }
}
