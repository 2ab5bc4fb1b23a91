//! Drift of the loss: a rise of the champion's error, noticed example by example.
//!
//! The error of a prediction is from 0 to 1: for classes, 1 if the decision is wrong; for a value, e/(e + e₀), where e is
//! the absolute error and e₀ that of no skill, so that neither a unit nor an outlier matters. The errors of the champions,
//! in the order in which labels become known, go through ADWIN ([`AdaptiveWindow`]). A fall is no drift: models improve.

use super::history::{RetainedVersion, by_number};
use crate::model::Task;
use crate::model::adwin::AdaptiveWindow;
use crate::time::EventTime;

/// The confidence at which a rise is one: the probability of an alarm although nothing has changed, about.
const DELTA: f64 = 0.002;

/// A rise of the champion's error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DriftAlarm {
    /// The time at which the label became known with which it was noticed.
    pub time: EventTime,
    /// The number of newest examples that are left, most of them from after the rise.
    pub examples: u64,
    /// Mean error of these examples, from 0 to 1.
    pub error: f64,
}

/// Adds the error of a champion's prediction. Returns an alarm if the mean error has risen.
pub(super) fn observe(
    window: &mut AdaptiveWindow,
    task: Task,
    champion: &RetainedVersion,
    prediction: &[f64],
    label: f64,
    time: EventTime,
) -> Option<DriftAlarm> {
    let error = error_of(task, champion, prediction, label)?;
    let has_risen = window.add(error, DELTA);
    has_risen.then(|| DriftAlarm { time, examples: window.len(), error: window.mean() })
}

/// Returns the error of a prediction, from 0 to 1; `None` of a task without one.
fn error_of(task: Task, champion: &RetainedVersion, prediction: &[f64], label: f64) -> Option<f64> {
    match task {
        Task::Binary => Some(f64::from(u8::from((prediction[0] >= 0.5) != (label > 0.5)))),
        Task::Multiclass => {
            let mut spread = Vec::new();
            let by_number = by_number(prediction, &champion.classes, &mut spread);
            // Of classes that are equally probable, the first.
            let best = (1..by_number.len()).fold(0, |best, at| if by_number[at] > by_number[best] { at } else { best });
            Some(f64::from(u8::from(best as f64 != label)))
        }
        Task::Regression => {
            let (own, base) = ((prediction[0] - label).abs(), (champion.no_skill[0] - label).abs());
            let error = if own == 0.0 { 0.0 } else { own / (own + base) };
            Some(if error.is_nan() { 1.0 } else { error })
        }
        Task::Anomaly | Task::Clustering => None,
    }
}
