//! Metrics: their names, in one place, and what is counted under them.
//!
//! Every metric is a row of [`NAMES`], from which it is registered and the reference is written. Children with labels
//! are made once and kept by who counts; nothing on the path of a record looks a label up.

mod traffic;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{
    CounterVec, Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

pub use traffic::Traffic;

/// A metric: its name, labels and help.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    pub name: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

macro_rules! names {
    ($($constant:ident = $name:literal, [$($label:literal),*], $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: Name = Name { name: $name, labels: &[$($label),*], help: $help };)*
        /// Every metric, in the order of the reference.
        pub const NAMES: &[Name] = &[$($constant),*];
    };
}

names! {
    OPERATOR_IN = "tidemill_operator_records_in_total", ["dataflow", "operator", "kind"], "Records that an operator of the graph took in.";
    OPERATOR_OUT = "tidemill_operator_records_out_total", ["dataflow", "operator", "kind"], "Records that an operator of the graph gave out.";
    OPERATOR_BUSY = "tidemill_operator_busy_seconds_total", ["dataflow", "operator", "kind"], "Time that an operator was running, all workers together.";
    SOURCE_RECORDS = "tidemill_source_records_total", ["source", "partition", "outcome"], "Records by what became of them; outcome read counts all.";
    SOURCE_IN_FLIGHT = "tidemill_source_in_flight_records", ["source", "partition"], "Records read whose time is not closed yet.";
    SOURCE_OVERTAKEN = "tidemill_source_overtaken_total", ["source"], "Records that came below the frontier and were folded in there.";
    SOURCE_LAG = "tidemill_source_lag_records", ["source", "partition"], "Records of a Kafka partition that have not been read.";
    STATE_BYTES = "tidemill_state_bytes", ["operator"], "Size of an operator's state in the newest checkpoint.";
    CHECKPOINT_SECONDS = "tidemill_checkpoint_duration_seconds", [], "Time from asking for a checkpoint until it is current.";
    CHECKPOINT_LAST = "tidemill_checkpoint_last_timestamp_seconds", [], "Wall time at which the newest checkpoint became current.";
    CHECKPOINT_FAILURES = "tidemill_checkpoint_failures_total", [], "Checkpoints that could not be written.";
    WATERMARK = "tidemill_watermark_timestamp_seconds", ["source"], "Event time before which no record of the source takes effect any more.";
    UNLABELLED = "tidemill_model_unlabelled_total", ["model"], "Examples dropped because no label came in time.";
    MODEL_VERSION = "tidemill_model_version", ["model", "alias"], "Version that an alias points to.";
    MODEL_SCORE = "tidemill_model_score", ["model", "metric", "role"], "Prequential score over the newest window, by role: champion, predecessor, newest or no_skill.";
    STATE_ENTITIES = "tidemill_online_entities", ["group"], "Entities in the online store.";
    HTTP_REQUESTS = "tidemill_http_requests_total", ["route", "code"], "Requests answered.";
    HTTP_SECONDS = "tidemill_http_request_duration_seconds", ["route"], "Time from a request's head to its answer.";
}

/// What the listener on timely's logging knows of one operator, all workers together.
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
    operator_in: IntCounterVec,
    operator_out: IntCounterVec,
    operator_busy: CounterVec,
    pub source_records: IntCounterVec,
    pub source_in_flight: IntGaugeVec,
    source_overtaken: IntCounterVec,
    pub source_lag: IntGaugeVec,
    pub state_bytes: IntGaugeVec,
    checkpoint_seconds: HistogramVec,
    checkpoint_last: GaugeVec,
    checkpoint_failures: IntCounterVec,
    pub watermark: GaugeVec,
    pub unlabelled: IntCounterVec,
    pub model_version: IntGaugeVec,
    pub model_score: GaugeVec,
    pub online_entities: IntGaugeVec,
    pub http_requests: IntCounterVec,
    pub http_seconds: HistogramVec,
    operators: Mutex<BTreeMap<String, OperatorCounts>>,
    dataflow: String,
}

fn opts(name: Name) -> Opts {
    Opts::new(name.name, name.help)
}

impl Metrics {
    /// The metrics of a dataflow, all registered.
    pub fn new(dataflow: &str) -> Arc<Self> {
        let registry = Registry::new();
        macro_rules! register {
            ($kind:ident, $name:expr) => {{
                let metric = $kind::new(opts($name), $name.labels).expect("the name is a valid metric name");
                registry.register(Box::new(metric.clone())).expect("each name is registered once");
                metric
            }};
        }
        let histogram = |name: Name, least: f64| {
            let buckets = prometheus::exponential_buckets(least, 2.0, 16).expect("the buckets rise");
            let seconds = HistogramOpts::from(opts(name)).buckets(buckets);
            let metric = HistogramVec::new(seconds, name.labels).expect("the name is a valid metric name");
            registry.register(Box::new(metric.clone())).expect("each name is registered once");
            metric
        };
        let http_seconds = histogram(HTTP_SECONDS, 50e-6);
        let checkpoint_seconds = histogram(CHECKPOINT_SECONDS, 1e-3);
        Arc::new(Metrics {
            operator_in: register!(IntCounterVec, OPERATOR_IN),
            operator_out: register!(IntCounterVec, OPERATOR_OUT),
            operator_busy: register!(CounterVec, OPERATOR_BUSY),
            source_records: register!(IntCounterVec, SOURCE_RECORDS),
            source_in_flight: register!(IntGaugeVec, SOURCE_IN_FLIGHT),
            source_overtaken: register!(IntCounterVec, SOURCE_OVERTAKEN),
            source_lag: register!(IntGaugeVec, SOURCE_LAG),
            state_bytes: register!(IntGaugeVec, STATE_BYTES),
            checkpoint_seconds,
            checkpoint_last: register!(GaugeVec, CHECKPOINT_LAST),
            checkpoint_failures: register!(IntCounterVec, CHECKPOINT_FAILURES),
            watermark: register!(GaugeVec, WATERMARK),
            unlabelled: register!(IntCounterVec, UNLABELLED),
            model_version: register!(IntGaugeVec, MODEL_VERSION),
            model_score: register!(GaugeVec, MODEL_SCORE),
            online_entities: register!(IntGaugeVec, STATE_ENTITIES),
            http_requests: register!(IntCounterVec, HTTP_REQUESTS),
            http_seconds,
            operators: Mutex::default(),
            dataflow: dataflow.to_owned(),
            registry,
        })
    }

    /// A checkpoint became current, so long after it was asked for.
    pub fn checkpoint_written(&self, took: Duration) {
        let none: &[&str] = &[];
        self.checkpoint_seconds.with_label_values(none).observe(took.as_secs_f64());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64());
        self.checkpoint_last.with_label_values(none).set(now);
    }

    /// A checkpoint could not be written.
    pub fn checkpoint_failed(&self) {
        let none: &[&str] = &[];
        self.checkpoint_failures.with_label_values(none).inc();
    }

    /// Brings the count of a source's overtaken records up to date.
    pub fn overtaken_so_far(&self, source: &str, count: u64) {
        let counter = self.source_overtaken.with_label_values(&[source]);
        counter.inc_by(count.saturating_sub(counter.get()));
    }

    /// Adds what a worker's listener has counted since it last said.
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

    /// The text that Prometheus scrapes.
    pub fn exposition(&self) -> Vec<u8> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("metrics always have a text form");
        text
    }
}
