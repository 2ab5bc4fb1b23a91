//! Metrics of a replica: how far it is behind the run, and behind the registry.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Gauge, GaugeVec, Opts, Registry};

use super::{MetricName, REPLICA_LAG, REPLICA_REGISTRY, REPLICA_RUN, REPLICA_WATERMARK};

/// Metrics of a replica. Each is exported from its first value on: a run has none.
#[derive(Debug)]
pub struct ReplicaMetrics {
    watermark: GaugeVec,
    lag: GaugeVec,
    run: GaugeVec,
    registry: GaugeVec,
}

impl ReplicaMetrics {
    /// Registers them.
    pub fn new(registry: &Registry) -> Self {
        let register = |name: MetricName| {
            let gauge = GaugeVec::new(Opts::new(name.name, name.help), name.labels);
            let gauge = gauge.expect("the name is a valid metric name");
            registry.register(Box::new(gauge.clone())).expect("each name is registered once");
            gauge
        };
        ReplicaMetrics {
            watermark: register(REPLICA_WATERMARK),
            lag: register(REPLICA_LAG),
            run: register(REPLICA_RUN),
            registry: register(REPLICA_REGISTRY),
        }
    }

    /// Sets the time before which everything is closed, in epoch ms.
    pub fn closed_up_to(&self, time_ms: i64) {
        of(&self.watermark).set(time_ms as f64 / 1e3);
    }

    /// Sets the event time, in ms, by which the run is ahead.
    pub fn behind_by(&self, lag_ms: i64) {
        of(&self.lag).set(lag_ms as f64 / 1e3);
    }

    /// Sets the time at which the run has written, in epoch ms.
    pub fn run_written_at(&self, time_ms: i64) {
        of(&self.run).set(time_ms as f64 / 1e3);
    }

    /// Records that the registry has been read now.
    pub fn registry_read(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64());
        of(&self.registry).set(now);
    }
}

fn of(gauge: &GaugeVec) -> Gauge {
    gauge.with_label_values::<&str>(&[])
}
