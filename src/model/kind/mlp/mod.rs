//! Multilayer perceptron: one hidden layer between the slots and the prediction, and direct connections beside it.
//!
//! With the entries x of a row, hidden units j and outputs o:
//! ```text
//! a_j = f(Σ_i W_ij·x_i),   sum_o = Σ_j V_jo·a_j + Σ_i D_io·x_i              f: tanh, or max(0, z)
//! ∂V_jo = s_o·a_j,  ∂D_io = s_o·x_i,  ∂W_ij = x_i·f'·Σ_o s_o·V_jo           s_o: slope of the loss by sum_o
//! ```
//! (Rumelhart, Hinton and Williams 1986). The bias is an entry of every row, so hidden units and outputs have one. The direct
//! connections are a linear model, so that hidden units are left with what a linear model cannot say. All weights are
//! trained by AdaGrad (Duchi, Hazan, Singer 2011). Those of hidden units start at random numbers whose size falls with the
//! number of entries (LeCun et al. 1998), all others at zero. A slot that has not been learnt has no weights.
//!
//! Losses and links are those of `logistic`, `softmax` and `linear`.

mod activation;
mod frozen;
mod network;

use super::softmax::MAX_CLASSES;
use super::{Combining, InputForm, LabelDomain, LabelUse, ModelKind, Task, TrainedBy};
use crate::model::{AttributionRule, Bounds, Parameter};
use activation::{RELU, TANH};
use network::Mlp;

pub(super) static BINARY: ModelKind = ModelKind {
    name: "mlp",
    summary: "predicts the probability of true by a neural network with one hidden layer",
    task: Task::Binary,
    label: LabelUse::Required,
    labels: LabelDomain::Truth,
    parameters: &[HIDDEN, ACTIVATION, RATE],
    reads: InputForm::Rows,
    trained_by: TrainedBy::Itself,
    combining: Combining::Averaged,
    least_categories: 0,
    by_steps: true,
    standardises_label: false,
    attribution: AttributionRule::None,
    build: |layout, parameters, _| Box::new(Mlp::new(layout, parameters, Task::Binary)),
    load: |layout, tensors| frozen::load(layout, tensors, Task::Binary),
};

pub(super) static MULTICLASS: ModelKind = ModelKind {
    summary: "predicts a probability for each class by a neural network with one hidden layer",
    task: Task::Multiclass,
    labels: LabelDomain::Class,
    parameters: &[HIDDEN, ACTIVATION, RATE, MAX_CLASSES],
    build: |layout, parameters, _| Box::new(Mlp::new(layout, parameters, Task::Multiclass)),
    load: |layout, tensors| frozen::load(layout, tensors, Task::Multiclass),
    ..BINARY
};

pub(super) static REGRESSION: ModelKind = ModelKind {
    summary: "predicts a number by a neural network with one hidden layer",
    task: Task::Regression,
    labels: LabelDomain::Value,
    standardises_label: true,
    build: |layout, parameters, _| Box::new(Mlp::new(layout, parameters, Task::Regression)),
    load: |layout, tensors| frozen::load(layout, tensors, Task::Regression),
    ..BINARY
};

const HIDDEN: Parameter =
    Parameter { name: "hidden", default: 16.0, bounds: Bounds::Whole(1, 256), summary: "hidden units" };

const ACTIVATION: Parameter = Parameter {
    name: "activation",
    default: 0.0,
    bounds: Bounds::Words(&[TANH, RELU]),
    summary: "the function of a hidden unit",
};

const RATE: Parameter =
    Parameter { name: "rate", default: 0.15, bounds: Bounds::UpTo(0.0, 1000.0), summary: "learning rate" };
