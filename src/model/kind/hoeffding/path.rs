//! The path of an example through a tree, and how the prediction changes along it.
//!
//! Saabas 2014, "Interpreting random forests". At the root, the prediction is that of all targets; each split moves it to that
//! of the targets below the node where the example goes on, which is due to the input that is tested. A leaf that predicts by
//! its inputs goes on with them, in their order:
//!
//! | task | a change by an input of a leaf |
//! |---|---|
//! | classes | that of the probabilities, as its likelihoods are multiplied into the odds |
//! | values | its effect; all of them shrunk by one factor if their sum leaves the extent of the values |
//!
//! So the changes add up to the prediction, whatever the leaf. Inputs that are tested further up get more than Shapley values
//! would give them.

use super::leaf::{normalise, simple_prediction};
use super::tree::{HoeffdingTree, PathEnd, TreeNode};
use crate::model::kind::growing_model::NodeValues;
use crate::model::kind::target_form::TargetForm;
use crate::model::preparation::Observation;

impl HoeffdingTree {
    /// Returns the values of the nodes.
    pub fn node_values(&self) -> NodeValues {
        let width = self.form.width();
        let mut totals = vec![0.0; self.nodes.len() * width];
        // Children come after their parents.
        for (at, node) in self.nodes.iter().enumerate().rev() {
            match node {
                TreeNode::Leaf(leaf) => {
                    totals[at * width..(at + 1) * width].copy_from_slice(&self.leaves[*leaf as usize].totals);
                }
                TreeNode::Split { left, right, .. } => {
                    for child in [*left as usize, *right as usize] {
                        let (own, below) = totals.split_at_mut(child * width);
                        self.form.merge(&mut own[at * width..(at + 1) * width], &below[..width]);
                    }
                }
            }
        }
        let values = totals.chunks_exact(width.max(1)).flat_map(|cell| simple_prediction(self.form, cell));
        NodeValues::new(if self.form == TargetForm::Value { 1 } else { width }, values.collect())
    }

    /// Calls `step` with each input of an example's path, among those of observations, and with what the prediction changes by
    /// it: by class, or of the value.
    pub fn explain(&self, values: &NodeValues, example: Observation<'_>, step: &mut dyn FnMut(usize, &[f64])) {
        let mut at = 0;
        let leaf = loop {
            match self.next(at, example) {
                PathEnd::Leaf(leaf) => break leaf,
                PathEnd::Split { input, next } => {
                    let changes = values.of(next).iter().zip(values.of(at)).map(|(after, before)| after - before);
                    step(self.inputs[input] as usize, &changes.collect::<Vec<_>>());
                    at = next;
                }
            }
        };
        let leaf = &self.leaves[leaf];
        let value = |input| self.value(example, input);
        match self.form {
            TargetForm::Classes(_) => {
                let mut before = values.of(at).to_vec();
                leaf.predict_step_by_step(self.form, value, |input, odds| {
                    let mut after = odds.to_vec();
                    normalise(&mut after);
                    before.iter_mut().zip(&after).for_each(|(before, after)| *before = after - *before);
                    step(self.inputs[input] as usize, &before);
                    before = after;
                });
            }
            TargetForm::Value => {
                let mut effects = Vec::new();
                leaf.predict_step_by_step(self.form, value, |input, effect| effects.push((input, effect[0])));
                let mean = values.of(at)[0];
                let sum = effects.iter().fold(mean, |sum, (_, effect)| sum + effect);
                let [low, high] = self.extent;
                let kept = if low <= high { sum.clamp(low, high) } else { sum };
                let factor = if sum == kept { 1.0 } else { (kept - mean) / (sum - mean) };
                effects.iter().for_each(|(input, effect)| step(self.inputs[*input] as usize, &[effect * factor]));
            }
        }
    }

    /// Returns a bound of the sizes of the value at the root and of all changes together: a change is at most the extent of the
    /// values, or 1, and there is one for each split of the path and for each input of its leaf.
    pub fn path_size(&self) -> f64 {
        let mut depths = vec![0_usize; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            if let TreeNode::Split { left, right, .. } = node {
                for child in [*left as usize, *right as usize] {
                    depths[child] = depths[child].max(depths[at] + 1);
                }
            }
        }
        let changes = (depths.into_iter().max().unwrap_or(0) + self.inputs.len()) as f64;
        let [low, high] = self.extent;
        match self.form {
            TargetForm::Classes(_) => 1.0 + changes,
            TargetForm::Value if low <= high => low.abs().max(high.abs()) + changes * (high - low),
            TargetForm::Value => 0.0,
        }
    }
}
