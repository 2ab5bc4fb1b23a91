//! Poisson regression: the rate of a count.

use super::additive::{self, Link};
use super::{Kind, Task};

pub(super) static KIND: Kind = Kind {
    name: "poisson",
    summary: "predicts the mean of a count",
    task: Task::Regression,
    standardised: false,
    build: additive::build::<Poisson>,
    thaw: additive::thaw::<Poisson>,
};

/// Bounds of the log-rate, and of the slope, so that one huge count cannot throw the weights.
const MOST: f64 = 30.0;
const MOST_SLOPE: f64 = 100.0;

struct Poisson;

impl Link for Poisson {
    fn predict(sum: f64) -> f64 {
        libm::exp(sum.clamp(-MOST, MOST))
    }

    fn slope(sum: f64, target: f64) -> f64 {
        (Self::predict(sum) - target.max(0.0)).clamp(-MOST_SLOPE, MOST_SLOPE)
    }
}
