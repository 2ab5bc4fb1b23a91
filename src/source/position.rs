//! Where a partition stands as of a snapshot, and where a restart reads on.

use serde::{Deserialize, Serialize};

use super::Tally;
use crate::time::{EventTime, Offset};

/// A partition as of one closed event time T.
///
/// A restart reads from `resume`, passes over what takes effect before T, and does not count again what lies below
/// `next`: the ledger knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub partition: u32,
    /// No record at a lower offset takes effect at T or later.
    pub resume: Offset,
    /// The first offset that was never read.
    pub next: Offset,
    /// The newest event time below `resume`; the minimum where there is none.
    pub newest: EventTime,
    /// The newest effective time below `next`.
    pub newest_effective: EventTime,
    /// Everything below `next`: what takes effect at T or later is in flight.
    pub tally: Tally,
    /// Records that came below the frontier.
    pub overtaken: u64,
}

/// One batch as it was read: enough to find where to resume.
#[derive(Clone, Copy, Debug)]
struct Mark {
    offset: Offset,
    /// The newest event time before the batch.
    newest: EventTime,
    /// The newest effective time in it.
    last: EventTime,
}

/// The batches of a partition that are not closed.
#[derive(Debug, Default)]
pub struct Marks {
    marks: std::collections::VecDeque<Mark>,
}

impl Marks {
    /// A batch that begins at `offset` was read; `newest` is the newest event time before it, `last` the newest
    /// effective time in it.
    pub fn push(&mut self, offset: Offset, newest: EventTime, last: EventTime) {
        self.marks.push_back(Mark { offset, newest, last });
    }

    /// The offset and newest event time to resume with, if something at `time` or later has been read.
    pub fn resume(&self, time: EventTime) -> Option<(Offset, EventTime)> {
        self.marks.iter().find(|mark| mark.last >= time).map(|mark| (mark.offset, mark.newest))
    }

    /// Forgets what is before the frontier.
    pub fn close(&mut self, frontier: EventTime) {
        while self.marks.front().is_some_and(|mark| mark.last < frontier) {
            self.marks.pop_front();
        }
    }
}
