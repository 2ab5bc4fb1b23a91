//! The scorer: a network whose weights do not change any more.

use std::sync::Arc;

use super::super::class_states::class_order;
use super::super::glm::Link;
use super::super::linear::Linear;
use super::super::logistic::Logistic;
use super::super::slot_vectors::FrozenVectors;
use super::super::softmax::{class_state, normalise};
use super::activation::Activation;
use crate::model::kind::{ModelKind, Scorer};
use crate::model::preparation::{Prepared, SlotLayout};
use crate::model::tensor::{self, Tensor};
use crate::model::{ModelError, Predictions, SparseRow, Task, Tensors};

/// The names of tensors.
pub(super) const CLASSES: &str = "classes";
pub(super) const HIDDEN: &str = "hidden";
pub(super) const DIRECT: &str = "direct";
pub(super) const WEIGHTS: &str = "weights";

/// A network that predicts.
pub(super) struct FrozenMlp {
    pub task: Task,
    pub activation: Activation,
    /// Classes, ascending; one empty name for a model without classes.
    pub classes: Vec<Arc<str>>,
    pub width: usize,
    pub hidden: FrozenVectors,
    /// One for each class.
    pub outputs: Vec<FrozenOutput>,
}

/// The weights of one output.
pub(super) struct FrozenOutput {
    pub weights: Vec<f64>,
    pub direct: FrozenVectors,
}

/// Reads the tensors that [`FrozenMlp`] saves.
pub(super) fn load(layout: &SlotLayout, tensors: &Tensors, task: Task) -> Result<Box<dyn Scorer>, ModelError> {
    let parameters = ModelKind::parameters_of(layout.options())?;
    let width = parameters.get("hidden") as usize;
    let classes = tensor::texts(tensors, CLASSES)?;
    if !classes.is_sorted_by(|one, other| class_order(one, other).is_lt()) || classes.is_empty() {
        return Err(tensor::misfit(CLASSES, "its classes are not ascending"));
    }
    if task != Task::Multiclass && classes.len() != 1 {
        return Err(tensor::misfit(CLASSES, "a model without classes has one output"));
    }
    let mut outputs = Vec::new();
    for at in 0..classes.len() {
        let own = class_state(tensors, at);
        let weights = tensor::floats(&own, WEIGHTS, Some(width))?.to_vec();
        if weights.iter().any(|weight| !weight.is_finite()) {
            return Err(tensor::misfit(WEIGHTS, "a weight is not finite"));
        }
        outputs.push(FrozenOutput { weights, direct: FrozenVectors::load(DIRECT, &own, 1, layout.slots())? });
    }
    let hidden = FrozenVectors::load(HIDDEN, tensors, width, layout.slots())?;
    Ok(Box::new(FrozenMlp { task, activation: Activation::of(&parameters), classes, width, hidden, outputs }))
}

impl FrozenOutput {
    fn sum(&self, units: &[f64], row: SparseRow<'_>) -> f64 {
        let hidden = self.weights.iter().zip(units).fold(0.0, |sum, (weight, unit)| sum + weight * unit);
        let direct = row.index.iter().zip(row.value);
        direct.fold(hidden, |sum, (slot, x)| sum + self.direct.get(*slot).map_or(0.0, |weight| weight[0] * x))
    }
}

impl Scorer for FrozenMlp {
    fn width(&self) -> usize {
        self.outputs.len()
    }

    fn classes(&self) -> &[Arc<str>] {
        if self.task == Task::Multiclass { &self.classes } else { &[] }
    }

    fn predict(&self, batch: &Prepared<'_>, predictions: &mut Predictions) {
        let values = predictions.values_mut();
        let (mut units, labels) = (vec![0.0; self.width], batch.label_scale());
        for row in batch.rows().iter() {
            units.fill(0.0);
            for (slot, x) in row.index.iter().zip(row.value) {
                if let Some(vector) = self.hidden.get(*slot) {
                    units.iter_mut().zip(vector).for_each(|(unit, weight)| *unit += weight * x);
                }
            }
            units.iter_mut().for_each(|unit| *unit = self.activation.apply(*unit));
            let from = values.len();
            values.extend(self.outputs.iter().map(|output| output.sum(&units, row)));
            match self.task {
                Task::Binary => values[from] = Logistic::predict(values[from]),
                Task::Multiclass => normalise(&mut values[from..]),
                _ => values[from] = labels.restore(Linear::predict(values[from])),
            }
        }
    }

    fn save(&self, tensors: &mut Tensors) {
        let names: Vec<&str> = self.classes.iter().map(|name| &**name).collect();
        tensors.insert(CLASSES.to_owned(), Tensor::texts(&names));
        self.hidden.save(HIDDEN, tensors);
        for (at, output) in self.outputs.iter().enumerate() {
            tensors.insert(format!("{at}.{WEIGHTS}"), Tensor::vector(output.weights.clone()));
            output.direct.save(&format!("{at}.{DIRECT}"), tensors);
        }
    }
}
