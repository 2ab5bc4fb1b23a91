//! Trees that learn different samples of the examples, and are replaced when they get worse.

use serde::{Deserialize, Serialize};

use super::resampling::{subspace, weight};
use crate::model::Parameters;
use crate::model::adwin::AdaptiveWindow;
use crate::model::kind::example_buffer::ExampleShape;
use crate::model::kind::growing_model::{GrowingModel, NodeValues};
use crate::model::kind::hoeffding::GrowthMemory;
use crate::model::kind::hoeffding::{GrowthRule, HoeffdingTree};
use crate::model::kind::target_form::TargetForm;
use crate::model::preparation::{Observation, SlotLayout, mix};

/// Confidence at which errors have risen, and a successor is begun (Gomes et al. 2017).
const WARNING: f64 = 0.01;

/// Examples after which a successor takes over if it has been better, and after which it is given up if it has not.
const SHORTEST_TRIAL: u64 = 100;
const LONGEST_TRIAL: u64 = 5000;

/// The rule of a forest.
#[derive(Clone, Copy, Debug)]
pub(super) struct ForestRule {
    growth: GrowthRule,
    trees: usize,
    /// Share of the inputs that a tree uses.
    share: f64,
    seed: u64,
}

/// A tree that may take another's place, and the errors of both since it was begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SuccessorTrial {
    tree: HoeffdingTree,
    examples: u64,
    own: f64,
    other: f64,
}

impl SuccessorTrial {
    /// Returns whether the successor is better by more than chance: by two standard deviations of the difference of two
    /// counts of errors.
    fn is_won(&self) -> bool {
        self.examples >= SHORTEST_TRIAL && self.other - self.own > 2.0 * (self.own + self.other).sqrt()
    }
}

/// A tree, its errors, and its successor once they have risen.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ForestTree {
    /// Seed of its weights and inputs.
    seed: u64,
    tree: HoeffdingTree,
    errors: AdaptiveWindow,
    successor: Option<SuccessorTrial>,
    /// The number of trees that there have been at this place, successors included.
    drawn: u64,
}

/// A forest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AdaptiveForest {
    form: TargetForm,
    numbers: u32,
    categories: u32,
    trees: Vec<ForestTree>,
    /// Examples learnt.
    learnt: u64,
}

impl ForestTree {
    fn new(rule: &ForestRule, form: TargetForm, shape: ExampleShape, at: usize) -> Self {
        let seed = mix(mix(FOREST, rule.seed), at as u64);
        let tree = drawn_tree(rule, form, shape, seed, 0);
        ForestTree { seed, tree, errors: AdaptiveWindow::default(), successor: None, drawn: 1 }
    }

    fn learn(
        &mut self,
        rule: &ForestRule,
        shape: ExampleShape,
        example: Observation<'_>,
        target: f64,
        counter: u64,
        memory: &mut GrowthMemory,
    ) {
        let weight = weight(self.seed, counter);
        if weight == 0.0 {
            return;
        }
        let off = self.tree.learn(&rule.growth, example, target, weight, memory);
        let has_risen = off.is_some_and(|off| self.errors.add(off, WARNING));
        if let Some(trial) = &mut self.successor {
            let own = trial.tree.learn(&rule.growth, example, target, weight, memory);
            trial.examples += 1;
            trial.own += own.unwrap_or(1.0);
            trial.other += off.unwrap_or(1.0);
            if trial.is_won() {
                self.tree = trial.tree.clone();
                self.errors = AdaptiveWindow::default();
            }
            if trial.is_won() || trial.examples >= LONGEST_TRIAL {
                self.successor = None;
            }
        } else if has_risen {
            let tree = self.draw(rule, shape);
            self.successor = Some(SuccessorTrial { tree, examples: 0, own: 0.0, other: 0.0 });
        }
    }

    /// Returns a tree that has seen nothing, of inputs of its own.
    fn draw(&mut self, rule: &ForestRule, shape: ExampleShape) -> HoeffdingTree {
        self.drawn += 1;
        drawn_tree(rule, self.tree.form(), shape, self.seed, self.drawn - 1)
    }
}

/// The beginning of every seed.
const FOREST: u64 = 0x666F_7265_7374;

fn drawn_tree(rule: &ForestRule, form: TargetForm, shape: ExampleShape, seed: u64, number: u64) -> HoeffdingTree {
    let inputs = shape.inputs();
    // At least two inputs, or all.
    let count = ((rule.share * inputs as f64).ceil() as usize).max(inputs.min(2));
    HoeffdingTree::new(form, shape, subspace(mix(seed, number), inputs as u32, count))
}

impl AdaptiveForest {
    fn shape(&self) -> ExampleShape {
        ExampleShape { numbers: self.numbers as usize, categories: self.categories as usize }
    }
}

impl GrowingModel for AdaptiveForest {
    type Rule = ForestRule;
    type Memory = GrowthMemory;

    fn rule(parameters: &Parameters, layout: &SlotLayout) -> ForestRule {
        ForestRule {
            growth: GrowthRule::of(parameters),
            trees: parameters.get("trees") as usize,
            share: parameters.get("inputs"),
            seed: layout.options().seed,
        }
    }

    fn untrained(rule: &ForestRule, form: TargetForm, shape: ExampleShape) -> Self {
        AdaptiveForest {
            form,
            numbers: shape.numbers as u32,
            categories: shape.categories as u32,
            trees: (0..rule.trees).map(|at| ForestTree::new(rule, form, shape, at)).collect(),
            learnt: 0,
        }
    }

    fn learn(&mut self, rule: &ForestRule, example: Observation<'_>, target: f64, memory: &mut GrowthMemory) {
        self.learn_all(rule, &[(example, target)], memory);
    }

    /// Tree by tree, so that one after the other is in the cache.
    fn learn_all(&mut self, rule: &ForestRule, examples: &[(Observation<'_>, f64)], memory: &mut GrowthMemory) {
        let (shape, first) = (self.shape(), self.learnt);
        for tree in &mut self.trees {
            for ((example, target), counter) in examples.iter().zip(first..) {
                tree.learn(rule, shape, *example, *target, counter, memory);
            }
        }
        self.learnt += examples.len() as u64;
    }

    /// Tree by tree, as well.
    fn predict_all(&self, examples: &[Observation<'_>], out: &mut Vec<f64>) {
        let from = out.len();
        out.resize(from + examples.len() * self.form.outputs(), 0.0);
        let (sums, mut own) = (&mut out[from..], Vec::new());
        for (at, member) in self.trees.iter().enumerate() {
            own.clear();
            examples.iter().for_each(|example| member.tree.predict(*example, &mut own));
            match at {
                0 => sums.copy_from_slice(&own),
                _ => sums.iter_mut().zip(&own).for_each(|(sum, own)| *sum += own),
            }
        }
        sums.iter_mut().for_each(|sum| *sum /= self.trees.len() as f64);
    }

    /// Appends the mean of the trees' predictions.
    fn predict(&self, example: Observation<'_>, out: &mut Vec<f64>) {
        self.predict_all(&[example], out);
    }

    fn node_values(&self) -> Vec<NodeValues> {
        self.trees.iter().map(|member| member.tree.node_values()).collect()
    }

    fn explain(&self, values: &[NodeValues], example: Observation<'_>, step: &mut dyn FnMut(usize, &[f64])) {
        let (trees, mut shares) = (self.trees.len() as f64, Vec::new());
        for (member, values) in self.trees.iter().zip(values) {
            member.tree.explain(values, example, &mut |input, changes| {
                shares.clear();
                shares.extend(changes.iter().map(|change| change / trees));
                step(input, &shares);
            });
        }
    }

    fn path_size(&self) -> f64 {
        self.trees.iter().map(|member| member.tree.path_size()).fold(0.0, f64::max)
    }

    fn widen(&mut self, classes: usize) {
        self.form = TargetForm::Classes(classes);
        for member in &mut self.trees {
            member.tree.widen(classes);
            if let Some(successor) = &mut member.successor {
                successor.tree.widen(classes);
            }
        }
    }

    fn cost(&self) -> usize {
        self.trees.iter().map(|member| member.tree.cost()).sum()
    }

    fn form(&self) -> TargetForm {
        self.form
    }

    fn fits(&self, form: TargetForm, shape: ExampleShape) -> bool {
        let is_member = |member: &ForestTree| {
            member.tree.fits(form, shape)
                && member.successor.as_ref().is_none_or(|successor| {
                    successor.tree.fits(form, shape) && successor.own.is_finite() && successor.other.is_finite()
                })
                && member.errors.fits()
        };
        self.form == form && self.shape() == shape && !self.trees.is_empty() && self.trees.iter().all(is_member)
    }
}
