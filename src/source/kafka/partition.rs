//! One partition of a topic as a [`Partition`].
//!
//! Offsets need not be without gaps: compaction and transactions leave some out. So a bounded partition has ended
//! when its position has come to the end, be it by a message or by the broker's word that there is none before it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use rdkafka::error::RDKafkaErrorCode as Code;

use super::Health;
use super::consumer::Place;
use super::queue::{Message, Queue};
use super::tombstone::Tombstones;
use crate::source::{Intake, Partition, Progress, Raw, SourceError, TopicReader};
use crate::value::{FieldError, FieldFault, JsonDecoder};

/// A partition being read.
pub struct KafkaPartition {
    queue: Queue,
    reading: Reading,
}

/// Where reading stands, and how messages become records.
struct Reading {
    place: Arc<Place>,
    health: Arc<Health>,
    decoder: JsonDecoder,
    /// Set for a table.
    tombstones: Option<Tombstones>,
    /// How far an event time may be ahead of its message's own.
    max_ahead_ms: i64,
    next: u64,
    end: Option<u64>,
    /// Whether the broker has said that there is nothing at `next`.
    caught_up: bool,
    ended: bool,
}

/// Why no further message is looked at.
enum Stop {
    Ended,
    Expired(String),
    Failed(String),
}

impl KafkaPartition {
    pub(super) fn new(
        queue: Queue,
        place: Arc<Place>,
        health: Arc<Health>,
        reader: &TopicReader,
        end: Option<u64>,
        max_ahead_ms: i64,
    ) -> Self {
        let next = place.next.load(SeqCst);
        let reading = Reading {
            place,
            health,
            decoder: JsonDecoder::new(&reader.schema),
            tombstones: Tombstones::of(reader),
            max_ahead_ms,
            next,
            end,
            caught_up: false,
            ended: false,
        };
        KafkaPartition { queue, reading }
    }

    /// The next offset to be read.
    pub fn next(&self) -> u64 {
        self.reading.next
    }

    fn failed(&self, stop: Stop) -> Result<(), SourceError> {
        let what = match stop {
            Stop::Ended => return Ok(()),
            Stop::Failed(what) => format!("at offset {}: {what}", self.reading.next),
            Stop::Expired(what) => {
                let there = self.queue.known_bounds();
                let there = there.map_or_else(String::new, |(low, high)| format!(", which has {low} to {high}"));
                format!("offset {} has expired or is of another topic of this name{there}: {what}", self.reading.next)
            }
        };
        let Place { topic, partition, .. } = &*self.reading.place;
        Err(SourceError::Partition { topic: topic.clone(), partition: *partition, what })
    }
}

impl Partition for KafkaPartition {
    fn read(&mut self, max: usize, intake: &mut Intake) -> Result<Progress, SourceError> {
        let reading = &mut self.reading;
        reading.ended |= reading.end.is_some_and(|end| reading.next >= end);
        if reading.ended {
            return Ok(Progress::End);
        }
        let (taken, stopped) = self.queue.each(max, |message| reading.take(&message, intake));
        reading.place.next.store(reading.next, SeqCst);
        reading.place.caught_up.store(reading.caught_up, SeqCst);
        match stopped {
            Some(stop) => self.failed(stop).map(|()| Progress::End),
            // Only what is known to be all there is may let others go on.
            None if taken == 0 && reading.caught_up && reading.health.is_good() => Ok(Progress::Idle),
            None => Ok(Progress::More),
        }
    }

    fn is_live(&self) -> bool {
        true
    }

    /// Unknown while the brokers are away: what cannot be seen may be there.
    fn behind(&self) -> Option<u64> {
        let asked = self.reading.place.end.load(SeqCst);
        let known = || self.queue.known_bounds().map(|(_, end)| end.max(asked).saturating_sub(self.reading.next));
        match (self.reading.health.is_good(), self.reading.caught_up) {
            (false, _) => None,
            (true, true) => Some(0),
            (true, false) => known(),
        }
    }
}

impl Reading {
    fn take(&mut self, message: &Message<'_>, intake: &mut Intake) -> ControlFlow<Stop> {
        if let Some(code) = message.event() {
            return self.hear(message, code);
        }
        let offset = message.offset();
        if self.end.is_some_and(|end| offset >= end) {
            self.ended = true;
            return ControlFlow::Break(Stop::Ended);
        }
        let newest = message.time().map(|time| time.saturating_add(self.max_ahead_ms));
        let raw = || Raw {
            key: message.key().map(<[u8]>::to_vec),
            value: message.value().map(<[u8]>::to_vec),
            headers: message.headers(),
        };
        intake.accept(offset, newest, raw, |columns, present| match (message.value(), &self.tombstones) {
            (Some(value), _) => self.decoder.decode(value, columns, present),
            (None, Some(tombstones)) => tombstones.decode(message.key(), message.time(), columns, present),
            (None, None) => {
                columns.iter_mut().for_each(|column| column.append_null());
                Err(FieldError { column: None, fault: FieldFault::Malformed("a message without a value".to_owned()) })
            }
        });
        self.next = offset + 1;
        self.caught_up = false;
        ControlFlow::Continue(())
    }

    /// What an event of the partition comes to.
    fn hear(&mut self, message: &Message<'_>, code: Code) -> ControlFlow<Stop> {
        match code {
            Code::PartitionEOF => {
                self.next = self.next.max(message.offset());
                self.caught_up = true;
                // What lies between here and the end, if anything, was not committed when the end was taken.
                if self.end.is_some() {
                    self.ended = true;
                    return ControlFlow::Break(Stop::Ended);
                }
                ControlFlow::Continue(())
            }
            Code::AutoOffsetReset | Code::OffsetOutOfRange => ControlFlow::Break(Stop::Expired(message.reason())),
            Code::TopicAuthorizationFailed
            | Code::BadMessage
            | Code::InvalidMessage
            | Code::BadCompression
            | Code::NotImplemented
            | Code::MessageSizeTooLarge
            | Code::Fatal => ControlFlow::Break(Stop::Failed(message.reason())),
            _ => {
                let Place { topic, partition, .. } = &*self.place;
                self.health.note(&format!("topic {topic:?}, partition {partition}: {}", message.reason()));
                ControlFlow::Continue(())
            }
        }
    }
}
