//! The open window: examples that have been learnt or kept since the last close.

use serde::{Deserialize, Serialize};

use super::learning_memory::LearningMemory;
use super::lineage::Lineage;
use super::lists::ListPlace;
use super::prequential::PrequentialScores;
use super::setup::TrainingSetup;
use super::stability::WindowValues;
use crate::model::preparation::{Observations, Preparation, Prepared, SlotLayout, Statistics, mix};
use crate::model::{Classes, LabelUse, Learner, ModelKind, SamplingOptions};
use crate::time::EventTime;

/// A window that examples still come into.
pub(super) struct OpenWindow {
    /// Statistics of the examples learnt or buffered.
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
    /// Empty if all are 1.
    pub weights: Vec<f64>,
    /// The places of held-out examples; empty unless whole lists are held out.
    pub places: Vec<ListPlace>,
}

/// The part of an example that is kept beside its observations and its label.
#[derive(Clone, Copy, Default)]
struct KeptAs {
    /// The shard that learns it.
    shard: usize,
    weight: Option<f64>,
    place: Option<ListPlace>,
}

/// A chunk of examples that are learnt together: observations, and a label and a key's hash for each.
pub(super) struct ExampleChunk<'a> {
    pub observations: &'a Observations,
    pub labels: &'a [f64],
    pub hashes: &'a [u64],
    /// The hash of the list of each; empty unless whole lists are held out.
    pub lists: &'a [u64],
    /// Empty if all are 1.
    pub weights: &'a [f64],
}

impl ExampleChunk<'_> {
    /// Returns the weight of a row, if weights are given: 1 if it is null, and from 0 to the most.
    fn weight(&self, row: usize) -> Option<f64> {
        let weight = *self.weights.get(row)?;
        Some(if weight.is_nan() { 1.0 } else { weight.clamp(0.0, SamplingOptions::MOST) })
    }
}

/// Examples that one shard learns: the selected observations, and a label for each observation.
pub(super) struct ShardBatch<'a> {
    pub preparation: &'a Preparation,
    pub classes: &'a Classes,
    pub observations: &'a Observations,
    pub labels: &'a [f64],
    /// By observation; empty if all are 1.
    pub weights: &'a [f64],
    pub select: &'a [u32],
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
            scores: PrequentialScores::new(setup.scoring(), setup.scored_roles()),
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
        self.deal(setup, lineage.is_none(), chunk, memory);
        let mut selected = std::mem::take(&mut memory.selected);
        // Start from the lineage at the first example.
        let preparation = lineage.map(|lineage| {
            if self.learners.is_empty() && selected.iter().any(|rows| !rows.is_empty()) {
                self.learners = lineage.starting_learners(setup);
            }
            lineage.preparation.clone()
        });
        // Learn shard by shard.
        let ExampleChunk { observations, labels, .. } = *chunk;
        self.statistics.observe(observations, labels, &memory.observed);
        self.statistics.observe_slots(&setup.layout, observations, &memory.observed);
        let weights = std::mem::take(&mut memory.own_weights);
        for (shard, select) in selected.iter_mut().enumerate() {
            self.trained[shard] += select.len() as u64;
            if let Some(preparation) = &preparation {
                let batch = ShardBatch { preparation, classes, observations, labels, weights: &weights, select };
                self.learn_shard(setup.kind, shard, &batch, memory);
            }
            select.clear();
        }
        memory.own_weights = weights;
        memory.selected = selected;
    }

    /// Deals examples to the shards that learn them; those of the first window are kept as well.
    fn deal(&mut self, setup: &TrainingSetup, is_first: bool, chunk: &ExampleChunk<'_>, memory: &mut LearningMemory) {
        let shards = setup.shards();
        let holdout = setup.gate().map_or(0.0, |gate| gate.holdout);
        let negatives = setup.config.options.sampling.negatives();
        memory.selected.resize(shards, Vec::new());
        memory.observed.clear();
        memory.own_weights.clear();
        if !chunk.weights.is_empty() {
            memory.own_weights.extend((0..chunk.labels.len()).map(|row| chunk.weight(row).unwrap_or(1.0)));
        }
        for (row, (label, hash)) in chunk.labels.iter().zip(chunk.hashes).enumerate() {
            let list = chunk.lists.get(row).copied();
            match role(*hash, list.unwrap_or(*hash), holdout, shards) {
                _ if label.is_nan() && setup.kind.label == LabelUse::Required => {}
                ExampleRole::HeldOut => {
                    let place = list.map(|list| ListPlace { list, tie: *hash });
                    self.held_out.push(chunk.observations, row, *label, KeptAs { place, ..KeptAs::default() });
                }
                ExampleRole::Shard(shard) => {
                    let kept = KeptAs { shard, weight: chunk.weight(row), place: None };
                    memory.observed.push(row as u32);
                    if setup.kind.by_steps {
                        self.recent.push(chunk.observations, row, *label, KeptAs { shard: 0, ..kept });
                    }
                    if *label == 0.0 && !is_sampled(*hash, negatives) || kept.weight == Some(0.0) {
                        continue;
                    }
                    memory.selected[shard].push(row as u32);
                    if is_first {
                        self.buffer(chunk.observations, row, *label, kept);
                    }
                }
            }
        }
    }

    /// Learns a batch with the learner of one shard.
    pub fn learn_shard(&mut self, kind: &ModelKind, shard: usize, batch: &ShardBatch<'_>, memory: &mut LearningMemory) {
        let ShardBatch { preparation, classes, observations, labels, weights: own, select } = *batch;
        if select.is_empty() {
            return;
        }
        let LearningMemory { rows, fixed, targets, weights, .. } = memory;
        let weigher = preparation.weigher(Some(classes));
        weights.clear();
        if !own.is_empty() || !weigher.is_uniform() {
            weights.extend(select.iter().map(|row| {
                let row = *row as usize;
                own.get(row).copied().unwrap_or(1.0) * weigher.weight(labels[row])
            }));
        }
        targets.clear();
        targets.extend(select.iter().map(|row| match labels[*row as usize] {
            label if kind.standardises_label => preparation.standardise_label(label),
            label => label,
        }));
        let prepared = Prepared::new(preparation, observations, select)
            .with_targets(targets, classes)
            .with_weights(weights)
            .with_rows(fixed.of(preparation, observations, select))
            .with_memory(std::mem::take(rows));
        self.learners[shard].learn(&prepared);
        *rows = prepared.into_memory();
    }

    /// Keeps an example to be learnt at the close.
    fn buffer(&mut self, observations: &Observations, row: usize, label: f64, kept: KeptAs) {
        if self.buffered.last().is_none_or(|piece| piece.labels.len() >= PIECE) {
            self.buffered.push(LabelledExamples::default());
        }
        let piece = self.buffered.last_mut().expect("a piece with room was just added");
        piece.push(observations, row, label, kept);
    }
}

impl RecentExamples {
    /// The examples of a full piece.
    const PIECE: usize = 256;

    fn push(&mut self, observations: &Observations, row: usize, label: f64, kept: KeptAs) {
        let [full, growing] = &mut self.pieces;
        if growing.labels.len() == Self::PIECE {
            *full = std::mem::take(growing);
        }
        growing.push(observations, row, label, kept);
    }
}

impl LabelledExamples {
    /// Adds a row of observations. All rows have a weight, or none has; so with places.
    fn push(&mut self, observations: &Observations, row: usize, label: f64, kept: KeptAs) {
        self.observations.push(observations, row);
        self.labels.push(label);
        self.shards.push(kept.shard as u32);
        self.weights.extend(kept.weight);
        self.places.extend(kept.place);
    }

    /// Returns whether these are consistent and were made for a layout, with labels that `is_label` admits.
    pub fn fits(&self, layout: &SlotLayout, is_label: impl Fn(f64) -> bool) -> bool {
        let shards = layout.options().shards;
        self.observations.fits(layout)
            && self.observations.len() == self.labels.len()
            && self.labels.len() == self.shards.len()
            && (self.weights.is_empty() || self.weights.len() == self.labels.len())
            && (self.places.is_empty() || self.places.len() == self.labels.len())
            && self.weights.iter().all(|weight| (0.0..=SamplingOptions::MOST).contains(weight))
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

/// Returns whether an example that is not true is learnt, by its key's hash alone.
fn is_sampled(hash: u64, share: f64) -> bool {
    const NEGATIVE: u64 = 3;
    share >= 1.0 || ((mix(hash, NEGATIVE) >> 11) as f64 / (1_u64 << 53) as f64) < share
}

/// Returns the role of an example by hashes alone: that of its key, and that of what is held out whole. This is the key, too, so
/// that all examples of a key have one role in every window, or the list of the example.
fn role(hash: u64, held_out_by: u64, holdout: f64, shards: usize) -> ExampleRole {
    const HOLDOUT: u64 = 1;
    const SHARD: u64 = 2;
    let share = (mix(held_out_by, HOLDOUT) >> 11) as f64 / (1_u64 << 53) as f64;
    if share < holdout { ExampleRole::HeldOut } else { ExampleRole::Shard((mix(hash, SHARD) % shards as u64) as usize) }
}
