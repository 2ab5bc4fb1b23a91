//! Slices of an operator's work, after which other operators have their turn.
//!
//! Work is done in pieces of so many steps, and the clock is looked at between two pieces: a slice is over once it has
//! lasted for long enough. So an operator holds its worker for the length of a slice and one piece at most, however much
//! there is to do, and does at least one piece each time it runs.

use std::time::{Duration, Instant};

use crate::aggregate::StepBudget;

/// The length of slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceLength {
    /// Steps between two looks at the clock, each of which is about what one entity costs.
    pub piece: usize,
    pub lasts: Duration,
}

impl Default for SliceLength {
    /// A step takes from 0.1 µs up to some 50 µs, while a checkpoint shares the state and it is copied.
    fn default() -> Self {
        SliceLength { piece: 32, lasts: Duration::from_millis(2) }
    }
}

/// A slice that has begun.
#[derive(Clone, Copy, Debug)]
pub struct WorkSlice {
    piece: usize,
    /// `None` if it never is over.
    ends: Option<Instant>,
}

impl WorkSlice {
    /// Begins a slice.
    pub fn begin(length: SliceLength) -> Self {
        WorkSlice { piece: length.piece, ends: Some(Instant::now() + length.lasts) }
    }

    /// Begins a slice without end.
    pub fn endless() -> Self {
        WorkSlice { piece: SliceLength::default().piece, ends: None }
    }

    /// Returns the steps of a piece.
    pub fn piece(&self) -> usize {
        self.piece
    }

    /// Returns the budget of a piece.
    pub fn budget(&self) -> StepBudget {
        StepBudget::new(self.piece)
    }

    /// Returns whether the time is over.
    pub fn is_over(&self) -> bool {
        self.ends.is_some_and(|ends| Instant::now() >= ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_over_when_its_time_is() {
        let length = |lasts| SliceLength { piece: 1, lasts };
        assert!(WorkSlice::begin(length(Duration::ZERO)).is_over());
        assert!(!WorkSlice::begin(length(Duration::from_secs(3600))).is_over());
        assert!(!WorkSlice::endless().is_over());
    }
}
