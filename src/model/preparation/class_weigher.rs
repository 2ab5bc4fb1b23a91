//! The weights of classes, and the base rates that a model begins with under them.
//!
//! An example of class c counts w_c times, and one that is not true is learnt with a probability of r. So a model sees
//! classes at other rates than they have, and begins there:
//! ```text
//! log-odds of true   ln p/(1 − p) + ln w_true/w_false − ln r, as far as they are beyond ±1
//! log-share of c     ln p_c + ln w_c
//! ```
//! The first unit of the log-odds is left to the weights: those of values that have come share it, so that a value that has not
//! is nearer to even odds than others. On clicks, frauds and flights that is as good as all of the log-odds or better.
//!
//! Predictions of the first are corrected for r alone (King and Zeng 2001); weights are meant to change them.

use super::LabelStatistics;
use crate::model::{ClassWeights, Classes, SamplingOptions};

/// Finds the weights of classes.
#[derive(Clone, Copy)]
pub(in crate::model) struct ClassWeigher<'a> {
    pub sampling: &'a SamplingOptions,
    /// The labels that are known to a version.
    pub labels: &'a LabelStatistics,
    pub classes: Option<&'a Classes>,
}

impl ClassWeigher<'_> {
    /// Returns whether all weights are 1.
    pub fn is_uniform(self) -> bool {
        self.sampling.class_weight.is_none()
    }

    /// Returns the weight of the examples of a label: 0 or 1, or the number of a class.
    pub fn weight(self, label: f64) -> f64 {
        match &self.sampling.class_weight {
            None => 1.0,
            Some(ClassWeights::Balanced) => self.labels.balance(label).min(SamplingOptions::MOST),
            Some(ClassWeights::Named(weights)) => {
                let name = match self.labels {
                    LabelStatistics::Values(_) => {
                        if label > 0.5 {
                            "true"
                        } else {
                            "false"
                        }
                    }
                    LabelStatistics::Classes(_) => self.classes.map_or("", |classes| classes.name(label as u32)),
                };
                weights.get(name).copied().unwrap_or(1.0)
            }
        }
    }

    /// Returns the log-odds of true that a model begins with.
    pub fn log_odds(self) -> f64 {
        let weights = if self.is_uniform() { 0.0 } else { libm::log(self.weight(1.0) / self.weight(0.0)) };
        let odds = self.labels.log_odds() + weights - libm::log(self.sampling.negatives());
        odds - odds.clamp(-1.0, 1.0)
    }

    /// Returns the log of the share of a class that a model sees; `None` of one that is not known.
    pub fn log_share(self, class: usize) -> Option<f64> {
        Some(self.labels.log_share(class)? + libm::log(self.weight(class as f64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_sampling_move_the_rates_that_a_model_sees() {
        let classes = Classes::default();
        let mut labels = LabelStatistics::default();
        (0..1000).for_each(|row| labels.add(f64::from(u8::from(row < 10))));
        let odds = |class_weight, negative_sampling| {
            let sampling = SamplingOptions { class_weight, negative_sampling, weight: None };
            ClassWeigher { sampling: &sampling, labels: &labels, classes: Some(&classes) }.log_odds()
        };
        let plain = odds(None, None);
        assert!((plain - libm::log(10.5 / 990.5) - 1.0).abs() < 1e-12);
        assert!(odds(Some(ClassWeights::Balanced), None).abs() < 1e-9, "balanced classes are seen equally often");
        let named = ClassWeights::Named([("true".to_owned(), 3.0)].into());
        assert!((odds(Some(named), None) - plain - libm::log(3.0)).abs() < 1e-12);
        assert!((odds(None, Some(0.1)) - plain - libm::log(10.0)).abs() < 1e-12);
    }
}
