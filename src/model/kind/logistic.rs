//! Logistic regression: the probability that a yes-or-no label is true.

use super::additive::{self, Link};
use super::{Kind, Task};

pub(super) static KIND: Kind = Kind {
    name: "logistic",
    summary: "predicts the probability of true",
    task: Task::Binary,
    standardised: false,
    build: additive::build::<Logistic>,
    thaw: additive::thaw::<Logistic>,
};

/// The log-odds are bounded, so that a model that has seen one class only cannot claim certainty: a prediction stays
/// within 3e-7 of 0 and 1, and no example costs more than 15 nats.
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
