//! Scores of binary predictions: the probability of true against truth.
//!
//! The area under the ROC curve comes from counts of positives and negatives in log-linear buckets of the odds, in which
//! predictions whose odds are closer than 1/128 count as tied (a tie counts half).

use serde::{Deserialize, Serialize};

use super::{LEAST_PROBABILITY, TaskScores, ratio};
use crate::model::preparation::{ExactMoments, Sketch};

/// Bins of the reliability diagram, of equal width in the prediction.
const RELIABILITY_BINS: usize = 10;

/// Accumulated over `(probability of true, truth)`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BinaryScores {
    loss: ExactMoments,
    /// At a threshold of 0.5.
    confusion: Confusion,
    positives: Sketch,
    negatives: Sketch,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ReliabilityBin {
    predictions: ExactMoments,
    positives: u64,
}

impl ReliabilityBin {
    /// Returns the sum of the predictions less the number of positives.
    fn excess(&self) -> f64 {
        self.predictions.sum() - self.positives as f64
    }
}

impl TaskScores for BinaryScores {
    fn add(&mut self, prediction: &[f64], label: f64) {
        let (prediction, truth) = (prediction[0], label > 0.5);
        let probability = prediction.clamp(LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY);
        self.loss.add(-libm::log(if truth { probability } else { 1.0 - probability }));
        let Confusion { true_positives, false_positives, true_negatives, false_negatives } = &mut self.confusion;
        *match (prediction >= 0.5, truth) {
            (true, true) => true_positives,
            (true, false) => false_positives,
            (false, false) => true_negatives,
            (false, true) => false_negatives,
        } += 1;
        let side = if truth { &mut self.positives } else { &mut self.negatives };
        side.add(probability / (1.0 - probability));
        let bin = ((prediction * RELIABILITY_BINS as f64) as usize).min(RELIABILITY_BINS - 1);
        self.reliability[bin].predictions.add(prediction);
        self.reliability[bin].positives += u64::from(truth);
    }

    fn merge(&mut self, other: &Self) {
        self.loss.merge(&other.loss);
        self.confusion.true_positives += other.confusion.true_positives;
        self.confusion.false_positives += other.confusion.false_positives;
        self.confusion.true_negatives += other.confusion.true_negatives;
        self.confusion.false_negatives += other.confusion.false_negatives;
        self.positives.merge(&other.positives);
        self.negatives.merge(&other.negatives);
        for (bin, more) in self.reliability.iter_mut().zip(&other.reliability) {
            bin.predictions.merge(&more.predictions);
            bin.positives += more.positives;
        }
    }

    fn examples(&self) -> u64 {
        self.loss.count()
    }
}

impl BinaryScores {
    pub(super) fn log_loss(&self) -> Option<f64> {
        self.mean(self.loss.sum())
    }

    pub(super) fn accuracy(&self) -> Option<f64> {
        self.mean((self.confusion.true_positives + self.confusion.true_negatives) as f64)
    }

    pub(super) fn f1(&self) -> Option<f64> {
        let Confusion { true_positives, false_positives, false_negatives, .. } = self.confusion;
        ratio(2.0 * true_positives as f64, (2 * true_positives + false_positives + false_negatives) as f64)
    }

    /// Returns the mean distance of prediction and frequency over the bins of the reliability diagram.
    pub(super) fn calibration_error(&self) -> Option<f64> {
        self.mean(self.reliability.iter().map(|bin| bin.excess().abs()).sum())
    }

    pub(super) fn bias(&self) -> Option<f64> {
        self.mean(self.reliability.iter().map(ReliabilityBin::excess).sum())
    }

    /// Returns the share of pairs of a positive and a negative that are ranked right, in integers until the last
    /// division. None if there is no such pair.
    pub(super) fn auc(&self) -> Option<f64> {
        let mut negatives = self.negatives.buckets().peekable();
        let mut below: u128 = 0;
        let mut twice: u128 = 0;
        for (odds, count) in self.positives.buckets() {
            while let Some((_, less)) = negatives.next_if(|(other, _)| *other < odds) {
                below += u128::from(less);
            }
            let tied = negatives.peek().filter(|(other, _)| *other == odds).map_or(0, |(_, tied)| u128::from(*tied));
            twice += u128::from(count) * (2 * below + tied);
        }
        let pairs = u128::from(self.positives.total()) * u128::from(self.negatives.total());
        ratio(twice as f64 / 2.0, pairs as f64)
    }

    fn mean(&self, sum: f64) -> Option<f64> {
        ratio(sum, self.examples() as f64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::model::{Scores, Task};

    /// Compares all pairs of a positive and a negative, ties counting half.
    fn naive_auc(pairs: &[(f64, bool)]) -> Option<f64> {
        let (mut wins, mut count) = (0.0, 0.0);
        for (p, _) in pairs.iter().filter(|(_, truth)| *truth) {
            for (n, _) in pairs.iter().filter(|(_, truth)| !truth) {
                count += 1.0;
                wins += if p > n { 1.0 } else { 0.5 * f64::from(u8::from(p == n)) };
            }
        }
        (count > 0.0).then(|| wins / count)
    }

    fn scores(pairs: &[(f64, bool)]) -> Scores {
        let mut scores = Scores::new(Task::Binary);
        pairs.iter().for_each(|(p, truth)| scores.add(&[*p], f64::from(u8::from(*truth))));
        scores
    }

    proptest! {
        #[test]
        fn oracle_auc_of_predictions_that_are_apart(
            pairs in prop::collection::vec((1..50_u32, any::<bool>()), 0..200),
        ) {
            let pairs: Vec<(f64, bool)> = pairs.iter().map(|(p, truth)| (f64::from(*p) / 50.5, *truth)).collect();
            match (scores(&pairs).get("auc"), naive_auc(&pairs)) {
                (Some(auc), Some(naive)) => prop_assert!((auc - naive).abs() < 1e-12),
                (auc, naive) => prop_assert_eq!(auc, naive),
            }
        }
    }

    #[test]
    fn auc_of_close_predictions_is_within_a_ten_thousandth() {
        let pairs: Vec<(f64, bool)> = (0..3000_u32)
            .map(|i| {
                let p = f64::from(i.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24);
                (p, f64::from(i.wrapping_mul(40_503) % 1000) / 1000.0 < p)
            })
            .collect();
        assert!((scores(&pairs).get("auc").unwrap() - naive_auc(&pairs).unwrap()).abs() < 1e-4);
    }

    #[test]
    fn metrics_of_a_small_run() {
        let scores = scores(&[(0.9, true), (0.8, false), (0.3, true), (0.1, false)]);
        let get = |name| scores.get(name).unwrap();
        assert_eq!(get("accuracy"), 0.5);
        assert_eq!(get("f1"), 0.5);
        assert_eq!(get("auc"), 0.75);
        let logloss = -(0.9_f64.ln() + 0.2_f64.ln() + 0.3_f64.ln() + 0.9_f64.ln()) / 4.0;
        assert!((get("logloss") - logloss).abs() < 1e-9);
        assert!((get("bias") - (2.1 - 2.0) / 4.0).abs() < 1e-9);
    }

    #[test]
    fn one_class_has_no_auc_and_a_finite_logloss() {
        let scores = scores(&[(0.0, false), (1.0, false)]);
        assert_eq!(scores.get("auc"), None);
        assert!(scores.get("logloss").unwrap() < 40.0);
    }
}
