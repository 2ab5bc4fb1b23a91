//! Metrics: one table of their names, and the counters behind them.
//!
//! Every metric is a row of [`NAMES`], from which it is registered and the reference is written. Counters with labels
//! are created once and held by the code that increments them; no record or request looks a label up.
//!
//! ```
//! use tidemill::metrics::{HTTP_REQUESTS, Metrics, NAMES, Traffic};
//!
//! let metrics = Metrics::new("flights");
//! Traffic::new(&metrics, "/predict").count(200, std::time::Duration::from_millis(1));
//! let text = String::from_utf8(metrics.exposition()).unwrap();
//! assert!(text.contains("tidemill_http_requests_total{code=\"200\",route=\"/predict\"} 1"));
//! assert!(NAMES.iter().any(|metric| metric.name == HTTP_REQUESTS.name));
//! ```

mod arms;
mod backend_traffic;
mod dropped;
mod freshness;
mod gateway_counters;
mod nulls;
mod process;
mod replica;
mod status;
mod traffic;

pub use arms::{PredictionCounter, ShadowCounters};
pub use backend_traffic::BackendTraffic;
pub use dropped::DroppedCounts;
pub use freshness::Freshness;
pub use nulls::{NullCounter, NullCounts, NullMetric, NullReason};
pub use process::{Metrics, OperatorCounts};
pub use status::{FreshnessQuantiles, GroupStatus, SourceStatus};
pub use traffic::Traffic;

/// A metric: its name, labels and help.
#[derive(Clone, Copy, Debug)]
pub struct MetricName {
    pub name: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

macro_rules! names {
    ($($constant:ident = $name:literal, [$($label:literal),*], $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: MetricName = MetricName { name: $name, labels: &[$($label),*], help: $help };)*
        /// Every metric, in the order of the reference.
        pub const NAMES: &[MetricName] = &[$($constant),*];
    };
}

names! {
    READY = "tidemill_ready", [], "1 if /health/ready answers 200, else 0.";
    OPERATOR_IN = "tidemill_operator_records_in_total", ["dataflow", "operator", "kind"], "Records received by an operator of the graph.";
    OPERATOR_OUT = "tidemill_operator_records_out_total", ["dataflow", "operator", "kind"], "Records sent by an operator of the graph.";
    OPERATOR_BUSY = "tidemill_operator_busy_seconds_total", ["dataflow", "operator", "kind"], "Time that an operator was running, summed over all workers.";
    SOURCE_RECORDS = "tidemill_source_records_total", ["source", "partition", "outcome"], "Records by outcome; the outcome read counts all of them.";
    SOURCE_IN_FLIGHT = "tidemill_source_in_flight_records", ["source", "partition"], "Records that have been read and whose effective time is not closed yet.";
    SOURCE_OVERTAKEN = "tidemill_source_overtaken_total", ["source"], "Records that arrived behind the input frontier and took effect there.";
    SOURCE_LAG = "tidemill_source_lag_records", ["source", "partition"], "Records of a Kafka partition that have not been read yet.";
    STATE_BYTES = "tidemill_state_bytes", ["operator"], "Memory that an operator's state holds; of operators that do not measure it, its size in the newest checkpoint.";
    ENTITIES_DROPPED = "tidemill_entities_dropped_total", ["group"], "Entities that a feature group has dropped at its bound: those longest without a record.";
    CHECKPOINT_SECONDS = "tidemill_checkpoint_duration_seconds", [], "Time from triggering a checkpoint until it is current.";
    CHECKPOINT_LAST = "tidemill_checkpoint_last_timestamp_seconds", [], "Wall-clock time at which the newest checkpoint became current.";
    CHECKPOINT_FAILURES = "tidemill_checkpoint_failures_total", [], "Checkpoints that could not be written.";
    WATERMARK = "tidemill_watermark_timestamp_seconds", ["source"], "Event time before which no further record of the source takes effect.";
    EVENT_TIME_AHEAD = "tidemill_event_time_ahead_seconds", [], "How far event time is ahead of both the wall clock and the newest record; above 0 only after the wall clock was ahead.";
    NULLS = "tidemill_null_values_total", ["operator", "reason"], "Values that are null because they could not be computed, by operator and reason.";
    UNLABELLED = "tidemill_model_unlabelled_total", ["model"], "Examples dropped because no label arrived in time.";
    REFUSED_LABELS = "tidemill_model_refused_labels_total", ["model", "reason"], "Examples dropped because the model's kind cannot learn their label, by reason.";
    MODEL_VERSION = "tidemill_model_version", ["model", "alias"], "Version that an alias points to.";
    MODEL_PSI = "tidemill_model_psi", ["model", "input"], "Population stability index of an input: the newest window against the champion's training window.";
    MODEL_PREDICTION_PSI = "tidemill_model_prediction_psi", ["model"], "The same of the champion's predictions.";
    MODEL_DRIFT = "tidemill_model_drift_total", ["model"], "Rises of the champion's error, as noticed by ADWIN.";
    MODEL_DIVERGED = "tidemill_model_diverged_total", ["model"], "Versions that were refused because their error on their own window was above that of no skill.";
    MODEL_ROLLBACKS = "tidemill_model_rollbacks_total", ["model"], "Champions that fell behind their predecessor and were rolled back.";
    MODEL_ARM_SCORE = "tidemill_model_arm_score", ["model", "metric", "arm"], "Score of an arm of a split over the newest window, on all of its examples.";
    SPLIT_SHARE = "tidemill_split_share", ["model", "arm"], "Share of the entities that an arm of a split answers, once its ramp is over.";
    SPLIT_TAKEN_BACK = "tidemill_split_taken_back_total", ["model"], "Splits with a ramp that were cleared because an arm fell behind the champion.";
    PREDICTIONS = "tidemill_predictions_total", ["model", "arm"], "Instances that were predicted for, by the arm that answered: champion without a split, and version where the request named one.";
    SHADOW_PREDICTIONS = "tidemill_shadow_predictions_total", ["model", "arm"], "Instances that a shadow predicted for beside the answer.";
    SHADOW_DIFFERENCE = "tidemill_shadow_difference_total", ["model", "arm"], "Sum of the differences between a shadow's predictions and the answers: absolute, of classes half the sum over all.";
    SHADOW_SKIPPED = "tidemill_shadow_skipped_total", ["model", "arm"], "Instances that a shadow was to predict for and did not: shadows have had their part of the time, or lacked a version or an input.";
    MODEL_SCORE = "tidemill_model_score", ["model", "metric", "role"], "Prequential score over the newest window, by role: champion, predecessor, newest, no_skill, or persistence where keys are named.";
    STATE_ENTITIES = "tidemill_online_entities", ["group"], "Entities in the online store.";
    FRESHNESS = "tidemill_feature_freshness_seconds", ["group"], "Wall-clock time from the newest event time of a batch of records until the online store has their features; only for topics that follow the wall clock.";
    REDIS_UP = "tidemill_redis_up", [], "1 while features are written to Redis or, by a replica, read from it, else 0; absent without Redis.";
    REDIS_PENDING = "tidemill_redis_pending_keys", ["group"], "Entities whose newest vector is not in Redis yet.";
    REDIS_WRITTEN = "tidemill_redis_written_total", ["group"], "Vectors written to Redis and entities deleted from it.";
    REDIS_REFUSED = "tidemill_redis_refused_total", ["group", "reason"], "Writes of an entity that Redis refused, by its error code; the log names the keys.";
    REPLICA_WATERMARK = "tidemill_replica_watermark_timestamp_seconds", [], "Event time before which everything is closed in what a replica answers from.";
    REPLICA_LAG = "tidemill_replica_lag_seconds", [], "Event time by which the newest record that the run has read is ahead of the newest in what a replica answers from.";
    REPLICA_RUN = "tidemill_replica_run_written_timestamp_seconds", [], "Time at which the run last wrote to the Redis that a replica reads, by the run's clock.";
    REPLICA_REGISTRY = "tidemill_replica_registry_read_timestamp_seconds", [], "Time at which a replica last read the registry.";
    TLS_EXPIRY = "tidemill_tls_certificate_expiry_timestamp_seconds", [], "Time at which the certificate of the endpoint expires; absent without TLS.";
    TLS_FAILURES = "tidemill_tls_handshake_failures_total", [], "Connections that ended before TLS was agreed on.";
    GATEWAY_UP = "tidemill_gateway_server_up", ["server"], "1 while a server behind the gateway gets requests, else 0.";
    GATEWAY_REQUESTS = "tidemill_gateway_requests_total", ["server", "code"], "Requests that a server behind the gateway has answered; the code is error if it did not.";
    GATEWAY_RETRIES = "tidemill_gateway_retries_total", ["server"], "Requests that were sent to another server because this one failed.";
    GATEWAY_IN_FLIGHT = "tidemill_gateway_in_flight_requests", ["server"], "Requests that a server behind the gateway has not answered yet.";
    HTTP_REQUESTS = "tidemill_http_requests_total", ["route", "code"], "HTTP requests answered.";
    HTTP_SECONDS = "tidemill_http_request_duration_seconds", ["route"], "Time from the head of a request until its response.";
}
