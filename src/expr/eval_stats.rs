//! Counts of values that could not be computed.

/// Rows whose value could not be computed and became NULL, counted once for each operation that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvalStats {
    /// Float results that were infinite or not a number, including divisions by zero.
    pub non_finite: u64,
    /// Int results that do not fit, and int divisions by zero.
    pub overflow: u64,
    /// Strings that a cast could not parse.
    pub unreadable: u64,
}

impl EvalStats {
    /// Returns whether nothing failed.
    pub fn is_clean(&self) -> bool {
        *self == EvalStats::default()
    }

    /// Adds the counts of another evaluation.
    pub fn merge(&mut self, other: EvalStats) {
        self.non_finite += other.non_finite;
        self.overflow += other.overflow;
        self.unreadable += other.unreadable;
    }
}
