//! Snapshots: the state of every operator as of one closed event time.
//!
//! A snapshot is asked for at a time T that no operator has passed yet. Each operator, when its frontier reaches T,
//! finishes what is before T, saves, and goes on ([`OperatorCheckpoint`]); so the parts agree without stopping anything. The state of
//! feature groups is handed over as it is and shared with what goes on, to be encoded by whoever writes the snapshot. A
//! [`CheckpointCoordinator`] gathers the parts, and deals them out again to a graph that starts from them, on any number of workers:
//! parts are keyed inside by what the operator exchanges by, and each worker keeps its share. An [`Archive`] keeps
//! snapshots on disk, beside the [`Journal`] of what came too late for time to wait.

mod coordinator;
mod journal;
mod operator;
mod store;

pub use coordinator::{CheckpointCoordinator, LazyPart, PendingSnapshot, SnapshotParts};
pub use journal::{Journal, Overtaken};
pub use operator::{OperatorCheckpoint, Stretch};
pub use store::{CheckpointStore, Fingerprint, StoredCheckpoint, WrittenCheckpoint};

/// The part of a snapshot that holds the versions published so far: not an operator's.
pub const JOB_EVENTS: &str = "outputs";

/// The part of a snapshot that holds the ids of Kafka's topics: not an operator's.
pub const TOPIC_IDS: &str = "topic_ids";

/// Why saved state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("the saved state of operator {operator} cannot be read")]
    Undecodable {
        operator: String,
        #[source]
        source: postcard::Error,
    },
    #[error("checkpoint url `{0}`: expected a path or file://…")]
    Url(String),
    #[error("checkpoint folder `{path}` cannot be used")]
    Folder {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("journal `{path}` cannot be {action}")]
    Journal {
        path: String,
        action: &'static str,
        #[source]
        source: std::io::Error,
    },
    /// What the store says has its causes in it.
    #[error("checkpoints: {action} `{path}` failed: {why}")]
    Store { action: &'static str, path: String, why: object_store::Error },
    #[error("checkpoint `{path}` is damaged: {detail}")]
    Damaged { path: String, detail: String },
    #[error("checkpoint `{path}` is of another version of tidemill: it has format {format}, expected {expected}")]
    Format { path: String, format: u32, expected: u32 },
    #[error("{path}: not a record of the journal: {detail}")]
    NoRecord { path: String, detail: String },
}
