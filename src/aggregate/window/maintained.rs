//! One accumulator of a line in one window: its closed part, its provisional part, and the features that come of both.

use std::borrow::Cow;

use super::closed::{ClosedWindow, Expired, LineUpdates, Update};
use crate::aggregate::algebra::{Aggregate, PROVISIONAL};
use crate::aggregate::answers::Answers;
use crate::aggregate::input::LineInput;
use crate::aggregate::provisional::Provisional;
use crate::aggregate::snapshot::Encoder;
use crate::time::EventTime;

/// A `MaintainedWindow` of any family and kind of window. Slots are the group's; provisional slots are those of
/// entities with provisional records. `batches` has, for each batch, its input by line.
pub trait WindowState {
    /// Makes room for this many slots.
    fn grow(&mut self, slots: usize);
    /// Empties a slot for its next entity.
    fn clear(&mut self, slot: u32);
    /// The same as [`ClosedWindow::insert`].
    fn insert(&mut self, updates: &[Update], batches: &[&[LineInput]], sequence: i64, rejected: &mut Vec<u32>);
    /// The same as [`ClosedWindow::advance`].
    fn advance(&mut self, asof: EventTime, expired: &mut Expired);
    /// The same as [`ClosedWindow::next_expiry`].
    fn next_expiry(&self) -> EventTime;
    fn is_empty(&self, slot: u32) -> bool;
    /// Writes the features into a vector: of the closed records in `slot` and the provisional ones in `provisional`.
    fn finish(&self, slot: Option<u32>, provisional: Option<u32>, row: &mut Answers<'_>);
    /// Makes room for this many provisional slots.
    fn grow_provisional(&mut self, slots: usize);
    /// Adds provisional records.
    fn add(&mut self, updates: &[Update], batches: &[&[LineInput]]);
    /// Takes out records that were added and are closed now.
    fn confirm(&mut self, updates: &[Update], batches: &[&[LineInput]]);
    /// Empties a provisional slot for its next entity.
    fn clear_provisional(&mut self, slot: u32);
    /// The same as [`ClosedWindow::save`].
    fn save(&self) -> Encoder;
    /// The same as [`ClosedWindow::load`].
    ///
    /// # Errors
    /// If the bytes are of another state.
    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error>;
    /// Memory held.
    fn bytes(&self) -> usize;
}

/// One accumulator of a line in one window, for every entity of a group.
pub struct MaintainedWindow<A, W, P, F> {
    line: usize,
    aggregate: A,
    closed: W,
    provisional: P,
    /// Writes the features of an accumulator into a vector.
    finish: F,
}

impl<A: Aggregate, W: ClosedWindow<A>, P: Provisional<A>, F> MaintainedWindow<A, W, P, F> {
    /// The empty state of the line at position `line`.
    pub fn new(line: usize, aggregate: A, closed: W, finish: F) -> Self {
        MaintainedWindow { line, aggregate, closed, provisional: P::default(), finish }
    }
}

impl<A, W, P, F> WindowState for MaintainedWindow<A, W, P, F>
where
    A: Aggregate,
    W: ClosedWindow<A>,
    P: Provisional<A>,
    F: Fn(&A::Acc, &mut Answers<'_>),
{
    fn grow(&mut self, slots: usize) {
        self.closed.grow(slots);
    }

    fn clear(&mut self, slot: u32) {
        self.closed.clear(slot);
    }

    fn insert(&mut self, updates: &[Update], batches: &[&[LineInput]], sequence: i64, rejected: &mut Vec<u32>) {
        self.closed.insert(LineUpdates { updates, batches, line: self.line }, sequence, rejected);
    }

    fn advance(&mut self, asof: EventTime, expired: &mut Expired) {
        self.closed.advance(asof, expired);
    }

    fn next_expiry(&self) -> EventTime {
        self.closed.next_expiry()
    }

    fn is_empty(&self, slot: u32) -> bool {
        self.closed.is_empty(slot)
    }

    fn finish(&self, slot: Option<u32>, provisional: Option<u32>, row: &mut Answers<'_>) {
        let closed = slot.map_or_else(Cow::default, |slot| self.closed.accumulated(slot));
        let Some(slot) = provisional else { return (self.finish)(&closed, row) };
        let mut acc = closed.into_owned();
        self.provisional.fold_into(&self.aggregate, slot, &mut acc);
        (self.finish)(&acc, row);
    }

    fn grow_provisional(&mut self, slots: usize) {
        self.provisional.grow(slots);
    }

    fn add(&mut self, updates: &[Update], batches: &[&[LineInput]]) {
        let line = LineUpdates { updates, batches, line: self.line };
        for update in updates.iter().filter(|update| self.closed.admits(update.event_time, update.time)) {
            if let Some(record) = line.observed::<A>(update, PROVISIONAL) {
                self.provisional.add(&self.aggregate, update.slot, update.time, record);
            }
        }
    }

    fn confirm(&mut self, updates: &[Update], batches: &[&[LineInput]]) {
        let line = LineUpdates { updates, batches, line: self.line };
        for update in updates.iter().filter(|update| self.closed.admits(update.event_time, update.time)) {
            if let Some(record) = line.observed::<A>(update, PROVISIONAL) {
                self.provisional.confirm(&self.aggregate, update.slot, update.time, record);
            }
        }
    }

    fn clear_provisional(&mut self, slot: u32) {
        self.provisional.clear(slot);
    }

    fn save(&self) -> Encoder {
        self.closed.save()
    }

    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error> {
        self.closed.load(bytes, slots)
    }

    fn bytes(&self) -> usize {
        self.closed.bytes() + self.provisional.bytes()
    }
}
