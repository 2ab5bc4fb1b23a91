//! Offsets of a partition that have been read but not yet acknowledged by the online store.
//!
//! A restarted run must not overwrite newer values in a mirror such as Redis with older ones. So each partition reports
//! the offset up to which everything has been published ([`super::PartitionStats::served_offset`]).

use std::collections::VecDeque;

use crate::time::Offset;
use crate::value::{AckToken, AckWatch};

/// The unacknowledged batches of a partition, in offset order.
#[derive(Debug, Default)]
pub struct UnackedOffsets {
    batches: VecDeque<UnackedBatch>,
}

#[derive(Debug)]
struct UnackedBatch {
    first: Offset,
    watch: AckWatch,
}

impl UnackedOffsets {
    /// Registers a batch whose first offset is `first` and returns the token that the batch carries.
    pub fn push(&mut self, first: Offset) -> AckToken {
        let (token, watch) = AckToken::watched();
        self.batches.push_back(UnackedBatch { first, watch });
        token
    }

    /// Returns the least unacknowledged offset; `None` if there is none. Forgets acknowledged batches.
    pub fn first(&mut self) -> Option<Offset> {
        while self.batches.pop_front_if(|batch| batch.watch.is_acknowledged()).is_some() {}
        self.batches.front().map(|batch| batch.first)
    }
}
