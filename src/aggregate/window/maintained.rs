//! One accumulator of a line in one window: its closed part, its provisional part, and the features that come of both.

use std::sync::Arc;

use super::closed::{ClosedWindow, Expired, LineUpdates, Update};
use super::form::AnswerForm;
use super::provisional::Provisional;
use crate::aggregate::algebra::{Aggregate, PROVISIONAL};
use crate::aggregate::answers::Answers;
use crate::aggregate::feature::{Feature, PaneSet};
use crate::aggregate::input::LineInput;
use crate::aggregate::snapshot::Encoder;
use crate::aggregate::step_budget::StepBudget;
use crate::time::EventTime;

/// A `MaintainedWindow` of any family and kind of window. Slots are the group's; provisional slots are those of
/// entities with provisional records. `batches` has, for each batch, its input by line.
pub trait WindowState {
    /// Makes room for this many slots.
    fn grow(&mut self, slots: usize);
    /// Empties a slot for its next entity.
    fn clear(&mut self, slot: u32);
    /// The same as [`ClosedWindow::drop_entity`].
    fn drop_entity(&mut self, slot: u32);
    /// The same as [`ClosedWindow::compact`].
    fn compact(&mut self);
    /// The same as [`ClosedWindow::insert`].
    fn insert(&mut self, updates: &[Update], batches: &[&[LineInput]], sequence: i64, rejected: &mut Vec<u32>);
    /// The same as [`ClosedWindow::advance`].
    fn advance(&mut self, asof: EventTime, budget: &mut StepBudget, expired: &mut Expired);
    /// The same as [`ClosedWindow::next_expiry`].
    fn next_expiry(&self) -> EventTime;
    fn is_empty(&self, slot: u32) -> bool;
    /// Writes the features into a vector: of the closed records in `slot` and the provisional ones in `provisional`.
    fn finish(&self, slot: Option<u32>, provisional: Option<u32>, row: &mut Answers<'_>);
    /// Writes the features that a slot has later, and calls `check` on the vector for each that is not shown now.
    fn finish_hidden(&self, slot: u32, row: &mut [Feature], check: &mut dyn FnMut(&[Feature]));
    /// The panes of an entity, if they go along with its vectors: of the closed records in `slot` and the provisional ones in
    /// `provisional`.
    fn panes(&self, slot: Option<u32>, provisional: Option<u32>) -> Option<Arc<dyn PaneSet>>;
    /// Writes the features of an entity into a vector, from panes that went along with one: of a window of the same line and
    /// hop that is no shorter. The features are as of a time before which all records are closed.
    fn finish_panes(&self, panes: &dyn PaneSet, asof: EventTime, row: &mut Answers<'_>);
    /// Makes room for this many provisional slots.
    fn grow_provisional(&mut self, slots: usize);
    /// Makes a provisional slot's records reach to a time, whether one that counts takes effect then or not.
    fn extend_provisional(&mut self, slot: u32, time: EventTime);
    /// Adds provisional records.
    fn add(&mut self, updates: &[Update], batches: &[&[LineInput]]);
    /// Takes out records that were added and are closed now.
    fn confirm(&mut self, updates: &[Update], batches: &[&[LineInput]]);
    /// Empties a provisional slot for its next entity.
    fn clear_provisional(&mut self, slot: u32);
    /// The same as [`ClosedWindow::save`].
    fn save(&mut self) -> Encoder;
    /// The same as [`ClosedWindow::load`].
    ///
    /// # Errors
    /// If the bytes are of another state.
    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error>;
    /// Memory held.
    fn bytes(&self) -> usize;
}

/// One accumulator of a line in one window, for every entity of a group.
pub struct MaintainedWindow<A, W: ?Sized, P, F> {
    pub line: usize,
    pub aggregate: A,
    pub closed: Box<W>,
    pub provisional: P,
    /// Writes the features of an accumulator into a vector.
    pub finish: F,
    pub form: AnswerForm,
}

impl<A, W, P, F> WindowState for MaintainedWindow<A, W, P, F>
where
    A: Aggregate,
    W: ClosedWindow<A> + ?Sized,
    P: Provisional<A, W>,
    F: Fn(&A::Acc, &mut Answers<'_>),
{
    fn grow(&mut self, slots: usize) {
        self.closed.grow(slots);
    }

    fn clear(&mut self, slot: u32) {
        self.closed.clear(slot);
    }

    fn drop_entity(&mut self, slot: u32) {
        self.closed.drop_entity(slot);
    }

    fn compact(&mut self) {
        self.closed.compact();
    }

    fn insert(&mut self, updates: &[Update], batches: &[&[LineInput]], sequence: i64, rejected: &mut Vec<u32>) {
        self.closed.insert(LineUpdates { updates, batches, line: self.line }, sequence, rejected);
    }

    fn advance(&mut self, asof: EventTime, budget: &mut StepBudget, expired: &mut Expired) {
        self.closed.advance(asof, budget, expired);
    }

    fn next_expiry(&self) -> EventTime {
        self.closed.next_expiry()
    }

    fn is_empty(&self, slot: u32) -> bool {
        self.closed.is_empty(slot)
    }

    fn finish(&self, slot: Option<u32>, provisional: Option<u32>, row: &mut Answers<'_>) {
        let MaintainedWindow { aggregate, closed, finish, form, .. } = self;
        if form.is_plain() {
            return self.provisional.visit(aggregate, closed, slot, provisional, |acc| finish(acc, row));
        }
        let mut writer = form.writer(row);
        self.provisional.visit(aggregate, closed, slot, provisional, |acc| writer.write(|row| finish(acc, row)));
        let base = if form.displaces { self.provisional.own_base(closed, slot, provisional) } else { None };
        base.into_iter().for_each(|base| writer.write_base(base.from, |row| finish(&base.acc, row)));
        writer.end();
    }

    fn finish_hidden(&self, slot: u32, row: &mut [Feature], check: &mut dyn FnMut(&[Feature])) {
        self.closed.visit_hidden(slot, &mut |acc| {
            let mut answers = Answers::new(row);
            match self.form.is_plain() {
                true => (self.finish)(acc, &mut answers),
                false => {
                    let mut writer = self.form.writer(&mut answers);
                    writer.write(|row| (self.finish)(acc, row));
                    writer.end();
                }
            }
            check(row);
        });
    }

    fn panes(&self, slot: Option<u32>, provisional: Option<u32>) -> Option<Arc<dyn PaneSet>> {
        self.provisional.panes(&self.closed, slot, provisional)
    }

    fn finish_panes(&self, panes: &dyn PaneSet, asof: EventTime, row: &mut Answers<'_>) {
        if let Some(acc) = self.closed.accumulated_of(panes, asof) {
            (self.finish)(&acc, row);
        }
    }

    fn grow_provisional(&mut self, slots: usize) {
        self.provisional.grow(slots);
    }

    fn extend_provisional(&mut self, slot: u32, time: EventTime) {
        self.provisional.extend_to(slot, time);
    }

    fn add(&mut self, updates: &[Update], batches: &[&[LineInput]]) {
        let line = LineUpdates { updates, batches, line: self.line };
        updates.iter().for_each(|update| self.provisional.extend_to(update.slot, update.time));
        for update in updates.iter().filter(|update| self.closed.admits(update.event_time, update.time)) {
            if let Some(record) = line.observed(self.aggregate.reads(), update, PROVISIONAL) {
                self.provisional.add(&self.aggregate, update.slot, update.time, record);
            }
        }
    }

    fn confirm(&mut self, updates: &[Update], batches: &[&[LineInput]]) {
        let line = LineUpdates { updates, batches, line: self.line };
        for update in updates.iter().filter(|update| self.closed.admits(update.event_time, update.time)) {
            if let Some(record) = line.observed(self.aggregate.reads(), update, PROVISIONAL) {
                self.provisional.confirm(&self.aggregate, update.slot, update.time, record);
            }
        }
    }

    fn clear_provisional(&mut self, slot: u32) {
        self.provisional.clear(slot);
    }

    fn save(&mut self) -> Encoder {
        self.closed.save()
    }

    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error> {
        self.closed.load(bytes, slots)
    }

    fn bytes(&self) -> usize {
        self.closed.bytes() + self.provisional.bytes(&self.aggregate)
    }
}
