//! Factorization machines: a weighted sum of the slots, and of the products of every two.
//!
//! Rendle 2010. Each slot has a weight w and a vector v of `rank` latent factors; the weight of a product is that of two
//! vectors, so it is known for pairs that were never seen together:
//! ```text
//! sum = Σ w_i·x_i + Σ_{i<j} (v_i·v_j)·x_i·x_j
//!     = Σ w_i·x_i + ½·Σ_f [(Σ_i v_if·x_i)² − Σ_i v_if²·x_i²]
//! ∂sum/∂v_if = x_i·(Σ_j v_jf·x_j − v_if·x_i)
//! ```
//! The bias takes part in no product. The weights are trained by the model's optimizer; the factors by AdaGrad, starting at
//! small random numbers. A slot that has not been learnt has no factors, so it takes part in no product either.
//!
//! [`FactorModel`] also is the body of [matrix factorization](super::matrix_factorization), where only two slots of a row
//! have factors.

use std::hint::black_box;
use std::marker::PhantomData;
use std::ops::Range;

use super::base_rate::BaseRate;
use super::glm::Link;
use super::linear::Linear;
use super::logistic::Logistic;
use super::slot_vectors::{FrozenVectors, SlotVectors, VectorStart};
use super::{
    Combining, Explainer, InputForm, LabelDomain, LabelUse, Learner, ModelKind, Scorer, Shard, Task, TrainedBy,
};
use crate::model::explanation::PartMap;
use crate::model::optimizer::{Optimizer, OptimizerSetup};
use crate::model::preparation::{Prepared, SlotLayout};
use crate::model::score_sum::ScoreSum;
use crate::model::{
    AttributionRule, Bounds, Explanations, ModelError, Parameter, Parameters, Predictions, SparseRow, Tensors, Weights,
    tensor,
};

pub(super) static BINARY: ModelKind = ModelKind {
    name: "factorization_machine",
    summary: "predicts the probability of true from inputs and products of any two of them",
    task: Task::Binary,
    label: LabelUse::Required,
    labels: LabelDomain::Truth,
    parameters: PARAMETERS,
    reads: InputForm::Slots,
    trained_by: TrainedBy::Optimizer,
    combining: Combining::Averaged,
    least_categories: 0,
    by_steps: true,
    standardises_label: false,
    attribution: AttributionRule::Pairs,
    build: |layout, parameters, optimizer| build::<Logistic>(layout, parameters, optimizer, INTERACTING),
    load: |layout, tensors| load::<Logistic>(layout, tensors, INTERACTING),
};

pub(super) static REGRESSION: ModelKind = ModelKind {
    summary: "predicts a number from inputs and products of any two of them",
    task: Task::Regression,
    labels: LabelDomain::Value,
    standardises_label: true,
    build: |layout, parameters, optimizer| build::<Linear>(layout, parameters, optimizer, INTERACTING),
    load: |layout, tensors| load::<Linear>(layout, tensors, INTERACTING),
    ..BINARY
};

const PARAMETERS: &[Parameter] = &[
    Parameter { name: "rank", default: 8.0, bounds: Bounds::Whole(1, 256), summary: "latent factors of a slot" },
    Parameter {
        name: "rate",
        default: 0.02,
        bounds: Bounds::UpTo(0.0, 1000.0),
        summary: "learning rate of the factors",
    },
    Parameter {
        name: "l2",
        default: 0.0,
        bounds: Bounds::Within(0.0, 1000.0),
        summary: "L2 regularisation of the factors",
    },
];

/// The largest number that a factor starts with.
const SPREAD: f64 = 0.1;

const WEIGHTS: &str = "weights";
const FACTORS: &str = "factors";

/// The entries of a row that take part in products: all but the bias.
const INTERACTING: Range<usize> = 1..usize::MAX;

/// A sum of weighted slots, and of the products of some.
struct FactorModel<L> {
    link: L,
    base: BaseRate,
    optimizer: Box<dyn Optimizer>,
    factors: SlotVectors,
    /// The entries of a row that have factors.
    entries: Range<usize>,
    rank: usize,
    rate: f64,
    l2: f64,
    dense: usize,
    slots: usize,
    memory: FactorMemory,
}

/// Working memory for a run of rows.
#[derive(Default)]
struct FactorMemory {
    /// Positions of the vectors of the entries of some rows.
    positions: Vec<usize>,
    /// Σ_i v_if·x_i by factor.
    sums: Vec<f64>,
}

pub(super) fn build<L: Link>(
    layout: &SlotLayout,
    parameters: &Parameters,
    optimizer: Option<OptimizerSetup>,
    entries: Range<usize>,
) -> Box<dyn Learner> {
    let rank = parameters.get("rank") as usize;
    let start = VectorStart { seed: layout.options().seed, spread: SPREAD };
    Box::new(FactorModel::<L> {
        link: L::new(parameters),
        base: BaseRate::default(),
        optimizer: optimizer.expect("the kind is trained by an optimizer").make(),
        factors: SlotVectors::new(layout.slots(), rank, start),
        entries,
        rank,
        rate: parameters.get("rate"),
        l2: parameters.get("l2"),
        dense: layout.dense(),
        slots: layout.slots(),
        memory: FactorMemory::default(),
    })
}

/// Returns the entries of a row that are in a range.
fn part<'a>(row: SparseRow<'a>, entries: &Range<usize>) -> SparseRow<'a> {
    let own = entries.start..entries.end.min(row.index.len());
    SparseRow { index: &row.index[own.clone()], value: &row.value[own] }
}

/// Adds the entry of one slot to the sums of each factor, and returns the squares of what it adds.
#[inline]
fn add_entry(sums: &mut [f64], vector: &[f64], x: f64) -> f64 {
    sums.iter_mut().zip(vector).fold(0.0, |squares, (sum, v)| {
        *sum += v * x;
        squares + (v * x) * (v * x)
    })
}

/// Returns the sum of all products, from the sums by factor and the squares of all entries.
fn products(sums: &[f64], squares: f64) -> f64 {
    0.5 * (sums.iter().fold(0.0, |total, sum| total + sum * sum) - squares)
}

impl<L: Link> FactorModel<L> {
    /// Finds the vectors of the entries of rows, and fetches whatever the rows need into the cache.
    fn find_vectors<'a>(&mut self, rows: impl Iterator<Item = SparseRow<'a>>) {
        let positions = &mut self.memory.positions;
        positions.clear();
        for row in rows {
            let own = part(row, &self.entries);
            positions.extend(own.index.iter().map(|slot| self.factors.position(*slot)));
        }
        black_box(positions.iter().fold(0, |bits, position| bits ^ self.factors.touch(*position)));
    }

    /// Learns a row that counts `weight` times. The vectors of its entries are those from `from` on.
    fn learn_row(&mut self, row: SparseRow<'_>, from: usize, target: f64, weight: f64) {
        let own = part(row, &self.entries);
        let FactorMemory { positions, sums } = &mut self.memory;
        let positions = &positions[from..from + own.index.len()];
        sums.clear();
        sums.resize(self.rank, 0.0);
        let entries = positions.iter().zip(own.value);
        let squares = entries
            .clone()
            .fold(0.0, |squares, (position, x)| squares + add_entry(sums, self.factors.vector(*position), *x));
        let sum = self.base.sum() + self.optimizer.dot(row) + products(sums, squares);
        let slope = weight * self.link.slope(sum, target);
        self.optimizer.step(row, slope);
        let sums = &sums[..self.rank];
        for (position, x) in entries.filter(|(_, x)| **x != 0.0) {
            self.factors.step(*position, self.rate, |f, v| slope * x * (sums[f] - v * x) + self.l2 * v);
        }
    }
}

impl<L: Link> Learner for FactorModel<L> {
    fn learn(&mut self, batch: &Prepared<'_>) {
        self.base.get_or_set(|| L::base(batch.weigher()));
        let (all, mut weights) = (batch.rows(), batch.weights());
        for (slots, run) in all.runs() {
            black_box(self.optimizer.touch(slots));
            self.find_vectors(run.clone().map(|row| all.row(row)));
            let mut from = 0;
            for (row, weight) in run.zip(&mut weights) {
                let (target, row) = (batch.targets()[row], all.row(row));
                self.learn_row(row, from, target, weight);
                from += part(row, &self.entries).index.len();
            }
        }
    }

    fn combine(&mut self, shards: &[Shard<'_>]) -> Result<(), ModelError> {
        let mut states: Vec<_> = shards.iter().map(|shard| (shard.learner.save(), shard.examples)).collect();
        self.factors.average(FACTORS, &states)?;
        states.iter_mut().for_each(|(state, _)| state.retain(|name, _| !name.starts_with(FACTORS)));
        let mean = tensor::average(&states);
        self.base = BaseRate::load(&mean)?;
        self.optimizer.load(&mean)
    }

    fn forget(&mut self, slots: &[u32]) {
        slots.iter().for_each(|slot| self.optimizer.forget(*slot));
        self.factors.forget(slots);
    }

    fn freeze(&mut self) -> Box<dyn Scorer> {
        Box::new(FrozenFactors::<L> {
            weights: Weights::of_optimizer(&*self.optimizer, self.dense, self.slots).plus_bias(self.base.sum()),
            factors: self.factors.freeze_shared(),
            entries: self.entries.clone(),
            rank: self.rank,
            link: PhantomData,
        })
    }

    fn save(&self) -> Tensors {
        let mut tensors = self.optimizer.save();
        self.base.save(&mut tensors);
        self.factors.save(FACTORS, &mut tensors);
        tensors
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        self.factors.load(FACTORS, tensors)?;
        self.base = BaseRate::load(tensors)?;
        self.optimizer.load(tensors)
    }

    fn clone_box(&self) -> Box<dyn Learner> {
        Box::new(FactorModel {
            optimizer: self.optimizer.clone_box(),
            factors: self.factors.clone(),
            entries: self.entries.clone(),
            memory: FactorMemory::default(),
            ..*self
        })
    }

    fn share(&mut self) -> Box<dyn Learner> {
        Box::new(FactorModel {
            optimizer: self.optimizer.share(),
            factors: self.factors.share(),
            entries: self.entries.clone(),
            memory: FactorMemory::default(),
            ..*self
        })
    }
}

struct FrozenFactors<L> {
    weights: Weights,
    factors: FrozenVectors,
    entries: Range<usize>,
    rank: usize,
    link: PhantomData<fn(L)>,
}

pub(super) fn load<L: Link>(
    layout: &SlotLayout,
    tensors: &Tensors,
    entries: Range<usize>,
) -> Result<Box<dyn Scorer>, ModelError> {
    let weights = Weights::load(WEIGHTS, tensors, layout.dense(), layout.slots())?;
    let rank = ModelKind::parameters_of(layout.options())?.get("rank") as usize;
    let factors = FrozenVectors::load(FACTORS, tensors, rank, layout.slots())?;
    Ok(Box::new(FrozenFactors::<L> { weights, factors, entries, rank, link: PhantomData }))
}

impl<L> FrozenFactors<L> {
    /// Reads the vectors of rows, so that what is not in the cache is fetched together. The result means nothing.
    fn touch<'a>(&self, rows: impl Iterator<Item = SparseRow<'a>>) -> u64 {
        rows.fold(0, |bits, row| bits ^ self.factors.touch(part(row, &self.entries).index))
    }

    /// Returns the sum of a row, and replaces `sums` by those of each factor.
    ///
    /// The share of an entry of the products is half of u·(s − u), where u is its vector times its number and s the sum of
    /// all of these. So the sizes of all shares together are at most ½·Σ |u|·(|s| + |u|).
    fn sum(&self, row: SparseRow<'_>, sums: &mut [f64]) -> ScoreSum {
        sums.fill(0.0);
        let own = part(row, &self.entries);
        let (mut squares, mut lengths) = (0.0, 0.0);
        for (slot, x) in own.index.iter().zip(own.value) {
            if let Some(vector) = self.factors.get(*slot) {
                let square = add_entry(sums, vector, *x);
                squares += square;
                lengths += square.sqrt();
            }
        }
        let length = sums.iter().fold(0.0, |total, sum| total + sum * sum).sqrt();
        let size = 0.5 * (lengths * length + squares);
        self.weights.dot(row).plus(ScoreSum::new(products(sums, squares), size))
    }
}

impl<L: Link> Scorer for FrozenFactors<L> {
    fn predict(&self, batch: &Prepared<'_>, predictions: &mut Predictions) {
        let (mut sums, scale) = (vec![0.0; self.rank], L::scale(batch.label_scale()));
        let all = batch.rows();
        for (slots, run) in all.runs() {
            black_box(self.weights.touch(slots) ^ self.touch(run.clone().map(|row| all.row(row))));
            for row in run {
                let raw = scale.restore_sum(self.sum(all.row(row), &mut sums)).raw();
                predictions.values_mut().push(L::link(raw, scale));
            }
        }
    }

    fn explainer(&self) -> Option<&dyn Explainer> {
        Some(self)
    }

    fn save(&self, tensors: &mut Tensors) {
        self.weights.save(WEIGHTS, tensors);
        self.factors.save(FACTORS, tensors);
    }
}

impl<L: Link> Explainer for FrozenFactors<L> {
    /// Half of each product goes to either of its two entries.
    fn explain(&self, batch: &Prepared<'_>, parts: &PartMap, explanations: &mut Explanations) {
        let (mut sums, scale) = (vec![0.0; self.rank], L::scale(batch.label_scale()));
        for (row, entries) in batch.rows().iter().zip(batch.map_entries()) {
            let sum = self.sum(row, &mut sums);
            let mut explained = explanations.start();
            for (at, term) in self.weights.terms(row).enumerate() {
                explained.add(parts.of_entry(at, entries), 0, term * scale.stddev);
            }
            let own = part(row, &self.entries);
            for (at, (slot, x)) in (self.entries.start..).zip(own.index.iter().zip(own.value)) {
                let vector = self.factors.get(*slot).unwrap_or_default();
                let share = vector.iter().zip(&sums).fold(0.0, |share, (v, sum)| share + v * x * (sum - v * x));
                explained.add(parts.of_entry(at, entries), 0, 0.5 * share * scale.stddev);
            }
            explained.settle(0, scale.restore_sum(sum));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::optimizer::Loss;
    use crate::model::{InputColumn, ModelOptions};
    use crate::value::Type;

    #[test]
    fn oracle_gradients_are_differences_of_the_sum() {
        let mut options =
            ModelOptions { kind: "factorization_machine".into(), hash_bits: 4, ..ModelOptions::default() };
        options.kind.parameters = vec![("rank".into(), 3.0.into())];
        let layout =
            SlotLayout::new(&["x", "y", "z"].map(|name| InputColumn::new(name, Type::Float)), &options).unwrap();
        let parameters = ModelKind::parameters_of(&options).unwrap();
        let optimizer = OptimizerSetup {
            kind: crate::model::OPTIMIZERS[0],
            parameters: Parameters::resolve("ftrl", crate::model::OPTIMIZERS[0].parameters, &[]).unwrap(),
            slots: layout.slots(),
        };
        let mut model = FactorModel::<Logistic> {
            link: Logistic,
            base: BaseRate::default(),
            optimizer: optimizer.make(),
            factors: SlotVectors::new(layout.slots(), 3, VectorStart { seed: 1, spread: 0.5 }),
            entries: INTERACTING,
            rank: 3,
            rate: 1e-9,
            l2: 0.0,
            dense: layout.dense(),
            slots: layout.slots(),
            memory: FactorMemory::default(),
        };
        assert_eq!(parameters.get("rank"), 3.0);
        let row = SparseRow { index: &[0, 1, 3, 5], value: &[1.0, 0.7, -1.3, 2.0] };
        let sum = |model: &FactorModel<Logistic>| {
            let own = part(row, &model.entries);
            let vectors = [0, 1, 2].map(|at| model.factors.vector(at));
            let mut sum = 0.0;
            for i in 0..3 {
                for j in i + 1..3 {
                    let product: f64 = vectors[i].iter().zip(vectors[j]).map(|(one, other)| one * other).sum();
                    sum += product * own.value[i] * own.value[j];
                }
            }
            sum
        };
        model.find_vectors([row].into_iter());
        model.learn_row(row, 0, 1.0, 1.0);
        let squares = |model: &FactorModel<Logistic>| [0, 1, 2].map(|at| model.factors.squares(at).to_vec()).concat();
        let before = squares(&model);
        let slope = model.link.slope(model.optimizer.dot(row) + sum(&model), 1.0);
        let expected: Vec<f64> = (0..9)
            .map(|cell| {
                let mut shifted = |by: f64| {
                    *model.factors.number_mut(cell / 3, cell % 3) += by;
                    let shifted = sum(&model);
                    *model.factors.number_mut(cell / 3, cell % 3) -= by;
                    shifted
                };
                slope * (shifted(1e-5) - shifted(-1e-5)) / 2e-5
            })
            .collect();
        model.find_vectors([row].into_iter());
        model.learn_row(row, 0, 1.0, 1.0);
        for ((grown, was), expected) in squares(&model).iter().zip(before).zip(expected) {
            assert!(((grown - was).sqrt() - expected.abs()).abs() < 1e-6, "{grown} {was} {expected}");
        }
    }

    #[test]
    fn oracle_the_sum_is_that_over_all_pairs() {
        let vectors = [[0.5, -1.0], [2.0, 0.25], [-0.75, 1.5], [1.0, 1.0]];
        let values = [1.0, -2.0, 0.5, 3.0];
        let mut sums = [0.0; 2];
        let squares: f64 = vectors.iter().zip(values).map(|(vector, x)| add_entry(&mut sums, vector, x)).sum();
        let mut expected = 0.0;
        for i in 0..4 {
            for j in i + 1..4 {
                let product: f64 = vectors[i].iter().zip(vectors[j]).map(|(one, other)| one * other).sum();
                expected += product * values[i] * values[j];
            }
        }
        assert_eq!(products(&sums, squares), expected);
    }
}
