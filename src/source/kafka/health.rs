//! Whether the brokers can be reached, as the clients say themselves.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;

/// What stands between this process and the brokers; shared by all its clients and whoever shows it.
#[derive(Debug)]
pub struct Health {
    trouble: Mutex<Option<Trouble>>,
    /// Who asks, as brokers that refuse them are told of.
    identity: String,
    /// Whether a broker has ever answered.
    known: AtomicBool,
}

#[derive(Debug)]
struct Trouble {
    what: String,
    /// Whether it is who asks that the brokers refuse.
    denied: bool,
}

impl Health {
    /// All well so far, for who asks by this identity.
    pub(super) fn of(identity: String) -> Self {
        Health { trouble: Mutex::default(), identity, known: AtomicBool::new(false) }
    }

    /// The newest trouble, until a broker answers again.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().expect("no holder panics").as_ref().map(|trouble| trouble.what.clone())
    }

    /// The newest trouble, if it is that the brokers refuse who asks.
    pub fn denied(&self) -> Option<String> {
        let trouble = self.trouble.lock().expect("no holder panics");
        trouble.as_ref().filter(|trouble| trouble.denied).map(|trouble| trouble.what.clone())
    }

    /// Whether the last word from the brokers was a good one.
    pub fn is_good(&self) -> bool {
        self.trouble.lock().expect("no holder panics").is_none()
    }

    /// Notes a trouble. The first since all was well is logged for everyone to see.
    pub fn note(&self, what: &str) {
        // A listener that wants to be talked to in another way hangs up without a word.
        let hung_up = what.contains(" in state UP") && !self.known.load(SeqCst);
        let hint = if hung_up { "; does it expect another security.protocol?" } else { "" };
        self.set(Trouble { what: format!("{what}{hint}"), denied: false });
    }

    /// Notes that a broker refuses who asks. That may pass, as where credentials are being changed.
    pub fn deny(&self, what: &str) {
        self.set(Trouble { what: format!("not let in {}: {what}", self.identity), denied: true });
    }

    /// A broker has broken a connection off: later that is common, before the first answer a trouble.
    fn broken_off(&self, what: &str) {
        if !self.known.load(SeqCst) && self.is_good() {
            self.note(what);
        }
    }

    fn set(&self, new: Trouble) {
        let mut trouble = self.trouble.lock().expect("no holder panics");
        let what = &new.what;
        match trouble.as_ref() {
            Some(known) if known.what == *what => return,
            Some(known) if known.denied == new.denied => tracing::info!("kafka: {what}"),
            _ => tracing::warn!("kafka: {what}"),
        }
        *trouble = Some(new);
    }

    /// A broker has answered.
    pub fn answered(&self) {
        self.known.store(true, SeqCst);
        if self.trouble.lock().expect("no holder panics").take().is_some() {
            tracing::warn!("kafka: the brokers answer again");
        }
    }
}

/// Hears what a client of librdkafka says.
pub struct Listener(pub Arc<Health>);

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        if facility == "FAIL" && line.contains(" in state UP") {
            // The line begins with the client's thread.
            self.0.broken_off(line.split_once("]: ").map_or(line, |(_, what)| what));
        }
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
            Some(RDKafkaErrorCode::Authentication) => self.0.deny(reason),
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
