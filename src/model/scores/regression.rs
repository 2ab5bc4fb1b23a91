//! Scores of predicted values.

use serde::{Deserialize, Serialize};

use super::{TaskScores, bounded, ratio};
use crate::model::preparation::ExactMoments;

/// Accumulated over `(predicted value, value)`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RegressionScores {
    squared: ExactMoments,
    absolute: ExactMoments,
    label: ExactMoments,
}

impl TaskScores for RegressionScores {
    fn add(&mut self, prediction: &[f64], label: f64) {
        let error = bounded(prediction[0] - label);
        self.squared.add(bounded(error * error));
        self.absolute.add(error.abs());
        self.label.add(bounded(label));
    }

    fn merge(&mut self, other: &Self) {
        self.squared.merge(&other.squared);
        self.absolute.merge(&other.absolute);
        self.label.merge(&other.label);
    }

    fn examples(&self) -> u64 {
        self.squared.count()
    }
}

impl RegressionScores {
    pub(super) fn rmse(&self) -> Option<f64> {
        ratio(self.squared.sum(), self.examples() as f64).map(f64::sqrt)
    }

    pub(super) fn mae(&self) -> Option<f64> {
        ratio(self.absolute.sum(), self.examples() as f64)
    }

    pub(super) fn r2(&self) -> Option<f64> {
        let spread = self.label.variance() * (self.examples() as f64 - 1.0);
        ratio(self.squared.sum(), spread).map(|unexplained| 1.0 - unexplained)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Scores, Task};

    #[test]
    fn metrics_of_a_small_run() {
        let mut scores = Scores::new(Task::Regression);
        for (p, label) in [(1.0, 2.0), (4.0, 4.0), (9.0, 6.0)] {
            scores.add(&[p], label);
        }
        assert!((scores.get("mae").unwrap() - 4.0 / 3.0).abs() < 1e-9);
        assert!((scores.get("rmse").unwrap() - (10.0_f64 / 3.0).sqrt()).abs() < 1e-9);
        assert!((scores.get("r2").unwrap() - (1.0 - 10.0 / 8.0)).abs() < 1e-9);
        assert_eq!(scores.get("auc"), None);
    }
}
