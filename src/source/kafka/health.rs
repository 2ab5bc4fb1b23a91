//! Health of the connection to the brokers, as librdkafka reports it.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::secret;

/// The last error of the connection to the brokers. All clients of the process share it.
#[derive(Debug)]
pub struct Health {
    /// `None` while the brokers answer.
    last_error: Mutex<Option<HealthError>>,
    /// The principal and mechanism of our credentials, for messages.
    principal: String,
    /// True if a broker has ever answered.
    has_answered: AtomicBool,
}

#[derive(Debug)]
struct HealthError {
    what: String,
    /// True if the brokers rejected our credentials.
    unauthorized: bool,
}

impl Health {
    /// Returns the health of a connection without errors so far.
    pub(super) fn new(principal: String) -> Self {
        Health { last_error: Mutex::default(), principal, has_answered: AtomicBool::new(false) }
    }

    /// Returns the last error; `None` if a broker has answered since.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().expect("no holder panics").as_ref().map(|error| error.what.clone())
    }

    /// Returns the last error if it is that the brokers rejected our credentials.
    pub fn unauthorized(&self) -> Option<String> {
        let error = self.last_error.lock().expect("no holder panics");
        error.as_ref().filter(|error| error.unauthorized).map(|error| error.what.clone())
    }

    /// Returns whether there has been no error since a broker last answered.
    pub fn is_good(&self) -> bool {
        self.last_error.lock().expect("no holder panics").is_none()
    }

    /// Records an error. The first since a broker last answered is logged as a warning.
    pub fn record_error(&self, what: &str) {
        // A broker listener with another security.protocol closes the connection without an error.
        let closed = what.contains(" in state UP") && !self.has_answered.load(SeqCst);
        let what = secret::masked(what);
        let hint = if closed { "; does it expect another security.protocol?" } else { "" };
        self.set(HealthError { what: format!("{what}{hint}"), unauthorized: false });
    }

    /// Records that a broker rejects our credentials. A later attempt may succeed: credentials may be being changed.
    pub fn record_unauthorized(&self, what: &str) {
        let what = format!("authentication failed for {}: {}", self.principal, secret::masked(what));
        self.set(HealthError { what, unauthorized: true });
    }

    /// Records that a broker has closed a connection. That is an error only before the first answer: later, brokers
    /// close idle connections.
    fn connection_closed(&self, what: &str) {
        if !self.has_answered.load(SeqCst) && self.is_good() {
            self.record_error(what);
        }
    }

    fn set(&self, new: HealthError) {
        let mut last_error = self.last_error.lock().expect("no holder panics");
        let what = &new.what;
        match last_error.as_ref() {
            Some(known) if known.what == *what => return,
            Some(known) if known.unauthorized == new.unauthorized => tracing::info!("kafka: {what}"),
            _ => tracing::warn!("kafka: {what}"),
        }
        *last_error = Some(new);
    }

    /// Records that a broker has answered.
    pub fn answered(&self) {
        self.has_answered.store(true, SeqCst);
        if self.last_error.lock().expect("no holder panics").take().is_some() {
            tracing::warn!("kafka: the brokers answer again");
        }
    }
}

/// Callbacks of a librdkafka client, which record errors in its [`Health`].
pub struct ClientEvents(pub Arc<Health>);

impl ClientContext for ClientEvents {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        if facility == "FAIL" && line.contains(" in state UP") {
            // The line begins with the client's thread.
            self.0.connection_closed(line.split_once("]: ").map_or(line, |(_, what)| what));
        }
        match level {
            // One map of settings serves readers and writers; each ignores the other's keys.
            _ if facility == "CONFWARN" => tracing::debug!("kafka: {line}"),
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::info!("kafka: {facility}: {line}");
            }
            _ => tracing::debug!("kafka: {facility}: {line}"),
        }
    }

    fn stats_raw(&self, _: &[u8]) {}

    fn error(&self, error: ClientError, reason: &str) {
        match error.rdkafka_error_code() {
            // Follows the errors of the single brokers, which say more.
            Some(RDKafkaErrorCode::AllBrokersDown) if !self.0.is_good() => {}
            Some(RDKafkaErrorCode::Authentication) => self.0.record_unauthorized(reason),
            _ => self.0.record_error(reason),
        }
    }
}

impl ConsumerContext for ClientEvents {
    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::info!("kafka: offsets were not committed: {error}");
        }
    }
}
