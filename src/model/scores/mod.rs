//! Scores: sums from which every metric of a run of predictions follows.
//!
//! There is one file a task, and [`METRICS`] points into them. Everything is an exact sum or a count, so scores can be
//! merged and do not depend on order, and their size is bounded. Nothing is clamped: a metric is rounded in its last steps
//! alone, whatever the magnitude of the labels and the predictions.
//!
//! ```
//! use tidemill::model::{Scores, Task};
//!
//! let mut scores = Scores::new(Task::Binary);
//! scores.add(&[0.9], 1.0);
//! scores.add(&[0.4], 1.0);
//! assert_eq!(scores.get("accuracy"), Some(0.5));
//! assert_eq!(scores.get("rmse"), None);
//! ```

mod binary;
mod exact_sum;
mod listed;
mod metric;
mod multiclass;
mod ranking;
mod ranks;
mod regression;

use serde::{Deserialize, Serialize};

pub use listed::ListedScores;
pub use metric::{Better, METRICS, Metric};
pub use ranking::{RANKING_METRICS, RankingMetric, RankingSums};

use super::Task;
use binary::BinaryScores;
use multiclass::MulticlassScores;
use regression::RegressionScores;

/// The sums of one task, accumulated over predictions and labels.
trait TaskScores {
    /// Counts one prediction.
    fn add(&mut self, prediction: &[f64], label: f64);

    /// Adds everything that `other` has counted.
    fn merge(&mut self, other: &Self);

    /// Returns the number of predictions counted.
    fn examples(&self) -> u64;
}

/// The way in which predictions are scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scoring {
    pub task: Task,
    /// The quantile of a value that is predicted, between 0 and 1.
    pub quantile: f64,
}

impl Scoring {
    /// The quantile of predictions that are of no other.
    pub const MEDIAN: f64 = 0.5;
}

impl From<Task> for Scoring {
    fn from(task: Task) -> Self {
        Scoring { task, quantile: Self::MEDIAN }
    }
}

/// Scores of predictions of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Scores {
    Binary(Box<BinaryScores>),
    Multiclass(Box<MulticlassScores>),
    Regression(Box<RegressionScores>),
    /// Scores of predictions that rank as probabilities do, but are none.
    Anomaly(Box<BinaryScores>),
}

impl Scores {
    /// Scores of no predictions.
    pub fn new(scoring: impl Into<Scoring>) -> Self {
        let Scoring { task, quantile } = scoring.into();
        match task {
            Task::Binary => Scores::Binary(Box::default()),
            Task::Anomaly => Scores::Anomaly(Box::default()),
            Task::Multiclass => Scores::Multiclass(Box::default()),
            // Of clusters there are no labels, so nothing is counted.
            Task::Regression | Task::Clustering => Scores::Regression(Box::new(RegressionScores::new(quantile))),
        }
    }

    /// Scores of no predictions that rank each one exactly, however many there are: their size grows with the predictions.
    pub fn ranking_all(scoring: impl Into<Scoring>) -> Self {
        let scoring = scoring.into();
        match scoring.task {
            Task::Binary => Scores::Binary(Box::new(BinaryScores::ranking_all())),
            Task::Anomaly => Scores::Anomaly(Box::new(BinaryScores::ranking_all())),
            Task::Multiclass | Task::Regression | Task::Clustering => Scores::new(scoring),
        }
    }

    /// Counts one prediction. For classes, `prediction[n]` is the probability of class n, absent ones being 0, and the
    /// label is the number of a class.
    #[inline]
    pub fn add(&mut self, prediction: &[f64], label: f64) {
        match self {
            Scores::Binary(scores) | Scores::Anomaly(scores) => scores.add(prediction, label),
            Scores::Multiclass(scores) => scores.add(prediction, label),
            Scores::Regression(scores) => scores.add(prediction, label),
        }
    }

    /// Counts one prediction a number of times, as many [`Scores::add`] do.
    pub fn add_times(&mut self, prediction: &[f64], label: f64, times: u64) {
        match self {
            Scores::Binary(scores) | Scores::Anomaly(scores) => {
                /// The most that are counted at once.
                const MOST: u64 = u16::MAX as u64;
                let mut left = times;
                while left > 0 {
                    scores.add_times(prediction[0], label, left.min(MOST));
                    left -= left.min(MOST);
                }
            }
            _ => (0..times).for_each(|_| self.add(prediction, label)),
        }
    }

    /// Does what is left to be done for the predictions that were counted last, so that metrics are read at once.
    pub fn settle(&mut self) {
        if let Scores::Binary(scores) | Scores::Anomaly(scores) = self {
            scores.settle();
        }
    }

    /// Adds everything that `other` has counted.
    ///
    /// # Panics
    /// If `other` is of another task.
    pub fn merge(&mut self, other: &Scores) {
        match (self, other) {
            (Scores::Binary(all), Scores::Binary(more)) | (Scores::Anomaly(all), Scores::Anomaly(more)) => {
                all.merge(more)
            }
            (Scores::Multiclass(all), Scores::Multiclass(more)) => all.merge(more),
            (Scores::Regression(all), Scores::Regression(more)) => all.merge(more),
            _ => panic!("scores of two tasks cannot be merged"),
        }
    }

    /// Returns the number of predictions counted.
    pub fn examples(&self) -> u64 {
        match self {
            Scores::Binary(scores) | Scores::Anomaly(scores) => scores.examples(),
            Scores::Multiclass(scores) => scores.examples(),
            Scores::Regression(scores) => scores.examples(),
        }
    }

    /// Returns every metric that has an answer, by name.
    pub fn all(&self) -> Vec<(&'static str, f64)> {
        METRICS.iter().filter_map(|metric| Some((metric.name, (metric.of)(self)?))).collect()
    }

    /// Returns one metric. None if it is not of this task or has no answer.
    pub fn get(&self, name: &str) -> Option<f64> {
        METRICS.iter().filter(|metric| metric.name == name).find_map(|metric| (metric.of)(self))
    }

    /// Returns whether these are scores of that kind.
    pub(super) fn is_of(&self, scoring: Scoring) -> bool {
        match (self, scoring.task) {
            (Scores::Binary(_), Task::Binary)
            | (Scores::Multiclass(_), Task::Multiclass)
            | (Scores::Anomaly(_), Task::Anomaly) => true,
            (Scores::Regression(scores), Task::Regression | Task::Clustering) => scores.quantile() == scoring.quantile,
            _ => false,
        }
    }
}

/// Returns `part / whole`. None if `whole` is not positive.
fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// The probability that stands for one of 0 when log loss is taken, as in scikit-learn and River. No kind predicts 0 or 1,
/// but a class that a version does not know has a probability of 0: it costs 34.5 nats.
const LEAST_PROBABILITY: f64 = 1e-15;
