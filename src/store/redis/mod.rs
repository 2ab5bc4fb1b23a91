//! Redis as a mirror of the online store: every feature group's newest vectors, a hash for each entity.
//!
//! The store in the process always has the newest vector of every entity, so the mirror is owed keys, not vectors: a
//! key that changes is marked, and the [`RedisWriter`]'s thread reads what is newest when it writes. So no worker of the
//! graph waits for Redis, what is owed is bounded by the entities there are, and writing anything again does no harm.
//!
//! Redis away, slow or failing: the writer tries again, with pauses. Another or an emptied server, told by its `run_id`
//! and by a token left there, is given everything again.
//!
//! What a client reads of an entity is never older than what it read before, whatever restarts: before vectors are
//! written, so is how far the job had come by then ([`JobProgress`]), and a writer that starts holds back until its job is
//! there again.

mod connection;
mod layout;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Online;
use super::memory::Shelf;
use crate::metrics::Metrics;
use crate::time::EventTime;

pub use layout::key_text;
pub use writer::{MirrorStatus, RedisWriter};

/// A feature group that is mirrored.
#[derive(Clone, Debug)]
pub struct MirroredGroup {
    pub name: String,
    /// In the order of its vectors.
    pub features: Vec<String>,
    pub shelf: Arc<Shelf>,
    /// How long after its last change an entity can still be in a window, in ms; `None`: for ever.
    pub ttl_ms: Option<i64>,
}

/// How far a job is with one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PartitionOffsets {
    /// The next offset to be read: no vector shows a record at or after it.
    pub read: u64,
    /// The least offset whose record this run may not show yet; the greatest, once it has shown all there will be.
    pub shown: u64,
}

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobProgress {
    /// Whether all partitions have been found.
    pub complete: bool,
    /// By source and partition.
    pub partitions: BTreeMap<(String, u32), PartitionOffsets>,
    /// No record that takes effect later has been given to the graph.
    pub newest: EventTime,
}

/// What a [`RedisWriter`] works with.
pub struct Mirror {
    pub url: String,
    pub dataflow: String,
    pub groups: Vec<MirroredGroup>,
    pub online: Arc<Online>,
    pub metrics: Arc<Metrics>,
    /// Asked by the writer's thread. What it gives as read must have been counted before it was shown.
    pub progress: Box<dyn Fn() -> JobProgress + Send>,
}

/// Why the mirror cannot work.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    #[error("this is not the address of a Redis server")]
    Address(#[source] redis::RedisError),
    #[error("Redis cannot be reached")]
    Away(#[source] redis::RedisError),
    #[error("Redis refuses what is written")]
    Refused(#[source] redis::RedisError),
    #[error("the writer's thread cannot be started")]
    Thread(#[source] std::io::Error),
}
