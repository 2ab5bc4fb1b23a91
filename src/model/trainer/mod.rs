//! The windows of one model: examples are scored, learnt, and at a window's end become a version.
//!
//! Notation: an example has its own time t, when its features were looked up, and the time at which its label became
//! known. Windows are `[k·w, (k+1)·w)` of the latter, shifted by an offset.
//!
//! - **Scoring** comes first: by the version that was champion at t, by the champion before it and by the newest.
//! - **Learning** goes along, in a single pass, prepared with what the version before knew. Only the first window has
//!   nothing to be prepared with: it is buffered, measured, and learnt at its close.
//! - **Closing** combines the shards, compares candidate and champion on held-out examples, and accepts or refuses. A
//!   refused version leaves no trace in the lineage: neither in the weights nor in the statistics of what follows.
//!
//! Invariant: everything is a function of the sequence of examples. How it is cut into calls of [`Trainer::learn`], and
//! whether the trainer was saved and loaded in between, changes no bit.

mod close;
mod learn;
mod prequential;
mod snapshot;
mod version;
mod versions;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::ArrayRef;

pub use prequential::WindowScores;
pub use version::{Decision, Version};

use super::preparation::{Layout, Preparation, Statistics};
use super::{Gate, Input, Kind, Learner, ModelError, ModelOptions, OptimizerKind, Predictor};
use crate::time::EventTime;
use close::Closing;
use learn::Buffers;
use versions::Versions;
use window::{Held, Window};

/// Examples of one window, ascending by (known, total order).
#[derive(Clone, Debug, Default)]
pub struct Examples {
    /// One for each input in order.
    pub columns: Vec<ArrayRef>,
    pub label: Vec<f64>,
    /// When the example happened.
    pub time: Vec<EventTime>,
    /// When its label became known.
    pub known: Vec<EventTime>,
    /// Hash of the example's key, by which it is held out and dealt to shards.
    pub hash: Vec<u64>,
}

/// What the version in force at each example's own time predicted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scored {
    /// NaN before the first version.
    pub prediction: Vec<f64>,
    /// 0 before the first version.
    pub version: Vec<u64>,
}

/// What a trainer is made from.
#[derive(Clone, Debug)]
pub struct TrainerConfig {
    pub name: String,
    pub inputs: Vec<Input>,
    pub options: ModelOptions,
    /// Length of a window, and the shift of its edges from the UTC epoch. Event ms.
    pub window_ms: i64,
    pub offset_ms: i64,
    /// The longest that a label may take to become known after its example. Event ms.
    pub within_ms: i64,
    /// Hash of all that the model is made from; a saved state is only loaded into the same.
    pub definition: String,
}

/// Where the lineage stands: at the newest accepted version.
struct Head {
    version: u64,
    /// Of everything the lineage has learnt.
    statistics: Statistics,
    /// As of those statistics: what the next window is prepared with.
    preparation: Arc<Preparation>,
    /// None while the open window continues from it and nothing could make it start again.
    learner: Option<Box<dyn Learner>>,
}

/// The trainer of one model.
pub struct Trainer {
    config: TrainerConfig,
    layout: Arc<Layout>,
    kind: &'static Kind,
    optimizer: &'static OptimizerKind,
    /// The number of the newest version; 0 before the first.
    newest: u64,
    head: Option<Head>,
    versions: Versions,
    /// Held-out examples of the newest windows before the open one, oldest first.
    held: VecDeque<Held>,
    window: Window,
    closing: Option<Closing>,
    buffers: Buffers,
}

impl Trainer {
    /// A trainer that has seen nothing.
    ///
    /// # Errors
    /// Everything that is wrong with the options.
    pub fn new(config: TrainerConfig) -> Result<Self, Vec<ModelError>> {
        config.options.check(&config.inputs)?;
        let layout = Arc::new(Layout::new(&config.inputs, &config.options)?);
        let one = |error| vec![error];
        let kind = Kind::find(&config.options.kind).map_err(one)?;
        let optimizer = OptimizerKind::find(&config.options.optimizer.name).map_err(one)?;
        Ok(Trainer {
            window: Window::new(&layout, kind.task),
            layout,
            kind,
            optimizer,
            newest: 0,
            head: None,
            versions: Versions::default(),
            held: VecDeque::new(),
            closing: None,
            buffers: Buffers::default(),
            config,
        })
    }

    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// What it was made from.
    pub fn config(&self) -> &TrainerConfig {
        &self.config
    }

    /// The end of the window in which a label that is known at this time is learnt.
    pub fn window_of(&self, known: EventTime) -> EventTime {
        let TrainerConfig { window_ms, offset_ms, .. } = self.config;
        (known.saturating_sub(offset_ms).div_euclid(window_ms) + 1).saturating_mul(window_ms).saturating_add(offset_ms)
    }

    fn gate(&self) -> Option<&Gate> {
        self.config.options.publish.as_ref()
    }

    /// How predictions have fared in the open window.
    pub fn scores(&self) -> WindowScores {
        self.window.scores.summary()
    }

    /// The champion, if there is one: its number, the end of its window, and itself.
    pub fn champion(&self) -> Option<(u64, EventTime, Arc<Predictor>)> {
        self.versions.champion().map(|kept| (kept.number, kept.end, Arc::clone(&kept.predictor)))
    }

    /// The number of the newest version; 0 before the first.
    pub fn newest(&self) -> u64 {
        self.newest
    }
}
