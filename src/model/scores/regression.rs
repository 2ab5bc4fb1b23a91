//! Scores of predicted values.
//!
//! An error is the prediction less the label, rounded to a float; from there on everything is exact up to the metric's
//! last steps, at any magnitude.

use num_bigint::BigInt;
use serde::{Deserialize, Serialize};

use super::TaskScores;
use super::exact_sum::{FloatSum, ProductSum, Quotient};

/// Accumulated over `(predicted value, value)`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RegressionScores {
    examples: u64,
    /// Errors that are no finite number, since the prediction is none.
    unbounded: u64,
    absolute: FloatSum,
    squared: ProductSum,
    label: FloatSum,
    squared_label: ProductSum,
}

impl TaskScores for RegressionScores {
    fn add(&mut self, prediction: &[f64], label: f64) {
        let error = prediction[0] - label;
        self.examples += 1;
        if error.is_finite() {
            self.absolute.add(error.abs());
            self.squared.add_square(error);
        } else {
            self.unbounded += 1;
        }
        self.label.add(label);
        self.squared_label.add_square(label);
    }

    fn merge(&mut self, other: &Self) {
        self.examples += other.examples;
        self.unbounded += other.unbounded;
        self.absolute.merge(&other.absolute);
        self.squared.merge(&other.squared);
        self.label.merge(&other.label);
        self.squared_label.merge(&other.squared_label);
    }

    fn examples(&self) -> u64 {
        self.examples
    }
}

impl RegressionScores {
    pub(super) fn rmse(&self) -> Option<f64> {
        self.of_errors(|| self.squared.root_over(self.examples))
    }

    pub(super) fn mae(&self) -> Option<f64> {
        self.of_errors(|| self.absolute.over(self.examples))
    }

    /// Returns 1 − nΣe² / (nΣy² − (Σy)²). None if all labels are equal.
    pub(super) fn r2(&self) -> Option<f64> {
        let n = BigInt::from(self.examples);
        let spread = &n * self.squared_label.integer() - self.label.square();
        let unexplained = n * self.squared.integer();
        (spread != BigInt::ZERO).then(|| match self.unbounded {
            0 => 1.0 - Quotient::of(&unexplained, spread.magnitude()).shifted(0),
            _ => f64::NEG_INFINITY,
        })
    }

    /// Returns a metric of the errors: infinite if one of them is. None of no examples.
    fn of_errors(&self, metric: impl FnOnce() -> f64) -> Option<f64> {
        match (self.examples, self.unbounded) {
            (0, _) => None,
            (_, 0) => Some(metric()),
            _ => Some(f64::INFINITY),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Scores, Task};

    fn scores(pairs: &[(f64, f64)]) -> Scores {
        let mut scores = Scores::new(Task::Regression);
        pairs.iter().for_each(|(prediction, label)| scores.add(&[*prediction], *label));
        scores
    }

    #[test]
    fn metrics_of_a_small_run() {
        let scores = scores(&[(1.0, 2.0), (4.0, 4.0), (9.0, 6.0)]);
        assert_eq!(scores.get("mae"), Some(4.0 / 3.0));
        assert_eq!(scores.get("rmse"), Some((10.0_f64 / 3.0).sqrt()));
        assert_eq!(scores.get("r2"), Some(1.0 - 10.0 / 8.0));
        assert_eq!(scores.get("auc"), None);
    }

    #[test]
    fn errors_of_any_magnitude_count_as_they_are() {
        for size in [1e-200, 1e-9, 1.0, 1e9, 1e10, 1e13, 1e18, 1e100, 1e200] {
            let scores = scores(&[(size / 2.0, 0.0), (size / 2.0, size)]);
            assert_eq!(scores.get("rmse"), Some(size / 2.0), "{size}");
            assert_eq!(scores.get("mae"), Some(size / 2.0), "{size}");
            assert_eq!(scores.get("r2"), Some(0.0), "{size}");
        }
        let huge = scores(&[(1e300, 0.0), (0.0, 1e18)]);
        assert!((huge.get("rmse").unwrap() / (1e300 / 2f64.sqrt()) - 1.0).abs() < 1e-15);
        assert_eq!(huge.get("r2"), Some(f64::NEG_INFINITY), "it is no float");
    }

    #[test]
    fn a_prediction_that_is_no_number_is_infinitely_wrong() {
        let scores = scores(&[(f64::NAN, 1.0), (2.0, 2.0)]);
        assert_eq!((scores.get("rmse"), scores.get("mae")), (Some(f64::INFINITY), Some(f64::INFINITY)));
        assert_eq!(scores.get("r2"), Some(f64::NEG_INFINITY));
    }

    #[test]
    fn equal_labels_have_no_variance_to_explain_however_large() {
        let scores = scores(&[(0.1, 1e13 + 0.1), (0.2, 1e13 + 0.1), (0.3, 1e13 + 0.1)]);
        assert_eq!(scores.get("r2"), None);
    }
}
