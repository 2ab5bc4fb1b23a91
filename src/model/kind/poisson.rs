//! Poisson regression: the rate of a count.

use super::glm::{self, Link};
use super::{LabelDomain, LabelUse, ModelKind, Task, TrainedBy};

pub(super) static KIND: ModelKind = ModelKind {
    name: "poisson",
    summary: "predicts the mean of a count",
    task: Task::Regression,
    label: LabelUse::Required,
    labels: LabelDomain::Count,
    parameters: &[],
    trained_by: TrainedBy::Optimizer,
    standardises_label: false,
    build: glm::build::<Poisson>,
    load: glm::load::<Poisson>,
};

/// Bound of the log-rate.
const MOST: f64 = 30.0;

/// Bound of the slope, so that one huge count cannot throw the weights.
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
