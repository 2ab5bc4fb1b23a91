//! A single tree as a model.

use super::memory::GrowthMemory;
use super::tree::{GrowthRule, HoeffdingTree};
use crate::model::Parameters;
use crate::model::kind::example_buffer::ExampleShape;
use crate::model::kind::growing_model::{GrowingModel, NodeValues};
use crate::model::kind::target_form::TargetForm;
use crate::model::preparation::{Observation, SlotLayout};

impl GrowthRule {
    /// Returns the rule of the parameters `grace`, `delta`, `tau` and `max_leaves`.
    pub fn of(parameters: &Parameters) -> Self {
        GrowthRule {
            grace: parameters.get("grace"),
            // A delta of 1 or more says that any split will do.
            confidence: -libm::log(parameters.get("delta").min(1.0)),
            tau: parameters.get("tau"),
            max_leaves: parameters.get("max_leaves") as usize,
        }
    }
}

impl GrowingModel for HoeffdingTree {
    type Rule = GrowthRule;
    type Memory = GrowthMemory;

    fn rule(parameters: &Parameters, _: &SlotLayout) -> GrowthRule {
        GrowthRule::of(parameters)
    }

    fn untrained(_: &GrowthRule, form: TargetForm, shape: ExampleShape) -> Self {
        HoeffdingTree::new(form, shape, (0..shape.inputs() as u32).collect())
    }

    fn learn(&mut self, rule: &GrowthRule, example: Observation<'_>, target: f64, memory: &mut GrowthMemory) {
        HoeffdingTree::learn(self, rule, example, target, 1.0, memory);
    }

    fn predict(&self, example: Observation<'_>, out: &mut Vec<f64>) {
        HoeffdingTree::predict(self, example, out);
    }

    fn node_values(&self) -> Vec<NodeValues> {
        vec![HoeffdingTree::node_values(self)]
    }

    fn explain(&self, values: &[NodeValues], example: Observation<'_>, step: &mut dyn FnMut(usize, &[f64])) {
        HoeffdingTree::explain(self, &values[0], example, step);
    }

    fn path_size(&self) -> f64 {
        HoeffdingTree::path_size(self)
    }

    fn widen(&mut self, classes: usize) {
        HoeffdingTree::widen(self, classes);
    }

    fn cost(&self) -> usize {
        HoeffdingTree::cost(self)
    }

    fn form(&self) -> TargetForm {
        HoeffdingTree::form(self)
    }

    fn fits(&self, form: TargetForm, shape: ExampleShape) -> bool {
        HoeffdingTree::fits(self, form, shape)
    }
}
