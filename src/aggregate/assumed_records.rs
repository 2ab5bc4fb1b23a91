//! The records of an entity that an estimate of memory assumes.

use crate::time::DAY_MS;

/// Bytes that a text is assumed to hold outside itself: 16 of text, and two counts.
pub const TEXT_BYTES: usize = 32;

/// Bytes of an entry in a schedule: lists of slots grow by doubling.
pub const SCHEDULED: usize = size_of::<u32>() * 3 / 2;

/// The records of an entity that an estimate is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordLoad {
    /// So many in each pane of a window, all of which are filled, or in all of a window without panes: the most there can be.
    EachPane(u64),
    /// So many a day, evenly spread, and one at least. A window without a length is assumed to have those of 30 days, a
    /// session those of its `max` or of a day.
    Daily(u64),
}

impl RecordLoad {
    /// The records of an entity in a window of which a record leaves after `span_ms`, and that has up to so many panes.
    pub fn spread(self, span_ms: i64, panes: usize, value_heap: usize) -> AssumedRecords {
        let size = |records: u64| usize::try_from(records).unwrap_or(usize::MAX);
        match self {
            RecordLoad::EachPane(records) => {
                AssumedRecords { a_pane: size(records), panes: 1, filled: usize::MAX, value_heap }
            }
            RecordLoad::Daily(records) => {
                let days = span_ms as f64 / DAY_MS as f64;
                // The conversion saturates.
                let all = ((records as f64 * days).ceil() as usize).max(1);
                let filled = panes.clamp(1, all);
                AssumedRecords { a_pane: all.div_ceil(filled), panes: 1, filled, value_heap }
            }
        }
    }
}

/// The records of an accumulator, all of different values.
#[derive(Clone, Copy, Debug)]
pub struct AssumedRecords {
    /// Records in each pane, or in all of a window without panes.
    pub a_pane: usize,
    /// The panes that an accumulator has the records of, one or all.
    pub panes: usize,
    /// The most panes of the window that have records.
    pub filled: usize,
    /// Bytes that each value holds outside itself.
    pub value_heap: usize,
}

impl AssumedRecords {
    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.a_pane.saturating_mul(self.panes)
    }

    /// Returns the panes that have records, of so many.
    pub fn filled_of(&self, panes: i64) -> usize {
        (panes as usize).min(self.filled)
    }
}
