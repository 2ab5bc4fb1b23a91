//! Scores: sums from which every metric of a run of predictions follows.
//!
//! Everything is an exact sum or a count, so scores can be merged and do not depend on order. What a score takes does
//! not grow with the examples: the area under the ROC curve comes from counts of positives and negatives in log-linear
//! buckets of the odds, in which predictions whose odds are closer than 1/128 count as tied (a tie counts half).

use serde::{Deserialize, Serialize};

use super::kind::Task;
use super::preparation::{Moments, Sketch};

/// Bins of the reliability diagram, of equal width in the prediction.
pub(super) const RELIABILITY_BINS: usize = 10;

/// Accumulated over `(prediction, label)` pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    pub(super) task: Task,
    /// Log loss (binary) or squared error (regression).
    pub(super) loss: Moments,
    pub(super) absolute: Moments,
    pub(super) label: Moments,
    /// True and false positives, true and false negatives at 0.5.
    pub(super) confusion: [u64; 4],
    pub(super) positives: Sketch,
    pub(super) negatives: Sketch,
    /// Predictions and labels by bin of the prediction.
    pub(super) reliability: [(Moments, u64); RELIABILITY_BINS],
}

impl Scores {
    pub fn new(task: Task) -> Self {
        Scores {
            task,
            loss: Moments::default(),
            absolute: Moments::default(),
            label: Moments::default(),
            confusion: [0; 4],
            positives: Sketch::default(),
            negatives: Sketch::default(),
            reliability: Default::default(),
        }
    }

    /// Counts one prediction.
    #[inline]
    pub fn add(&mut self, prediction: f64, label: f64) {
        match self.task {
            Task::Binary => self.add_binary(prediction, label > 0.5),
            Task::Regression => {
                let error = bounded(prediction - label);
                self.loss.add(bounded(error * error));
                self.absolute.add(error.abs());
                self.label.add(bounded(label));
            }
        }
    }

    fn add_binary(&mut self, prediction: f64, truth: bool) {
        /// As scikit-learn and River: log loss is bounded.
        const LEAST: f64 = 1e-15;
        let probability = prediction.clamp(LEAST, 1.0 - LEAST);
        self.loss.add(-libm::log(if truth { probability } else { 1.0 - probability }));
        self.label.add(f64::from(u8::from(truth)));
        let cell = 2 * usize::from(prediction < 0.5) + usize::from((prediction >= 0.5) != truth);
        self.confusion[cell] += 1;
        let side = if truth { &mut self.positives } else { &mut self.negatives };
        side.add(probability / (1.0 - probability));
        let bin = ((prediction * RELIABILITY_BINS as f64) as usize).min(RELIABILITY_BINS - 1);
        self.reliability[bin].0.add(prediction);
        self.reliability[bin].1 += u64::from(truth);
    }

    /// Adds all that `other` has counted.
    pub fn merge(&mut self, other: &Scores) {
        self.loss.merge(&other.loss);
        self.absolute.merge(&other.absolute);
        self.label.merge(&other.label);
        self.confusion.iter_mut().zip(other.confusion).for_each(|(sum, count)| *sum += count);
        self.positives.merge(&other.positives);
        self.negatives.merge(&other.negatives);
        for (sum, more) in self.reliability.iter_mut().zip(&other.reliability) {
            sum.0.merge(&more.0);
            sum.1 += more.1;
        }
    }

    /// Predictions counted.
    pub fn examples(&self) -> u64 {
        self.loss.count()
    }

    /// Every metric that has an answer.
    pub fn all(&self) -> Vec<(&'static str, f64)> {
        let of_task = super::METRICS.iter().filter(|metric| metric.tasks.contains(&self.task));
        of_task.filter_map(|metric| Some((metric.name, (metric.of)(self)?))).collect()
    }

    /// One metric, if it is of this task and has an answer.
    pub fn get(&self, name: &str) -> Option<f64> {
        let metric = super::METRICS.iter().find(|metric| metric.name == name)?;
        metric.tasks.contains(&self.task).then(|| (metric.of)(self))?
    }
}

/// Within what exact sums can hold.
fn bounded(x: f64) -> f64 {
    x.clamp(-super::preparation::LARGEST, super::preparation::LARGEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All pairs of a positive and a negative, ties counting half.
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

    proptest! {
        #[test]
        fn oracle_auc_of_predictions_that_are_apart(
            pairs in prop::collection::vec((1..50_u32, any::<bool>()), 0..200),
        ) {
            let pairs: Vec<(f64, bool)> = pairs.iter().map(|(p, truth)| (f64::from(*p) / 50.5, *truth)).collect();
            let mut scores = Scores::new(Task::Binary);
            pairs.iter().for_each(|(p, truth)| scores.add(*p, f64::from(u8::from(*truth))));
            match (scores.get("auc"), naive_auc(&pairs)) {
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
        let mut scores = Scores::new(Task::Binary);
        pairs.iter().for_each(|(p, truth)| scores.add(*p, f64::from(u8::from(*truth))));
        assert!((scores.get("auc").unwrap() - naive_auc(&pairs).unwrap()).abs() < 1e-4);
    }

    #[test]
    fn binary_metrics_of_a_small_run() {
        let mut scores = Scores::new(Task::Binary);
        for (p, label) in [(0.9, 1.0), (0.8, 0.0), (0.3, 1.0), (0.1, 0.0)] {
            scores.add(p, label);
        }
        let get = |name| scores.get(name).unwrap();
        assert_eq!(get("accuracy"), 0.5);
        assert_eq!(get("f1"), 0.5);
        assert_eq!(get("auc"), 0.75);
        let logloss = -(0.9_f64.ln() + 0.2_f64.ln() + 0.3_f64.ln() + 0.9_f64.ln()) / 4.0;
        assert!((get("logloss") - logloss).abs() < 1e-9);
        assert!((get("bias") - (2.1 - 2.0) / 4.0).abs() < 1e-9);
    }

    #[test]
    fn regression_metrics_of_a_small_run() {
        let mut scores = Scores::new(Task::Regression);
        for (p, label) in [(1.0, 2.0), (4.0, 4.0), (9.0, 6.0)] {
            scores.add(p, label);
        }
        assert!((scores.get("mae").unwrap() - 4.0 / 3.0).abs() < 1e-9);
        assert!((scores.get("rmse").unwrap() - (10.0_f64 / 3.0).sqrt()).abs() < 1e-9);
        assert!((scores.get("r2").unwrap() - (1.0 - 10.0 / 8.0)).abs() < 1e-9);
        assert_eq!(scores.get("auc"), None);
    }

    #[test]
    fn one_class_has_no_auc_and_a_finite_logloss() {
        let mut scores = Scores::new(Task::Binary);
        scores.add(0.0, 0.0);
        scores.add(1.0, 0.0);
        assert_eq!(scores.get("auc"), None);
        assert!(scores.get("logloss").unwrap() < 40.0);
    }
}
