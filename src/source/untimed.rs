//! Records of a read whose event times are an expression, until the read ends; see [`super::RecordTime`].

use super::RawMessage;
use super::refusal::Refusal;
use crate::time::{EventTime, Offset};

/// A record whose event time is to be computed.
pub(super) struct UntimedRecord {
    pub offset: Offset,
    pub message_time: Option<EventTime>,
    /// The event time if it is known all the same, or why the record is refused.
    pub decoded: Result<Option<EventTime>, Refusal>,
    pub raw: RawMessage,
}

/// The records whose event times are to be computed, in offset order.
#[derive(Default)]
pub(super) struct UntimedRecords {
    records: Vec<UntimedRecord>,
    raw_bytes: usize,
}

impl UntimedRecords {
    pub fn push(&mut self, record: UntimedRecord) {
        self.raw_bytes += record.raw.bytes();
        self.records.push(record);
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the size of the records as they were received.
    pub fn raw_bytes(&self) -> usize {
        self.raw_bytes
    }

    /// Removes all records and returns them.
    pub fn take(&mut self) -> Vec<UntimedRecord> {
        self.raw_bytes = 0;
        std::mem::take(&mut self.records)
    }
}
