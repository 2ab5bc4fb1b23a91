//! Linear regression: a value.
//!
//! The label is standardised with the moments known to earlier versions, so that one learning rate suits minutes and
//! millions. The residual is clipped, in standard deviations, as in Huber's loss (1964), which bounds the pull of an
//! outlier.

use super::glm::{self, Link};
use super::{LabelDomain, LabelUse, ModelKind, Task, TrainedBy};

pub(super) static KIND: ModelKind = ModelKind {
    name: "linear",
    summary: "predicts a number",
    task: Task::Regression,
    label: LabelUse::Required,
    labels: LabelDomain::Value,
    parameters: &[],
    trained_by: TrainedBy::Optimizer,
    standardises_label: true,
    build: glm::build::<Linear>,
    load: glm::load::<Linear>,
};

/// The largest residual that counts, in standard deviations of the label.
const MOST_RESIDUAL: f64 = 5.0;

/// The largest prediction, in standard deviations of the label.
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
