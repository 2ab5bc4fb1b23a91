//! Counters of the arms of a split. Those of arms that are no more are dropped, so that there are few at any time.

use prometheus::{Counter, CounterVec, GaugeVec, IntCounter, IntCounterVec, Opts, Registry};

use super::{
    MODEL_ARM_SCORE, PREDICTIONS, SHADOW_DIFFERENCE, SHADOW_PREDICTIONS, SHADOW_SKIPPED, SPLIT_SHARE, SPLIT_TAKEN_BACK,
};

/// The metrics of the arms of splits.
#[derive(Debug)]
pub struct ArmMetrics {
    pub score: GaugeVec,
    pub share: GaugeVec,
    pub taken_back: IntCounterVec,
    predictions: IntCounterVec,
    shadow_predictions: IntCounterVec,
    shadow_difference: CounterVec,
    shadow_skipped: IntCounterVec,
}

impl ArmMetrics {
    /// Registers the metrics.
    pub(super) fn new(registry: &Registry) -> Self {
        macro_rules! register {
            ($kind:ident, $name:expr) => {{
                let metric = $kind::new(Opts::new($name.name, $name.help), $name.labels);
                let metric = metric.expect("the name is a valid metric name");
                registry.register(Box::new(metric.clone())).expect("each name is registered once");
                metric
            }};
        }
        ArmMetrics {
            score: register!(GaugeVec, MODEL_ARM_SCORE),
            share: register!(GaugeVec, SPLIT_SHARE),
            taken_back: register!(IntCounterVec, SPLIT_TAKEN_BACK),
            predictions: register!(IntCounterVec, PREDICTIONS),
            shadow_predictions: register!(IntCounterVec, SHADOW_PREDICTIONS),
            shadow_difference: register!(CounterVec, SHADOW_DIFFERENCE),
            shadow_skipped: register!(IntCounterVec, SHADOW_SKIPPED),
        }
    }

    /// Returns the counter of an arm's predictions.
    pub fn predictions_of(&self, model: &str, arm: &str) -> PredictionCounter {
        PredictionCounter(self.predictions.with_label_values(&[model, arm]))
    }

    /// Returns the counters of a shadow.
    pub fn shadow_of(&self, model: &str, arm: &str) -> ShadowCounters {
        ShadowCounters {
            predictions: self.shadow_predictions.with_label_values(&[model, arm]),
            difference: self.shadow_difference.with_label_values(&[model, arm]),
            skipped: self.shadow_skipped.with_label_values(&[model, arm]),
        }
    }

    /// Drops the counters and gauges of an arm that is no more, which was scored by these metrics.
    pub fn forget_arm<'a>(&self, model: &str, arm: &str, scored_by: impl Iterator<Item = &'a str>) {
        // An error says that there is none.
        let _ = self.predictions.remove_label_values(&[model, arm]);
        let _ = self.shadow_predictions.remove_label_values(&[model, arm]);
        let _ = self.shadow_difference.remove_label_values(&[model, arm]);
        let _ = self.shadow_skipped.remove_label_values(&[model, arm]);
        let _ = self.share.remove_label_values(&[model, arm]);
        for metric in scored_by {
            let _ = self.score.remove_label_values(&[model, metric, arm]);
        }
    }
}

/// Counts the instances that an arm answered.
#[derive(Clone, Debug)]
pub struct PredictionCounter(IntCounter);

impl PredictionCounter {
    pub fn add(&self, instances: usize) {
        self.0.inc_by(instances as u64);
    }
}

/// Counters of a shadow.
#[derive(Clone, Debug)]
pub struct ShadowCounters {
    predictions: IntCounter,
    difference: Counter,
    skipped: IntCounter,
}

impl ShadowCounters {
    /// Counts predictions, with the sum of their differences from the answers.
    pub fn predicted(&self, instances: usize, difference: f64) {
        self.predictions.inc_by(instances as u64);
        if difference.is_finite() && difference >= 0.0 {
            self.difference.inc_by(difference);
        }
    }

    /// Counts instances that were not predicted for.
    pub fn skipped(&self, instances: usize) {
        self.skipped.inc_by(instances as u64);
    }
}
