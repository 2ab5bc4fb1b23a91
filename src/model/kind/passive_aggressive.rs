//! Passive-aggressive classification: the probability that a binary label is true, from a large-margin rule.
//!
//! Crammer et al. 2006, "Online passive-aggressive algorithms", sections 3 and 5. With y = ±1, the margin m = w·x and
//! the hinge loss l = max(0, 1 − y·m), weights move just far enough to put the example on the right side by 1:
//! ```text
//! w += tau·y·x,   tau = min(C, l/|x|²)          PA-I,  variant 1
//!                 tau = l/(|x|² + 1/(2C))       PA-II, variant 2
//! ```
//! The weights stay where the margin is wide enough. C limits a step, so smaller values suit noisy labels.
//!
//! A margin is no probability. It becomes one by Platt's scaling (1999), p = 1/(1 + exp(−(a·m + b))), whose a and b
//! follow the log loss of each margin taken before its example is learnt, with AdaGrad's steps (Duchi et al. 2011). They
//! start at a = 1 and at the log-odds of the base rate as far as they are beyond ±1, the margin that the rule aims at. a is kept
//! positive, so a wider margin always is a higher probability.
//!
//! An example of weight h counts with a bound of h·C, and h times in the scaling.

use super::{Combining, Explainer, InputForm, LabelDomain, LabelUse, Learner, ModelKind, Scorer, Task, TrainedBy};
use crate::model::explanation::PartMap;
use crate::model::optimizer::OptimizerSetup;
use crate::model::preparation::{Prepared, SlotLayout};
use crate::model::score_sum::ScoreSum;
use crate::model::tensor::{self, Tensor};
use crate::model::{
    AttributionRule, Bounds, Explanations, ModelError, Parameter, Parameters, Predictions, SparseRow, Tensors, Weights,
};

pub(super) static KIND: ModelKind = ModelKind {
    name: "passive_aggressive",
    summary: "predicts the probability of true by a large-margin rule, without a learning rate (Crammer et al. 2006)",
    task: Task::Binary,
    label: LabelUse::Required,
    labels: LabelDomain::Truth,
    parameters: &[
        Parameter {
            name: "C",
            default: 1.0,
            bounds: Bounds::Above(0.0),
            summary: "bound on the step of an example; less suits noisier labels",
        },
        Parameter { name: "variant", default: 1.0, bounds: Bounds::Whole(1, 2), summary: "1 for PA-I, 2 for PA-II" },
    ],
    reads: InputForm::Slots,
    trained_by: TrainedBy::Itself,
    combining: Combining::Averaged,
    least_categories: 0,
    by_steps: true,
    standardises_label: false,
    attribution: AttributionRule::Terms,
    build,
    load,
};

/// Bound of the scaled margin, as of the log-odds of logistic regression.
const MOST_ODDS: f64 = 15.0;

/// Learning rate of the scaling, and the least a.
const RATE: f64 = 0.1;
const LEAST_FACTOR: f64 = 1e-3;

const WEIGHTS: &str = "weights";
const SCALING: &str = "scaling";

/// Platt's scaling of margins, and AdaGrad's sums of squared gradients.
#[derive(Clone, Copy, Debug)]
struct PlattScaling {
    factor: f64,
    offset: f64,
    squares: [f64; 2],
}

impl PlattScaling {
    fn probability(&self, margin: f64) -> f64 {
        Self::link(self.factor * margin + self.offset)
    }

    /// Returns the probability at scaled margins.
    fn link(odds: f64) -> f64 {
        1.0 / (1.0 + libm::exp(-odds.clamp(-MOST_ODDS, MOST_ODDS)))
    }

    /// Returns the sum that is scaled, of the terms of a margin.
    fn scale(&self, margin: ScoreSum) -> ScoreSum {
        margin.scaled(self.factor, self.offset)
    }

    /// Starts at the base rate of labels.
    fn start(&mut self, log_odds: f64) {
        self.offset = log_odds;
    }

    fn learn(&mut self, margin: f64, truth: bool, weight: f64) {
        let slope = weight * (self.probability(margin) - f64::from(u8::from(truth)));
        let [mut factor, mut offset] = [slope * margin, slope];
        for (gradient, squares) in [&mut factor, &mut offset].into_iter().zip(&mut self.squares) {
            *squares += *gradient * *gradient;
            *gradient *= RATE / (squares.sqrt() + 1e-8);
        }
        self.factor = (self.factor - factor).max(LEAST_FACTOR);
        self.offset -= offset;
    }
}

#[derive(Clone)]
struct PassiveAggressive {
    c: f64,
    variant: u32,
    dense: usize,
    weights: Vec<f64>,
    scaling: PlattScaling,
    /// Zeros, in which the entries of a row are added up by slot.
    gathered: Vec<f64>,
}

fn build(layout: &SlotLayout, parameters: &Parameters, _: Option<OptimizerSetup>) -> Box<dyn Learner> {
    Box::new(PassiveAggressive {
        c: parameters.get("C"),
        variant: parameters.get("variant") as u32,
        dense: layout.dense(),
        weights: vec![0.0; layout.slots()],
        scaling: PlattScaling { factor: 1.0, offset: 0.0, squares: [0.0; 2] },
        gathered: vec![0.0; layout.slots()],
    })
}

impl PassiveAggressive {
    fn margin(&self, row: SparseRow<'_>) -> f64 {
        row.index.iter().zip(row.value).fold(0.0, |sum, (slot, x)| sum + self.weights[*slot as usize] * x)
    }

    /// Returns |x|². Categories may share a slot, whose x is then their sum: counted apart, a step would overshoot.
    fn square(&mut self, row: SparseRow<'_>) -> f64 {
        let entries = || row.index.iter().map(|slot| *slot as usize).zip(row.value);
        entries().for_each(|(slot, x)| self.gathered[slot] += x);
        let square = entries().fold(0.0, |sum, (slot, x)| sum + x * self.gathered[slot]);
        entries().for_each(|(slot, _)| self.gathered[slot] = 0.0);
        square
    }

    /// Returns tau of an example of positive weight. The bias is an entry of every row, so `square` is at least 1.
    fn step_size(&self, loss: f64, square: f64, weight: f64) -> f64 {
        let c = weight * self.c;
        match self.variant {
            1 => c.min(loss / square),
            _ => loss / (square + 0.5 / c),
        }
    }
}

impl Learner for PassiveAggressive {
    fn learn(&mut self, batch: &Prepared<'_>) {
        if self.scaling.squares == [0.0; 2] {
            self.scaling.start(batch.weigher().log_odds());
        }
        for ((row, target), weight) in batch.rows().iter().zip(batch.targets()).zip(batch.weights()) {
            let truth = *target > 0.5;
            let margin = self.margin(row);
            self.scaling.learn(margin, truth, weight);
            let sign = if truth { 1.0 } else { -1.0 };
            let loss = 1.0 - sign * margin;
            if loss > 0.0 {
                let square = self.square(row);
                let step = sign * self.step_size(loss, square, weight);
                for (slot, x) in row.index.iter().zip(row.value) {
                    self.weights[*slot as usize] += step * x;
                }
            }
        }
    }

    fn forget(&mut self, slots: &[u32]) {
        slots.iter().for_each(|slot| self.weights[*slot as usize] = 0.0);
    }

    fn freeze(&mut self) -> Box<dyn Scorer> {
        let weights = Weights::new(self.weights.iter().copied(), self.dense, self.weights.len());
        Box::new(FrozenMargin { weights, scaling: self.scaling })
    }

    fn save(&self) -> Tensors {
        let PlattScaling { factor, offset, squares } = self.scaling;
        let scaling = vec![factor, offset, squares[0], squares[1]];
        Tensors::from([
            (SCALING.to_owned(), Tensor::vector(scaling)),
            (WEIGHTS.to_owned(), Tensor::vector(self.weights.clone())),
        ])
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        self.weights = tensor::floats(tensors, WEIGHTS, Some(self.weights.len()))?.to_vec();
        self.scaling = read_scaling(tensors, 4)?;
        Ok(())
    }

    fn clone_box(&self) -> Box<dyn Learner> {
        Box::new(self.clone())
    }
}

struct FrozenMargin {
    weights: Weights,
    scaling: PlattScaling,
}

fn load(layout: &SlotLayout, tensors: &Tensors) -> Result<Box<dyn Scorer>, ModelError> {
    let weights = Weights::load(WEIGHTS, tensors, layout.dense(), layout.slots())?;
    Ok(Box::new(FrozenMargin { weights, scaling: read_scaling(tensors, 2)? }))
}

/// Reads the scaling; a frozen one has no sums of squares.
fn read_scaling(tensors: &Tensors, len: usize) -> Result<PlattScaling, ModelError> {
    let cells = tensor::floats(tensors, SCALING, Some(len))?;
    if cells.iter().any(|cell| !cell.is_finite()) {
        return Err(tensor::misfit(SCALING, "a number is not finite"));
    }
    let square = |at: usize| cells.get(at).copied().unwrap_or(0.0);
    Ok(PlattScaling { factor: cells[0], offset: cells[1], squares: [square(2), square(3)] })
}

impl Scorer for FrozenMargin {
    fn predict(&self, batch: &Prepared<'_>, predictions: &mut Predictions) {
        let probability = |row| PlattScaling::link(self.scaling.scale(self.weights.dot(row)).raw());
        predictions.values_mut().extend(batch.rows().iter().map(probability));
    }

    fn explainer(&self) -> Option<&dyn Explainer> {
        Some(self)
    }

    fn save(&self, tensors: &mut Tensors) {
        self.weights.save(WEIGHTS, tensors);
        tensors.insert(SCALING.to_owned(), Tensor::vector(vec![self.scaling.factor, self.scaling.offset]));
    }
}

impl Explainer for FrozenMargin {
    fn explain(&self, batch: &Prepared<'_>, parts: &PartMap, explanations: &mut Explanations) {
        for (row, entries) in batch.rows().iter().zip(batch.map_entries()) {
            let mut explained = explanations.start();
            for (at, term) in self.weights.terms(row).enumerate() {
                explained.add(parts.of_entry(at, entries), 0, term * self.scaling.factor);
            }
            explained.settle(0, self.scaling.scale(self.weights.dot(row)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learner(c: f64, variant: u32) -> PassiveAggressive {
        let scaling = PlattScaling { factor: 1.0, offset: 0.0, squares: [0.0; 2] };
        PassiveAggressive { c, variant, dense: 3, weights: vec![0.0; 3], scaling, gathered: vec![0.0; 3] }
    }

    #[test]
    fn a_step_is_that_of_the_paper() {
        let mut learner_one = learner(1.0, 1);
        assert_eq!(learner_one.square(SparseRow { index: &[0, 1, 2], value: &[1.0, 2.0, -1.0] }), 6.0);
        assert_eq!(learner_one.square(SparseRow { index: &[0, 1, 1], value: &[1.0, 1.0, 1.0] }), 5.0, "a shared slot");
        // The loss of an untrained model is 1.
        assert_eq!(learner_one.step_size(1.0, 6.0, 1.0), 1.0 / 6.0);
        assert_eq!(learner(0.1, 1).step_size(1.0, 6.0, 1.0), 0.1);
        assert_eq!(learner(1.0, 2).step_size(1.0, 6.0, 1.0), 1.0 / 6.5);
    }

    #[test]
    fn scaling_follows_the_frequency_at_a_margin() {
        let mut scaling = learner(1.0, 1).scaling;
        for round in 0..20_000 {
            // At a margin of 8, 3 of 4 labels are true; at −8, 1 of 4.
            let side = round % 2 == 0;
            scaling.learn(if side { 8.0 } else { -8.0 }, (round / 2 % 4 != 0) == side, 1.0);
        }
        assert!((scaling.probability(8.0) - 0.75).abs() < 0.02, "{scaling:?}");
        assert!((scaling.probability(-8.0) - 0.25).abs() < 0.02, "{scaling:?}");
    }
}
