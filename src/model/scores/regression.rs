//! Scores of predicted values.
//!
//! An error is the prediction less the label, rounded to a float; from there on everything is exact up to the metric's
//! last steps, at any magnitude.

use num_bigint::BigInt;
use serde::{Deserialize, Serialize};

use super::exact_sum::{FloatSum, ProductSum, Quotient};
use super::{TaskScores, ratio};

/// Accumulated over `(predicted value, value)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegressionScores {
    /// The quantile at which predictions are scored by pinball loss.
    quantile: f64,
    examples: u64,
    /// Errors that are no finite number, since the prediction is none.
    unbounded: u64,
    /// Errors of predictions above the value.
    over: FloatSum,
    /// Errors of predictions below the value.
    under: FloatSum,
    /// Errors relative to the value, of the examples whose value is not 0.
    relative: FloatSum,
    relative_examples: u64,
    squared: ProductSum,
    label: FloatSum,
    squared_label: ProductSum,
}

impl TaskScores for RegressionScores {
    fn add(&mut self, prediction: &[f64], label: f64) {
        let error = prediction[0] - label;
        self.examples += 1;
        if error.is_finite() {
            let side = if error > 0.0 { &mut self.over } else { &mut self.under };
            side.add(error.abs());
            self.squared.add_square(error);
        } else {
            self.unbounded += 1;
        }
        if label != 0.0 && error.is_finite() {
            self.relative.add((error / label).abs().min(f64::MAX));
            self.relative_examples += 1;
        }
        self.label.add(label);
        self.squared_label.add_square(label);
    }

    fn merge(&mut self, other: &Self) {
        self.examples += other.examples;
        self.unbounded += other.unbounded;
        self.over.merge(&other.over);
        self.under.merge(&other.under);
        self.relative.merge(&other.relative);
        self.relative_examples += other.relative_examples;
        self.squared.merge(&other.squared);
        self.label.merge(&other.label);
        self.squared_label.merge(&other.squared_label);
    }

    fn examples(&self) -> u64 {
        self.examples
    }
}

impl RegressionScores {
    /// Returns scores of no predictions of a quantile.
    pub(super) fn new(quantile: f64) -> Self {
        RegressionScores {
            quantile,
            examples: 0,
            unbounded: 0,
            over: FloatSum::default(),
            under: FloatSum::default(),
            relative: FloatSum::default(),
            relative_examples: 0,
            squared: ProductSum::default(),
            label: FloatSum::default(),
            squared_label: ProductSum::default(),
        }
    }

    pub(super) fn quantile(&self) -> f64 {
        self.quantile
    }

    pub(super) fn rmse(&self) -> Option<f64> {
        self.of_errors(|| self.squared.root_over(self.examples))
    }

    pub(super) fn mae(&self) -> Option<f64> {
        let mut absolute = self.over.clone();
        absolute.merge(&self.under);
        self.of_errors(|| absolute.over(self.examples))
    }

    /// Returns the mean of q·(y − p) where the value y is above the prediction p, and of (1 − q)·(p − y) elsewhere.
    pub(super) fn pinball(&self) -> Option<f64> {
        let [over, under] = [&self.over, &self.under].map(|side| side.over(self.examples));
        self.of_errors(|| (1.0 - self.quantile) * over + self.quantile * under)
    }

    /// Returns the mean of |p − y|/|y|. None if every value is 0.
    pub(super) fn mape(&self) -> Option<f64> {
        ratio(1.0, self.relative_examples as f64)?;
        self.of_errors(|| self.relative.over(self.relative_examples))
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
    use crate::model::{Scores, Scoring, Task};

    fn scores(pairs: &[(f64, f64)]) -> Scores {
        let mut scores = Scores::new(Task::Regression);
        pairs.iter().for_each(|(prediction, label)| scores.add(&[*prediction], *label));
        scores
    }

    #[test]
    fn oracle_metrics_of_few_predictions_follow_from_their_definitions() {
        let scores = scores(&[(1.0, 2.0), (4.0, 4.0), (9.0, 6.0)]);
        assert_eq!(scores.get("mae"), Some(4.0 / 3.0));
        assert_eq!(scores.get("rmse"), Some((10.0_f64 / 3.0).sqrt()));
        assert_eq!(scores.get("r2"), Some(1.0 - 10.0 / 8.0));
        assert_eq!(scores.get("auc"), None);
        assert_eq!(scores.get("mape"), Some(1.0 / 3.0));
        assert_eq!(scores.get("pinball"), Some(4.0 / 3.0 / 2.0));
    }

    #[test]
    fn pinball_loss_is_that_of_the_quantile() {
        let pairs = [(1.0, 2.5), (4.0, 4.0), (9.0, 6.0), (0.25, -7.0), (3.0, 11.0)];
        for quantile in [0.05, 0.5, 0.9] {
            let mut scores = Scores::new(Scoring { task: Task::Regression, quantile });
            pairs.iter().for_each(|(prediction, label)| scores.add(&[*prediction], *label));
            let loss = |(p, y): &(f64, f64)| (quantile * (y - p)).max((quantile - 1.0) * (y - p));
            let expected = pairs.iter().map(loss).sum::<f64>() / 5.0;
            assert!((scores.get("pinball").unwrap() - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn relative_errors_are_of_values_that_are_not_zero() {
        assert_eq!(scores(&[(1.0, 0.0)]).get("mape"), None);
        assert_eq!(scores(&[(1.0, 0.0), (3.0, -2.0)]).get("mape"), Some(2.5));
        assert_eq!(scores(&[(f64::NAN, 1.0), (3.0, 2.0)]).get("mape"), Some(f64::INFINITY));
        assert!(scores(&[(1.0, 5e-324)]).get("mape").unwrap() > 1e300);
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
