//! Writing to topics: in order, with back pressure, and every delivery waited for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header as Named, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

use super::health::Listener;
use super::{Cluster, Fault};
use crate::source::Header;
use crate::time::EventTime;

/// How long to wait for deliveries before looking again.
const WAIT: Duration = Duration::from_millis(50);

/// A message to be written. Its partition follows from its key, as Java's producers have it.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    pub topic: &'a str,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// The message's own time; now if not given.
    pub time: Option<EventTime>,
    pub headers: &'a [Header],
}

/// A client that writes.
pub struct Producer {
    base: BaseProducer<Deliveries>,
    told: Arc<Told>,
    cluster: Arc<Cluster>,
}

/// What has become of messages.
#[derive(Debug, Default)]
struct Told {
    delivered: AtomicU64,
    sent: Mutex<Sent>,
    /// The first failure since it was last asked for, and how many there were.
    failed: Mutex<Option<(String, u64)>>,
}

/// Messages taken on, by number, from the first on that nothing is known of yet.
#[derive(Debug, Default)]
struct Sent {
    first: usize,
    /// Whether anything is known of each.
    settled: VecDeque<bool>,
}

impl Sent {
    /// The number of the next.
    fn next(&self) -> usize {
        self.first + self.settled.len()
    }

    fn are_waiting(&self) -> bool {
        !self.settled.is_empty()
    }

    /// One was delivered, or could not be.
    fn settle(&mut self, number: usize) {
        if let Some(settled) = number.checked_sub(self.first).and_then(|at| self.settled.get_mut(at)) {
            *settled = true;
        }
        while self.settled.pop_front_if(|settled| *settled).is_some() {
            self.first += 1;
        }
    }
}

struct Deliveries {
    listener: Listener,
    told: Arc<Told>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.listener.log(level, facility, line);
    }

    fn stats_raw(&self, _: &[u8]) {}

    /// A writer is heard only while it writes. What befell it in the meantime is long over, and others have told of it.
    fn error(&self, error: KafkaError, reason: &str) {
        if self.told.sent.lock().expect("no holder panics").are_waiting() {
            self.listener.error(error, reason);
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        self.told.sent.lock().expect("no holder panics").settle(number);
        match result {
            Ok(_) => {
                self.told.delivered.fetch_add(1, SeqCst);
                self.listener.0.answered();
            }
            Err((error, message)) => {
                let what = match error.rdkafka_error_code() {
                    Some(code) => format!("topic {:?}: {code}", message.topic()),
                    None => format!("topic {:?}: {error}", message.topic()),
                };
                let mut failed = self.told.failed.lock().expect("no holder panics");
                failed.get_or_insert((what, 0)).1 += 1;
            }
        }
    }
}

impl Producer {
    /// A writer to a cluster. Connects in the background.
    ///
    /// # Errors
    /// If librdkafka cannot work by these settings.
    pub fn new(cluster: &Arc<Cluster>) -> Result<Self, Fault> {
        let told = Arc::new(Told::default());
        let deliveries = Deliveries { listener: Listener(cluster.health().clone()), told: told.clone() };
        let base = cluster.writer().create_with_context(deliveries).map_err(|error| cluster.fault(error))?;
        Ok(Producer { base, told, cluster: cluster.clone() })
    }

    /// Messages that a broker has acknowledged so far.
    pub fn delivered(&self) -> u64 {
        self.told.delivered.load(SeqCst)
    }

    /// Takes a message on. Where too many wait to be delivered, it waits too, up to `patience`.
    ///
    /// # Errors
    /// If this message, or one before it, cannot be delivered.
    pub fn send(&self, message: Outgoing<'_>, patience: Duration) -> Result<(), Fault> {
        let number = {
            let mut sent = self.told.sent.lock().expect("no holder panics");
            sent.settled.push_back(false);
            sent.next() - 1
        };
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(message.topic, number);
        record.key = message.key;
        record.payload = message.value;
        record.timestamp = message.time;
        if !message.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(message.headers.len());
            record.headers = Some(
                message
                    .headers
                    .iter()
                    .fold(headers, |headers, (key, value)| headers.insert(Named { key, value: value.as_ref() })),
            );
        }
        let began = Instant::now();
        loop {
            match self.base.send(record) {
                Ok(()) => break,
                Err((error, again)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    record = again;
                    self.base.poll(WAIT);
                    if began.elapsed() >= patience {
                        return Err(self.undelivered(patience));
                    }
                }
                Err((error, _)) => return Err(self.cluster.fault(error)),
            }
            self.failure()?;
        }
        self.base.poll(Duration::ZERO);
        self.failure()
    }

    /// How many messages were taken on.
    pub fn sent(&self) -> usize {
        self.told.sent.lock().expect("no holder panics").next()
    }

    /// Whether the first so many of them are delivered; waits for nothing.
    ///
    /// # Errors
    /// If something cannot be delivered.
    pub fn has_delivered(&self, messages: usize) -> Result<bool, Fault> {
        self.base.poll(Duration::ZERO);
        self.failure()?;
        Ok(self.told.sent.lock().expect("no holder panics").first >= messages)
    }

    /// Waits until all that was taken on is delivered, up to `patience`.
    ///
    /// # Errors
    /// If something cannot be delivered, or was not within that time.
    pub fn settle(&self, patience: Duration) -> Result<(), Fault> {
        let began = Instant::now();
        loop {
            self.base.poll(Duration::ZERO);
            self.failure()?;
            if self.base.in_flight_count() == 0 {
                return Ok(());
            }
            if began.elapsed() >= patience {
                return Err(self.undelivered(patience));
            }
            self.base.poll(WAIT);
        }
    }

    fn undelivered(&self, patience: Duration) -> Fault {
        let trouble = self.cluster.health().trouble().map_or_else(String::new, |trouble| format!(": {trouble}"));
        let what = format!("{} messages undelivered after {patience:?}{trouble}", self.base.in_flight_count());
        Fault::Away { servers: self.cluster.servers().to_owned(), what }
    }

    fn failure(&self) -> Result<(), Fault> {
        match self.told.failed.lock().expect("no holder panics").take() {
            None => Ok(()),
            Some((what, count)) => Err(Fault::Refused(format!("{count} messages were not delivered: {what}"))),
        }
    }
}
