//! The open window: examples that have been learnt or kept since the last close.

use serde::{Deserialize, Serialize};

use super::lineage::Lineage;
use super::prequential::PrequentialScores;
use super::setup::TrainingSetup;
use super::stability::WindowValues;
use crate::model::preparation::{Observations, Preparation, Prepared, SlotLayout, Statistics, mix};
use crate::model::{Classes, LabelUse, Learner, ModelKind, SparseRows};
use crate::time::EventTime;

/// A window that examples still come into.
pub(super) struct OpenWindow {
    /// Of the examples learnt or buffered.
    pub statistics: Statistics,
    /// One for each shard; none before the first example to learn.
    pub learners: Vec<Box<dyn Learner>>,
    /// Examples to learn, by shard.
    pub trained: Vec<u64>,
    /// The first window's examples, in pieces of [`PIECE`] rows.
    pub buffered: Vec<LabelledExamples>,
    pub held_out: LabelledExamples,
    /// The newest examples to learn, of kinds that learn by steps.
    pub recent: RecentExamples,
    pub scores: PrequentialScores,
    /// The values of all examples.
    pub values: WindowValues,
}

/// Held-out examples of a window that has ended.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct HeldOutWindow {
    pub end: EventTime,
    pub examples: LabelledExamples,
}

/// The newest examples of a window: the last full piece, and the piece that grows.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct RecentExamples {
    pub pieces: [LabelledExamples; 2],
}

/// Observations with their labels and the shards that learn them.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct LabelledExamples {
    pub observations: Observations,
    pub labels: Vec<f64>,
    pub shards: Vec<u32>,
}

/// A chunk of examples that are learnt together: observations, and a label and a key's hash for each.
pub(super) struct ExampleChunk<'a> {
    pub observations: &'a Observations,
    pub labels: &'a [f64],
    pub hashes: &'a [u64],
}

/// Examples that one shard learns: the selected observations, and a label for each observation.
pub(super) struct ShardBatch<'a> {
    pub preparation: &'a Preparation,
    pub classes: &'a Classes,
    pub observations: &'a Observations,
    pub labels: &'a [f64],
    pub select: &'a [u32],
}

/// Working memory of learning.
#[derive(Default)]
pub(super) struct LearningMemory {
    pub rows: SparseRows,
    targets: Vec<f64>,
    /// Rows to learn, by shard.
    selected: Vec<Vec<u32>>,
}

/// Rows of a piece of the buffer: pieces are not moved when the buffer grows.
const PIECE: usize = 4096;

impl OpenWindow {
    pub fn new(setup: &TrainingSetup) -> Self {
        OpenWindow {
            statistics: Statistics::new(&setup.layout, setup.task()),
            learners: Vec::new(),
            trained: vec![0; setup.shards()],
            buffered: Vec::new(),
            held_out: LabelledExamples::default(),
            recent: RecentExamples::default(),
            scores: PrequentialScores::new(setup.scoring(), setup.can_roll_back(), setup.ranking().is_some()),
            values: WindowValues::default(),
        }
    }

    /// Returns the number of examples to learn.
    pub fn examples(&self) -> u64 {
        self.trained.iter().sum()
    }

    /// Learns a chunk of examples, or buffers them if there is no version to prepare them with. Held-out examples are
    /// kept for the gate; those with a NaN label are skipped if the kind requires labels.
    pub fn learn(
        &mut self,
        setup: &TrainingSetup,
        lineage: Option<&mut Lineage>,
        classes: &Classes,
        chunk: &ExampleChunk<'_>,
        memory: &mut LearningMemory,
    ) {
        // Deal the examples to the shards.
        let shards = setup.shards();
        let holdout = setup.gate().map_or(0.0, |gate| gate.holdout);
        let mut selected = std::mem::take(&mut memory.selected);
        selected.resize(shards, Vec::new());
        for (row, (label, hash)) in chunk.labels.iter().zip(chunk.hashes).enumerate() {
            match role(*hash, holdout, shards) {
                _ if label.is_nan() && setup.kind.label == LabelUse::Required => {}
                ExampleRole::HeldOut => self.held_out.push(chunk.observations, row, *label, 0),
                ExampleRole::Shard(shard) => {
                    selected[shard].push(row as u32);
                    if setup.kind.by_steps {
                        self.recent.push(chunk.observations, row, *label);
                    }
                    if lineage.is_none() {
                        self.buffer(chunk.observations, row, *label, shard);
                    }
                }
            }
        }
        // Start from the lineage at the first example.
        let preparation = lineage.map(|lineage| {
            if self.learners.is_empty() && selected.iter().any(|rows| !rows.is_empty()) {
                self.learners = lineage.starting_learners(setup);
            }
            lineage.preparation.clone()
        });
        // Learn shard by shard.
        for (shard, select) in selected.iter_mut().enumerate() {
            let ExampleChunk { observations, labels, .. } = *chunk;
            self.statistics.observe(observations, labels, select);
            self.trained[shard] += select.len() as u64;
            if let Some(preparation) = &preparation {
                let batch = ShardBatch { preparation, classes, observations, labels, select };
                self.learn_shard(setup.kind, shard, &batch, memory);
            }
            select.clear();
        }
        memory.selected = selected;
    }

    /// Learns a batch with the learner of one shard.
    pub fn learn_shard(&mut self, kind: &ModelKind, shard: usize, batch: &ShardBatch<'_>, memory: &mut LearningMemory) {
        let ShardBatch { preparation, classes, observations, labels, select } = *batch;
        if select.is_empty() {
            return;
        }
        let LearningMemory { rows, targets, .. } = memory;
        targets.clear();
        targets.extend(select.iter().map(|row| match labels[*row as usize] {
            label if kind.standardises_label => preparation.standardise_label(label),
            label => label,
        }));
        let prepared = Prepared::new(preparation, observations, select)
            .with_targets(targets, classes)
            .with_memory(std::mem::take(rows));
        self.learners[shard].learn(&prepared);
        *rows = prepared.into_memory();
    }

    /// Keeps an example to be learnt at the close.
    fn buffer(&mut self, observations: &Observations, row: usize, label: f64, shard: usize) {
        if self.buffered.last().is_none_or(|piece| piece.labels.len() >= PIECE) {
            self.buffered.push(LabelledExamples::default());
        }
        let piece = self.buffered.last_mut().expect("a piece with room was just added");
        piece.push(observations, row, label, shard);
    }
}

impl RecentExamples {
    /// The examples of a full piece.
    const PIECE: usize = 256;

    fn push(&mut self, observations: &Observations, row: usize, label: f64) {
        let [full, growing] = &mut self.pieces;
        if growing.labels.len() == Self::PIECE {
            *full = std::mem::take(growing);
        }
        growing.push(observations, row, label, 0);
    }
}

impl LabelledExamples {
    pub fn push(&mut self, observations: &Observations, row: usize, label: f64, shard: usize) {
        self.observations.push(observations, row);
        self.labels.push(label);
        self.shards.push(shard as u32);
    }

    /// Returns whether these are consistent and were made for a layout, with labels that `is_label` admits.
    pub fn fits(&self, layout: &SlotLayout, is_label: impl Fn(f64) -> bool) -> bool {
        let shards = layout.options().shards;
        self.observations.fits(layout)
            && self.observations.len() == self.labels.len()
            && self.labels.len() == self.shards.len()
            && self.labels.iter().all(|label| is_label(*label))
            && self.shards.iter().all(|shard| (*shard as usize) < shards)
    }
}

/// The use that is made of an example.
enum ExampleRole {
    /// Never learnt; kept for the gate.
    HeldOut,
    /// Learnt by this shard.
    Shard(usize),
}

/// Returns the role of an example by its key's hash alone: all examples of a key have one role, in every window.
fn role(hash: u64, holdout: f64, shards: usize) -> ExampleRole {
    const HOLDOUT: u64 = 1;
    const SHARD: u64 = 2;
    let share = (mix(hash, HOLDOUT) >> 11) as f64 / (1_u64 << 53) as f64;
    if share < holdout { ExampleRole::HeldOut } else { ExampleRole::Shard((mix(hash, SHARD) % shards as u64) as usize) }
}
