//! Position of a partition: its part of a checkpoint.

use serde::{Deserialize, Serialize};

use super::{FilePlace, RecordCounts};
use crate::time::{EventTime, Offset};

/// A partition as of one closed event time T.
///
/// A restart reads from `resume`, skips records that take effect before T, and does not count records below `next`
/// again: they are in `counts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub partition: u32,
    /// The offset to resume from: no record at a lower offset takes effect at T or later.
    pub resume: Offset,
    /// The place in the files at `resume`; `None` if they are no files.
    pub place: Option<FilePlace>,
    /// The place in the files up to which they were read, at `resume` or after it; `None` if they are no files.
    pub read: Option<FilePlace>,
    /// The first offset that was never read.
    pub next: Offset,
    /// True if the input had ended at `next`: the records below it were judged without any after it.
    pub at_end: bool,
    /// The newest event time below `resume`; the minimum if there is none.
    pub newest: EventTime,
    /// The newest effective time below `next`.
    pub newest_effective: EventTime,
    /// Counts of the records below `next`. Those that take effect at T or later are in flight.
    pub counts: RecordCounts,
    /// Number of records that arrived below the frontier.
    pub overtaken: u64,
}
