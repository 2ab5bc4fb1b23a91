//! Kinds of models: what is learnt, by which rule, and what a prediction means.
//!
//! A kind is a [`ModelKind`] in a file of its own and a line in [`KINDS`]. It declares its task, its parameters and
//! whether an optimizer trains it, and makes a [`Learner`], which learns, and a [`Scorer`], which predicts.

mod glm;
mod linear;
mod logistic;
mod passive_aggressive;
mod poisson;
mod softmax;

use std::sync::Arc;

use super::optimizer::OptimizerSetup;
use super::preparation::{Prepared, SlotLayout};
use super::{
    LabelDomain, Metric, ModelError, ModelOptions, OptimizerKind, Parameter, Parameters, Predictions, Task, Tensors,
    tensor,
};

/// A model that learns. Reading is `&self`, learning `&mut self`.
pub trait Learner: Send {
    /// Learns a batch of examples, in its order.
    fn learn(&mut self, batch: &Prepared<'_>);

    /// Replaces the state of this untrained learner by that of the shards of one window, in their order.
    ///
    /// By default every number that [`Learner::save`] returns is averaged, weighted by the shards' examples.
    ///
    /// # Errors
    /// If the shards are not of this learner's kind and layout.
    fn combine(&mut self, shards: &[Shard<'_>]) -> Result<(), ModelError> {
        let states: Vec<_> = shards.iter().map(|shard| (shard.learner.save(), shard.examples)).collect();
        self.load(&tensor::average(&states))
    }

    /// Returns a copy of the current state that predicts.
    fn freeze(&self) -> Box<dyn Scorer>;

    /// Returns everything that has been learnt.
    fn save(&self) -> Tensors;

    /// Replaces the state by one that [`Learner::save`] returned.
    ///
    /// # Errors
    /// If a tensor is missing or of another size.
    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError>;

    /// Returns an independent copy.
    fn clone_box(&self) -> Box<dyn Learner>;
}

/// The learner of one virtual shard, and the number of examples that it learnt in the window.
pub struct Shard<'a> {
    pub learner: &'a dyn Learner,
    pub examples: u64,
}

/// A frozen model.
pub trait Scorer: Send + Sync {
    /// Returns how many numbers a prediction has.
    fn width(&self) -> usize {
        1
    }

    /// Returns the class that each number of a prediction is the probability of, ascending; empty for other tasks.
    fn classes(&self) -> &[Arc<str>] {
        &[]
    }

    /// Appends a prediction of [`Scorer::width`] finite numbers for each example of a batch.
    fn predict(&self, batch: &Prepared<'_>, predictions: &mut Predictions);

    /// Adds the tensors that [`ModelKind::load`] reads.
    fn save(&self, tensors: &mut Tensors);
}

/// The use that a kind makes of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelUse {
    /// An example without a label is scored only.
    Required,
    /// Examples without a label are learnt as well; their target is NaN.
    Optional,
    /// There are no labels; every target is NaN, and nothing is scored.
    None,
}

/// The party that moves a kind's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainedBy {
    /// Any optimizer in [`super::OPTIMIZERS`]: the kind finds the slope of its loss, the optimizer takes the step.
    Optimizer,
    /// The kind itself, by its own rule.
    Itself,
}

/// Makes an untrained model. The setup is that of the optimizer, for kinds that one trains.
pub type Build = fn(&SlotLayout, &Parameters, Option<OptimizerSetup>) -> Box<dyn Learner>;

/// Reads a frozen model of a layout from its tensors.
pub type Load = fn(&SlotLayout, &Tensors) -> Result<Box<dyn Scorer>, ModelError>;

/// A kind of model, as a dataflow file names it.
#[derive(Debug)]
pub struct ModelKind {
    pub name: &'static str,
    /// The meaning of a prediction, for the reference.
    pub summary: &'static str,
    pub task: Task,
    pub label: LabelUse,
    /// The labels that it can learn. Others are dropped.
    pub labels: LabelDomain,
    pub parameters: &'static [Parameter],
    pub trained_by: TrainedBy,
    /// True if the label is learnt in standard deviations from its mean.
    pub standardises_label: bool,
    pub build: Build,
    pub load: Load,
}

/// Every kind, in the order of the reference; the first is the default.
pub static KINDS: &[&ModelKind] =
    &[&logistic::KIND, &linear::KIND, &poisson::KIND, &softmax::KIND, &passive_aggressive::KIND];

impl ModelKind {
    /// Returns the kind of that name.
    ///
    /// # Errors
    /// With all names, if there is none.
    pub fn find(name: &str) -> Result<&'static ModelKind, ModelError> {
        let expected = || KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
        let found = KINDS.iter().find(|kind| kind.name == name).copied();
        found.ok_or_else(|| ModelError::UnknownKind { found: name.to_owned(), expected: expected() })
    }

    /// Returns the metrics that apply, the gate's default first.
    pub fn metrics(&self) -> impl Iterator<Item = &'static Metric> + use<> {
        let task = self.task;
        super::METRICS.iter().filter(move |metric| metric.tasks.contains(&task))
    }

    /// Returns everything that is wrong with the parameters and the optimizer of a model of this kind.
    pub fn check(&self, options: &ModelOptions) -> Vec<ModelError> {
        let parameters = Parameters::resolve(self.name, self.parameters, &options.kind.parameters);
        let mut errors = parameters.err().unwrap_or_default();
        match (self.trained_by, &options.optimizer) {
            (TrainedBy::Optimizer, None) => errors.push(ModelError::NoOptimizer { kind: self.name }),
            (TrainedBy::Itself, Some(_)) => errors.push(ModelError::NeedlessOptimizer { kind: self.name }),
            (TrainedBy::Optimizer, Some(optimizer)) => match OptimizerKind::find(&optimizer.name) {
                Ok(kind) => errors.extend(kind.resolve(optimizer).err().into_iter().flatten()),
                Err(error) => errors.push(error),
            },
            (TrainedBy::Itself, None) => {}
        }
        errors
    }

    /// Returns an untrained model.
    ///
    /// # Errors
    /// The same as [`ModelKind::check`] returns for the layout's options.
    pub fn learner(&self, layout: &SlotLayout) -> Result<Box<dyn Learner>, Vec<ModelError>> {
        let options = layout.options();
        let errors = self.check(options);
        if !errors.is_empty() {
            return Err(errors);
        }
        let parameters = Parameters::resolve(self.name, self.parameters, &options.kind.parameters)?;
        let optimizer = match &options.optimizer {
            Some(optimizer) => {
                let kind = OptimizerKind::find(&optimizer.name).map_err(|error| vec![error])?;
                Some(OptimizerSetup { kind, parameters: kind.resolve(optimizer)?, slots: layout.slots() })
            }
            None => None,
        };
        Ok((self.build)(layout, &parameters, optimizer))
    }
}
