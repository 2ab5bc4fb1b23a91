//! Dead letter topic: refused records as they were, with the reason in the headers that Kafka Connect uses.

use std::sync::Arc;
use std::time::Duration;

use super::{Cluster, KafkaError, NewTopic, Producer, ProducerRecord};
use crate::source::dead_letter::head_of;
use crate::source::{DeadLetter, Header};

/// The longest time that a letter may wait for room.
const PATIENCE: Duration = Duration::from_secs(30);

/// The header of a record of which only the beginning is kept: its size in bytes.
const TRUNCATED: &str = "__connect.errors.truncated.bytes";

/// The bytes that a message may take up beside its key, value and headers.
const OVERHEAD: usize = 1024;

/// Writer of dead letters to a topic: key, value and headers of the record, then `__connect.errors.*` headers.
pub struct DeadLetterTopic {
    producer: Producer,
    cluster: Arc<Cluster>,
    topic: String,
    /// True if the topic is known to exist.
    created: bool,
}

impl DeadLetterTopic {
    /// Returns a writer to a topic, by default `tidemill.{dataflow}.dead_letters`. It connects in the background.
    ///
    /// # Errors
    /// If librdkafka rejects the settings.
    pub fn new(cluster: &Arc<Cluster>, topic: Option<&str>) -> Result<Self, KafkaError> {
        let topic = match topic {
            Some(topic) => topic.to_owned(),
            None => format!("tidemill.{}.dead_letters", cluster.dataflow()),
        };
        Ok(DeadLetterTopic { producer: Producer::new(cluster)?, cluster: cluster.clone(), topic, created: false })
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Creates the topic if it is missing. Where an ACL forbids that, the topic may still exist.
    fn create(&mut self) {
        let topic = NewTopic { name: &self.topic, partitions: 1, settings: &[] };
        match topic.create(&self.cluster) {
            Ok(created) => {
                if created {
                    tracing::warn!("kafka: created the topic {:?} for dead letters", self.topic);
                }
                self.created = true;
            }
            Err(error) => tracing::warn!("kafka: {error}"),
        }
    }

    /// Sends letters, without waiting for their delivery. The first creates the topic.
    ///
    /// # Errors
    /// If these letters, or earlier ones, cannot be delivered.
    pub fn write(&mut self, letters: &[DeadLetter]) -> Result<(), KafkaError> {
        if !self.created && !letters.is_empty() {
            self.create();
        }
        letters.iter().try_for_each(|letter| {
            let mut headers = letter.headers.clone();
            headers.extend(self.errors(letter));
            let (mut key, mut value) = (letter.key.as_deref(), letter.value.as_deref());
            let part = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
            let described =
                headers.iter().map(|header| header.name.len() + part(header.value.as_deref())).sum::<usize>();
            // A record that fits its topic may be too large for this one once the headers are added.
            if described + part(key) + part(value) + OVERHEAD > self.cluster.largest_message() {
                headers = self.errors(letter).collect();
                let bytes = (part(key) + part(value)).to_string().into_bytes();
                headers.push(Header { name: TRUNCATED.to_owned(), value: Some(bytes) });
                (key, value) = (key.map(head_of), value.map(head_of));
            }
            self.producer
                .send(ProducerRecord { topic: &self.topic, key, value, time: None, headers: &headers }, PATIENCE)
        })
    }

    /// Returns the number of letters that were sent.
    pub fn sent(&self) -> usize {
        self.producer.sent()
    }

    /// Returns whether the first `letters` letters have been delivered. Does not wait.
    ///
    /// # Errors
    /// If one cannot be delivered.
    pub fn has_delivered(&self, letters: usize) -> Result<bool, KafkaError> {
        self.producer.has_delivered(letters)
    }

    /// Waits until all letters have been delivered.
    ///
    /// # Errors
    /// If one cannot be delivered, or is not within this time.
    pub fn flush(&mut self, patience: Duration) -> Result<(), KafkaError> {
        self.producer.flush(patience)
    }

    /// Returns the headers that tell why and where a record was refused.
    fn errors(&self, letter: &DeadLetter) -> impl Iterator<Item = Header> + use<> {
        let reason = letter.reason.name();
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
        let header = |(name, value): (&str, String)| Header {
            name: format!("__connect.errors.{name}"),
            value: Some(value.into_bytes()),
        };
        named.into_iter().map(header)
    }
}
