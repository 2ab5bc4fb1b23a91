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
mod prequential;
mod snapshot;
mod versions;
mod window;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow_array::ArrayRef;

pub use prequential::WindowScores;

use super::preparation::{LARGEST, Layout, Observations, Preparation, Statistics};
use super::{Gate, Input, Kind, Learner, ModelError, ModelOptions, OptimizerKind, Predictor, Rows, Start, Task};
use crate::time::EventTime;
use close::Closing;
use prequential::Scoring;
use versions::Versions;
use window::{Held, Role, Window};

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

/// Working memory.
#[derive(Default)]
struct Buffers {
    observations: Observations,
    rows: Rows,
    scoring: Scoring,
    /// Rows to learn, by shard, and their targets.
    shards: Vec<Vec<u32>>,
    targets: Vec<f64>,
}

/// Rows that are decoded, scored and learnt together: few enough to stay in the cache.
const CHUNK: usize = 512;

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

    /// Scores examples, then learns them. All are of one window, that of the examples before them since
    /// [`Trainer::close`]. An example whose label is not finite is scored for the caller and otherwise ignored.
    ///
    /// # Panics
    /// If the window's closing has begun: the caller closes a window once its time has passed.
    pub fn learn(&mut self, examples: &Examples) -> Scored {
        assert!(self.closing.is_none(), "no example comes once its window is being closed");
        let mut scored = Scored::default();
        for from in (0..examples.label.len()).step_by(CHUNK) {
            let len = CHUNK.min(examples.label.len() - from);
            let columns: Vec<ArrayRef> = examples.columns.iter().map(|column| column.slice(from, len)).collect();
            let mut observations = std::mem::take(&mut self.buffers.observations);
            observations.refill(&self.layout, &columns, len);
            let labels: Vec<f64> = examples.label[from..from + len].iter().map(|label| self.label(*label)).collect();
            let times = &examples.time[from..from + len];
            let Buffers { scoring, rows, .. } = &mut self.buffers;
            scoring.score(&self.versions, &observations, times, rows);
            scoring.count(&self.versions, &labels, &mut self.window.scores);
            scoring.append_champions(&self.versions, &mut scored);
            self.learn_chunk(&observations, &labels, &examples.hash[from..from + len]);
            self.buffers.observations = observations;
        }
        scored
    }

    /// A label as the task has it: a class is 0 or 1. NaN stays NaN.
    fn label(&self, label: f64) -> f64 {
        match self.kind.task {
            Task::Binary if !label.is_nan() => f64::from(u8::from(label > 0.5)),
            _ => label.clamp(-LARGEST, LARGEST),
        }
    }

    fn learn_chunk(&mut self, observations: &Observations, labels: &[f64], hashes: &[u64]) {
        let shards = self.config.options.shards;
        let holdout = self.gate().map_or(0.0, |gate| gate.holdout);
        let mut selected = std::mem::take(&mut self.buffers.shards);
        selected.resize(shards, Vec::new());
        for (row, (label, hash)) in labels.iter().zip(hashes).enumerate() {
            match window::role(*hash, holdout, shards) {
                _ if label.is_nan() => {}
                Role::HeldOut => self.window.held.push(observations, row, *label, 0),
                Role::Shard(shard) if self.head.is_some() => selected[shard].push(row as u32),
                Role::Shard(shard) => {
                    selected[shard].push(row as u32);
                    self.window.buffer(observations, row, *label, shard);
                }
            }
        }
        if self.head.is_some() && self.window.learners.is_empty() && selected.iter().any(|rows| !rows.is_empty()) {
            self.window.learners = self.starting_learners();
        }
        for (shard, select) in selected.iter_mut().enumerate() {
            self.window.statistics.observe(observations, labels, select);
            self.window.trained[shard] += select.len() as u64;
            if let Some(head) = &self.head {
                let preparation = Arc::clone(&head.preparation);
                self.learn_rows(&preparation, shard, observations, labels, select);
            }
            select.clear();
        }
        self.buffers.shards = selected;
    }

    /// Has one shard's learner learn the selected observations.
    fn learn_rows(
        &mut self,
        preparation: &Preparation,
        shard: usize,
        observations: &Observations,
        labels: &[f64],
        select: &[u32],
    ) {
        if select.is_empty() {
            return;
        }
        let Buffers { rows, targets, .. } = &mut self.buffers;
        preparation.encode(observations, select, rows);
        targets.clear();
        targets.extend(select.iter().map(|row| match labels[*row as usize] {
            label if self.kind.standardised => preparation.standardise_label(label),
            label => label,
        }));
        self.window.learners[shard].learn(rows, targets);
    }

    /// One learner a shard, each where the lineage stands, or untrained.
    fn starting_learners(&mut self) -> Vec<Box<dyn Learner>> {
        let shards = self.config.options.shards;
        let warm = self.config.options.start == Start::Warm;
        // A window without a gate is always accepted, so nothing starts from the head again.
        let takes = warm && shards == 1 && self.config.options.publish.is_none();
        match self.head.as_mut().filter(|_| warm) {
            Some(head) if takes => head.learner.take().into_iter().collect(),
            Some(head) => head.learner.iter().flat_map(|learner| (0..shards).map(|_| learner.fork())).collect(),
            None => (0..shards).map(|_| self.untrained()).collect(),
        }
    }

    fn untrained(&self) -> Box<dyn Learner> {
        (self.kind.build)(&self.layout, self.optimizer).expect("the options were checked when the trainer was made")
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
