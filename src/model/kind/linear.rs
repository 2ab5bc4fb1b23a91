//! Linear regression: a value.
//!
//! The label is standardised by what earlier versions saw of it, so that one learning rate suits minutes and millions.
//! The residual is clipped, in standard deviations, as in Huber's loss (1964): an outlier pulls no harder than that.

use super::additive::{self, Link};
use super::{Kind, Task};

pub(super) static KIND: Kind = Kind {
    name: "linear",
    summary: "predicts a number",
    task: Task::Regression,
    standardised: true,
    build: additive::build::<Linear>,
    thaw: additive::thaw::<Linear>,
};

/// The largest residual that counts, and the largest prediction, in standard deviations of the label.
const MOST_RESIDUAL: f64 = 5.0;
const MOST_PREDICTION: f64 = 100.0;

struct Linear;

impl Link for Linear {
    fn predict(sum: f64) -> f64 {
        sum.clamp(-MOST_PREDICTION, MOST_PREDICTION)
    }

    fn slope(sum: f64, target: f64) -> f64 {
        (Self::predict(sum) - target).clamp(-MOST_RESIDUAL, MOST_RESIDUAL)
    }
}
