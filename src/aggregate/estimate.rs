//! Estimates: how much memory the state of an entity takes, known before there is any.
//!
//! An estimate is of an entity that has records in all panes of its windows, as many in each as is assumed, with values
//! that all differ and are in the order that lets the window drop the fewest of its panes. So it is an upper bound for
//! entities with no more records; only `by` with more than one category, and texts longer than is assumed, take more.

use super::algebra::{Aggregate, Invertible};
use super::assumed_records::AssumedRecords;
use super::by::By;
use super::window::{Single, Window};

/// The state that is estimated.
#[derive(Clone, Copy, Debug)]
pub struct StateEstimate {
    pub window: Window,
    /// True for a record that waits for the lag of the window, false for an entity in the window.
    pub waiting: bool,
    /// True if the state is kept by category.
    pub by: bool,
    pub records: AssumedRecords,
}

impl StateEstimate {
    /// Returns the bytes of an invertible aggregate.
    pub fn of_invertible<A: Invertible>(&self, aggregate: A) -> usize {
        match (self.waiting, self.by) {
            (true, _) => self.of_any(aggregate),
            (false, true) => self.window.invertible_bytes(&By(aggregate), &self.records),
            (false, false) => self.window.invertible_bytes(&aggregate, &self.records),
        }
    }

    /// Returns the bytes of any aggregate.
    pub fn of_any<A: Aggregate>(&self, aggregate: A) -> usize {
        match (self.waiting, self.by) {
            (true, true) => self.single(&By(aggregate)),
            (true, false) => self.single(&aggregate),
            (false, true) => self.window.any_bytes(&By(aggregate), &self.records),
            (false, false) => self.window.any_bytes(&aggregate, &self.records),
        }
    }

    fn single<A: Aggregate>(&self, aggregate: &A) -> usize {
        let heap = aggregate.estimated_heap(&AssumedRecords { a_pane: 1, ..self.records });
        heap.saturating_add(size_of::<(u32, Single<A::Acc>)>())
    }
}
