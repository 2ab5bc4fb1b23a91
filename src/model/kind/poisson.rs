//! Poisson regression: the rate of a count.

use super::glm::{self, Link};
use super::{Combining, InputForm, LabelDomain, LabelUse, ModelKind, Task, TrainedBy};
use crate::model::optimizer::Loss;
use crate::model::preparation::ClassWeigher;
use crate::model::{AttributionRule, Parameters};

pub(super) static KIND: ModelKind = ModelKind {
    name: "poisson",
    summary: "predicts the mean of a count",
    task: Task::Regression,
    label: LabelUse::Required,
    labels: LabelDomain::Count,
    parameters: &[],
    reads: InputForm::Slots,
    trained_by: TrainedBy::Optimizer,
    combining: Combining::Averaged,
    least_categories: 0,
    by_steps: true,
    standardises_label: false,
    attribution: AttributionRule::Terms,
    build: glm::build::<Poisson>,
    load: glm::load::<Poisson>,
};

/// Bound of the log-rate.
const MOST: f64 = 30.0;

/// Bound of the slope, so that one huge count cannot throw the weights.
const MOST_SLOPE: f64 = 100.0;

#[derive(Clone, Copy, Debug)]
struct Poisson;

impl Link for Poisson {
    fn new(_: &Parameters) -> Self {
        Poisson
    }

    fn predict(sum: f64) -> f64 {
        libm::exp(sum.clamp(-MOST, MOST))
    }

    fn base(classes: ClassWeigher<'_>) -> f64 {
        classes.labels.log_mean()
    }
}

impl Loss for Poisson {
    fn slope(&self, sum: f64, target: f64) -> f64 {
        (Self::predict(sum) - target.max(0.0)).clamp(-MOST_SLOPE, MOST_SLOPE)
    }

    /// The rate follows a logistic law: dr/dt = r·(y − r). The slope is not bounded, since a rate stops at its label.
    fn descent(&self, sum: f64, target: f64, time: f64) -> f64 {
        let (start, count) = (sum.clamp(-MOST, MOST), target.max(0.0));
        let rate = libm::exp(start);
        let end = match count {
            0.0 => start - libm::log1p(rate * time),
            _ => libm::log(count) - libm::log1p((count / rate - 1.0) * libm::exp(-count * time)),
        };
        end - start
    }
}

#[cfg(test)]
mod tests {
    use super::super::glm::assert_descends;
    use super::*;

    #[test]
    fn oracle_the_loss_descends_as_many_small_steps_do() {
        for (sum, target) in [(0.0, 3.0), (2.0, 1.0), (1.0, 0.0), (-2.0, 5.0)] {
            assert_descends(&Poisson, sum, target);
        }
    }
}
