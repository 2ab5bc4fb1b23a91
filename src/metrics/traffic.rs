//! Counters of the requests of one route: by status, and their durations.
//!
//! The counter of a status is created with its first answer and kept, so that no request looks a label up.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec};

use super::Metrics;

/// The statuses that an endpoint answers with. Any other is counted as the last, 500.
const CODES: [u16; 10] = [200, 400, 404, 405, 408, 413, 415, 429, 503, 500];

/// The counters of one route.
#[derive(Debug)]
pub struct Traffic {
    route: &'static str,
    seconds: Histogram,
    requests: IntCounterVec,
    codes: [OnceLock<IntCounter>; CODES.len()],
}

impl Traffic {
    pub fn new(metrics: &Metrics, route: &'static str) -> Self {
        Traffic {
            route,
            seconds: metrics.http_seconds.with_label_values(&[route]),
            requests: metrics.http_requests.clone(),
            codes: Default::default(),
        }
    }

    /// Counts one answer with its status, and the time from the request's head to it.
    pub fn count(&self, code: u16, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
        let at = CODES.iter().position(|known| *known == code).unwrap_or(CODES.len() - 1);
        let make = || self.requests.with_label_values(&[self.route, &CODES[at].to_string()]);
        self.codes[at].get_or_init(make).inc();
    }
}
