//! Scores of predicted classes: a probability for each against the true one.

use serde::{Deserialize, Serialize};

use super::exact_sum::FloatSum;
use super::{LEAST_PROBABILITY, TaskScores, ratio};

/// Accumulated over `(probability by class, number of the true class)`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MulticlassScores {
    examples: u64,
    loss: FloatSum,
    /// By the number of the class.
    classes: Vec<ClassCounts>,
}

/// Counts of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ClassCounts {
    /// Examples of the class.
    actual: u64,
    /// Examples for which it had the highest probability.
    predicted: u64,
    /// Examples that are both.
    hits: u64,
}

impl TaskScores for MulticlassScores {
    /// A class that is absent from the prediction had a probability of 0.
    fn add(&mut self, prediction: &[f64], label: f64) {
        let truth = label as usize;
        let probability = prediction.get(truth).copied().unwrap_or(0.0);
        let probability = if probability > 0.0 { probability.min(1.0) } else { LEAST_PROBABILITY };
        self.examples += 1;
        self.loss.add(-libm::log(probability));
        // The first of several that are equally probable.
        let most = prediction.iter().fold(f64::NEG_INFINITY, |most, p| most.max(*p));
        let guess = prediction.iter().position(|p| *p == most);
        let classes = guess.map_or(0, |guess| guess + 1).max(truth + 1).max(self.classes.len());
        self.classes.resize(classes, ClassCounts::default());
        self.classes[truth].actual += 1;
        if let Some(guess) = guess {
            self.classes[guess].predicted += 1;
            self.classes[guess].hits += u64::from(guess == truth);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.examples += other.examples;
        self.loss.merge(&other.loss);
        self.classes.resize(self.classes.len().max(other.classes.len()), ClassCounts::default());
        for (class, more) in self.classes.iter_mut().zip(&other.classes) {
            class.actual += more.actual;
            class.predicted += more.predicted;
            class.hits += more.hits;
        }
    }

    fn examples(&self) -> u64 {
        self.examples
    }
}

impl MulticlassScores {
    pub(super) fn log_loss(&self) -> Option<f64> {
        (self.examples > 0).then(|| self.loss.over(self.examples))
    }

    pub(super) fn accuracy(&self) -> Option<f64> {
        let hits: u64 = self.classes.iter().map(|class| class.hits).sum();
        ratio(hits as f64, self.examples() as f64)
    }

    /// Returns the mean F1 of the classes that occurred or were predicted.
    pub(super) fn macro_f1(&self) -> Option<f64> {
        let counts = |class: &ClassCounts| class.actual + class.predicted;
        let seen = || self.classes.iter().filter(|class| counts(class) > 0);
        let sum: f64 = seen().map(|class| 2.0 * class.hits as f64 / counts(class) as f64).sum();
        ratio(sum, seen().count() as f64)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Scores, Task};

    #[test]
    fn oracle_metrics_of_few_predictions_follow_from_their_definitions() {
        let mut scores = Scores::new(Task::Multiclass);
        scores.add(&[0.5, 0.3, 0.2], 0.0);
        scores.add(&[0.5, 0.3, 0.2], 1.0);
        scores.add(&[0.1, 0.1, 0.8], 2.0);
        assert_eq!(scores.get("accuracy"), Some(2.0 / 3.0));
        let logloss = -(0.5_f64.ln() + 0.3_f64.ln() + 0.8_f64.ln()) / 3.0;
        assert!((scores.get("logloss").unwrap() - logloss).abs() < 1e-15);
        // F1 is 2/3 of the first class, 0 of the second, 1 of the third.
        assert!((scores.get("macro_f1").unwrap() - 5.0 / 9.0).abs() < 1e-12);
        assert_eq!(scores.get("auc"), None);
    }

    #[test]
    fn a_class_that_the_version_does_not_know_costs_a_bounded_loss() {
        let mut scores = Scores::new(Task::Multiclass);
        scores.add(&[1.0], 4.0);
        assert!(scores.get("logloss").unwrap() < 35.0);
        assert_eq!(scores.get("accuracy"), Some(0.0));
    }
}
