//! Hoeffding trees: decision trees that grow with every example and never look at one twice.
//!
//! Inputs are read as they are. A null goes with the heavier side of a split, and a category that a split does not name
//! goes with the others. Arithmetic runs in the order of the examples, so a tree has the same bits on any machine.
//!
//! With `shards`, a window's examples are kept and learnt at its end, shard after shard, by one tree: trees that grew
//! apart have no mean.

mod cuts;
mod leaf;
mod leaf_inputs;
mod memory;
#[cfg(test)]
mod oracle;
mod path;
mod single;
mod split_search;
mod split_test;
mod tree;

use super::growing;
use super::softmax::MAX_CLASSES;
use super::{ModelKind, Task};
use crate::model::{Bounds, Parameter};

pub(super) use memory::GrowthMemory;
pub(super) use tree::{GrowthRule, HoeffdingTree};

/// Domingos and Hulten's parameters, at River's defaults.
static PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "grace",
        default: 200.0,
        bounds: Bounds::Whole(1, 1_000_000),
        summary: "examples of a leaf between two searches for a split",
    },
    Parameter {
        name: "delta",
        default: 1e-7,
        bounds: Bounds::Between(0.0, 1.0),
        summary: "probability that a split is not the best one; less makes fewer splits",
    },
    Parameter {
        name: "tau",
        default: 0.05,
        bounds: Bounds::Within(0.0, 1.0),
        summary: "bound below which two splits count as equally good, and the first is taken",
    },
    Parameter {
        name: "max_leaves",
        default: 500.0,
        bounds: Bounds::Whole(1, 100_000),
        summary: "leaves at which a tree stops growing; its leaves still learn",
    },
    MAX_CLASSES,
];

const NAME: &str = "hoeffding_tree";

pub(super) static BINARY: ModelKind = growing::kind::<HoeffdingTree>(
    NAME,
    PARAMETERS,
    Task::Binary,
    "predicts the probability of true by a tree that grows with the examples (Domingos and Hulten 2000)",
);

pub(super) static MULTICLASS: ModelKind = growing::kind::<HoeffdingTree>(
    NAME,
    PARAMETERS,
    Task::Multiclass,
    "predicts a probability for each class by such a tree",
);

pub(super) static REGRESSION: ModelKind = growing::kind::<HoeffdingTree>(
    NAME,
    PARAMETERS,
    Task::Regression,
    "predicts a number by such a tree (Ikonomovska et al. 2011)",
);
