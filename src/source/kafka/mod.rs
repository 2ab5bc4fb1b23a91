//! Kafka: reading and writing topics through librdkafka.
//!
//! | file | contents |
//! |---|---|
//! | `cluster` | the brokers and the checked settings of `[kafka]`, one set for readers and one for writers |
//! | `health` | the last error that clients have reported: whether the brokers can be reached, and why not |
//! | `client` | one connection of a reader to the brokers |
//! | `queue` | the messages of one partition, in batches; unsafe code |
//! | `topic_id` | the id of a topic; unsafe code |
//! | `partition` | one partition as a [`super::Partition`] |
//! | `tombstone` | a message without a value, as a delete |
//! | `consumer` | one reader of many partitions: metadata, offsets by time, commits for lag tools |
//! | `producer` | writing, with back pressure and delivery reports |
//! | `topic` | creation of missing topics |
//! | `letters` | the dead letter topic |
//!
//! Partitions are assigned by hand, so there is no group to join and no rebalance. Offsets live in checkpoints and are
//! committed for lag tools only. Clients reconnect by themselves: while a broker is down, a reader sees no records and a
//! metadata request returns [`KafkaError::Unavailable`], but a partition never ends for that reason. Rejected credentials
//! are the same to a reader and [`KafkaError::Unauthorized`] to a request.

mod client;
mod cluster;
mod consumer;
mod error;
mod health;
mod letters;
mod partition;
mod producer;
mod queue;
mod tombstone;
mod topic;
mod topic_id;

pub use cluster::Cluster;
pub use consumer::{Consumer, PartitionRange};
pub use error::KafkaError;
pub use health::Health;
pub use letters::DeadLetterTopic;
pub use producer::{Producer, ProducerRecord};
pub use topic::NewTopic;
