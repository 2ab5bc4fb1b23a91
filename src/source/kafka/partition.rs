//! One partition of a topic as a [`Partition`].
//!
//! Offsets may have gaps: compaction and transactions leave some out. So a bounded partition has ended when its position
//! has reached the end, be it by a message or by the broker's report that there is none before the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use rdkafka::error::RDKafkaErrorCode as Code;

use super::Health;
use super::queue::{Message, Queue, Visit};
use super::tombstone::Tombstones;
use crate::source::dead_letter::head_of;
use crate::source::message::MessageFormat;
use crate::source::{Evidence, Ingest, InputStatus, Partition, RawMessage, SourceError, SourcePlan};
use crate::value::{FieldError, FieldFault};

/// The progress of reading a partition, for the consumer's commits and metadata requests.
#[derive(Debug)]
pub struct ReadPosition {
    pub topic: String,
    pub partition: u32,
    /// The next offset to be read.
    pub next: AtomicU64,
    /// The end of the partition when it was last asked for.
    pub end: AtomicU64,
    /// True if the broker has reported that there is nothing at `next`.
    pub caught_up: AtomicBool,
}

impl ReadPosition {
    pub fn new(topic: &str, partition: u32, start: u64, end: u64) -> Self {
        ReadPosition {
            topic: topic.to_owned(),
            partition,
            next: AtomicU64::new(start),
            end: AtomicU64::new(end),
            caught_up: AtomicBool::new(false),
        }
    }
}

/// A partition being read, with messages of one format.
pub struct KafkaPartition<F> {
    queue: Queue,
    state: PollState<F>,
}

/// The state of reading, and what turns messages into records.
struct PollState<F> {
    position: Arc<ReadPosition>,
    health: Arc<Health>,
    format: F,
    /// `Some` for a table.
    tombstones: Option<Tombstones<F>>,
    /// The next offset to be read.
    next: u64,
    /// The offset to stop at, if any.
    end: Option<u64>,
    /// True if the broker has reported that there is nothing at `next`.
    caught_up: bool,
    ended: bool,
}

/// The reason why no further message is taken.
enum StopReason {
    Ended,
    /// The next offset does not exist any more.
    Expired(String),
    Failed(String),
}

impl<F: MessageFormat> KafkaPartition<F> {
    /// Returns a partition that is read from a position to `end`.
    pub fn new(queue: Queue, position: Arc<ReadPosition>, plan: &SourcePlan, end: Option<u64>) -> Self {
        let state = PollState {
            next: position.next.load(SeqCst),
            position,
            health: queue.cluster().health().clone(),
            format: F::new(&plan.schema),
            tombstones: Tombstones::of(plan),
            end,
            caught_up: false,
            ended: false,
        };
        KafkaPartition { queue, state }
    }

    fn finish(&self, stop: StopReason) -> Result<InputStatus, SourceError> {
        let what = match stop {
            StopReason::Ended => return Ok(InputStatus::EndOfInput),
            StopReason::Failed(what) => format!("at offset {}: {what}", self.state.next),
            StopReason::Expired(what) => {
                let known = self.queue.known_bounds();
                let known =
                    known.map_or_else(String::new, |known| format!(", which has {} to {}", known.start, known.end));
                format!("offset {} has expired or is of another topic of this name{known}: {what}", self.state.next)
            }
        };
        let ReadPosition { topic, partition, .. } = &*self.state.position;
        Err(SourceError::Partition { topic: topic.clone(), partition: *partition, what })
    }
}

impl<F: MessageFormat> Partition for KafkaPartition<F> {
    fn read(&mut self, max: usize, ingest: &mut Ingest) -> Result<InputStatus, SourceError> {
        let state = &mut self.state;
        state.ended |= state.end.is_some_and(|end| state.next >= end);
        if state.ended {
            return Ok(InputStatus::EndOfInput);
        }
        let polled = self.queue.poll(max, |message| match state.take(&message, ingest) {
            Some(stop) => Visit::Stop(stop),
            None if ingest.is_full() => Visit::Pause,
            None => Visit::Next,
        });
        state.position.next.store(state.next, SeqCst);
        state.position.caught_up.store(state.caught_up, SeqCst);
        match polled.stopped {
            Some(stop) => self.finish(stop),
            // Only a partition that is known to have nothing may let others advance.
            None if polled.taken == 0 && state.caught_up && state.health.is_good() => Ok(InputStatus::NothingAvailable),
            None => Ok(InputStatus::MoreAvailable),
        }
    }

    fn is_live(&self) -> bool {
        true
    }

    /// Unknown while the brokers do not answer: records that cannot be seen may exist.
    fn lag(&self) -> Option<u64> {
        let asked = self.state.position.end.load(SeqCst);
        let known = || self.queue.known_bounds().map(|known| known.end.max(asked).saturating_sub(self.state.next));
        match (self.state.health.is_good(), self.state.caught_up) {
            (false, _) => None,
            (true, true) => Some(0),
            (true, false) => known(),
        }
    }
}

impl<F: MessageFormat> PollState<F> {
    /// Pushes a message as a record, or handles it as an event of the partition. Returns why no further one is taken.
    fn take(&mut self, message: &Message<'_>, ingest: &mut Ingest) -> Option<StopReason> {
        if let Some(code) = message.event() {
            return self.on_event(message, code);
        }
        // The end of what is read, and the position after the message.
        let offset = message.offset();
        if self.end.is_some_and(|end| offset >= end) {
            self.ended = true;
            return Some(StopReason::Ended);
        }
        let bytes = message.key().map_or(0, <[u8]>::len) + message.value().map_or(0, <[u8]>::len);
        self.next = offset + 1;
        // A message at which the partition was caught up has just arrived.
        let is_new = std::mem::replace(&mut self.caught_up, false);
        let time = message.time();
        if let Some(time) = time {
            let is_now = is_new && message.has_broker_time();
            ingest.observe_broker_time(if is_now { Evidence::Now(time) } else { Evidence::AtLeast(time) });
        }
        // A record that is too large, a delete, or a value.
        if bytes > ingest.max_record_bytes() {
            let head = |part: Option<&[u8]>| part.map(|bytes| head_of(bytes).to_vec());
            let raw = || RawMessage {
                key: head(message.key()),
                value: head(message.value()),
                headers: message.headers(),
                ..RawMessage::default()
            };
            ingest.push_too_large(offset, time, bytes as u64, raw);
            return None;
        }
        let raw = || RawMessage {
            key: message.key().map(<[u8]>::to_vec),
            value: message.value().map(<[u8]>::to_vec),
            headers: message.headers(),
            ..RawMessage::default()
        };
        if let (None, Some(tombstones)) = (message.value(), &mut self.tombstones) {
            ingest.push_delete(offset, time, raw, |columns, present| {
                tombstones.decode(message.key(), time, columns, present)
            });
            return None;
        }
        ingest.push(offset, time, raw, |columns, present| match message.value() {
            Some(value) => self.format.decode(value, columns, present),
            None => {
                columns.iter_mut().for_each(|column| column.append_null());
                Err(FieldError { column: None, fault: FieldFault::Malformed("a message without a value".to_owned()) })
            }
        });
        None
    }

    fn on_event(&mut self, message: &Message<'_>, code: Code) -> Option<StopReason> {
        match code {
            Code::PartitionEOF => {
                self.next = self.next.max(message.offset());
                self.caught_up = true;
                // Offsets between here and the end were not committed when the end was asked for.
                if self.end.is_some() {
                    self.ended = true;
                    return Some(StopReason::Ended);
                }
                None
            }
            Code::AutoOffsetReset | Code::OffsetOutOfRange => Some(StopReason::Expired(message.reason())),
            Code::TopicAuthorizationFailed
            | Code::BadMessage
            | Code::InvalidMessage
            | Code::BadCompression
            | Code::NotImplemented
            | Code::MessageSizeTooLarge
            | Code::Fatal => Some(StopReason::Failed(message.reason())),
            // librdkafka retries everything else.
            _ => {
                let ReadPosition { topic, partition, .. } = &*self.position;
                self.health.record_error(&format!("topic {topic:?}, partition {partition}: {}", message.reason()));
                None
            }
        }
    }
}
