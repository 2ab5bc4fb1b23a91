//! The records of an entity that an estimate of memory assumes.

/// Bytes that a text is assumed to hold outside itself: 16 of text, and two counts.
pub const TEXT_BYTES: usize = 32;

/// Bytes of an entry in a schedule: lists of slots grow by doubling.
pub const SCHEDULED: usize = size_of::<u32>() * 3 / 2;

/// The records of an accumulator, all of different values.
#[derive(Clone, Copy, Debug)]
pub struct AssumedRecords {
    /// Records in each pane, or in all of a window without panes.
    pub a_pane: usize,
    /// The panes that an accumulator has the records of, one or all.
    pub panes: usize,
    /// Bytes that each value holds outside itself.
    pub value_heap: usize,
}

impl AssumedRecords {
    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.a_pane.saturating_mul(self.panes)
    }
}
