//! Matrix factorization with biases: the rating of an item by a user.
//!
//! Koren, Bell and Volinsky 2009. A user u and an item i have a bias and a vector of latent factors each:
//! ```text
//! sum = b + b_u + b_i + p_u·q_i + Σ w_j·x_j
//! ```
//! The first categorical input is the user, the second the item. Further inputs x have weights of their own, as in linear
//! regression. Biases and weights are trained by the model's optimizer, factors by AdaGrad with L2 regularisation.
//!
//! This is a [factorization machine](super::factorization_machine) in which user and item alone have factors. A user that has
//! not been learnt has neither bias nor factors, so all that is left is what is known of the item, and the other way round.

use std::ops::Range;

use super::factorization_machine::{build, load};
use super::linear::Linear;
use super::logistic::Logistic;
use super::{Combining, InputForm, LabelDomain, LabelUse, ModelKind, Task, TrainedBy};
use crate::model::preparation::SlotLayout;
use crate::model::{AttributionRule, Bounds, Parameter};

pub(super) static REGRESSION: ModelKind = ModelKind {
    name: "matrix_factorization",
    summary: "predicts the rating of an item by a user: the first category among the inputs is the user, the second the item",
    task: Task::Regression,
    label: LabelUse::Required,
    labels: LabelDomain::Value,
    parameters: &[
        Parameter {
            name: "rank",
            default: 16.0,
            bounds: Bounds::Whole(1, 256),
            summary: "latent factors of a user or item",
        },
        Parameter {
            name: "rate",
            default: 0.05,
            bounds: Bounds::UpTo(0.0, 1000.0),
            summary: "learning rate of the factors",
        },
        Parameter {
            name: "l2",
            default: 0.02,
            bounds: Bounds::Within(0.0, 1000.0),
            summary: "L2 regularisation of the factors",
        },
    ],
    reads: InputForm::Rows,
    trained_by: TrainedBy::Optimizer,
    combining: Combining::Averaged,
    least_categories: 2,
    by_steps: true,
    standardises_label: true,
    attribution: AttributionRule::Pairs,
    build: |layout, parameters, optimizer| build::<Linear>(layout, parameters, optimizer, user_and_item(layout)),
    load: |layout, tensors| load::<Linear>(layout, tensors, user_and_item(layout)),
};

pub(super) static BINARY: ModelKind = ModelKind {
    summary: "predicts the probability that a user takes an item: the first category among the inputs is the user, the second the item",
    task: Task::Binary,
    labels: LabelDomain::Truth,
    standardises_label: false,
    build: |layout, parameters, optimizer| build::<Logistic>(layout, parameters, optimizer, user_and_item(layout)),
    load: |layout, tensors| load::<Logistic>(layout, tensors, user_and_item(layout)),
    ..REGRESSION
};

/// Returns the entries of a row that are the user and the item.
fn user_and_item(layout: &SlotLayout) -> Range<usize> {
    let first = layout.categories().start;
    first..first + 2
}
