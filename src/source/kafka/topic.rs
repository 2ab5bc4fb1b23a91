//! Creation of missing topics.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic as Wanted, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use super::health::ClientEvents;
use super::{Cluster, KafkaError};

/// The longest time that the brokers may take to create a topic.
const PATIENCE: Duration = Duration::from_secs(10);

/// A topic to be created, with the brokers' default replication.
#[derive(Clone, Copy, Debug)]
pub struct NewTopic<'a> {
    pub name: &'a str,
    pub partitions: u32,
    /// Settings of the topic, which override the brokers'.
    pub settings: &'a [(&'a str, &'a str)],
}

impl NewTopic<'_> {
    /// Creates the topic. Returns whether it did not exist.
    ///
    /// # Errors
    /// If the brokers do not answer, or reject the request.
    pub fn create(&self, cluster: &Cluster) -> Result<bool, KafkaError> {
        let admin: Result<AdminClient<ClientEvents>, _> =
            cluster.writer().create_with_context(ClientEvents(cluster.health().clone()));
        let admin = admin.map_err(|error| cluster.error(error))?;
        let partitions = i32::try_from(self.partitions).unwrap_or(i32::MAX);
        let mut wanted = Wanted::new(self.name, partitions, TopicReplication::Fixed(-1));
        for (key, value) in self.settings {
            wanted = wanted.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|error| KafkaError::Rejected(format!("topic {:?}: {error}", self.name)))?;
        let created =
            runtime.block_on(admin.create_topics([&wanted], &options)).map_err(|error| cluster.error(error))?;
        match created.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((name, code))) => Err(KafkaError::Rejected(format!("topic {name:?} cannot be created: {code}"))),
            None => Err(KafkaError::Rejected(format!("topic {:?} cannot be created: no answer", self.name))),
        }
    }
}
