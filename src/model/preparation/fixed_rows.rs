//! Rows of a chunk that are the same for every version, encoded once.
//!
//! Where all inputs are categories with slots of their own, no version knows anything of them that its rows depend on. Then
//! the versions that score a chunk and the learner share its rows.

use super::{Observations, Preparation};
use crate::model::SparseRows;

/// The rows of the chunk under way.
#[derive(Default)]
pub(in crate::model) struct FixedRows {
    is_open: bool,
    is_encoded: bool,
    rows: SparseRows,
}

impl FixedRows {
    /// Begins a chunk: until [`FixedRows::end`], all observations are those of it.
    pub fn begin(&mut self) {
        (self.is_open, self.is_encoded) = (true, false);
    }

    pub fn end(&mut self) {
        self.is_open = false;
    }

    /// Returns the rows of the selected observations, ascending, if all are selected and every version has the same rows.
    pub fn of(
        &mut self,
        preparation: &Preparation,
        observations: &Observations,
        select: &[u32],
    ) -> Option<&SparseRows> {
        if !self.is_open || select.len() != observations.len() || !preparation.is_fixed() {
            return None;
        }
        if !self.is_encoded {
            preparation.encode(observations, select, &mut self.rows);
            self.is_encoded = true;
        }
        Some(&self.rows)
    }
}
