//! Gradient boosting of histograms: at each window's end, trees are fitted to the examples of the newest windows.
//!
//! Friedman 2001; histograms, leaf-wise growth and most defaults as LightGBM (Ke et al. 2017). The path of an example: it
//! is kept as it is; at the window's end numbers are cut into bins at quantiles ([`grid`]); slopes of the loss, rounded
//! once to integers, are summed by bin ([`histogram`]); the best split of each leaf is searched ([`search`]) and the leaf
//! that gains most is split ([`grower`]); the values of the leaves move the predictions, and the next tree starts from
//! there ([`boosting`]). All of it runs in steps, between which the graph does other work.
//!
//! Sums of integers do not depend on order, so shards only hand over their examples.
//!
//! With `start = "fresh"` every window refits all trees. With `"warm"` it renews the oldest quarter: they are left out,
//! and as many are grown on what the others leave over. All are refitted once the kept examples have grown by a half
//! since that was last done, and where a class has joined. So warm windows cost little, and a young model is as good as
//! its examples allow.

mod boosting;
mod ensemble;
mod frozen;
mod grid;
mod grower;
mod histogram;
mod learner;
#[cfg(test)]
mod oracle;
mod search;
mod shapley;

use super::softmax::MAX_CLASSES;
use super::{Combining, InputForm, LabelDomain, LabelUse, ModelKind, Task, TrainedBy};
use crate::model::{AttributionRule, Bounds, Parameter};

static PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "trees",
        default: 100.0,
        bounds: Bounds::Whole(1, 10_000),
        summary: "most trees, for each class with the task `multiclass`",
    },
    Parameter {
        name: "rate",
        default: 0.1,
        bounds: Bounds::UpTo(0.0, 1.0),
        summary: "share of its best step that a leaf takes; less needs more trees",
    },
    Parameter {
        name: "max_leaves",
        default: 31.0,
        bounds: Bounds::Whole(2, ensemble::MOST_LEAVES as u32),
        summary: "most leaves of a tree",
    },
    Parameter { name: "min_leaf", default: 20.0, bounds: Bounds::Whole(1, 1000), summary: "least examples of a leaf" },
    Parameter {
        name: "l2",
        default: 1.0,
        bounds: Bounds::AtLeast(0.0),
        summary: "λ, which shrinks the values of leaves",
    },
    Parameter {
        name: "max_bins",
        default: 255.0,
        bounds: Bounds::Whole(2, 255),
        summary: "most bins of a number, beside that of nulls",
    },
    Parameter {
        name: "train_on",
        default: 1000.0,
        bounds: Bounds::Whole(1, 100_000),
        summary: "newest windows whose examples are fitted",
    },
    Parameter {
        name: "max_examples",
        default: 50_000.0,
        bounds: Bounds::Whole(1, 200_000),
        summary: "newest examples that are kept, rounded up to a piece of 4096; they are a part of each checkpoint",
    },
    MAX_CLASSES,
];

const ANY_TASK: ModelKind = ModelKind {
    name: "gbdt",
    summary: "",
    task: Task::Binary,
    label: LabelUse::Required,
    labels: LabelDomain::Truth,
    parameters: PARAMETERS,
    reads: InputForm::Observations,
    trained_by: TrainedBy::Itself,
    combining: Combining::Kept,
    least_categories: 0,
    by_steps: false,
    standardises_label: false,
    attribution: AttributionRule::Shapley,
    build: learner::build_binary,
    load: frozen::load_binary,
};

pub(super) static BINARY: ModelKind = ModelKind {
    summary: "predicts the probability of true by boosted trees, fitted to the newest windows (Friedman 2001)",
    ..ANY_TASK
};

pub(super) static MULTICLASS: ModelKind = ModelKind {
    summary: "predicts a probability for each class by such trees",
    task: Task::Multiclass,
    labels: LabelDomain::Class,
    build: learner::build_multiclass,
    load: frozen::load_multiclass,
    ..ANY_TASK
};

pub(super) static REGRESSION: ModelKind = ModelKind {
    summary: "predicts a number by such trees",
    task: Task::Regression,
    labels: LabelDomain::Value,
    build: learner::build_regression,
    load: frozen::load_regression,
    ..ANY_TASK
};
