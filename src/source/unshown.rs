//! What a partition has read that the online store may not show yet.
//!
//! A restart is not to write to others what is older than they were given before, so it has to know from where on all that
//! had been read is shown again.

use std::collections::VecDeque;

use crate::time::Offset;
use crate::value::{Pending, Watch};

/// The batches of a partition that may not be shown yet.
#[derive(Debug, Default)]
pub struct Unshown {
    batches: VecDeque<(Offset, Watch)>,
}

impl Unshown {
    /// A batch that begins at `offset` goes its way with what is given.
    pub fn push(&mut self, offset: Offset) -> Pending {
        let (pending, watch) = Pending::watched();
        self.batches.push_back((offset, watch));
        pending
    }

    /// The least offset that may not be shown, if there is one.
    pub fn first(&mut self) -> Option<Offset> {
        while self.batches.front().is_some_and(|(_, watch)| watch.is_over()) {
            self.batches.pop_front();
        }
        self.batches.front().map(|(offset, _)| *offset)
    }
}
