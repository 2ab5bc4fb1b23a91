//! The updates and look-ups of a group that close together, and how far they are processed.

use super::changes::Changes;
use super::entities::InsertedRun;
use super::stash::ClosingRow;
use crate::time::EventTime;

/// A closing update or look-up.
#[derive(Clone, Copy)]
pub struct ClosingEvent {
    /// The position of the stream of look-ups, or [`UPDATE`].
    pub from: u32,
    pub row: ClosingRow,
}

/// Updates come after the look-ups of their time.
pub const UPDATE: u32 = u32::MAX;

/// The events before a time, in order, of which some are processed.
pub struct ClosingEvents {
    /// The state is advanced to this time at the end.
    pub until: EventTime,
    pub events: Vec<ClosingEvent>,
    /// Events before this are done, but for what is left of the run before it.
    pub at: usize,
    /// The run that is inserted and not finished, if there is one.
    pub inserted: Option<InsertedRun>,
    /// `None` if closed changes are not wanted.
    pub changes: Option<Changes>,
}

impl ClosingEvents {
    /// Returns the events that are not done.
    pub fn rest(&self) -> &[ClosingEvent] {
        &self.events[self.at..]
    }

    /// Returns the first updates of the rest, up to the next look-up: those of one time, or at most so many.
    pub fn run(&self, by_time: bool, most: usize) -> &[ClosingEvent] {
        let rest = self.rest();
        let Some(first) = rest.first() else { return rest };
        let together = |next: &&ClosingEvent| next.from == UPDATE && (!by_time || next.row.time == first.row.time);
        let most = if by_time { usize::MAX } else { most };
        &rest[..rest.iter().take(most).take_while(together).count()]
    }
}
