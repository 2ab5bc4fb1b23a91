//! Counters of one server behind the gateway.

use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::Metrics;
use super::gateway_counters::GatewayCounters;

/// The code of requests that a server did not answer.
const ERROR: &str = "error";

/// The counters of one server.
#[derive(Debug)]
pub struct BackendTraffic {
    server: String,
    up: IntGauge,
    requests: IntCounterVec,
    /// Requests answered with 200, which need no look-up.
    good: IntCounter,
    retries: IntCounter,
    in_flight: IntGauge,
}

impl BackendTraffic {
    /// The counters of the server with this URL.
    pub fn new(metrics: &Metrics, server: &str) -> Self {
        let GatewayCounters { up, requests, retries, in_flight } = &metrics.gateway;
        BackendTraffic {
            up: up.with_label_values(&[server]),
            requests: requests.clone(),
            good: requests.with_label_values(&[server, "200"]),
            retries: retries.with_label_values(&[server]),
            in_flight: in_flight.with_label_values(&[server]),
            server: server.to_owned(),
        }
    }

    /// Records whether the server gets requests.
    pub fn set_in(&self, is_in: bool) {
        self.up.set(i64::from(is_in));
    }

    /// Counts an answer with its status.
    pub fn answered(&self, code: u16) {
        match code {
            200 => self.good.inc(),
            code => self.requests.with_label_values(&[self.server.as_str(), &code.to_string()]).inc(),
        }
    }

    /// Counts a request that was not answered.
    pub fn failed(&self) {
        self.requests.with_label_values(&[self.server.as_str(), ERROR]).inc();
    }

    /// Counts a request that was sent to another server.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// Counts a request as in flight.
    pub fn begin(&self) {
        self.in_flight.inc();
    }

    /// Counts it no longer.
    pub fn end(&self) {
        self.in_flight.dec();
    }
}
