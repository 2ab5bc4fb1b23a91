//! A tree that grows while it learns: each leaf is split once the Hoeffding bound says that its best split is best.
//!
//! Domingos and Hulten 2000, "Mining high-speed data streams"; for values Ikonomovska et al. 2011 (FIMT). With n the
//! weight of the targets that a leaf has learnt and R the range of merits,
//! ```text
//! ε = sqrt(R² ln(1/δ) / 2n)
//! classes:  split if best − second > ε, or ε < τ      merit: information gain in bits, R = log2(classes)
//! values:   split if second/best < 1 − ε, or ε < τ    merit: reduction of the standard deviation, R = 1
//! ```
//! searched again after every `grace` of weight. Cuts of the root are quantiles of its first examples; those of a child
//! are its parent's, made finer. A tree of `max_leaves` grows no more, and its leaves go on learning.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::leaf::LeafStatistics;
use super::leaf_inputs::{InputCells, InputValue, LeafInputs};
use super::memory::GrowthMemory;
use super::split_search::{FoundSplit, SearchMemory, SplitMerit};
use super::split_test::SplitTest;
use crate::model::kind::example_buffer::ExampleShape;
use crate::model::kind::target_form::TargetForm;
use crate::model::preparation::Observation;

/// Examples from which the root's cuts are taken at first, and at last: they are taken again whenever there are twice as
/// many.
const FIRST_SAMPLE: usize = 16;
const SAMPLE: usize = 256;

/// The rule by which a tree grows.
#[derive(Clone, Copy, Debug)]
pub(in crate::model::kind) struct GrowthRule {
    /// Weight between two searches of a leaf for a split.
    pub grace: f64,
    /// The logarithm of 1/δ.
    pub confidence: f64,
    pub tau: f64,
    pub max_leaves: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum TreeNode {
    Leaf(u32),
    Split {
        /// Position among the tree's inputs.
        input: u32,
        test: SplitTest,
        nulls_left: bool,
        left: u32,
        right: u32,
        /// The targets when it was split.
        totals: Vec<f64>,
    },
}

/// The place of an example after a node.
#[derive(Clone, Copy, Debug)]
pub(super) enum PathEnd {
    /// The end of the path: this leaf.
    Leaf(usize),
    /// Another node, because of an input of the tree.
    Split { input: usize, next: usize },
}

/// Examples before the root has cuts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct RootSample {
    /// Values of the tree's inputs, row-major: a number, or a hash beside it.
    numbers: Vec<f64>,
    categories: Vec<u64>,
    targets: Vec<f64>,
    weights: Vec<f64>,
}

/// A Hoeffding tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::model::kind) struct HoeffdingTree {
    pub(super) form: TargetForm,
    /// Numbers of an example; categories are counted from there.
    numbers: u32,
    /// The inputs that are used, ascending.
    pub(super) inputs: Vec<u32>,
    /// Shared with copies, until one of them changes.
    pub(super) nodes: Arc<Vec<TreeNode>>,
    pub(super) leaves: Vec<Arc<LeafStatistics>>,
    /// `None` once the root's cuts are taken for good.
    sample: Option<RootSample>,
    /// The least and the largest value, between which predictions lie.
    pub(super) extent: [f64; 2],
}

/// Returns an example's value of an input; categories are counted after the numbers.
#[inline]
fn value_of(example: Observation<'_>, input: u32, numbers: u32) -> InputValue {
    match input.checked_sub(numbers) {
        None => InputValue::Number(example.numbers[input as usize]),
        Some(category) => InputValue::Category(example.categories[category as usize]),
    }
}

impl HoeffdingTree {
    /// A tree that has seen nothing, and that uses these inputs of examples of a shape.
    pub fn new(form: TargetForm, shape: ExampleShape, inputs: Vec<u32>) -> Self {
        HoeffdingTree {
            form,
            numbers: shape.numbers as u32,
            inputs,
            nodes: Arc::new(vec![TreeNode::Leaf(0)]),
            leaves: vec![Arc::new(LeafStatistics::new(vec![0.0; form.width()], LeafInputs::new(form.width()), form))],
            sample: Some(RootSample::default()),
            extent: [f64::INFINITY, f64::NEG_INFINITY],
        }
    }

    #[inline]
    pub(super) fn value(&self, example: Observation<'_>, input: usize) -> InputValue {
        value_of(example, self.inputs[input], self.numbers)
    }

    /// Returns the node that is the leaf of an example, and the leaf.
    #[inline]
    fn find(&self, example: Observation<'_>) -> (usize, usize) {
        let mut at = 0;
        loop {
            match self.next(at, example) {
                PathEnd::Leaf(leaf) => return (at, leaf),
                PathEnd::Split { next, .. } => at = next,
            }
        }
    }

    /// Returns where an example goes from a node.
    #[inline]
    pub(super) fn next(&self, node: usize, example: Observation<'_>) -> PathEnd {
        match &self.nodes[node] {
            TreeNode::Leaf(leaf) => PathEnd::Leaf(*leaf as usize),
            TreeNode::Split { input, test, nulls_left, left, right, .. } => {
                let goes_left = match (self.value(example, *input as usize), test) {
                    (InputValue::Number(x), SplitTest::UpTo(_)) if x.is_nan() => *nulls_left,
                    (InputValue::Number(x), SplitTest::UpTo(cut)) => x <= *cut,
                    (InputValue::Category(hash), SplitTest::Is(own)) => hash == *own,
                    _ => *nulls_left,
                };
                PathEnd::Split { input: *input as usize, next: (if goes_left { *left } else { *right }) as usize }
            }
        }
    }

    /// Learns an example. Returns how far the prediction before was off, from 0 to 1: 1 for another class, or the share of
    /// the extent of all values. None for the first examples.
    pub fn learn(
        &mut self,
        rule: &GrowthRule,
        example: Observation<'_>,
        target: f64,
        weight: f64,
        memory: &mut GrowthMemory,
    ) -> Option<f64> {
        if self.form == TargetForm::Value {
            self.extent = [self.extent[0].min(target), self.extent[1].max(target)];
        }
        let (node, leaf) = self.find(example);
        let HoeffdingTree { form, numbers, inputs, leaves, .. } = self;
        let statistics = Arc::make_mut(&mut leaves[leaf]);
        let off = statistics.learn(*form, |input| value_of(example, inputs[input], *numbers), target, weight, memory);
        let seen = self.form.weight(&statistics.totals);
        if self.sample.is_some() {
            self.sample(example, target, weight);
            return off;
        }
        if seen - statistics.searched >= rule.grace {
            statistics.searched = seen;
            if self.leaves.len() < rule.max_leaves && !self.form.is_pure(&self.leaves[leaf].totals) {
                self.search(rule, node, leaf, &mut memory.search);
            }
        }
        off.map(|off| match self.form {
            TargetForm::Classes(_) => off,
            TargetForm::Value => (off / (self.extent[1] - self.extent[0]).max(f64::MIN_POSITIVE)).min(1.0),
        })
    }

    /// Adds an example, which has been learnt, to the sample of the root. Takes the cuts again where that is due.
    fn sample(&mut self, example: Observation<'_>, target: f64, weight: f64) {
        let sample = self.sample.as_mut().expect("the root's cuts are not final yet");
        for input in 0..self.inputs.len() {
            let (number, category) = match value_of(example, self.inputs[input], self.numbers) {
                InputValue::Number(x) => (x, 0),
                InputValue::Category(hash) => (f64::NAN, hash),
            };
            sample.numbers.push(number);
            sample.categories.push(category);
        }
        sample.targets.push(target);
        sample.weights.push(weight);
        let rows = sample.targets.len();
        if !rows.is_power_of_two() || rows < FIRST_SAMPLE {
            return;
        }
        let (width, form) = (self.inputs.len(), self.form);
        let root = Arc::make_mut(&mut self.leaves[0]);
        root.inputs.clear();
        for (at, input) in self.inputs.iter().enumerate() {
            let is_number = *input < self.numbers;
            match is_number {
                true => root.inputs.push_sampled(sample.numbers.iter().skip(at).step_by(width).copied()),
                false => root.inputs.push_keys(std::iter::empty()),
            }
            for (row, (target, weight)) in sample.targets.iter().zip(&sample.weights).enumerate() {
                let value = match is_number {
                    true => InputValue::Number(sample.numbers[row * width + at]),
                    false => InputValue::Category(sample.categories[row * width + at]),
                };
                let bin = root.inputs.input(at).bin(value);
                root.inputs.observe(form, at, value, bin, *target, *weight);
            }
        }
        if rows == SAMPLE {
            self.sample = None;
        }
    }

    /// Splits a leaf if its best split is best by the bound.
    fn search(&mut self, rule: &GrowthRule, node: usize, leaf: usize, memory: &mut SearchMemory) {
        let statistics = &self.leaves[leaf];
        let range = self.form.range(&statistics.totals);
        let weight = statistics.observed(self.form);
        let bound = (range * range * rule.confidence / (2.0 * weight)).sqrt();
        // Most searches find no split, which a bound of the merits shows without a logarithm for each cut.
        let is_hopeless = |cells: InputCells<'_>| cells.most_merit(self.form) <= bound;
        if self.form == TargetForm::Classes(2) && bound >= rule.tau && statistics.inputs.iter().all(is_hopeless) {
            return;
        }
        let mut best: Option<(usize, SplitMerit)> = None;
        let mut second = 0.0_f64;
        for (input, cells) in statistics.inputs.iter().enumerate() {
            let Some(found) = cells.best_split(self.form, memory) else { continue };
            match &mut best {
                Some((_, known)) if found.merit <= known.merit => second = second.max(found.merit),
                _ => {
                    second = best.as_ref().map_or(second, |(_, known)| second.max(known.merit));
                    best = Some((input, found));
                }
            }
        }
        let Some((input, found)) = best.filter(|(_, found)| found.merit > 0.0) else { return };
        let is_best = match self.form {
            TargetForm::Classes(_) => found.merit - second > bound,
            TargetForm::Value => second / found.merit < 1.0 - bound,
        };
        if is_best || bound < rule.tau {
            let split = statistics.inputs.split_at(self.form, input, found);
            self.split(node, leaf, input, &split);
        }
    }

    fn split(&mut self, node: usize, leaf: usize, input: usize, found: &FoundSplit) {
        let (form, parent) = (self.form, Arc::clone(&self.leaves[leaf]));
        let nulls_left = form.weight(&found.left) >= form.weight(&found.right);
        let (mut left, mut right) = (found.left.clone(), found.right.clone());
        form.merge(if nulls_left { &mut left } else { &mut right }, parent.inputs.input(input).nulls());
        self.leaves[leaf] = Arc::new(parent.child(form, input, found, true, left));
        self.leaves.push(Arc::new(parent.child(form, input, found, false, right)));
        let nodes = Arc::make_mut(&mut self.nodes);
        let next = nodes.len() as u32;
        nodes.extend([TreeNode::Leaf(leaf as u32), TreeNode::Leaf(self.leaves.len() as u32 - 1)]);
        nodes[node] = TreeNode::Split {
            input: input as u32,
            test: found.test,
            nulls_left,
            left: next,
            right: next + 1,
            totals: parent.totals.clone(),
        };
    }

    /// Appends the prediction of an example: probabilities of the classes, or a value.
    #[inline]
    pub fn predict(&self, example: Observation<'_>, out: &mut Vec<f64>) {
        let (_, leaf) = self.find(example);
        self.leaves[leaf].predict(self.form, |input| self.value(example, input), out);
        if self.form == TargetForm::Value && self.extent[0] <= self.extent[1] {
            let value = out.last_mut().expect("a value was appended");
            *value = value.clamp(self.extent[0], self.extent[1]);
        }
    }

    /// Makes room for more classes.
    pub fn widen(&mut self, classes: usize) {
        self.form = TargetForm::Classes(classes);
        self.leaves.iter_mut().for_each(|leaf| Arc::make_mut(leaf).widen(classes));
        for node in Arc::make_mut(&mut self.nodes) {
            if let TreeNode::Split { totals, .. } = node {
                totals.resize(classes, 0.0);
            }
        }
    }

    /// Returns how many rows of a linear model take as long as an example, about: more with many classes.
    pub fn cost(&self) -> usize {
        2 + self.form.width() / 4
    }

    pub fn form(&self) -> TargetForm {
        self.form
    }

    /// Returns whether this is a consistent tree of targets of a form and of examples of a shape.
    pub fn fits(&self, form: TargetForm, shape: ExampleShape) -> bool {
        let all = (shape.numbers + shape.categories) as u32;
        let is_number = || self.inputs.iter().map(|input| *input < self.numbers);
        let is_node = |(at, node): (usize, &TreeNode)| match node {
            TreeNode::Leaf(leaf) => (*leaf as usize) < self.leaves.len(),
            TreeNode::Split { input, test, left, right, totals, .. } => {
                let test = match test {
                    SplitTest::UpTo(cut) => cut.is_finite(),
                    SplitTest::Is(_) => true,
                };
                // Children come after their parent, so every path ends.
                test && (*input as usize) < self.inputs.len()
                    && [left, right]
                        .into_iter()
                        .all(|child| (*child as usize) > at && (*child as usize) < self.nodes.len())
                    && totals.len() == form.width()
                    && form.fits(totals)
            }
        };
        // The sample of the root, while its cuts are not final.
        let has_cuts = self.leaves.iter().all(|leaf| leaf.inputs.len() == self.inputs.len());
        let sample = self.sample.as_ref().is_none_or(|sample| {
            let rows = sample.targets.len();
            let is_target = |target: &f64| match form {
                TargetForm::Classes(classes) => *target >= 0.0 && *target < classes as f64,
                TargetForm::Value => target.is_finite(),
            };
            rows < SAMPLE
                && sample.weights.len() == rows
                && sample.numbers.len() == rows * self.inputs.len()
                && sample.categories.len() == rows * self.inputs.len()
                && sample.targets.iter().all(is_target)
                && sample.weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0)
                && self.leaves.len() == 1
                && (self.leaves[0].inputs.is_empty() || has_cuts)
        });
        // The whole tree, and its shape.
        self.form == form
            && self.numbers as usize == shape.numbers
            && self.inputs.iter().all(|input| *input < all)
            && !self.nodes.is_empty()
            && self.nodes.iter().enumerate().all(is_node)
            && self.leaves.iter().all(|leaf| leaf.fits(form, is_number()))
            && (self.sample.is_some() || has_cuts)
            && sample
            && !self.extent.iter().any(|edge| edge.is_nan())
    }
}

#[cfg(test)]
impl HoeffdingTree {
    /// Returns the targets of the leaf of an example, and the number of leaves.
    pub(super) fn targets_of(&self, example: Observation<'_>) -> (&[f64], usize) {
        (&self.leaves[self.find(example).1].totals, self.leaves.len())
    }
}
