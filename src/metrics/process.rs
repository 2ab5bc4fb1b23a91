//! The metrics of a process, registered and counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{
    CounterVec, Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::arms::ArmMetrics;
use super::gateway_counters::GatewayCounters;
use super::replica::ReplicaMetrics;
use super::{
    CHECKPOINT_FAILURES, CHECKPOINT_LAST, CHECKPOINT_SECONDS, ENTITIES_DROPPED, EVENT_TIME_AHEAD, FRESHNESS,
    HTTP_REQUESTS, HTTP_SECONDS, MODEL_DIVERGED, MODEL_DRIFT, MODEL_PREDICTION_PSI, MODEL_PSI, MODEL_ROLLBACKS,
    MODEL_SCORE, MODEL_VERSION, MetricName, NULLS, NullMetric, OPERATOR_BUSY, OPERATOR_IN, OPERATOR_OUT, READY,
    REDIS_PENDING, REDIS_REFUSED, REDIS_UP, REDIS_WRITTEN, REFUSED_LABELS, SOURCE_IN_FLIGHT, SOURCE_LAG,
    SOURCE_OVERTAKEN, SOURCE_RECORDS, STATE_BYTES, STATE_ENTITIES, TLS_EXPIRY, TLS_FAILURES, UNLABELLED, WATERMARK,
};

/// Counts of one operator of the graph, all workers together, as timely logs them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OperatorCounts {
    pub records_in: u64,
    pub records_out: u64,
    pub busy_seconds: f64,
}

/// All metrics of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub ready: IntGaugeVec,
    operator_in: IntCounterVec,
    operator_out: IntCounterVec,
    operator_busy: CounterVec,
    pub source_records: IntCounterVec,
    pub source_in_flight: IntGaugeVec,
    pub(super) source_overtaken: IntCounterVec,
    pub source_lag: IntGaugeVec,
    pub state_bytes: IntGaugeVec,
    pub(super) entities_dropped: IntCounterVec,
    checkpoint_seconds: HistogramVec,
    checkpoint_last: GaugeVec,
    checkpoint_failures: IntCounterVec,
    pub watermark: GaugeVec,
    pub event_time_ahead: GaugeVec,
    pub nulls: IntCounterVec,
    pub unlabelled: IntCounterVec,
    pub refused_labels: IntCounterVec,
    pub model_version: IntGaugeVec,
    pub model_psi: GaugeVec,
    pub model_prediction_psi: GaugeVec,
    pub model_drift: IntCounterVec,
    pub model_diverged: IntCounterVec,
    pub model_rollbacks: IntCounterVec,
    pub model_score: GaugeVec,
    pub arms: ArmMetrics,
    pub online_entities: IntGaugeVec,
    pub freshness: HistogramVec,
    pub redis_up: IntGaugeVec,
    pub redis_pending: IntGaugeVec,
    pub redis_written: IntCounterVec,
    pub redis_refused: IntCounterVec,
    pub(super) gateway: GatewayCounters,
    pub replica: ReplicaMetrics,
    tls_expiry: GaugeVec,
    tls_failures: IntCounterVec,
    pub http_requests: IntCounterVec,
    pub http_seconds: HistogramVec,
    operators: Mutex<BTreeMap<String, OperatorCounts>>,
    dataflow: String,
}

fn opts(name: MetricName) -> Opts {
    Opts::new(name.name, name.help)
}

/// Registers a histogram of seconds, each of whose buckets is twice as wide as the one before.
fn histogram(registry: &Registry, name: MetricName, least: f64, buckets: usize) -> HistogramVec {
    let buckets = prometheus::exponential_buckets(least, 2.0, buckets).expect("the buckets rise");
    let seconds = HistogramOpts::from(opts(name)).buckets(buckets);
    let histogram = HistogramVec::new(seconds, name.labels).expect("the name is a valid metric name");
    registry.register(Box::new(histogram.clone())).expect("each name is registered once");
    histogram
}

impl Metrics {
    /// Registers all metrics, for a dataflow of this name.
    pub fn new(dataflow: &str) -> Arc<Self> {
        // Each metric is registered under its name in `names!`.
        let registry = Registry::new();
        macro_rules! register {
            ($kind:ident, $name:expr) => {{
                let metric = $kind::new(opts($name), $name.labels).expect("the name is a valid metric name");
                registry.register(Box::new(metric.clone())).expect("each name is registered once");
                metric
            }};
        }
        // The upper bounds: 50 us to 1.6 s of a request, 1 ms to 9 min of freshness, 1 ms to 33 s of a checkpoint.
        let http_seconds = histogram(&registry, HTTP_SECONDS, 50e-6, 16);
        let freshness = histogram(&registry, FRESHNESS, 1e-3, 20);
        let checkpoint_seconds = histogram(&registry, CHECKPOINT_SECONDS, 1e-3, 16);
        let metrics = Arc::new(Metrics {
            ready: register!(IntGaugeVec, READY),
            operator_in: register!(IntCounterVec, OPERATOR_IN),
            operator_out: register!(IntCounterVec, OPERATOR_OUT),
            operator_busy: register!(CounterVec, OPERATOR_BUSY),
            source_records: register!(IntCounterVec, SOURCE_RECORDS),
            source_in_flight: register!(IntGaugeVec, SOURCE_IN_FLIGHT),
            source_overtaken: register!(IntCounterVec, SOURCE_OVERTAKEN),
            source_lag: register!(IntGaugeVec, SOURCE_LAG),
            state_bytes: register!(IntGaugeVec, STATE_BYTES),
            entities_dropped: register!(IntCounterVec, ENTITIES_DROPPED),
            checkpoint_seconds,
            checkpoint_last: register!(GaugeVec, CHECKPOINT_LAST),
            checkpoint_failures: register!(IntCounterVec, CHECKPOINT_FAILURES),
            watermark: register!(GaugeVec, WATERMARK),
            event_time_ahead: register!(GaugeVec, EVENT_TIME_AHEAD),
            nulls: register!(IntCounterVec, NULLS),
            unlabelled: register!(IntCounterVec, UNLABELLED),
            refused_labels: register!(IntCounterVec, REFUSED_LABELS),
            model_version: register!(IntGaugeVec, MODEL_VERSION),
            model_psi: register!(GaugeVec, MODEL_PSI),
            model_prediction_psi: register!(GaugeVec, MODEL_PREDICTION_PSI),
            model_drift: register!(IntCounterVec, MODEL_DRIFT),
            model_diverged: register!(IntCounterVec, MODEL_DIVERGED),
            model_rollbacks: register!(IntCounterVec, MODEL_ROLLBACKS),
            model_score: register!(GaugeVec, MODEL_SCORE),
            arms: ArmMetrics::new(&registry),
            online_entities: register!(IntGaugeVec, STATE_ENTITIES),
            freshness,
            redis_up: register!(IntGaugeVec, REDIS_UP),
            redis_pending: register!(IntGaugeVec, REDIS_PENDING),
            redis_written: register!(IntCounterVec, REDIS_WRITTEN),
            redis_refused: register!(IntCounterVec, REDIS_REFUSED),
            gateway: GatewayCounters::new(&registry),
            replica: ReplicaMetrics::new(&registry),
            tls_expiry: register!(GaugeVec, TLS_EXPIRY),
            tls_failures: register!(IntCounterVec, TLS_FAILURES),
            http_requests: register!(IntCounterVec, HTTP_REQUESTS),
            http_seconds,
            operators: Mutex::default(),
            dataflow: dataflow.to_owned(),
            registry,
        });
        metrics.checkpoint_failures.with_label_values::<&str>(&[]);
        metrics
    }

    /// Exports the counters of rare events of a model, at 0 until the first one: an increase from nothing would not be seen.
    pub fn export_model(&self, model: &str) {
        for counter in [&self.model_drift, &self.model_diverged, &self.model_rollbacks] {
            counter.with_label_values(&[model]);
        }
    }

    /// Records that a checkpoint became current, `took` after it was triggered.
    pub fn checkpoint_written(&self, took: Duration) {
        let none: &[&str] = &[];
        self.checkpoint_seconds.with_label_values(none).observe(took.as_secs_f64());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64());
        self.checkpoint_last.with_label_values(none).set(now);
    }

    /// Counts a checkpoint that could not be written.
    pub fn checkpoint_failed(&self) {
        let none: &[&str] = &[];
        self.checkpoint_failures.with_label_values(none).inc();
    }

    /// Records that a certificate is in force until `expiry`, in seconds since 1970.
    pub fn certificate_expires(&self, expiry: i64) {
        let none: &[&str] = &[];
        self.tls_expiry.with_label_values(none).set(expiry as f64);
    }

    /// Counts a connection that ended before TLS was agreed on.
    pub fn handshake_failed(&self) {
        let none: &[&str] = &[];
        self.tls_failures.with_label_values(none).inc();
    }

    /// Returns the counts of null values in a place outside the graph.
    pub fn nulls_of(&self, place: impl Into<String>) -> NullMetric {
        NullMetric { counters: self.nulls.clone(), place: place.into() }
    }

    /// Raises the count of a source's overtaken records to `count`.
    pub fn overtaken_so_far(&self, source: &str, count: u64) {
        let counter = self.source_overtaken.with_label_values(&[source]);
        counter.inc_by(count.saturating_sub(counter.get()));
    }

    /// Raises the count of the entities that a group with a bound has dropped to `count`.
    pub fn dropped_so_far(&self, group: &str, count: u64) {
        let counter = self.entities_dropped.with_label_values(&[group]);
        counter.inc_by(count.saturating_sub(counter.get()));
    }

    /// Adds what a worker has counted of an operator since its previous call.
    pub fn count_operator(&self, operator: &str, kind: &str, counts: &OperatorCounts) {
        let labels = [self.dataflow.as_str(), operator, kind];
        self.operator_in.with_label_values(&labels).inc_by(counts.records_in);
        self.operator_out.with_label_values(&labels).inc_by(counts.records_out);
        self.operator_busy.with_label_values(&labels).inc_by(counts.busy_seconds);
        let mut operators = self.operators.lock().expect("no holder panics");
        let total = operators.entry(operator.to_owned()).or_default();
        total.records_in += counts.records_in;
        total.records_out += counts.records_out;
        total.busy_seconds += counts.busy_seconds;
    }

    /// Every operator with its counts, by name.
    pub fn operators(&self) -> BTreeMap<String, OperatorCounts> {
        self.operators.lock().expect("no holder panics").clone()
    }

    /// All metrics in the text format of Prometheus.
    pub fn exposition(&self) -> Vec<u8> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("metrics always have a text form");
        text
    }
}
