//! The messages of one partition, taken in batches without waiting.
//!
//! Taking many messages in one call is three times as cheap as taking them one by one, but only librdkafka's C interface
//! offers it. All unsafe code for this is in this file.
//!
//! Invariant: a queue lives no longer than its client, which it holds; a message no longer than the call that it is
//! passed to.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use rdkafka::bindings as c;
use rdkafka::error::RDKafkaErrorCode;

use super::Cluster;
use super::client::Client;
use crate::source::Header;
use crate::time::{EventTime, OffsetRange};

/// The queue of a partition, split off from that of its client.
pub struct Queue {
    queue: NonNull<c::rd_kafka_queue_t>,
    topic: CString,
    partition: i32,
    batch: Vec<*mut c::rd_kafka_message_t>,
    /// Messages that were removed from the queue but not visited.
    rest: TakenMessages,
    client: Arc<Client>,
}

/// The wish of a visitor of messages.
pub enum Visit<B> {
    /// The next message.
    Next,
    /// No more for now: the other messages are kept for the next call.
    Pause,
    /// No more at all.
    Stop(B),
}

/// The outcome of [`Queue::poll`].
pub struct Polled<B> {
    /// Number of messages that were visited.
    pub taken: usize,
    /// The value with which the visitor stopped, if it did.
    pub stopped: Option<B>,
}

// SAFETY: librdkafka's queues and messages may be used from any thread, and `batch` is empty between calls.
unsafe impl Send for Queue {}

impl Queue {
    /// Splits off the queue of a partition, which must not be assigned yet. Returns `None` if no topic can have this name.
    pub fn split(client: &Arc<Client>, topic: &str, partition: i32) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client is alive, as `client` is, and the name ends in a zero.
        let queue = unsafe { c::rd_kafka_queue_get_partition(client.native(), topic.as_ptr(), partition) };
        let queue = NonNull::new(queue)?;
        // SAFETY: the queue was just given out; without a destination, its messages stay in it.
        unsafe { c::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut()) };
        Some(Queue {
            queue,
            topic,
            partition,
            batch: Vec::new(),
            rest: TakenMessages::default(),
            client: client.clone(),
        })
    }

    pub fn cluster(&self) -> &Cluster {
        &self.client.cluster
    }

    /// Visits up to `max` messages that are there, in order, and removes them.
    pub fn poll<B>(&mut self, max: usize, mut visit: impl FnMut(Message<'_>) -> Visit<B>) -> Polled<B> {
        if self.rest.0.is_empty() {
            self.take(max);
        }
        let mut taken = 0;
        while taken < max
            && let Some(message) = self.rest.0.front()
        {
            taken += 1;
            // SAFETY: each pointer is to a message that is ours until it is given back.
            let visited = visit(Message(unsafe { message.as_ref() }));
            self.rest.give_back();
            match visited {
                Visit::Next => {}
                Visit::Pause => break,
                Visit::Stop(with) => return Polled { taken, stopped: Some(with) },
            }
        }
        Polled { taken, stopped: None }
    }

    /// Removes up to `max` messages from the queue.
    fn take(&mut self, max: usize) {
        self.batch.clear();
        self.batch.reserve(max);
        // SAFETY: there is room for `max` pointers, and the queue is alive.
        let taken = unsafe { c::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, self.batch.as_mut_ptr(), max) };
        let taken = usize::try_from(taken).unwrap_or(0);
        // SAFETY: the call has written this many.
        unsafe { self.batch.set_len(taken) };
        self.rest.0.extend(self.batch.drain(..).filter_map(NonNull::new));
    }

    /// Returns the offsets that the partition holds, as far as fetches have told; sends no request.
    pub fn known_bounds(&self) -> Option<OffsetRange> {
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client is alive, the name ends in a zero, and both places may be written to.
        let error = unsafe {
            c::rd_kafka_get_watermark_offsets(
                self.client.native(),
                self.topic.as_ptr(),
                self.partition,
                &mut low,
                &mut high,
            )
        };
        let known = error == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        known.then_some(())?;
        Some(OffsetRange { start: u64::try_from(low).unwrap_or(0), end: u64::try_from(high).ok()? })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the queue was given out once, is given back once, and its client is still alive.
        unsafe { c::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// Messages that must be given back to librdkafka.
#[derive(Default)]
struct TakenMessages(VecDeque<NonNull<c::rd_kafka_message_t>>);

impl TakenMessages {
    /// Returns the first message to librdkafka.
    fn give_back(&mut self) {
        if let Some(message) = self.0.pop_front() {
            // SAFETY: the message was handed to us and is given back once.
            unsafe { c::rd_kafka_message_destroy(message.as_ptr()) };
        }
    }
}

impl Drop for TakenMessages {
    fn drop(&mut self) {
        while !self.0.is_empty() {
            self.give_back();
        }
    }
}

/// A message, or an event of the partition such as its end.
pub struct Message<'a>(&'a c::rd_kafka_message_t);

impl<'a> Message<'a> {
    /// Returns the error code if this is an event of the partition and not a message.
    pub fn event(&self) -> Option<RDKafkaErrorCode> {
        let none = c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        (self.0.err != none).then(|| self.0.err.into())
    }

    /// Returns the text of an event.
    pub fn reason(&self) -> String {
        // SAFETY: the message is alive; the text, if there is one, ends in a zero and lives as long.
        let text = unsafe { c::rd_kafka_message_errstr(self.0) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: as above.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }

    pub fn offset(&self) -> u64 {
        u64::try_from(self.0.offset).unwrap_or(0)
    }

    pub fn key(&self) -> Option<&'a [u8]> {
        // SAFETY: librdkafka says where the key is and how long.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }

    pub fn value(&self) -> Option<&'a [u8]> {
        // SAFETY: librdkafka says where the value is and how long.
        unsafe { bytes(self.0.payload, self.0.len) }
    }

    /// Returns the message's own time, if it has one.
    pub fn time(&self) -> Option<EventTime> {
        let mut kind = c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive and `kind` may be written to.
        let time = unsafe { c::rd_kafka_message_timestamp(self.0, &mut kind) };
        (kind != c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && time >= 0).then_some(time)
    }

    /// Returns whether the broker that received the message has set its time.
    pub fn has_broker_time(&self) -> bool {
        let mut kind = c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive and `kind` may be written to.
        unsafe { c::rd_kafka_message_timestamp(self.0, &mut kind) };
        kind == c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME
    }

    pub fn headers(&self) -> Vec<Header> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is alive and `headers` may be written to; they stay the message's.
        let error = unsafe { c::rd_kafka_message_headers(self.0, &mut headers) };
        let mut found = Vec::new();
        if error != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return found;
        }
        let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the headers are alive as the message is, and the three places may be written to.
        while unsafe { c::rd_kafka_header_get_all(headers, found.len(), &mut name, &mut value, &mut length) }
            == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            // SAFETY: the call gave a name that ends in a zero, and where the value is and how long.
            let (name, value) = unsafe { (CStr::from_ptr(name), bytes(value, length)) };
            found.push(Header { name: name.to_string_lossy().into_owned(), value: value.map(<[u8]>::to_vec) });
        }
        found
    }
}

/// Returns the bytes at a place; `None` if the place is null.
///
/// # Safety
/// There must be that many bytes, for as long as the result is used.
unsafe fn bytes<'a>(place: *const std::ffi::c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!place.is_null()).then(|| unsafe { std::slice::from_raw_parts(place.cast(), length) })
}
