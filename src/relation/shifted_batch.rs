//! Records that have been moved to later times.

use crate::value::Batch;

/// The records of a batch at their new times.
#[derive(Debug, Default)]
pub struct ShiftedBatch {
    /// Records, in the order of the new times, and of sort keys within one time.
    pub batch: Batch,
    /// Records without a new time, which were dropped.
    pub dropped: u64,
    /// Records whose `at` lies before their event time, which stands instead.
    pub early: u64,
}
