//! Estimates: how much memory the state of an entity takes, known before there is any.
//!
//! An estimate is of an entity that has records in all panes of its windows, as many in each as is assumed, with values
//! that all differ and are in the order that lets the window drop the fewest of its panes. So it is an upper bound for
//! entities with no more records; only `by` with more than one category, and texts longer than is assumed, take more.

use super::algebra::{Aggregate, Invertible};
use super::assumed_records::AssumedRecords;
use super::by::By;
use super::erasable::Erasable;
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
    /// Returns the bytes of an invertible aggregate whose state is compiled for it.
    pub fn of_invertible<A: Invertible + Erasable>(&self, aggregate: A) -> usize {
        match (self.waiting, self.by) {
            (true, _) => self.of_any(aggregate),
            (false, true) => self.erased_invertible(aggregate),
            (false, false) => self.window.invertible_bytes(&aggregate, &self.records),
        }
    }

    /// Returns the bytes of any aggregate whose state is compiled for it.
    pub fn of_any<A: Erasable>(&self, aggregate: A) -> usize {
        match (self.waiting, self.by) {
            (_, true) => self.erased(aggregate),
            (true, false) => self.single(&aggregate),
            (false, false) => self.window.any_bytes(&aggregate, &self.records),
        }
    }

    /// Returns the bytes of an invertible aggregate whose state is shared by all families.
    pub fn erased_invertible<A: Invertible + Erasable>(&self, aggregate: A) -> usize {
        let any = aggregate.erased();
        match (self.waiting, self.by) {
            (true, _) => self.erased(aggregate),
            (false, true) => self.window.invertible_bytes(&By(any), &self.records),
            (false, false) => self.window.invertible_bytes(&any, &self.records),
        }
    }

    /// Returns the bytes of any aggregate whose state is shared by all families.
    pub fn erased<A: Erasable>(&self, aggregate: A) -> usize {
        let any = aggregate.erased();
        match (self.waiting, self.by) {
            (true, true) => self.single(&By(any)),
            (true, false) => self.single(&any),
            (false, true) => self.window.any_bytes(&By(any), &self.records),
            (false, false) => self.window.any_bytes(&any, &self.records),
        }
    }

    fn single<A: Aggregate>(&self, aggregate: &A) -> usize {
        let heap = aggregate.estimated_heap(&AssumedRecords { a_pane: 1, ..self.records });
        heap.saturating_add(size_of::<(u32, Single<A::Acc>)>())
    }
}
