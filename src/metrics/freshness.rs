//! How fresh the features of one group are: from when a record happened to when it shows.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::Histogram;

use super::Metrics;

/// The clock and the histogram of one feature group.
#[derive(Debug)]
pub struct Freshness(Histogram);

impl Freshness {
    pub fn new(metrics: &Metrics, group: &str) -> Self {
        Freshness(metrics.freshness.with_label_values(&[group]))
    }

    /// Records up to this event time, in ms, show from now on. One from the future counts as seen at once.
    pub fn observe(&self, newest: i64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        self.0.observe((now - newest as f64 / 1e3).max(0.0));
    }
}
