//! The scorer of models that grow with every example.
//!
//! A version is one tensor `tree`: the bytes of the model (postcard), with the statistics by which its leaves predict. For
//! classes there are also `classes`, their names, and `order`, by class its position in the model.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::class_table;
use super::example_buffer::ExampleShape;
use super::growing_model::GrowingModel;
use super::target_form::TargetForm;
use super::{Explainer, Scorer};
use crate::model::explanation::PartMap;
use crate::model::preparation::{Prepared, SlotLayout};
use crate::model::score_sum::ScoreSum;
use crate::model::tensor::{self, Tensor};
use crate::model::{Explanations, ModelError, Predictions, Task, Tensors};

/// The name of the model's tensor.
pub(super) const TREE: &str = "tree";

/// A model that does not grow any more.
pub(super) struct FrozenModel<M> {
    task: Task,
    /// Classes, ascending; none for other tasks.
    classes: Vec<Arc<str>>,
    /// By class, its position in the model.
    order: Vec<usize>,
    model: M,
    /// A bound of the sizes of all that a prediction is split into.
    size: f64,
}

impl<M: GrowingModel> FrozenModel<M> {
    /// A model of a task, with the names of its classes and their positions in it.
    pub fn new(task: Task, classes: Vec<Arc<str>>, order: Vec<usize>, model: M) -> Self {
        FrozenModel { task, classes, order, size: model.path_size(), model }
    }

    /// Returns the positions of the outputs among the numbers that the model predicts.
    fn outputs(&self) -> impl Iterator<Item = usize> {
        let one = if self.task == Task::Binary { 1 } else { 0 };
        let single = (self.task != Task::Multiclass).then_some(one);
        let order = if single.is_none() { &self.order[..] } else { &[] };
        order.iter().copied().chain(single)
    }

    /// Returns the sums of the numbers that the model predicts, by output.
    fn sums(&self, predicted: &[f64]) -> impl Iterator<Item = ScoreSum> {
        self.outputs().map(|at| ScoreSum::new(predicted[at], self.size))
    }
}

const ORDER: &str = "order";

fn load<M: GrowingModel>(layout: &SlotLayout, tensors: &Tensors, task: Task) -> Result<Box<dyn Scorer>, ModelError> {
    let (mut classes, mut order) = (Vec::new(), Vec::new());
    if task == Task::Multiclass {
        classes = class_table::load_names(tensors)?;
        order = tensor::integers(tensors, ORDER, Some(classes.len()))?.iter().map(|at| *at as usize).collect();
        if !(0..classes.len()).all(|at| order.contains(&at)) {
            return Err(tensor::misfit(ORDER, "it is not a permutation"));
        }
    }
    let form = match task {
        Task::Binary => TargetForm::Classes(2),
        Task::Multiclass => TargetForm::Classes(classes.len()),
        _ => TargetForm::Value,
    };
    let shape = ExampleShape::of(layout);
    let model = decode_bytes(tensors, TREE, |model: &M| model.fits(form, shape))?;
    Ok(Box::new(FrozenModel::new(task, classes, order, model)))
}

pub(super) fn load_binary<M: GrowingModel>(
    layout: &SlotLayout,
    tensors: &Tensors,
) -> Result<Box<dyn Scorer>, ModelError> {
    load::<M>(layout, tensors, Task::Binary)
}

pub(super) fn load_multiclass<M: GrowingModel>(
    layout: &SlotLayout,
    tensors: &Tensors,
) -> Result<Box<dyn Scorer>, ModelError> {
    load::<M>(layout, tensors, Task::Multiclass)
}

pub(super) fn load_regression<M: GrowingModel>(
    layout: &SlotLayout,
    tensors: &Tensors,
) -> Result<Box<dyn Scorer>, ModelError> {
    load::<M>(layout, tensors, Task::Regression)
}

impl<M: GrowingModel> Scorer for FrozenModel<M> {
    fn width(&self) -> usize {
        if self.task == Task::Multiclass { self.classes.len() } else { 1 }
    }

    fn cost(&self) -> usize {
        self.model.cost()
    }

    fn classes(&self) -> &[Arc<str>] {
        &self.classes
    }

    fn predict(&self, batch: &Prepared<'_>, predictions: &mut Predictions) {
        let (examples, mut predicted): (Vec<_>, _) = (batch.observations().collect(), Vec::new());
        self.model.predict_all(&examples, &mut predicted);
        for predicted in predicted.chunks_exact(self.model.form().outputs().max(1)) {
            predictions.values_mut().extend(self.sums(predicted).map(ScoreSum::raw));
        }
    }

    fn explainer(&self) -> Option<&dyn Explainer> {
        Some(self)
    }

    fn save(&self, tensors: &mut Tensors) {
        tensors.insert(TREE.to_owned(), encode_bytes(&self.model));
        if self.task == Task::Multiclass {
            class_table::save_names(&self.classes, tensors);
            tensors.insert(ORDER.to_owned(), Tensor::indices(self.order.iter().map(|at| *at as u32).collect()));
        }
    }
}

impl<M: GrowingModel> Explainer for FrozenModel<M> {
    fn explain(&self, batch: &Prepared<'_>, parts: &PartMap, explanations: &mut Explanations) {
        let (values, mut memory) = (self.model.node_values(), Vec::new());
        for example in batch.observations() {
            memory.clear();
            self.model.predict(example, &mut memory);
            let mut explained = explanations.start();
            self.model.explain(&values, example, &mut |input, changes| {
                let part = Some(parts.of_observed(input));
                self.outputs().enumerate().for_each(|(output, at)| explained.add(part, output, changes[at]));
            });
            self.sums(&memory).enumerate().for_each(|(output, sum)| explained.settle(output, sum));
        }
    }
}

/// Returns a value as a tensor of bytes.
pub(super) fn encode_bytes<T: Serialize>(value: &T) -> Tensor {
    let bytes = postcard::to_extend(value, Vec::new()).expect("a tree holds nothing that cannot be written");
    Tensor::bytes(&[bytes.len()], bytes).expect("a vector fits its own length")
}

/// Reads a value that [`encode_bytes`] returned.
///
/// # Errors
/// If there is no such tensor, it is damaged, or the value does not fit.
pub(super) fn decode_bytes<T: DeserializeOwned>(
    tensors: &Tensors,
    name: &str,
    fits: impl Fn(&T) -> bool,
) -> Result<T, ModelError> {
    let bytes = tensor::bytes(tensors, name)?;
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|error| tensor::misfit(name, &error.to_string()))?;
    if !rest.is_empty() || !fits(&value) {
        return Err(tensor::misfit(name, "it is not consistent"));
    }
    Ok(value)
}
