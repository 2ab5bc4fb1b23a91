//! Index from event time to the offset from which a partition is read again.

use std::collections::VecDeque;

use crate::time::{EventTime, Offset};

/// One batch as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBatch {
    /// The first offset of the batch.
    pub first: Offset,
    /// The newest event time before the batch; the minimum if it is the partition's first.
    pub newest_before: EventTime,
    /// The newest effective time in the batch.
    pub until: EventTime,
}

/// The unclosed batches of a partition, in offset order.
#[derive(Debug, Default)]
pub struct OffsetIndex {
    batches: VecDeque<ReadBatch>,
}

impl OffsetIndex {
    /// Appends a batch that has been read.
    pub fn push(&mut self, batch: ReadBatch) {
        self.batches.push_back(batch);
    }

    /// Returns the first batch with a record that takes effect at `time` or later; `None` if none has been read.
    /// Batches that were closed before `time` may have been forgotten.
    pub fn find(&self, time: EventTime) -> Option<ReadBatch> {
        self.batches.iter().find(|batch| batch.until >= time).copied()
    }

    /// Forgets the leading batches that end before the frontier.
    pub fn close(&mut self, frontier: EventTime) {
        while self.batches.pop_front_if(|batch| batch.until < frontier).is_some() {}
    }
}
