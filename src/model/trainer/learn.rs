//! Learning goes along: examples are decoded, scored, and learnt or kept, a chunk at a time.

use std::sync::Arc;

use arrow_array::ArrayRef;

use super::prequential::Scoring;
use super::window::{self, Role};
use super::{Examples, Scored, Trainer};
use crate::model::preparation::{LARGEST, Observations, Preparation};
use crate::model::{Learner, Rows, Start, Task};

/// Working memory.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) observations: Observations,
    pub(super) rows: Rows,
    pub(super) scoring: Scoring,
    /// Rows to learn, by shard, and their targets.
    pub(super) shards: Vec<Vec<u32>>,
    pub(super) targets: Vec<f64>,
}

/// Rows that are decoded, scored and learnt together: few enough to stay in the cache.
pub(super) const CHUNK: usize = 512;

impl Trainer {
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
    pub(super) fn learn_rows(
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

    pub(super) fn untrained(&self) -> Box<dyn Learner> {
        (self.kind.build)(&self.layout, self.optimizer).expect("the options were checked when the trainer was made")
    }
}
