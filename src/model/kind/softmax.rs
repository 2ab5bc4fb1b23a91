//! Softmax regression: a probability for each class of a label with several.
//!
//! Every class c has weights of its own, trained by an optimizer of its own. With the sums z_c = w_c·x,
//! ```text
//! p_c = exp(z_c) / Σ exp(z_k),   slope of the log loss by z_c:  p_c − [c is the label]
//! ```
//! (Bridle 1990; Bishop 2006, section 4.3.4). A class that a shard has not seen before joins with weights of zero at its
//! first example; a version lists the classes that its shards know, ascending. So a version knows a new class from the
//! end of the window on in which it first came.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Combining, LabelDomain, LabelUse, Learner, ModelKind, Scorer, Shard, Task, TrainedBy};
use crate::model::optimizer::{Optimizer, OptimizerSetup};
use crate::model::preparation::{Prepared, SlotLayout};
use crate::model::tensor::{self, Tensor};
use crate::model::{Bounds, Classes, ModelError, Parameter, Parameters, Predictions, SparseRow, Tensors, Weights};

pub(super) static KIND: ModelKind = ModelKind {
    name: "softmax",
    summary: "predicts a probability for each class",
    task: Task::Multiclass,
    label: LabelUse::Required,
    labels: LabelDomain::Class,
    parameters: &[Parameter {
        name: "max_classes",
        default: 100.0,
        bounds: Bounds::Whole(2, 1000),
        summary: "most classes that are learnt; examples of further classes are only scored",
    }],
    trained_by: TrainedBy::Optimizer,
    combining: Combining::Averaged,
    least_categories: 0,
    standardises_label: false,
    build,
    load,
};

/// Bound of the sums, as of the log-odds of logistic regression.
const MOST_SUM: f64 = 15.0;

/// The names of the classes, as a tensor.
const CLASSES: &str = "classes";

/// Replaces sums by probabilities.
fn normalise(sums: &mut [f64]) {
    let most = sums.iter().fold(-MOST_SUM, |most, sum| most.max(sum.clamp(-MOST_SUM, MOST_SUM)));
    sums.iter_mut().for_each(|sum| *sum = libm::exp(sum.clamp(-MOST_SUM, MOST_SUM) - most));
    let total = sums.iter().fold(0.0, |total, sum| total + sum);
    sums.iter_mut().for_each(|sum| *sum /= total);
}

/// One class that is being learnt.
struct ClassWeights {
    name: Arc<str>,
    optimizer: Box<dyn Optimizer>,
}

struct Softmax {
    setup: OptimizerSetup,
    dense: usize,
    max_classes: usize,
    /// In the order in which they joined.
    classes: Vec<ClassWeights>,
    /// Positions in `classes` by the trainer's numbers, as far as they were looked up.
    positions: HashMap<u32, usize>,
    probabilities: Vec<f64>,
}

fn build(layout: &SlotLayout, parameters: &Parameters, optimizer: Option<OptimizerSetup>) -> Box<dyn Learner> {
    Box::new(Softmax {
        setup: optimizer.expect("the kind is trained by an optimizer"),
        dense: layout.dense(),
        max_classes: parameters.get("max_classes") as usize,
        classes: Vec::new(),
        positions: HashMap::new(),
        probabilities: Vec::new(),
    })
}

impl Softmax {
    /// Returns the position of a class, which joins if it is new. None if there are too many.
    fn position(&mut self, number: u32, classes: &Classes) -> Option<usize> {
        if let Some(position) = self.positions.get(&number) {
            return Some(*position);
        }
        let name = classes.name(number);
        let known = self.classes.iter().position(|class| class.name == *name);
        if known.is_none() && self.classes.len() >= self.max_classes {
            return None;
        }
        let position = known.unwrap_or_else(|| {
            self.classes.push(ClassWeights { name: Arc::clone(name), optimizer: self.setup.make() });
            self.classes.len() - 1
        });
        self.positions.insert(number, position);
        Some(position)
    }

    fn learn_row(&mut self, row: SparseRow<'_>, truth: usize) {
        self.probabilities.clear();
        self.probabilities.extend(self.classes.iter().map(|class| class.optimizer.dot(row)));
        normalise(&mut self.probabilities);
        for (at, (class, probability)) in self.classes.iter_mut().zip(&self.probabilities).enumerate() {
            class.optimizer.step(row, probability - f64::from(u8::from(at == truth)));
        }
    }

    fn replace_classes(&mut self, classes: Vec<ClassWeights>) {
        self.classes = classes;
        self.positions.clear();
    }
}

impl Learner for Softmax {
    fn learn(&mut self, batch: &Prepared<'_>) {
        for (row, target) in batch.rows().iter().zip(batch.targets()) {
            if let Some(truth) = self.position(*target as u32, batch.classes()) {
                self.learn_row(row, truth);
            }
        }
    }

    /// Averages each class over all shards; to a shard that has not seen it, its weights are untouched.
    fn combine(&mut self, shards: &[Shard<'_>]) -> Result<(), ModelError> {
        let states: Vec<_> = shards.iter().map(|shard| (shard.learner.save(), shard.examples)).collect();
        let mut names: Vec<Arc<str>> = Vec::new();
        for (state, _) in &states {
            for name in tensor::texts(state, CLASSES)? {
                if !names.contains(&name) && names.len() < self.max_classes {
                    names.push(name);
                }
            }
        }
        let untouched = self.setup.make().save();
        let mut combined = Vec::with_capacity(names.len());
        for name in names {
            let mut own = Vec::with_capacity(states.len());
            for (state, examples) in &states {
                let at = tensor::texts(state, CLASSES)?.iter().position(|known| *known == name);
                own.push((at.map_or_else(|| untouched.clone(), |at| class_state(state, at)), *examples));
            }
            let mut optimizer = self.setup.make();
            optimizer.load(&tensor::average(&own))?;
            combined.push(ClassWeights { name, optimizer });
        }
        self.replace_classes(combined);
        Ok(())
    }

    fn freeze(&self) -> Box<dyn Scorer> {
        let mut classes: Vec<&ClassWeights> = self.classes.iter().collect();
        classes.sort_by(|one, other| class_order(&one.name, &other.name));
        let weights =
            classes.iter().map(|class| Weights::of_optimizer(&*class.optimizer, self.dense, self.setup.slots));
        let weights = weights.collect();
        Box::new(FrozenSoftmax { classes: classes.iter().map(|class| Arc::clone(&class.name)).collect(), weights })
    }

    fn save(&self) -> Tensors {
        let names: Vec<&str> = self.classes.iter().map(|class| &*class.name).collect();
        let mut tensors = Tensors::from([(CLASSES.to_owned(), Tensor::texts(&names))]);
        for (at, class) in self.classes.iter().enumerate() {
            tensors.extend(class.optimizer.save().into_iter().map(|(name, tensor)| (format!("{at}.{name}"), tensor)));
        }
        tensors
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        let mut classes = Vec::new();
        for (at, name) in tensor::texts(tensors, CLASSES)?.into_iter().enumerate() {
            let mut optimizer = self.setup.make();
            optimizer.load(&class_state(tensors, at))?;
            classes.push(ClassWeights { name, optimizer });
        }
        self.replace_classes(classes);
        Ok(())
    }

    fn clone_box(&self) -> Box<dyn Learner> {
        let classes = self
            .classes
            .iter()
            .map(|class| ClassWeights { name: Arc::clone(&class.name), optimizer: class.optimizer.clone_box() });
        Box::new(Softmax {
            setup: self.setup.clone(),
            classes: classes.collect(),
            positions: self.positions.clone(),
            probabilities: Vec::new(),
            ..*self
        })
    }
}

/// Returns the state of the optimizer of one class.
fn class_state(tensors: &Tensors, class: usize) -> Tensors {
    let prefix = format!("{class}.");
    let own = tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(&prefix)?, tensor)));
    own.map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect()
}

/// The order of classes in a version: ints by value, before other text by its bytes.
fn class_order(one: &str, other: &str) -> std::cmp::Ordering {
    let number = |text: &str| text.parse::<i64>().ok();
    let key = |text: &str| (number(text).is_none(), number(text));
    key(one).cmp(&key(other)).then_with(|| one.cmp(other))
}

struct FrozenSoftmax {
    classes: Vec<Arc<str>>,
    /// One for each class.
    weights: Vec<Weights>,
}

fn load(layout: &SlotLayout, tensors: &Tensors) -> Result<Box<dyn Scorer>, ModelError> {
    let classes = tensor::texts(tensors, CLASSES)?;
    if !classes.is_sorted_by(|one, other| class_order(one, other).is_lt()) || classes.is_empty() {
        return Err(tensor::misfit(CLASSES, "its classes are not ascending"));
    }
    let load = |at| Weights::load(&prefix(at), tensors, layout.dense(), layout.slots());
    let weights = (0..classes.len()).map(load).collect::<Result<_, _>>()?;
    Ok(Box::new(FrozenSoftmax { classes, weights }))
}

/// The prefix of the tensors of one class.
fn prefix(class: usize) -> String {
    format!("weights.{class}")
}

impl Scorer for FrozenSoftmax {
    fn width(&self) -> usize {
        self.classes.len()
    }

    fn classes(&self) -> &[Arc<str>] {
        &self.classes
    }

    fn predict(&self, batch: &Prepared<'_>, predictions: &mut Predictions) {
        let values = predictions.values_mut();
        for row in batch.rows().iter() {
            let from = values.len();
            values.extend(self.weights.iter().map(|weights| weights.dot(row)));
            normalise(&mut values[from..]);
        }
    }

    fn save(&self, tensors: &mut Tensors) {
        let names: Vec<&str> = self.classes.iter().map(|name| &**name).collect();
        tensors.insert(CLASSES.to_owned(), Tensor::texts(&names));
        self.weights.iter().enumerate().for_each(|(at, weights)| weights.save(&prefix(at), tensors));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_become_probabilities_that_are_bounded() {
        let mut sums = [0.0, libm::log(2.0), libm::log(5.0)];
        normalise(&mut sums);
        assert!(sums.iter().zip([0.125, 0.25, 0.625]).all(|(p, expected)| (p - expected).abs() < 1e-12), "{sums:?}");
        let mut sums = [1e300, -1e300];
        normalise(&mut sums);
        assert!(sums[1] > 0.0 && (sums[0] + sums[1] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn classes_are_in_the_order_of_numbers_or_else_of_bytes() {
        let mut classes = ["b", "10", "-3", "B", "9", ""];
        classes.sort_by(|one, other| class_order(one, other));
        assert_eq!(classes, ["-3", "9", "10", "", "B", "b"]);
    }
}
