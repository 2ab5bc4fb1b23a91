//! The metrics of the servers behind a gateway, registered.

use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::{GATEWAY_IN_FLIGHT, GATEWAY_REQUESTS, GATEWAY_RETRIES, GATEWAY_UP, MetricName};

/// The metrics of all servers.
#[derive(Debug)]
pub struct GatewayCounters {
    pub up: IntGaugeVec,
    pub requests: IntCounterVec,
    pub retries: IntCounterVec,
    pub in_flight: IntGaugeVec,
}

impl GatewayCounters {
    /// Registers the metrics.
    pub fn new(registry: &Registry) -> Self {
        fn registered<M: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<M>) -> M {
            let metric = metric.expect("the name is a valid metric name");
            registry.register(Box::new(metric.clone())).expect("each name is registered once");
            metric
        }
        let opts = |name: MetricName| Opts::new(name.name, name.help);
        GatewayCounters {
            up: registered(registry, IntGaugeVec::new(opts(GATEWAY_UP), GATEWAY_UP.labels)),
            requests: registered(registry, IntCounterVec::new(opts(GATEWAY_REQUESTS), GATEWAY_REQUESTS.labels)),
            retries: registered(registry, IntCounterVec::new(opts(GATEWAY_RETRIES), GATEWAY_RETRIES.labels)),
            in_flight: registered(registry, IntGaugeVec::new(opts(GATEWAY_IN_FLIGHT), GATEWAY_IN_FLIGHT.labels)),
        }
    }
}
