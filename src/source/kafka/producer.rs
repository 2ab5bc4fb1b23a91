//! Producer: writes to topics in order, with back pressure and delivery reports.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::{Header as Named, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

use super::health::ClientEvents;
use super::{Cluster, KafkaError};
use crate::source::Header;
use crate::time::EventTime;

/// The time that one poll waits for deliveries.
const WAIT: Duration = Duration::from_millis(50);

/// A message to be written. Its partition follows from its key as in Java's producers.
#[derive(Clone, Copy, Debug)]
pub struct ProducerRecord<'a> {
    pub topic: &'a str,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// The message's own time; the current time if `None`.
    pub time: Option<EventTime>,
    pub headers: &'a [Header],
}

/// A client that writes.
pub struct Producer {
    base: BaseProducer<ProducerEvents>,
    reports: Arc<DeliveryReports>,
    cluster: Arc<Cluster>,
}

/// Delivery reports of the messages that were sent.
#[derive(Debug, Default)]
struct DeliveryReports {
    delivered: AtomicU64,
    outstanding: Mutex<Outstanding>,
    /// The failures since they were last taken.
    failed: Mutex<Option<FailedDeliveries>>,
}

#[derive(Debug)]
struct FailedDeliveries {
    first: String,
    count: u64,
}

/// Sent messages by number, from the first on that has no report yet.
#[derive(Debug, Default)]
struct Outstanding {
    first: usize,
    /// One flag per record: it has a report.
    reported: VecDeque<bool>,
}

impl Outstanding {
    /// Returns the number of the next message.
    fn next(&self) -> usize {
        self.first + self.reported.len()
    }

    fn is_empty(&self) -> bool {
        self.reported.is_empty()
    }

    /// Records that a message was delivered, or cannot be.
    fn report(&mut self, number: usize) {
        if let Some(reported) = number.checked_sub(self.first).and_then(|at| self.reported.get_mut(at)) {
            *reported = true;
        }
        while self.reported.pop_front_if(|reported| *reported).is_some() {
            self.first += 1;
        }
    }
}

struct ProducerEvents {
    events: ClientEvents,
    reports: Arc<DeliveryReports>,
}

impl ClientContext for ProducerEvents {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.events.log(level, facility, line);
    }

    fn stats_raw(&self, _: &[u8]) {}

    /// Ignores errors while nothing is in flight: they arrive only when polled, so they are stale, and consumers have
    /// reported any real outage.
    fn error(&self, error: ClientError, reason: &str) {
        if !self.reports.outstanding.lock().expect("no holder panics").is_empty() {
            self.events.error(error, reason);
        }
    }
}

impl ProducerContext for ProducerEvents {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        self.reports.outstanding.lock().expect("no holder panics").report(number);
        match result {
            Ok(_) => {
                self.reports.delivered.fetch_add(1, SeqCst);
                self.events.0.answered();
            }
            Err((error, message)) => {
                let what = match error.rdkafka_error_code() {
                    Some(code) => format!("topic {:?}: {code}", message.topic()),
                    None => format!("topic {:?}: {error}", message.topic()),
                };
                let mut failed = self.reports.failed.lock().expect("no holder panics");
                failed.get_or_insert(FailedDeliveries { first: what, count: 0 }).count += 1;
            }
        }
    }
}

impl Producer {
    /// Creates a writer to a cluster. It connects in the background.
    ///
    /// # Errors
    /// If librdkafka rejects the settings.
    pub fn new(cluster: &Arc<Cluster>) -> Result<Self, KafkaError> {
        let reports = Arc::new(DeliveryReports::default());
        let events = ProducerEvents { events: ClientEvents(cluster.health().clone()), reports: reports.clone() };
        let base = cluster.writer().create_with_context(events).map_err(|error| cluster.error(error))?;
        Ok(Producer { base, reports, cluster: cluster.clone() })
    }

    /// Returns the number of messages that a broker has acknowledged so far.
    pub fn delivered(&self) -> u64 {
        self.reports.delivered.load(SeqCst)
    }

    /// Sends a message without waiting for its delivery. If too many are in flight, waits for room up to `patience`.
    ///
    /// # Errors
    /// If this message, or an earlier one, cannot be delivered.
    pub fn send(&self, message: ProducerRecord<'_>, patience: Duration) -> Result<(), KafkaError> {
        let number = {
            let mut outstanding = self.reports.outstanding.lock().expect("no holder panics");
            outstanding.reported.push_back(false);
            outstanding.next() - 1
        };
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(message.topic, number);
        record.key = message.key;
        record.payload = message.value;
        record.timestamp = message.time;
        if !message.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(message.headers.len());
            let insert = |headers: OwnedHeaders, header: &Header| {
                headers.insert(Named { key: &header.name, value: header.value.as_ref() })
            };
            record.headers = Some(message.headers.iter().fold(headers, insert));
        }
        let start = Instant::now();
        loop {
            match self.base.send(record) {
                Ok(()) => break,
                Err((error, again)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    record = again;
                    self.base.poll(WAIT);
                    if start.elapsed() >= patience {
                        return Err(self.undelivered(patience));
                    }
                }
                Err((error, _)) => return Err(self.cluster.error(error)),
            }
            self.failure()?;
        }
        self.base.poll(Duration::ZERO);
        self.failure()
    }

    /// Returns the number of messages that were sent.
    pub fn sent(&self) -> usize {
        self.reports.outstanding.lock().expect("no holder panics").next()
    }

    /// Returns whether the first `messages` messages have been delivered. Does not wait.
    ///
    /// # Errors
    /// If a message cannot be delivered.
    pub fn has_delivered(&self, messages: usize) -> Result<bool, KafkaError> {
        self.base.poll(Duration::ZERO);
        self.failure()?;
        Ok(self.reports.outstanding.lock().expect("no holder panics").first >= messages)
    }

    /// Waits until all messages have been delivered, up to `patience`.
    ///
    /// # Errors
    /// If a message cannot be delivered, or is not within that time.
    pub fn flush(&self, patience: Duration) -> Result<(), KafkaError> {
        let start = Instant::now();
        loop {
            self.base.poll(Duration::ZERO);
            self.failure()?;
            if self.base.in_flight_count() == 0 {
                return Ok(());
            }
            if start.elapsed() >= patience {
                return Err(self.undelivered(patience));
            }
            self.base.poll(WAIT);
        }
    }

    fn undelivered(&self, patience: Duration) -> KafkaError {
        let error = self.cluster.health().last_error().map_or_else(String::new, |error| format!(": {error}"));
        let what = format!("{} messages undelivered after {patience:?}{error}", self.base.in_flight_count());
        KafkaError::Unavailable { servers: self.cluster.servers().to_owned(), what }
    }

    /// Returns an error for the messages that have failed since the last call.
    fn failure(&self) -> Result<(), KafkaError> {
        match self.reports.failed.lock().expect("no holder panics").take() {
            None => Ok(()),
            Some(FailedDeliveries { first, count }) => {
                Err(KafkaError::Rejected(format!("{count} messages were not delivered: {first}")))
            }
        }
    }
}
