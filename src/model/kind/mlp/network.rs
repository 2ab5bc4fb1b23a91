//! The learner: the weights of hidden units and outputs.

use std::sync::Arc;

use super::super::base_rate::BaseRate;
use super::super::class_states::ClassStates;
use super::super::glm::Link;
use super::super::logistic::Logistic;
use super::super::slot_vectors::{FrozenVectors, SlotVectors, VectorStart, adagrad_step};
use super::super::softmax::class_state;
use super::activation::{Activation, slope_sums};
use super::frozen::{CLASSES, DIRECT, FrozenMlp, FrozenOutput, HIDDEN, WEIGHTS};
use crate::model::kind::{Learner, Scorer, Shard};
use crate::model::preparation::{Prepared, SlotLayout};
use crate::model::tensor::{self, Tensor};
use crate::model::{ModelError, Parameters, SparseRow, Task, Tensors};

/// The name of the tensor of AdaGrad's sums.
const SQUARES: &str = "squares";

/// The weights of one output: one for a number or a probability of true, else one for each class.
#[derive(Clone)]
struct OutputWeights {
    base: BaseRate,
    /// By hidden unit.
    weights: Vec<f64>,
    squares: Vec<f64>,
    direct: SlotVectors,
}

#[derive(Clone)]
pub(super) struct Mlp {
    task: Task,
    activation: Activation,
    rate: f64,
    slots: usize,
    max_classes: usize,
    /// Numbers of a vector: hidden units.
    width: usize,
    hidden: SlotVectors,
    outputs: ClassStates<OutputWeights>,
    memory: LayerMemory,
}

/// Working memory for one row.
#[derive(Clone, Default)]
struct LayerMemory {
    positions: Vec<usize>,
    /// By hidden unit: its value, then the slope of the loss by its sum.
    units: Vec<f64>,
    slopes: Vec<f64>,
    /// By output: its sum, then the slope of the loss by it.
    sums: Vec<f64>,
}

impl Mlp {
    pub fn new(layout: &SlotLayout, parameters: &Parameters, task: Task) -> Self {
        let (width, slots) = (parameters.get("hidden") as usize, layout.slots());
        let spread = (3.0 / layout.width() as f64).sqrt();
        let start = VectorStart { seed: layout.options().seed, spread };
        let max_classes = if task == Task::Multiclass { parameters.get("max_classes") as usize } else { 1 };
        let mut mlp = Mlp {
            task,
            activation: Activation::of(parameters),
            rate: parameters.get("rate"),
            slots,
            max_classes,
            width,
            hidden: SlotVectors::new(slots, width, start),
            outputs: ClassStates::new(max_classes),
            memory: LayerMemory::default(),
        };
        if task != Task::Multiclass {
            mlp.outputs.push("".into(), untouched(width, slots));
        }
        mlp
    }

    /// Learns a row that counts `weight` times; the truth is a label, or the position of a class.
    fn learn_row(&mut self, row: SparseRow<'_>, truth: f64, weight: f64) {
        let LayerMemory { positions, units, slopes, sums } = &mut self.memory;
        // Forward.
        positions.clear();
        positions.extend(row.index.iter().map(|slot| self.hidden.position(*slot)));
        units.clear();
        units.resize(self.width, 0.0);
        for (position, x) in positions.iter().zip(row.value) {
            units.iter_mut().zip(self.hidden.vector(*position)).for_each(|(unit, weight)| *unit += weight * x);
        }
        units.iter_mut().for_each(|unit| *unit = self.activation.apply(*unit));
        sums.clear();
        sums.extend(self.outputs.states_mut().iter_mut().map(|output| output.sum(units, row)));
        // Slopes of the loss.
        slope_sums(self.task, sums, truth);
        sums.iter_mut().for_each(|slope| *slope *= weight);
        slopes.clear();
        slopes.extend(units.iter().enumerate().map(|(at, unit)| {
            let above = self.outputs.states().iter().zip(&*sums);
            above.fold(0.0, |sum, (output, slope)| sum + slope * output.weights[at]) * self.activation.slope(*unit)
        }));
        // Backward.
        for (output, slope) in self.outputs.states_mut().iter_mut().zip(&*sums) {
            output.step(units, row, *slope, self.rate);
        }
        for (position, x) in positions.iter().zip(row.value).filter(|(_, x)| **x != 0.0) {
            self.hidden.step(*position, self.rate, |at, _| slopes[at] * x);
        }
    }

    /// Returns the position of a class, which joins if it is new: at its share among the labels that are known, or at the
    /// least share of a class if it is not among them. None if there are too many.
    fn class(&mut self, number: u32, batch: &Prepared<'_>) -> Option<usize> {
        let (width, slots) = (self.width, self.slots);
        let least = self.outputs.states().iter().map(|output| output.base.sum()).reduce(f64::min).unwrap_or(0.0);
        let share = batch.weigher().log_share(number as usize).unwrap_or(least);
        let joining = || OutputWeights { base: BaseRate::of(share), ..untouched(width, slots) };
        self.outputs.position(number, batch.classes(), joining)
    }

    /// Reads the outputs of a saved state.
    fn read_outputs(&self, tensors: &Tensors) -> Result<ClassStates<OutputWeights>, ModelError> {
        let mut outputs = ClassStates::new(self.max_classes);
        for (at, name) in tensor::texts(tensors, CLASSES)?.into_iter().enumerate() {
            let mut output = untouched(self.width, self.slots);
            output.load(&class_state(tensors, at))?;
            outputs.push(name, output);
        }
        Ok(outputs)
    }
}

/// Returns the weights of an output that has learnt nothing.
fn untouched(width: usize, slots: usize) -> OutputWeights {
    let direct = SlotVectors::new(slots, 1, VectorStart { seed: 0, spread: 0.0 });
    OutputWeights { base: BaseRate::default(), weights: vec![0.0; width], squares: vec![0.0; width], direct }
}

impl OutputWeights {
    /// Returns the sum of a row whose hidden units have these values.
    fn sum(&mut self, units: &[f64], row: SparseRow<'_>) -> f64 {
        let base = self.base.sum();
        let hidden = self.weights.iter().zip(units).fold(base, |sum, (weight, unit)| sum + weight * unit);
        row.index.iter().zip(row.value).fold(hidden, |sum, (slot, x)| {
            let position = self.direct.position(*slot);
            sum + self.direct.vector(position)[0] * x
        })
    }

    /// Returns the direct connections, that of the bias with the base rate.
    fn frozen_direct(&self) -> FrozenVectors {
        let mut direct = self.direct.clone();
        let bias = direct.position(0);
        direct.add(bias, 0, self.base.sum());
        direct.freeze()
    }

    fn step(&mut self, units: &[f64], row: SparseRow<'_>, slope: f64, rate: f64) {
        for ((weight, squares), unit) in self.weights.iter_mut().zip(&mut self.squares).zip(units) {
            adagrad_step(weight, squares, rate, slope * unit);
        }
        for (slot, x) in row.index.iter().zip(row.value) {
            let position = self.direct.position(*slot);
            self.direct.step(position, rate, |_, _| slope * x);
        }
    }

    fn save(&self) -> Tensors {
        let mut tensors = Tensors::from([
            (WEIGHTS.to_owned(), Tensor::vector(self.weights.clone())),
            (SQUARES.to_owned(), Tensor::vector(self.squares.clone())),
        ]);
        self.direct.save(DIRECT, &mut tensors);
        self.base.save(&mut tensors);
        tensors
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        let width = Some(self.weights.len());
        self.base = BaseRate::load(tensors)?;
        self.weights = tensor::floats(tensors, WEIGHTS, width)?.to_vec();
        self.squares = tensor::floats(tensors, SQUARES, width)?.to_vec();
        self.direct.load(DIRECT, tensors)
    }

    /// Replaces these by the average of states, weighted by their examples.
    fn average(&mut self, mut states: Vec<(Tensors, u64)>) -> Result<(), ModelError> {
        self.direct.average(DIRECT, &states)?;
        for (state, _) in &states {
            if !self.base.is_known() {
                self.base = BaseRate::load(state)?;
            }
        }
        states.iter_mut().for_each(|(state, _)| state.retain(|name, _| !name.starts_with(DIRECT)));
        let mean = tensor::average(&states);
        let width = Some(self.weights.len());
        self.weights = tensor::floats(&mean, WEIGHTS, width)?.to_vec();
        self.squares = tensor::floats(&mean, SQUARES, width)?.to_vec();
        Ok(())
    }
}

impl Learner for Mlp {
    fn learn(&mut self, batch: &Prepared<'_>) {
        if self.task == Task::Binary {
            self.outputs.states_mut()[0].base.get_or_set(|| Logistic::base(batch.weigher()));
        }
        for ((row, target), weight) in batch.rows().iter().zip(batch.targets()).zip(batch.weights()) {
            let truth = match self.task {
                Task::Multiclass => self.class(*target as u32, batch).map(|class| class as f64),
                _ => Some(*target),
            };
            if let Some(truth) = truth {
                self.learn_row(row, truth, weight);
            }
        }
    }

    /// Averages each class over all shards; to a shard that has not seen it, its weights are untouched.
    fn combine(&mut self, shards: &[Shard<'_>]) -> Result<(), ModelError> {
        let states: Vec<_> = shards.iter().map(|shard| (shard.learner.save(), shard.examples)).collect();
        self.hidden.average(HIDDEN, &states)?;
        let mut names: Vec<Arc<str>> = Vec::new();
        for (state, _) in &states {
            for name in tensor::texts(state, CLASSES)? {
                if !names.contains(&name) && names.len() < self.max_classes {
                    names.push(name);
                }
            }
        }
        let mut outputs = ClassStates::new(self.max_classes);
        for name in names {
            let mut own = Vec::with_capacity(states.len());
            for (state, examples) in &states {
                let at = tensor::texts(state, CLASSES)?.iter().position(|known| *known == name);
                let output = at.map(|at| class_state(state, at));
                own.push((output.unwrap_or_else(|| untouched(self.width, self.slots).save()), *examples));
            }
            let mut output = untouched(self.width, self.slots);
            output.average(own)?;
            outputs.push(name, output);
        }
        self.outputs = outputs;
        Ok(())
    }

    fn forget(&mut self, slots: &[u32]) {
        self.hidden.forget(slots);
        self.outputs.states_mut().iter_mut().for_each(|output| output.direct.forget(slots));
    }

    fn freeze(&mut self) -> Box<dyn Scorer> {
        let outputs = self.outputs.ascending();
        Box::new(FrozenMlp {
            task: self.task,
            activation: self.activation,
            classes: outputs.iter().map(|output| Arc::clone(output.name)).collect(),
            hidden: self.hidden.freeze(),
            width: self.width,
            outputs: outputs
                .iter()
                .map(|output| FrozenOutput {
                    weights: output.state.weights.clone(),
                    direct: output.state.frozen_direct(),
                })
                .collect(),
        })
    }

    fn save(&self) -> Tensors {
        let names: Vec<&str> = self.outputs.names().iter().map(|name| &**name).collect();
        let mut tensors = Tensors::from([(CLASSES.to_owned(), Tensor::texts(&names))]);
        self.hidden.save(HIDDEN, &mut tensors);
        for (at, output) in self.outputs.states().iter().enumerate() {
            tensors.extend(output.save().into_iter().map(|(name, tensor)| (format!("{at}.{name}"), tensor)));
        }
        tensors
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        let outputs = self.read_outputs(tensors)?;
        if self.task != Task::Multiclass && outputs.len() != 1 {
            return Err(tensor::misfit(CLASSES, "a model without classes has one output"));
        }
        self.hidden.load(HIDDEN, tensors)?;
        self.outputs = outputs;
        Ok(())
    }

    fn clone_box(&self) -> Box<dyn Learner> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::activation::{RELU, TANH};
    use super::*;
    use crate::model::{InputColumn, ModelKind, ModelOptions};
    use crate::value::Type;

    fn mlp(task: Task, activation: &str) -> Mlp {
        let mut options = ModelOptions { kind: "mlp".into(), optimizer: None, hash_bits: 4, ..ModelOptions::default() };
        options.kind.parameters = vec![("hidden".into(), 3.0.into()), ("activation".into(), activation.into())];
        let inputs = [InputColumn::new("x", Type::Float), InputColumn::new("y", Type::Float)];
        let layout = SlotLayout::new(&inputs, &options).unwrap();
        Mlp::new(&layout, &ModelKind::parameters_of(&options).unwrap(), task)
    }

    /// Returns the loss of a row, of which the slopes are those that learning takes.
    fn loss(mlp: &mut Mlp, row: SparseRow<'_>, target: f64) -> f64 {
        let mut units = vec![0.0; 3];
        for (slot, x) in row.index.iter().zip(row.value) {
            let position = mlp.hidden.position(*slot);
            units.iter_mut().zip(mlp.hidden.vector(position)).for_each(|(unit, weight)| *unit += weight * x);
        }
        units.iter_mut().for_each(|unit| *unit = mlp.activation.apply(*unit));
        let sum = mlp.outputs.states_mut()[0].sum(&units, row);
        match mlp.task {
            Task::Binary => libm::log1p(libm::exp(if target > 0.5 { -sum } else { sum })),
            _ => (sum - target) * (sum - target) / 2.0,
        }
    }

    #[test]
    fn oracle_gradients_are_differences_of_the_loss() {
        let row = SparseRow { index: &[0, 1, 3], value: &[1.0, -0.7, 1.9] };
        for (task, target) in [(Task::Binary, 1.0), (Task::Regression, 2.5)] {
            for activation in [TANH, RELU] {
                let mut before = mlp(task, activation);
                // Some learning, so that no weight is zero.
                for round in 0..20 {
                    before.learn_row(row, f64::from(round % 2) * target, 1.0);
                }
                before.rate = 1e-9;
                let mut after = before.clone();
                after.learn_row(row, target, 1.0);
                // AdaGrad's sum of squares grows by the square of the gradient.
                let gradient = |grown: f64, was: f64| (grown - was).sqrt();
                for position in 0..3 {
                    for unit in 0..3 {
                        let square = |mlp: &Mlp| mlp.hidden.squares(position)[unit];
                        let found = gradient(square(&after), square(&before));
                        let shifted = |by: f64| {
                            let mut shifted = before.clone();
                            *shifted.hidden.number_mut(position, unit) += by;
                            loss(&mut shifted, row, target)
                        };
                        let expected = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
                        assert!((found - expected.abs()).abs() < 1e-5, "{task:?} {activation}: {found} {expected}");
                    }
                }
                let (was, grown) = (&before.outputs.states()[0], &after.outputs.states()[0]);
                for unit in 0..3 {
                    let found = gradient(grown.squares[unit], was.squares[unit]);
                    let shifted = |by: f64| {
                        let mut shifted = before.clone();
                        shifted.outputs.states_mut()[0].weights[unit] += by;
                        loss(&mut shifted, row, target)
                    };
                    let expected = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
                    assert!((found - expected.abs()).abs() < 1e-5, "{task:?} {activation}: {found} {expected}");
                }
            }
        }
    }
}
