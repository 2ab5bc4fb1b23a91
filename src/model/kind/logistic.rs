//! Logistic regression: the probability that a binary label is true.

use super::glm::{self, Link};
use super::{Combining, InputForm, LabelDomain, LabelUse, ModelKind, Task, TrainedBy};
use crate::model::optimizer::Loss;
use crate::model::preparation::ClassWeigher;
use crate::model::{AttributionRule, Parameters};

pub(super) static KIND: ModelKind = ModelKind {
    name: "logistic",
    summary: "predicts the probability of true",
    task: Task::Binary,
    label: LabelUse::Required,
    labels: LabelDomain::Truth,
    parameters: &[],
    reads: InputForm::Slots,
    trained_by: TrainedBy::Optimizer,
    combining: Combining::Averaged,
    least_categories: 0,
    by_steps: true,
    standardises_label: false,
    attribution: AttributionRule::Terms,
    build: glm::build::<Logistic>,
    load: glm::load::<Logistic>,
};

/// Bound of the log-odds: a model that has seen one class only cannot claim certainty. A prediction is at least 3e-7
/// away from 0 and 1, and no example costs more than 15 nats.
const MOST: f64 = 15.0;

#[derive(Clone, Copy, Debug)]
pub(super) struct Logistic;

impl Link for Logistic {
    fn new(_: &Parameters) -> Self {
        Logistic
    }

    fn predict(sum: f64) -> f64 {
        1.0 / (1.0 + libm::exp(-sum.clamp(-MOST, MOST)))
    }

    fn base(classes: ClassWeigher<'_>) -> f64 {
        classes.log_odds()
    }
}

impl Loss for Logistic {
    fn slope(&self, sum: f64, target: f64) -> f64 {
        Self::predict(sum) - f64::from(u8::from(target > 0.5))
    }

    /// The flow of the gradient: with p the log-odds of the truth, dp/dt = 1/(1 + e^p), so that p + e^p grows by the time.
    fn descent(&self, sum: f64, target: f64, time: f64) -> f64 {
        let sign = if target > 0.5 { 1.0 } else { -1.0 };
        let start = sign * sum.clamp(-MOST, MOST);
        sign * (invert(start + libm::exp(start) + time) - start)
    }
}

/// Returns the p at which p + e^p is `total`. By Newton's method from above, where it converges without overshoot.
fn invert(total: f64) -> f64 {
    let mut p = if total > 1.0 { libm::log(total) } else { total };
    for _ in 0..8 {
        let power = libm::exp(p);
        p -= (p + power - total) / (1.0 + power);
    }
    p
}

#[cfg(test)]
mod tests {
    use super::super::glm::assert_descends;
    use super::*;

    #[test]
    fn oracle_the_loss_descends_as_many_small_steps_do() {
        for (sum, target) in [(0.0, 1.0), (3.0, 0.0), (-4.0, 1.0), (4.0, 1.0), (-2.0, 0.0)] {
            assert_descends(&Logistic, sum, target);
        }
    }

    #[test]
    fn a_sum_of_a_number_and_its_power_is_inverted() {
        for p in [-14.0, -3.0, -0.5, 0.0, 0.7, 5.0, 15.0] {
            assert!((invert(p + libm::exp(p)) - p).abs() < 1e-12, "{p}");
        }
    }
}
