//! Connection of a reader to the brokers, shared by its partitions.

use std::sync::Arc;

use rdkafka::bindings::rd_kafka_t;
use rdkafka::consumer::BaseConsumer;

use super::health::ClientEvents;
use super::{Cluster, KafkaError};

/// A consumer client of librdkafka. Each partition holds it, since a queue must not outlive its client.
pub struct Client {
    pub base: BaseConsumer<ClientEvents>,
    pub cluster: Arc<Cluster>,
}

impl Client {
    /// Creates a client. It connects in the background.
    ///
    /// # Errors
    /// If librdkafka rejects the settings.
    pub fn new(cluster: &Arc<Cluster>) -> Result<Arc<Self>, KafkaError> {
        let base = cluster.reader().create_with_context(ClientEvents(cluster.health().clone()));
        let base = base.map_err(|error| cluster.error(error))?;
        Ok(Arc::new(Client { base, cluster: cluster.clone() }))
    }

    /// Returns librdkafka's handle. It is valid for as long as this client.
    pub fn native(&self) -> *mut rd_kafka_t {
        rdkafka::consumer::Consumer::client(&self.base).native_ptr()
    }
}

/// Converts a partition's number: Kafka counts partitions in 31 bits.
pub fn signed(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
