//! The dead letter topic: refused records as they were, with the reason in headers that Kafka Connect's tools know.

use std::sync::Arc;
use std::time::Duration;

use super::{Cluster, Fault, NewTopic, Outgoing, Producer};
use crate::source::{DeadLetter, Header};

/// How long a letter may wait for room.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes dead letters to a topic: key, value and headers of the record, and `__connect.errors.*` behind them.
pub struct DeadLetterTopic {
    producer: Producer,
    cluster: Arc<Cluster>,
    topic: String,
    /// Whether it was seen to that the topic is there.
    created: bool,
}

impl DeadLetterTopic {
    /// Letters to a topic, by default `tidemill.{dataflow}.dead_letters`. Connects in the background.
    ///
    /// # Errors
    /// If librdkafka cannot work by the cluster's settings.
    pub fn new(cluster: &Arc<Cluster>, topic: Option<&str>) -> Result<Self, Fault> {
        let topic = match topic {
            Some(topic) => topic.to_owned(),
            None => format!("tidemill.{}.dead_letters", cluster.dataflow()),
        };
        Ok(DeadLetterTopic { producer: Producer::new(cluster)?, cluster: cluster.clone(), topic, created: false })
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Makes the topic if it is missing. Where that is not allowed, it may still be there.
    fn create(&mut self) {
        let topic = NewTopic { name: &self.topic, partitions: 1, settings: &[] };
        match self.cluster.create_topic(topic) {
            Ok(made) => {
                if made {
                    tracing::warn!("kafka: made the topic {:?} for dead letters", self.topic);
                }
                self.created = true;
            }
            Err(fault) => tracing::warn!("kafka: {fault}"),
        }
    }

    /// Takes letters on; what was taken on before has been delivered or is on its way. The first makes the topic.
    ///
    /// # Errors
    /// If these, or letters before them, cannot be delivered.
    pub fn write(&mut self, letters: &[DeadLetter]) -> Result<(), Fault> {
        if !self.created && !letters.is_empty() {
            self.create();
        }
        letters.iter().try_for_each(|letter| {
            let mut headers = letter.headers.clone();
            headers.extend(self.errors(letter));
            let message = Outgoing {
                topic: &self.topic,
                key: letter.key.as_deref(),
                value: letter.value.as_deref(),
                time: None,
                headers: &headers,
            };
            self.producer.send(message, PATIENCE)
        })
    }

    /// How many letters were taken on.
    pub fn sent(&self) -> usize {
        self.producer.sent()
    }

    /// Whether the first so many of them are delivered; waits for nothing.
    ///
    /// # Errors
    /// If one cannot be delivered.
    pub fn has_delivered(&self, letters: usize) -> Result<bool, Fault> {
        self.producer.has_delivered(letters)
    }

    /// Waits until all letters are delivered.
    ///
    /// # Errors
    /// If one cannot be delivered, or was not within this time.
    pub fn flush(&mut self, patience: Duration) -> Result<(), Fault> {
        self.producer.settle(patience)
    }

    fn errors(&self, letter: &DeadLetter) -> impl Iterator<Item = Header> + use<> {
        let reason = serde_json::to_value(letter.reason).ok();
        let reason = reason.as_ref().and_then(|reason| reason.as_str()).unwrap_or_default().to_owned();
        let whole = format!("{}: {reason}: {}", letter.stage, letter.detail);
        let named = [
            ("topic", letter.topic.clone()),
            ("partition", letter.partition.to_string()),
            ("offset", letter.offset.to_string()),
            ("connector.name", format!("tidemill.{}", self.cluster.dataflow())),
            ("task.id", letter.source.clone()),
            ("stage", letter.stage.to_uppercase()),
            ("class.name", format!("tidemill.{}", letter.stage)),
            ("exception.class.name", format!("tidemill.{reason}")),
            ("exception.message", letter.detail.clone()),
            ("exception.stacktrace", whole),
        ];
        named.into_iter().map(|(name, value)| (format!("__connect.errors.{name}"), Some(value.into_bytes())))
    }
}
