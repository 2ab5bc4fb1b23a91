//! Logistic regression: the probability that a binary label is true.

use super::glm::{self, Link};
use super::{LabelDomain, LabelUse, ModelKind, Task, TrainedBy};

pub(super) static KIND: ModelKind = ModelKind {
    name: "logistic",
    summary: "predicts the probability of true",
    task: Task::Binary,
    label: LabelUse::Required,
    labels: LabelDomain::Truth,
    parameters: &[],
    trained_by: TrainedBy::Optimizer,
    standardises_label: false,
    build: glm::build::<Logistic>,
    load: glm::load::<Logistic>,
};

/// Bound of the log-odds: a model that has seen one class only cannot claim certainty. A prediction is at least 3e-7
/// away from 0 and 1, and no example costs more than 15 nats.
const MOST: f64 = 15.0;

struct Logistic;

impl Link for Logistic {
    fn predict(sum: f64) -> f64 {
        1.0 / (1.0 + libm::exp(-sum.clamp(-MOST, MOST)))
    }

    fn slope(sum: f64, target: f64) -> f64 {
        Self::predict(sum) - f64::from(u8::from(target > 0.5))
    }
}
