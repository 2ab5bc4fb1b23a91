//! Kinds of models: what is learnt, by which rule, and what a prediction means.
//!
//! A kind is a [`ModelKind`] in a file of its own and a line in [`KINDS`]. It declares its task, its parameters and
//! whether an optimizer trains it, and makes a [`Learner`], which learns, and a [`Scorer`], which predicts. A kind that
//! has several tasks is one [`ModelKind`] for each, all of one name.
//!
//! ```
//! use tidemill::model::{KINDS, Task};
//! let poisson = KINDS.iter().find(|kind| kind.name == "poisson").unwrap();
//! assert_eq!(poisson.task, Task::Regression);
//! ```

mod base_rate;
mod class_states;
mod class_table;
mod example_buffer;
mod factorization_machine;
mod forest;
mod gbdt;
mod glm;
mod growing;
mod growing_model;
mod grown;
mod half_space_trees;
mod hoeffding;
mod kmeans;
mod linear;
mod logistic;
mod matrix_factorization;
mod mlp;
mod model_kind;
mod naive_bayes;
mod number_cuts;
mod option_checks;
mod passive_aggressive;
mod poisson;
mod slot_vectors;
mod softmax;
mod target_form;

use std::any::Any;
use std::sync::Arc;

pub use model_kind::{Combining, InputForm, LabelUse, ModelKind, TrainedBy};

use super::explanation::PartMap;
use super::preparation::Prepared;
use super::{Explanations, LabelDomain, ModelError, Predictions, Task, Tensors, tensor};

/// A model that learns. Reading is `&self`, learning `&mut self`.
pub trait Learner: Any + Send {
    /// Learns a batch of examples, in its order.
    fn learn(&mut self, batch: &Prepared<'_>);

    /// Returns how many rows of a linear model take as long to learn as an example takes here, about.
    fn cost(&self) -> usize {
        1
    }

    /// Returns whether learning is left for the end of the window, where [`Learner::refit`] does it.
    fn refits(&self) -> bool {
        false
    }

    /// Continues the learning that is left for the end of the window, for about as much work as `rows` examples take.
    /// Returns true once nothing is left. To be called after [`Learner::combine`], on a state that is not saved before
    /// it is done.
    fn refit(&mut self, _rows: usize) -> bool {
        true
    }

    /// Returns the learner that a window starts with if it is learnt afresh after this one; `None` for an untrained one.
    fn restarted(&self) -> Option<Box<dyn Learner>> {
        None
    }

    /// Replaces this state, from which the shards of one window all started, by what they have learnt, in their order.
    ///
    /// By default every number that [`Learner::save`] returns is averaged, weighted by the shards' examples.
    ///
    /// # Errors
    /// If the shards are not of this learner's kind and layout.
    fn combine(&mut self, shards: &[Shard<'_>]) -> Result<(), ModelError> {
        let states: Vec<_> = shards.iter().map(|shard| (shard.learner.save(), shard.examples)).collect();
        self.load(&tensor::average(&states))
    }

    /// Puts the weights of hashed slots back to where they started, of kinds that learn by steps.
    fn forget(&mut self, _slots: &[u32]) {}

    /// Returns a copy of the current state that predicts, and that may share what does not change any more.
    fn freeze(&mut self) -> Box<dyn Scorer>;

    /// Returns everything that has been learnt.
    fn save(&self) -> Tensors;

    /// Replaces the state by one that [`Learner::save`] returned.
    ///
    /// # Errors
    /// If a tensor is missing or of another size.
    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError>;

    /// Returns an independent copy.
    fn clone_box(&self) -> Box<dyn Learner>;

    /// Returns an independent copy, which may share what neither changes.
    fn share(&mut self) -> Box<dyn Learner> {
        self.clone_box()
    }
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

    /// Returns how many rows of a linear model take as long to predict as an example takes here, about.
    fn cost(&self) -> usize {
        1
    }

    /// Returns the class that each number of a prediction is the probability of, ascending; empty for other tasks.
    fn classes(&self) -> &[Arc<str>] {
        &[]
    }

    /// Appends a prediction of [`Scorer::width`] finite numbers for each example of a batch.
    fn predict(&self, batch: &Prepared<'_>, predictions: &mut Predictions);

    /// Returns this model as one that explains, if the kind has an [`crate::model::AttributionRule`].
    fn explainer(&self) -> Option<&dyn Explainer> {
        None
    }

    /// Adds the tensors that [`ModelKind::load`] reads.
    fn save(&self, tensors: &mut Tensors);
}

/// A frozen model whose raw scores can be split.
pub trait Explainer {
    /// Appends the explanation of each example of a batch. A raw score is what the link makes the number of the prediction
    /// from that [`Scorer::predict`] appends.
    fn explain(&self, batch: &Prepared<'_>, parts: &PartMap, explanations: &mut Explanations);

    /// Returns about how many steps the explanation of one example takes, where that is more than its prediction takes.
    fn explanation_cost(&self) -> usize {
        0
    }
}

/// Every kind, in the order of the reference; the first is the default.
pub static KINDS: &[&ModelKind] = &[
    &logistic::KIND,
    &linear::KIND,
    &poisson::KIND,
    &softmax::KIND,
    &passive_aggressive::KIND,
    &factorization_machine::BINARY,
    &factorization_machine::REGRESSION,
    &matrix_factorization::REGRESSION,
    &matrix_factorization::BINARY,
    &mlp::BINARY,
    &mlp::MULTICLASS,
    &mlp::REGRESSION,
    &naive_bayes::BINARY,
    &naive_bayes::MULTICLASS,
    &kmeans::KIND,
    &half_space_trees::KIND,
    &hoeffding::BINARY,
    &hoeffding::MULTICLASS,
    &hoeffding::REGRESSION,
    &gbdt::BINARY,
    &gbdt::MULTICLASS,
    &gbdt::REGRESSION,
    &forest::BINARY,
    &forest::MULTICLASS,
    &forest::REGRESSION,
];
