//! Linear regression: a value.
//!
//! The label is standardised with the moments known to earlier versions, so that one learning rate suits minutes and
//! millions. With r the prediction less the label, in standard deviations of the label, the losses are
//! ```text
//! squared    r²/2, and linear beyond |r| = 5, which bounds the pull of an outlier: predicts the mean
//! huber      r²/2, and linear beyond |r| = delta: predicts between mean and median, and outliers count little
//! quantile   (1 − q)·r above the label, −q·r below it: predicts the value that a share q of labels is below
//! ```
//! (Huber 1964; Koenker and Bassett 1978).

use super::glm::{self, Link};
use super::{Combining, InputForm, LabelDomain, LabelUse, ModelKind, Task, TrainedBy};
use crate::model::optimizer::Loss;
use crate::model::preparation::{ClassWeigher, LabelScale};
use crate::model::{AttributionRule, Bounds, Parameter, Parameters};

pub(super) static KIND: ModelKind = ModelKind {
    name: "linear",
    summary: "predicts a number: its mean, or with another `loss` a value near its median, or a quantile",
    task: Task::Regression,
    label: LabelUse::Required,
    labels: LabelDomain::Value,
    parameters: &[
        Parameter {
            name: "loss",
            default: 0.0,
            bounds: Bounds::Words(&[SQUARED, HUBER, QUANTILE]),
            summary: "what errors cost: the mean is predicted by `squared`, a value that outliers pull less by `huber`, a quantile by `quantile`",
        },
        Parameter {
            name: "delta",
            default: 0.5,
            bounds: Bounds::If("loss", HUBER, &Bounds::Above(0.0)),
            summary: "error from which the loss is linear, in standard deviations of the label",
        },
        Parameter {
            name: "q",
            default: 0.5,
            bounds: Bounds::If("loss", QUANTILE, &Bounds::Between(0.0, 1.0)),
            summary: "share of the labels below the prediction",
        },
    ],
    reads: InputForm::Slots,
    trained_by: TrainedBy::Optimizer,
    combining: Combining::Averaged,
    least_categories: 0,
    by_steps: true,
    standardises_label: true,
    attribution: AttributionRule::Terms,
    build: glm::build::<Linear>,
    load: glm::load::<Linear>,
};

const SQUARED: &str = "squared";
const HUBER: &str = "huber";
const QUANTILE: &str = "quantile";

/// The largest residual that counts in squared loss, in standard deviations of the label.
const MOST_RESIDUAL: f64 = 5.0;

/// The largest prediction, in standard deviations of the label.
const MOST_PREDICTION: f64 = 100.0;

/// The losses of a standardised value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Linear {
    /// Linear beyond so many standard deviations.
    Huber(f64),
    Quantile(f64),
}

impl Linear {
    /// Squared loss, linear beyond [`MOST_RESIDUAL`].
    pub(super) const SQUARED: Linear = Linear::Huber(MOST_RESIDUAL);
}

impl Link for Linear {
    /// Kinds without a choice of losses have squared loss.
    fn new(parameters: &Parameters) -> Self {
        if !parameters.is_used("loss") {
            return Linear::SQUARED;
        }
        match parameters.word("loss") {
            HUBER => Linear::Huber(parameters.get("delta")),
            QUANTILE => Linear::Quantile(parameters.get("q")),
            _ => Linear::SQUARED,
        }
    }

    fn predict(sum: f64) -> f64 {
        sum.clamp(-MOST_PREDICTION, MOST_PREDICTION)
    }

    fn scale(labels: LabelScale) -> LabelScale {
        labels
    }

    fn link(raw: f64, labels: LabelScale) -> f64 {
        raw.max(labels.restore(-MOST_PREDICTION)).min(labels.restore(MOST_PREDICTION))
    }

    /// Standardised labels have a mean of 0.
    fn base(_: ClassWeigher<'_>) -> f64 {
        0.0
    }
}

impl Loss for Linear {
    fn slope(&self, sum: f64, target: f64) -> f64 {
        let residual = Self::predict(sum) - target;
        match *self {
            Linear::Huber(delta) => residual.clamp(-delta, delta),
            Linear::Quantile(q) if residual > 0.0 => 1.0 - q,
            Linear::Quantile(q) if residual < 0.0 => -q,
            Linear::Quantile(_) => 0.0,
        }
    }

    fn descent(&self, sum: f64, target: f64, time: f64) -> f64 {
        let residual = Self::predict(sum) - target;
        let size = residual.abs();
        let way = match *self {
            // At a constant speed down to delta, then by an exponential law.
            Linear::Huber(delta) => {
                let until = ((size - delta) / delta).max(0.0);
                if time <= until { delta * time } else { size - size.min(delta) * libm::exp(until - time) }
            }
            Linear::Quantile(_) => size.min(self.slope(sum, target).abs() * time),
        };
        -way.copysign(residual)
    }
}

#[cfg(test)]
mod tests {
    use super::super::glm::assert_descends;
    use super::*;

    #[test]
    fn oracle_losses_descend_as_many_small_steps_do() {
        for loss in [Linear::SQUARED, Linear::Huber(0.3), Linear::Quantile(0.1), Linear::Quantile(0.5)] {
            for (sum, target) in [(0.0, 1.5), (3.0, -1.0), (-9.0, 2.0), (1.0, 1.0)] {
                assert_descends(&loss, sum, target);
            }
        }
    }

    #[test]
    fn slopes_are_those_of_the_losses() {
        assert_eq!([-9.0, 0.5, 9.0].map(|sum| Linear::SQUARED.slope(sum, 0.0)), [-5.0, 0.5, 5.0]);
        assert_eq!([-9.0, 0.25, 9.0].map(|sum| Linear::Huber(0.5).slope(sum, 0.0)), [-0.5, 0.25, 0.5]);
        assert_eq!([-9.0, 0.0, 9.0].map(|sum| Linear::Quantile(0.75).slope(sum, 0.0)), [-0.75, 0.0, 0.25]);
    }
}
