//! Adaptive forests: Hoeffding trees that learn different samples of the examples and of the inputs.
//!
//! Gomes et al. 2017, "Adaptive random forests for evolving data stream classification", with inputs drawn for each tree
//! as in Gomes et al. 2019, "Streaming random patches". Each tree learns an example with a weight that is drawn from a
//! Poisson distribution of mean 6 and divided by 6, by a seed and the number of the example. Its errors pass an ADWIN window:
//! once that sees them rise, a successor begins beside the tree. It takes over when it has been better by more than chance on
//! the same examples, and is given up if it has not within 5000; unlike in the papers, where it takes over at a second rise:
//! errors that come and go with the days would never let a tree grow. So a forest follows changes that a single tree would
//! have to outgrow. A prediction is the mean of all trees.
//!
//! `seed` chooses the draws. With `shards`, one forest learns a window's examples at its end, shard after shard.

mod ensemble;
mod resampling;

use super::growing;
use super::softmax::MAX_CLASSES;
use super::{ModelKind, Task};
use crate::model::{Bounds, Parameter};

use ensemble::AdaptiveForest;

static PARAMETERS: &[Parameter] = &[
    Parameter { name: "trees", default: 10.0, bounds: Bounds::Whole(1, 1000), summary: "trees of the forest" },
    Parameter {
        name: "inputs",
        default: 0.8,
        bounds: Bounds::UpTo(0.0, 1.0),
        summary: "share of the inputs that each tree uses, but at least two; 1 for all",
    },
    Parameter {
        name: "grace",
        default: 20.0,
        bounds: Bounds::Whole(1, 1_000_000),
        summary: "examples of a leaf between two searches for a split, by their weight, which is 1 on average",
    },
    Parameter {
        name: "delta",
        default: 0.05,
        bounds: Bounds::Between(0.0, 1.0),
        summary: "probability that a split is not the best one; less makes fewer splits",
    },
    Parameter {
        name: "tau",
        default: 0.1,
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

const NAME: &str = "forest";

pub(super) static BINARY: ModelKind = growing::kind::<AdaptiveForest>(
    NAME,
    PARAMETERS,
    Task::Binary,
    "predicts the probability of true by trees that grow with the examples, and are replaced when they get worse \
     (Gomes et al. 2017)",
);

pub(super) static MULTICLASS: ModelKind = growing::kind::<AdaptiveForest>(
    NAME,
    PARAMETERS,
    Task::Multiclass,
    "predicts a probability for each class by such trees",
);

pub(super) static REGRESSION: ModelKind =
    growing::kind::<AdaptiveForest>(NAME, PARAMETERS, Task::Regression, "predicts a number by such trees");
