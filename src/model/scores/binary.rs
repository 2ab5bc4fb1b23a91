//! Scores of binary predictions: the probability of true against truth.

use num_bigint::{BigInt, BigUint};
use serde::{Deserialize, Serialize};

use super::exact_sum::{FloatSum, LEAST, ProductSum, Quotient};
use super::ranks::RankCounts;
use super::{LEAST_PROBABILITY, TaskScores, ratio};

/// Bins of the reliability diagram, of equal width in the prediction.
const RELIABILITY_BINS: usize = 10;

/// Accumulated over `(probability of true, truth)`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BinaryScores {
    loss: FloatSum,
    /// Squared distances of the predictions from 0 or 1.
    squared: ProductSum,
    /// Confusion at a threshold of 0.5.
    confusion: Confusion,
    ranks: RankCounts,
    reliability: [ReliabilityBin; RELIABILITY_BINS],
}

/// Counts of decisions by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Confusion {
    true_positives: u64,
    false_positives: u64,
    true_negatives: u64,
    false_negatives: u64,
}

/// The predictions of one bin, and the positives among their examples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ReliabilityBin {
    predictions: FloatSum,
    positives: u64,
}

impl ReliabilityBin {
    /// Returns the sum of the predictions less the number of positives, as a multiple of 2^-1074.
    fn excess(&self) -> BigInt {
        self.predictions.above(self.positives)
    }
}

impl TaskScores for BinaryScores {
    fn add(&mut self, prediction: &[f64], label: f64) {
        let outcome = JudgedPrediction::of(prediction[0], label);
        let JudgedPrediction { prediction, truth } = outcome;
        self.squared.add_square(outcome.error());
        self.loss.add(outcome.loss());
        self.confusion.add(&outcome, 1);
        self.ranks.add(prediction, truth);
        let bin = &mut self.reliability[outcome.bin()];
        bin.predictions.add(prediction);
        bin.positives += u64::from(truth);
    }

    fn merge(&mut self, other: &Self) {
        self.loss.merge(&other.loss);
        self.squared.merge(&other.squared);
        self.confusion.true_positives += other.confusion.true_positives;
        self.confusion.false_positives += other.confusion.false_positives;
        self.confusion.true_negatives += other.confusion.true_negatives;
        self.confusion.false_negatives += other.confusion.false_negatives;
        self.ranks.merge(&other.ranks);
        for (bin, more) in self.reliability.iter_mut().zip(&other.reliability) {
            bin.predictions.merge(&more.predictions);
            bin.positives += more.positives;
        }
    }

    fn examples(&self) -> u64 {
        let Confusion { true_positives, false_positives, true_negatives, false_negatives } = self.confusion;
        true_positives + false_positives + true_negatives + false_negatives
    }
}

/// A prediction and the truth.
struct JudgedPrediction {
    /// From 0 to 1. A prediction that is not a number counts as 0.
    prediction: f64,
    truth: bool,
}

impl JudgedPrediction {
    #[inline]
    fn of(prediction: f64, label: f64) -> Self {
        let prediction = prediction.clamp(0.0, 1.0);
        JudgedPrediction { prediction: if prediction.is_nan() { 0.0 } else { prediction }, truth: label > 0.5 }
    }

    #[inline]
    fn error(&self) -> f64 {
        self.prediction - f64::from(u8::from(self.truth))
    }

    #[inline]
    fn loss(&self) -> f64 {
        let probability = self.prediction.clamp(LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY);
        -libm::log(if self.truth { probability } else { 1.0 - probability })
    }

    /// Returns the bin of the reliability diagram.
    #[inline]
    fn bin(&self) -> usize {
        ((self.prediction * RELIABILITY_BINS as f64) as usize).min(RELIABILITY_BINS - 1)
    }
}

impl Confusion {
    #[inline]
    fn add(&mut self, outcome: &JudgedPrediction, times: u64) {
        *match (outcome.prediction >= 0.5, outcome.truth) {
            (true, true) => &mut self.true_positives,
            (true, false) => &mut self.false_positives,
            (false, false) => &mut self.true_negatives,
            (false, true) => &mut self.false_negatives,
        } += times;
    }
}

impl BinaryScores {
    /// Counts a prediction a number of times, fewer than 2^16.
    pub(super) fn add_times(&mut self, prediction: f64, label: f64, times: u64) {
        let outcome = JudgedPrediction::of(prediction, label);
        let JudgedPrediction { prediction, truth } = outcome;
        self.squared.add_square_times(outcome.error(), times);
        self.loss.add_times(outcome.loss(), times);
        self.confusion.add(&outcome, times);
        self.ranks.add_times(prediction, truth, times);
        let bin = &mut self.reliability[outcome.bin()];
        bin.predictions.add_times(prediction, times);
        bin.positives += if truth { times } else { 0 };
    }

    /// Sorts in the predictions that were added last, so that metrics need not.
    pub(super) fn settle(&mut self) {
        self.ranks.settle();
    }

    /// Returns scores of no predictions that rank each one exactly, in memory that grows with their number.
    pub(super) fn ranking_all() -> Self {
        BinaryScores { ranks: RankCounts::new(usize::MAX), ..BinaryScores::default() }
    }

    pub(super) fn log_loss(&self) -> Option<f64> {
        (self.examples() > 0).then(|| self.loss.over(self.examples()))
    }

    pub(super) fn accuracy(&self) -> Option<f64> {
        ratio((self.confusion.true_positives + self.confusion.true_negatives) as f64, self.examples() as f64)
    }

    pub(super) fn f1(&self) -> Option<f64> {
        let Confusion { true_positives, false_positives, false_negatives, .. } = self.confusion;
        ratio(2.0 * true_positives as f64, (2 * true_positives + false_positives + false_negatives) as f64)
    }

    /// Returns the mean distance of prediction and frequency over the bins of the reliability diagram.
    pub(super) fn calibration_error(&self) -> Option<f64> {
        self.mean(self.reliability.iter().map(|bin| BigInt::from(bin.excess().magnitude().clone())).sum())
    }

    pub(super) fn bias(&self) -> Option<f64> {
        self.mean(self.reliability.iter().map(ReliabilityBin::excess).sum())
    }

    /// Returns the share of pairs of a positive and a negative that are ranked right. None if there is no such pair.
    pub(super) fn auc(&self) -> Option<f64> {
        self.ranks.area()
    }

    /// Returns the precision at each distinct prediction, weighted by the recall that it adds. None without a positive.
    pub(super) fn average_precision(&self) -> Option<f64> {
        self.ranks.average_precision()
    }

    pub(super) fn brier(&self) -> Option<f64> {
        (self.examples() > 0).then(|| self.squared.over(self.examples()))
    }

    /// Returns the mean of a sum that is a multiple of 2^-1074.
    fn mean(&self, sum: BigInt) -> Option<f64> {
        let examples = self.examples();
        (examples > 0).then(|| Quotient::of(&sum, &BigUint::from(examples)).shifted(-LEAST))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Scores, Task};

    fn scores(pairs: &[(f64, bool)]) -> Scores {
        let mut scores = Scores::new(Task::Binary);
        pairs.iter().for_each(|(p, truth)| scores.add(&[*p], f64::from(u8::from(*truth))));
        scores
    }

    #[test]
    fn oracle_metrics_of_few_predictions_follow_from_their_definitions() {
        let scores = scores(&[(0.9, true), (0.8, false), (0.3, true), (0.1, false)]);
        let get = |name| scores.get(name).unwrap();
        assert_eq!(get("accuracy"), 0.5);
        assert_eq!(get("f1"), 0.5);
        assert_eq!(get("auc"), 0.75);
        let logloss = -(0.9_f64.ln() + 0.2_f64.ln() + 0.3_f64.ln() + 0.9_f64.ln()) / 4.0;
        assert!((get("logloss") - logloss).abs() < 1e-15);
        assert!((get("brier") - (0.01 + 0.64 + 0.49 + 0.01) / 4.0).abs() < 1e-15);
        // Both positives are found, at precisions of 1 and 2/3.
        assert!((get("average_precision") - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-15);
        assert!((get("bias") - (2.1 - 2.0) / 4.0).abs() < 1e-16);
        assert!((get("calibration") - (0.1 + 0.8 + 0.7 + 0.1) / 4.0).abs() < 1e-15);
    }

    #[test]
    fn predictions_that_are_next_to_each_other_are_ranked() {
        let close = |steps: u64| f64::from_bits(0.02f64.to_bits() + steps);
        let pairs: Vec<(f64, bool)> = (0..1000).map(|step| (close(step), step % 50 == 0 || step > 985)).collect();
        let positives: Vec<usize> = (0..1000).filter(|step| pairs[*step].1).collect();
        let won: usize = positives.iter().enumerate().map(|(at, step)| step - at).sum();
        let expected = won as f64 / (positives.len() * (1000 - positives.len())) as f64;
        assert_eq!(scores(&pairs).get("auc"), Some(expected));
    }

    #[test]
    fn one_class_has_no_auc_and_a_finite_logloss() {
        let scores = scores(&[(0.0, false), (1.0, false)]);
        assert_eq!((scores.get("auc"), scores.get("average_precision")), (None, None));
        assert_eq!(scores.get("brier"), Some(0.5));
        assert!(scores.get("logloss").unwrap() < 40.0);
    }

    #[test]
    fn oracle_a_prediction_that_is_counted_many_times_at_once() {
        for task in [Task::Binary, Task::Regression] {
            let (mut at_once, mut one_by_one) = (Scores::new(task), Scores::new(task));
            for (prediction, label, times) in [(0.3, 0.0, 700), (0.3, 1.0, 1), (1e-9, 1.0, 70_000), (0.3, 1.0, 5)] {
                at_once.add_times(&[prediction], label, times);
                (0..times).for_each(|_| one_by_one.add(&[prediction], label));
            }
            assert!(at_once == one_by_one, "{task:?}");
        }
    }

    #[test]
    fn a_prediction_that_is_no_number_counts_as_zero() {
        let scores = scores(&[(f64::NAN, true), (0.5, false)]);
        assert_eq!((scores.get("auc"), scores.get("accuracy")), (Some(0.0), Some(0.0)));
    }
}
