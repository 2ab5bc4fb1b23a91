//! Counters of the requests of one route: by status, and their durations.
//!
//! The counter of a status is created with its first answer and kept, so that no request looks a label up.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec};

use super::Metrics;

/// The statuses that an endpoint answers with. The counter of any other is looked up.
const CODES: [u16; 12] = [200, 400, 401, 403, 404, 405, 408, 413, 415, 429, 500, 503];

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

    /// The pattern of the route.
    pub fn route(&self) -> &'static str {
        self.route
    }

    /// Counts one answer with its status, and the time from the request's head to it.
    pub fn count(&self, code: u16, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
        let counter = || self.requests.with_label_values(&[self.route, &code.to_string()]);
        match CODES.iter().position(|known| *known == code) {
            Some(at) => self.codes[at].get_or_init(counter).inc(),
            None => counter().inc(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_counted_as_itself() {
        let metrics = Metrics::new("test");
        let traffic = Traffic::new(&metrics, "/predict");
        for code in 100..600 {
            traffic.count(code, Duration::ZERO);
            let counted = metrics.http_requests.with_label_values(&["/predict", &code.to_string()]);
            assert_eq!(counted.get(), 1, "{code}");
        }
    }
}
