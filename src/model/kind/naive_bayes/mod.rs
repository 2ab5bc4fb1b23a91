//! Naive Bayes: classes by the frequencies of categories and the normal distributions of numbers.
//!
//! With K classes c of n_c examples each, N in all, the log-probability of a class is, up to a constant,
//! ```text
//! ln (n_c + ½)/(N + K/2)                                  its prior
//! + Σ −½·ln v − (x − m)²/(2v)                             by number: mean m and variance v among the class's examples
//! + Σ ln (n_ct + smoothing)/(n_c + smoothing·V)           by category t, of an input or cross that had V in all
//! ```
//! (Lewis 1998). The variance is drawn to that of all examples with the weight of one example, so that a class of few
//! examples has one. An input that never varied counts for nothing, and neither does a null number. Inputs are taken to be
//! independent in each class; where they are not, probabilities are too close to 0 and 1. Bins only take part in crosses.
//!
//! A model consists of counts and exact moments, so neither order nor sharding changes a bit.

mod evidence;
mod learner;
mod likelihoods;

use super::softmax::MAX_CLASSES;
use super::{Combining, InputForm, LabelDomain, LabelUse, ModelKind, Task, TrainedBy};
use crate::model::{AttributionRule, Bounds, Parameter};
use learner::NaiveBayes;

pub(super) static BINARY: ModelKind = ModelKind {
    name: "naive_bayes",
    summary: "predicts the probability of true from frequencies of categories and normal distributions of numbers",
    task: Task::Binary,
    label: LabelUse::Required,
    labels: LabelDomain::Truth,
    parameters: &[SMOOTHING],
    reads: InputForm::Rows,
    trained_by: TrainedBy::Itself,
    combining: Combining::Added,
    least_categories: 0,
    by_steps: false,
    standardises_label: false,
    attribution: AttributionRule::Terms,
    build: |layout, parameters, _| Box::new(NaiveBayes::new(layout, parameters, Task::Binary)),
    load: |layout, tensors| likelihoods::load(layout, tensors, Task::Binary),
};

pub(super) static MULTICLASS: ModelKind = ModelKind {
    summary: "predicts a probability for each class from frequencies of categories and normal distributions of numbers",
    task: Task::Multiclass,
    labels: LabelDomain::Class,
    parameters: &[SMOOTHING, MAX_CLASSES],
    build: |layout, parameters, _| Box::new(NaiveBayes::new(layout, parameters, Task::Multiclass)),
    load: |layout, tensors| likelihoods::load(layout, tensors, Task::Multiclass),
    ..BINARY
};

const SMOOTHING: Parameter = Parameter {
    name: "smoothing",
    default: 1.0,
    bounds: Bounds::Above(0.0),
    summary: "examples that are added to each category of each class",
};
