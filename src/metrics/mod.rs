//! Metrics: their names, in one place, and what is counted under them.
//!
//! Every metric is a row of [`NAMES`], from which it is registered and the reference is written. Children with labels
//! are made once and kept by who counts; nothing on the path of a record looks a label up.

mod freshness;
mod traffic;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use prometheus::{
    CounterVec, Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

pub use freshness::Freshness;
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
    READY = "tidemill_ready", [], "1 if nothing stands against asking it for predictions, as /health/ready says, else 0.";
    OPERATOR_IN = "tidemill_operator_records_in_total", ["dataflow", "operator", "kind"], "Records that an operator of the graph took in.";
    OPERATOR_OUT = "tidemill_operator_records_out_total", ["dataflow", "operator", "kind"], "Records that an operator of the graph gave out.";
    OPERATOR_BUSY = "tidemill_operator_busy_seconds_total", ["dataflow", "operator", "kind"], "Time that an operator was running, all workers together.";
    SOURCE_RECORDS = "tidemill_source_records_total", ["source", "partition", "outcome"], "Records by what became of them; outcome read counts all.";
    SOURCE_IN_FLIGHT = "tidemill_source_in_flight_records", ["source", "partition"], "Records read whose time is not closed yet.";
    WATERMARK = "tidemill_watermark_timestamp_seconds", ["source"], "Event time before which no record of the source takes effect any more.";
    UNLABELLED = "tidemill_model_unlabelled_total", ["model"], "Examples dropped because no label came in time.";
    MODEL_VERSION = "tidemill_model_version", ["model", "alias"], "Version that an alias points to.";
    MODEL_SCORE = "tidemill_model_score", ["model", "metric", "role"], "Prequential score over the newest window, by role: champion, predecessor, newest or no_skill.";
    STATE_ENTITIES = "tidemill_online_entities", ["group"], "Entities in the online store.";
    FRESHNESS = "tidemill_feature_freshness_seconds", ["group"], "Wall-clock time from the newest event time of a batch of records to their features being in the online store; of topics that follow the wall clock.";
    REDIS_UP = "tidemill_redis_up", [], "1 while the features are being written to Redis, else 0; absent without Redis.";
    REDIS_OWED = "tidemill_redis_owed_keys", ["group"], "Entities whose newest vector is not in Redis yet.";
    REDIS_WRITTEN = "tidemill_redis_written_total", ["group"], "Vectors written to Redis, and entities deleted there.";
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
    pub ready: IntGaugeVec,
    operator_in: IntCounterVec,
    operator_out: IntCounterVec,
    operator_busy: CounterVec,
    pub source_records: IntCounterVec,
    pub source_in_flight: IntGaugeVec,
    pub watermark: GaugeVec,
    pub unlabelled: IntCounterVec,
    pub model_version: IntGaugeVec,
    pub model_score: GaugeVec,
    pub online_entities: IntGaugeVec,
    pub freshness: HistogramVec,
    pub redis_up: IntGaugeVec,
    pub redis_owed: IntGaugeVec,
    pub redis_written: IntCounterVec,
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
        let histogram = |name: Name, least: f64, buckets: usize| {
            let buckets = prometheus::exponential_buckets(least, 2.0, buckets).expect("the buckets rise");
            let seconds = HistogramOpts::from(opts(name)).buckets(buckets);
            let histogram = HistogramVec::new(seconds, name.labels).expect("the name is a valid metric name");
            registry.register(Box::new(histogram.clone())).expect("each name is registered once");
            histogram
        };
        let http_seconds = histogram(HTTP_SECONDS, 50e-6, 16);
        let freshness = histogram(FRESHNESS, 1e-3, 20);
        Arc::new(Metrics {
            ready: register!(IntGaugeVec, READY),
            operator_in: register!(IntCounterVec, OPERATOR_IN),
            operator_out: register!(IntCounterVec, OPERATOR_OUT),
            operator_busy: register!(CounterVec, OPERATOR_BUSY),
            source_records: register!(IntCounterVec, SOURCE_RECORDS),
            source_in_flight: register!(IntGaugeVec, SOURCE_IN_FLIGHT),
            watermark: register!(GaugeVec, WATERMARK),
            unlabelled: register!(IntCounterVec, UNLABELLED),
            model_version: register!(IntGaugeVec, MODEL_VERSION),
            model_score: register!(GaugeVec, MODEL_SCORE),
            online_entities: register!(IntGaugeVec, STATE_ENTITIES),
            freshness,
            redis_up: register!(IntGaugeVec, REDIS_UP),
            redis_owed: register!(IntGaugeVec, REDIS_OWED),
            redis_written: register!(IntCounterVec, REDIS_WRITTEN),
            http_requests: register!(IntCounterVec, HTTP_REQUESTS),
            http_seconds,
            operators: Mutex::default(),
            dataflow: dataflow.to_owned(),
            registry,
        })
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
