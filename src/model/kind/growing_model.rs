//! Models that grow with every example, as their learner and their scorer see them.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::example_buffer::ExampleShape;
use super::target_form::TargetForm;
use crate::model::Parameters;
use crate::model::preparation::{Observation, SlotLayout};

/// The predictions of a tree at its nodes: by node, the frequencies of the classes, or the mean, of the targets below it.
#[derive(Clone, Debug)]
pub(super) struct NodeValues {
    width: usize,
    /// (nodes, width).
    values: Vec<f64>,
}

impl NodeValues {
    /// Values of so many numbers a node.
    pub fn new(width: usize, values: Vec<f64>) -> Self {
        NodeValues { width, values }
    }

    pub fn of(&self, node: usize) -> &[f64] {
        &self.values[node * self.width..(node + 1) * self.width]
    }
}

/// A model that learns one example after another.
pub(super) trait GrowingModel: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Parameters that are not a part of the state.
    type Rule: Copy + Send + Sync + 'static;
    /// Working memory of learning an example.
    type Memory: Default + Send + Sync + 'static;

    fn rule(parameters: &Parameters, layout: &SlotLayout) -> Self::Rule;

    /// A model that has seen nothing.
    fn untrained(rule: &Self::Rule, form: TargetForm, shape: ExampleShape) -> Self;

    /// Learns an example.
    fn learn(&mut self, rule: &Self::Rule, example: Observation<'_>, target: f64, memory: &mut Self::Memory);

    /// Learns examples with their targets, in their order.
    fn learn_all(&mut self, rule: &Self::Rule, examples: &[(Observation<'_>, f64)], memory: &mut Self::Memory) {
        examples.iter().for_each(|(example, target)| self.learn(rule, *example, *target, memory));
    }

    /// Appends the predictions of examples, as [`GrowingModel::predict`] does.
    fn predict_all(&self, examples: &[Observation<'_>], out: &mut Vec<f64>) {
        examples.iter().for_each(|example| self.predict(*example, out));
    }

    /// Appends the prediction of an example: a probability for each class, or a value.
    fn predict(&self, example: Observation<'_>, out: &mut Vec<f64>);

    /// Returns the values of the nodes of its trees.
    fn node_values(&self) -> Vec<NodeValues>;

    /// Calls `step` with each input of the example's paths, and with how much the prediction changes by it: by class, or of
    /// the value. Inputs are numbers, then categories.
    fn explain(&self, values: &[NodeValues], example: Observation<'_>, step: &mut dyn FnMut(usize, &[f64]));

    /// Returns a bound of the sizes of the value at the root and of all changes together.
    fn path_size(&self) -> f64;

    /// Makes room for more classes.
    fn widen(&mut self, classes: usize);

    fn form(&self) -> TargetForm;

    /// Returns how many rows of a linear model take as long as an example, about.
    fn cost(&self) -> usize;

    /// Returns whether this is a consistent model of targets of a form and of examples of a shape.
    fn fits(&self, form: TargetForm, shape: ExampleShape) -> bool;
}
