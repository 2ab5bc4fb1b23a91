//! Topics that are made where they are missing.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic as Wanted, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use super::health::Listener;
use super::{Cluster, Fault};

/// How long the brokers may take to make a topic.
const PATIENCE: Duration = Duration::from_secs(10);

/// A topic to be made; it is replicated as the brokers have it by default.
#[derive(Clone, Copy, Debug)]
pub struct NewTopic<'a> {
    pub name: &'a str,
    pub partitions: u32,
    /// The topic's own settings.
    pub settings: &'a [(&'a str, &'a str)],
}

impl Cluster {
    /// Makes a topic; says whether it was missing.
    ///
    /// # Errors
    /// If the brokers do not answer, or refuse.
    pub fn create_topic(self: &Arc<Self>, topic: NewTopic<'_>) -> Result<bool, Fault> {
        let admin: Result<AdminClient<Listener>, _> =
            self.writer().create_with_context(Listener(self.health().clone()));
        let admin = admin.map_err(|error| self.fault(error))?;
        let partitions = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
        let mut wanted = Wanted::new(topic.name, partitions, TopicReplication::Fixed(-1));
        for (key, value) in topic.settings {
            wanted = wanted.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|error| Fault::Refused(format!("topic {:?}: {error}", topic.name)))?;
        let made = runtime.block_on(admin.create_topics([&wanted], &options)).map_err(|error| self.fault(error))?;
        match made.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((name, code))) => Err(Fault::Refused(format!("topic {name:?} cannot be made: {code}"))),
            None => Err(Fault::Refused(format!("topic {:?} cannot be made: no answer", topic.name))),
        }
    }
}
