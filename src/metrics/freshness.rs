//! Freshness of the features of one group: the time from a record's event to its features being in the online store.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::Histogram;

use super::Metrics;

/// The histogram of one feature group.
#[derive(Debug)]
pub struct Freshness(Histogram);

impl Freshness {
    pub fn new(metrics: &Metrics, group: &str) -> Self {
        Freshness(metrics.freshness.with_label_values(&[group]))
    }

    /// Records that the features of records up to an event time, in ms, are in the online store from now on. An event
    /// time in the future counts as a freshness of zero.
    pub fn observe(&self, newest: i64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        self.0.observe((now - newest as f64 / 1e3).max(0.0));
    }
}
