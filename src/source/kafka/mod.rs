//! Kafka: topics as partitions to be read, and as places to write to.
//!
//! | file | what |
//! |---|---|
//! | `cluster` | the brokers as the config names them: checked settings, one set for readers and one for writers |
//! | `health` | what clients say about the brokers: whether they can be reached, and why not |
//! | `consumer` | one reader of many partitions: metadata, offsets by time, commits for lag tools |
//! | `queue` | the messages of one partition, in batches; not safe Rust |
//! | `identity` | the id of a topic; not safe Rust |
//! | `partition` | one partition as a [`super::Partition`] |
//! | `tombstone` | a message without a value as a delete |
//! | `producer` | writing, with back pressure and every delivery waited for |
//! | `topic` | topics that are made where they are missing |
//! | `letters` | the dead letter topic |
//!
//! Partitions are assigned by hand, so there is no group to join and no rebalance; offsets live in checkpoints and are
//! committed for the eyes of others only. Clients connect again by themselves: a broker that is away is a
//! [`Fault::Away`] to whoever asks and silence to whoever reads, never the end of a partition. One that does not let
//! this process in is the same to whoever reads, and a [`Fault::Denied`] to whoever asks.

mod cluster;
mod consumer;
mod health;
mod identity;
mod letters;
mod partition;
mod producer;
mod queue;
mod tombstone;
mod topic;

pub use cluster::Cluster;
pub use consumer::Consumer;
pub use health::Health;
pub use letters::DeadLetterTopic;
pub use partition::KafkaPartition;
pub use producer::{Outgoing, Producer};
pub use topic::NewTopic;

/// Why something cannot be had from Kafka.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A key or value under `[kafka]` is wrong.
    #[error("[kafka] {0}")]
    Config(String),
    /// The brokers do not answer; they may later.
    #[error("{servers}: {what}")]
    Away { servers: String, what: String },
    /// The brokers refuse who asks.
    #[error("{servers}: {what}")]
    Denied { servers: String, what: String },
    /// The brokers answer, and what was asked for cannot be had.
    #[error("{0}")]
    Refused(String),
    /// Records that were to be read are not there any more.
    #[error("{0}")]
    Lost(String),
}
