//! Whether the brokers can be reached, as the clients say themselves.

use std::sync::{Arc, Mutex};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;

/// What stands between this process and the brokers; shared by all its clients and whoever shows it.
#[derive(Debug, Default)]
pub struct Health {
    trouble: Mutex<Option<String>>,
}

impl Health {
    /// The newest trouble, until a broker answers again.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().expect("no holder panics").clone()
    }

    /// Whether the last word from the brokers was a good one.
    pub fn is_good(&self) -> bool {
        self.trouble.lock().expect("no holder panics").is_none()
    }

    /// Notes a trouble. The first since all was well is logged for everyone to see.
    pub fn note(&self, what: &str) {
        let mut trouble = self.trouble.lock().expect("no holder panics");
        match trouble.as_deref() {
            Some(known) if known == what => return,
            Some(_) => tracing::info!("kafka: {what}"),
            None => tracing::warn!("kafka: {what}"),
        }
        *trouble = Some(what.to_owned());
    }

    /// A broker has answered.
    pub fn answered(&self) {
        if self.trouble.lock().expect("no holder panics").take().is_some() {
            tracing::warn!("kafka: the brokers answer again");
        }
    }
}

/// Hears what a client of librdkafka says.
pub struct Listener(pub Arc<Health>);

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        match level {
            // One map of settings serves readers and writers; each passes over the other's keys.
            _ if facility == "CONFWARN" => tracing::debug!("kafka: {line}"),
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::info!("kafka: {facility}: {line}");
            }
            _ => tracing::debug!("kafka: {facility}: {line}"),
        }
    }

    fn stats_raw(&self, _: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // Says no more than the failures of the single brokers before it.
            Some(RDKafkaErrorCode::AllBrokersDown) if !self.0.is_good() => {}
            _ => self.0.note(reason),
        }
    }
}

impl ConsumerContext for Listener {
    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::info!("kafka: offsets were not committed: {error}");
        }
    }
}
