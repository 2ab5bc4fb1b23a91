//! Index from event time to the offset from which a partition is read again.

use std::collections::VecDeque;

use super::FilePlace;
use crate::time::{EventTime, Offset};

/// One batch as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBatch {
    /// The offset to read it from: the first of the batch or one before that.
    pub first: Offset,
    /// The place in the files at that offset.
    pub place: Option<FilePlace>,
    /// The newest event time before that offset; the minimum if there is none.
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
    pub fn find(&self, time: EventTime) -> Option<&ReadBatch> {
        self.batches.iter().find(|batch| batch.until >= time)
    }

    /// Forgets the leading batches that end before the frontier.
    pub fn close(&mut self, frontier: EventTime) {
        while self.batches.pop_front_if(|batch| batch.until < frontier).is_some() {}
    }
}
