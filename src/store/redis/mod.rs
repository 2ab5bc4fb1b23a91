//! The Redis mirror of the online store: each feature group's newest vectors, one hash an entity.
//!
//! The store in the process always has the newest vector of every entity, so the mirror queues keys, not vectors: a key
//! that changes is marked dirty, and the [`RedisWriter`]'s thread reads the newest vector when it writes. So no worker of
//! the graph waits for Redis, the queue is bounded by the number of entities, and writing a vector twice does no harm.
//!
//! If Redis is unreachable, slow or failing, the writer retries with pauses. If the server has been replaced or emptied,
//! which its `run_id` and a token that is stored there tell, everything is written again.
//!
//! A key that the server refuses to write is named in the log and counted, and the others go on. One that holds another
//! type than a hash is replaced, as all keys below `tidemill:{dataflow}:` are the mirror's; others are tried again now and
//! then. If the server has no memory or is read-only, it is tried again like one that is unreachable.
//!
//! Replicas (`tidemill serve`) answer from Redis as the run does from its store. For them, vectors are written in a binary
//! form as well, and the rows of tables: `replica_layout` has the layout, [`RemoteStore`] reads it.
//!
//! A client never reads an older vector of an entity than it has read before, whatever restarts: the job's progress is
//! written before the vectors ([`JobProgress`]), and a writer that starts waits until its job has caught up with it.
//!
//! ```
//! use tidemill::store::redis::key_text;
//! use tidemill::value::Scalar;
//!
//! assert_eq!(key_text("flights", "airport", &[Scalar::String("JFK".into())]), "tidemill:flights:airport:JFK");
//! ```

mod catch_up;
mod connection;
mod layout;
mod mirror_loop;
mod part;
mod queue;
mod refusal;
mod remote_store;
mod replica_layout;
mod replica_reader;
mod replica_state;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Online;
use super::memory::OnlineTable;
use crate::aggregate::Feature;
use crate::metrics::Metrics;
use crate::time::{EventTime, PartitionId};

pub use layout::key_text;
pub use mirror_loop::MirrorStatus;
pub use remote_store::{FetchError, RemoteStore, RemoteStoreConfig, RemoteTableConfig};
pub use replica_layout::{ReplicaDefinition, RunProgress};
pub use writer::RedisWriter;

/// Computes features from a vector.
pub type DerivedValues = Arc<dyn Fn(&[Feature]) -> Vec<Feature> + Send + Sync>;

/// A feature group that is mirrored.
#[derive(Clone)]
pub struct MirroredGroup {
    pub name: String,
    /// The names of the features, in the order of the group's vectors, then of the derived ones that are written.
    pub features: Vec<String>,
    /// Computes the derived features that are written, from a vector; `None` if there are none.
    pub derived: Option<DerivedValues>,
    pub table: Arc<OnlineTable>,
    /// The time after an entity's last change at which it has left all windows, and its hash expires, in ms; `None` for
    /// never.
    pub ttl_ms: Option<i64>,
}

/// A table whose rows replicas look up.
#[derive(Clone)]
pub struct MirroredRows {
    pub name: String,
    pub table: Arc<OnlineTable>,
}

/// The settings of what is written for replicas, beside the features.
pub struct ReplicaMirror {
    pub definition: ReplicaDefinition,
    pub tables: Vec<MirroredRows>,
}

/// The progress of a job in one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PartitionOffsets {
    /// The next offset to be read: no vector includes a record at or after it.
    pub next: u64,
    /// The least offset whose record this run may not serve yet; the maximum, once it serves all records that will come.
    pub served: u64,
}

/// The progress of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobProgress {
    /// True once all partitions have been found.
    pub complete: bool,
    pub partitions: BTreeMap<PartitionId, PartitionOffsets>,
    /// The newest effective time of a record that has been sent into the graph.
    pub newest: EventTime,
}

/// The settings of a [`RedisWriter`].
pub struct Mirror {
    pub url: String,
    pub dataflow: String,
    pub groups: Vec<MirroredGroup>,
    /// `None` to write features only.
    pub replicas: Option<ReplicaMirror>,
    pub online: Arc<Online>,
    pub metrics: Arc<Metrics>,
    /// Returns the job's progress; called by the writer's thread. A record must be counted as read before any vector
    /// includes it.
    pub progress: Box<dyn Fn() -> JobProgress + Send>,
}

/// An error of the mirror.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    #[error("this is not the address of a Redis server")]
    Address(#[source] redis::RedisError),
    #[error("Redis cannot be reached")]
    Away(#[source] redis::RedisError),
    #[error("Redis refuses a write with {code}")]
    Refused {
        code: String,
        #[source]
        source: redis::RedisError,
    },
    #[error("the Redis writer's thread cannot be started")]
    Thread(#[source] std::io::Error),
}
