//! Softmax regression: a probability for each class of a label with several.
//!
//! Every class c has weights of its own, trained by an optimizer of its own. With the sums z_c = w_c·x,
//! ```text
//! p_c = exp(z_c) / Σ exp(z_k),   slope of the log loss by z_c:  p_c − [c is the label]
//! ```
//! (Bridle 1990; Bishop 2006, section 4.3.4). A class that a shard has not seen before joins with weights of zero at its
//! first example, and starts at its share among the labels that are known, or at the least share of a class if it is not
//! among them; a version lists the classes that its shards know, ascending. So a version knows a new class from the
//! end of the window on in which it first came.

use std::sync::Arc;

use super::base_rate::BaseRate;
use super::class_states::{ClassStates, class_order};
use super::{
    Combining, Explainer, InputForm, LabelDomain, LabelUse, Learner, ModelKind, Scorer, Shard, Task, TrainedBy,
};
use crate::model::explanation::PartMap;
use crate::model::optimizer::{Optimizer, OptimizerSetup};
use crate::model::preparation::{Prepared, SlotLayout};
use crate::model::tensor::{self, Tensor};
use crate::model::{
    AttributionRule, Bounds, Explanations, ModelError, Parameter, Parameters, Predictions, SparseRow, Tensors, Weights,
};

pub(super) static KIND: ModelKind = ModelKind {
    name: "softmax",
    summary: "predicts a probability for each class",
    task: Task::Multiclass,
    label: LabelUse::Required,
    labels: LabelDomain::Class,
    parameters: &[MAX_CLASSES],
    reads: InputForm::Slots,
    trained_by: TrainedBy::Optimizer,
    combining: Combining::Averaged,
    least_categories: 0,
    by_steps: true,
    standardises_label: false,
    attribution: AttributionRule::Terms,
    build,
    load,
};

/// The parameter of every kind that learns classes.
pub(super) const MAX_CLASSES: Parameter = Parameter {
    name: "max_classes",
    default: 100.0,
    bounds: Bounds::Whole(2, 1000),
    summary: "most classes that are learnt; examples of further classes are only scored",
};

/// Bound of the sums, as of the log-odds of logistic regression.
const MOST_SUM: f64 = 15.0;

/// The names of the classes, as a tensor.
const CLASSES: &str = "classes";

/// Replaces sums by probabilities.
pub(super) fn normalise(sums: &mut [f64]) {
    let most = sums.iter().fold(-MOST_SUM, |most, sum| most.max(sum.clamp(-MOST_SUM, MOST_SUM)));
    sums.iter_mut().for_each(|sum| *sum = libm::exp(sum.clamp(-MOST_SUM, MOST_SUM) - most));
    let total = sums.iter().fold(0.0, |total, sum| total + sum);
    sums.iter_mut().for_each(|sum| *sum /= total);
}

struct Softmax {
    setup: OptimizerSetup,
    dense: usize,
    max_classes: usize,
    /// The weights of each class.
    classes: ClassStates<ClassOptimizer>,
    probabilities: Vec<f64>,
}

fn build(layout: &SlotLayout, parameters: &Parameters, optimizer: Option<OptimizerSetup>) -> Box<dyn Learner> {
    let max_classes = parameters.get("max_classes") as usize;
    Box::new(Softmax {
        setup: optimizer.expect("the kind is trained by an optimizer"),
        dense: layout.dense(),
        max_classes,
        classes: ClassStates::new(max_classes),
        probabilities: Vec::new(),
    })
}

/// The weights of one class.
struct ClassOptimizer {
    base: BaseRate,
    optimizer: Box<dyn Optimizer>,
}

impl ClassOptimizer {
    fn save(&self) -> Tensors {
        let mut tensors = self.optimizer.save();
        self.base.save(&mut tensors);
        tensors
    }

    /// Reads weights into those of a new optimizer.
    fn load(mut optimizer: Box<dyn Optimizer>, tensors: &Tensors) -> Result<Self, ModelError> {
        optimizer.load(tensors)?;
        Ok(ClassOptimizer { base: BaseRate::load(tensors)?, optimizer })
    }
}

impl Softmax {
    /// Learns a row that counts `weight` times.
    fn learn_row(&mut self, row: SparseRow<'_>, truth: usize, weight: f64) {
        self.probabilities.clear();
        let sums = self.classes.states().iter().map(|class| class.base.sum() + class.optimizer.dot(row));
        self.probabilities.extend(sums);
        normalise(&mut self.probabilities);
        for (at, (class, probability)) in self.classes.states_mut().iter_mut().zip(&self.probabilities).enumerate() {
            class.optimizer.step(row, weight * (probability - f64::from(u8::from(at == truth))));
        }
    }
}

impl Learner for Softmax {
    fn learn(&mut self, batch: &Prepared<'_>) {
        for ((row, target), weight) in batch.rows().iter().zip(batch.targets()).zip(batch.weights()) {
            let Softmax { classes, setup, .. } = self;
            let least = classes.states().iter().map(|class| class.base.sum()).reduce(f64::min).unwrap_or(0.0);
            let own = batch.weigher().log_share(*target as usize);
            let untouched = || ClassOptimizer { base: BaseRate::of(own.unwrap_or(least)), optimizer: setup.make() };
            if let Some(truth) = classes.position(*target as u32, batch.classes(), untouched) {
                self.learn_row(row, truth, weight);
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
        let class_in = |state: &Tensors, name: &Arc<str>| -> Result<Option<Tensors>, ModelError> {
            let at = tensor::texts(state, CLASSES)?.iter().position(|known| known == name);
            Ok(at.map(|at| class_state(state, at)))
        };
        let mut combined = ClassStates::new(self.max_classes);
        for name in names {
            let (mut own, mut base) = (Vec::with_capacity(states.len()), BaseRate::default());
            for (state, examples) in &states {
                let class = class_in(state, &name)?;
                if let Some(class) = class.as_ref().filter(|_| !base.is_known()) {
                    base = BaseRate::load(class)?;
                }
                own.push((class.unwrap_or_else(|| untouched.clone()), *examples));
            }
            own.iter_mut().for_each(|(class, _)| base.save(class));
            let mut optimizer = self.setup.make();
            optimizer.load(&tensor::average(&own))?;
            combined.push(name, ClassOptimizer { base, optimizer });
        }
        self.classes = combined;
        Ok(())
    }

    fn forget(&mut self, slots: &[u32]) {
        for class in self.classes.states_mut() {
            slots.iter().for_each(|slot| class.optimizer.forget(*slot));
        }
    }

    fn freeze(&mut self) -> Box<dyn Scorer> {
        let classes = self.classes.ascending();
        let weights = classes.iter().map(|class| {
            let ClassOptimizer { base, optimizer } = class.state;
            Weights::of_optimizer(&**optimizer, self.dense, self.setup.slots).plus_bias(base.sum())
        });
        let weights = weights.collect();
        Box::new(FrozenSoftmax { classes: classes.iter().map(|class| Arc::clone(class.name)).collect(), weights })
    }

    fn save(&self) -> Tensors {
        let names: Vec<&str> = self.classes.names().iter().map(|name| &**name).collect();
        let mut tensors = Tensors::from([(CLASSES.to_owned(), Tensor::texts(&names))]);
        for (at, optimizer) in self.classes.states().iter().enumerate() {
            tensors.extend(optimizer.save().into_iter().map(|(name, tensor)| (format!("{at}.{name}"), tensor)));
        }
        tensors
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        let mut classes = ClassStates::new(self.max_classes);
        for (at, name) in tensor::texts(tensors, CLASSES)?.into_iter().enumerate() {
            classes.push(name, ClassOptimizer::load(self.setup.make(), &class_state(tensors, at))?);
        }
        self.classes = classes;
        Ok(())
    }

    fn clone_box(&self) -> Box<dyn Learner> {
        let mut classes = ClassStates::new(self.max_classes);
        for (name, class) in self.classes.names().iter().zip(self.classes.states()) {
            let copy = ClassOptimizer { base: class.base, optimizer: class.optimizer.clone_box() };
            classes.push(Arc::clone(name), copy);
        }
        Box::new(Softmax { setup: self.setup.clone(), classes, probabilities: Vec::new(), ..*self })
    }
}

/// Returns the tensors of one class.
pub(super) fn class_state(tensors: &Tensors, class: usize) -> Tensors {
    let prefix = format!("{class}.");
    let own = tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(&prefix)?, tensor)));
    own.map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect()
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
            values.extend(self.weights.iter().map(|weights| weights.dot(row).raw()));
            normalise(&mut values[from..]);
        }
    }

    fn explainer(&self) -> Option<&dyn Explainer> {
        Some(self)
    }

    fn save(&self, tensors: &mut Tensors) {
        let names: Vec<&str> = self.classes.iter().map(|name| &**name).collect();
        tensors.insert(CLASSES.to_owned(), Tensor::texts(&names));
        self.weights.iter().enumerate().for_each(|(at, weights)| weights.save(&prefix(at), tensors));
    }
}

impl Explainer for FrozenSoftmax {
    fn explain(&self, batch: &Prepared<'_>, parts: &PartMap, explanations: &mut Explanations) {
        for (row, entries) in batch.rows().iter().zip(batch.map_entries()) {
            let mut explained = explanations.start();
            for (class, weights) in self.weights.iter().enumerate() {
                for (at, term) in weights.terms(row).enumerate() {
                    explained.add(parts.of_entry(at, entries), class, term);
                }
                explained.settle(class, weights.dot(row));
            }
        }
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
}
