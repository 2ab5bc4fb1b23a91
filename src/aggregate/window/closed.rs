//! The closed part of a window: what one accumulator family keeps of every entity in one kind of window.

use std::borrow::Cow;
use std::sync::Arc;

use crate::aggregate::algebra::{Aggregate, Observed};
use crate::aggregate::feature::PaneSet;
use crate::aggregate::input::{LineInput, Reads};
use crate::aggregate::snapshot::Encoder;
use crate::aggregate::state_codec::{StateReader, StateWriter};
use crate::aggregate::step_budget::StepBudget;
use crate::time::EventTime;

/// A record of an entity.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// The entity's slot.
    pub slot: u32,
    /// The position of its batch among those passed along, and its row there.
    pub batch: u32,
    pub row: u32,
    /// The time at which it takes effect.
    pub time: EventTime,
    pub event_time: EventTime,
}

/// Updates, as one line reads them.
#[derive(Clone, Copy)]
pub struct LineUpdates<'a> {
    pub updates: &'a [Update],
    /// For each batch, its input by line.
    pub batches: &'a [&'a [LineInput]],
    /// The line's position.
    pub line: usize,
}

impl<'a> LineUpdates<'a> {
    /// The record of an update, if an aggregate that reads so much counts it.
    #[inline]
    pub fn observed(&self, reads: Reads, update: &Update, sequence: i64) -> Option<Observed<'a>> {
        let input = &self.batches[update.batch as usize][self.line];
        Observed::of(reads, input, update.row as usize, update.event_time, sequence)
    }
}

/// A record as the accumulator that has it alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Single<T> {
    /// The time at which it takes effect.
    pub time: EventTime,
    pub event_time: EventTime,
    pub acc: T,
}

impl<T: Default> Single<T> {
    /// A record that takes effect at `time`.
    pub fn of<A: Aggregate<Acc = T>>(aggregate: &A, time: EventTime, record: Observed<'_>) -> Self {
        let (event_time, mut acc) = (record.event_time, T::default());
        aggregate.insert(&mut acc, record);
        Single { time, event_time, acc }
    }

    /// Appends its binary form.
    pub fn write<A: Aggregate<Acc = T>>(&self, aggregate: &A, to: &mut StateWriter) {
        to.value(&self.time);
        to.value(&self.event_time);
        aggregate.write(&self.acc, to);
    }

    /// Reads one from its binary form.
    ///
    /// # Errors
    /// If the bytes that follow are none of one.
    pub fn read<A: Aggregate<Acc = T>>(aggregate: &A, from: &mut StateReader<'_>) -> Result<Self, postcard::Error> {
        Ok(Single { time: from.value()?, event_time: from.value()?, acc: aggregate.read(from)? })
    }
}

/// Slots from which panes have expired. A slot may be in either list more than once.
#[derive(Debug, Default)]
pub struct Expired {
    pub changed: Vec<u32>,
    /// Changed slots in which a window has become empty.
    pub emptied: Vec<u32>,
}

/// The state of one window over the closed records of all entities, by slot.
pub trait ClosedWindow<A: Aggregate>: 'static {
    /// Makes room for this many slots.
    fn grow(&mut self, slots: usize);

    /// Empties a slot for its next entity.
    fn clear(&mut self, slot: u32);

    /// Empties a slot whose entity may have records that the window has not expired, for its next entity.
    fn drop_entity(&mut self, slot: u32) {
        self.clear(slot);
    }

    /// Frees what dropped entities have left behind.
    fn compact(&mut self) {}

    /// Returns whether a record of this event time may still count when it takes effect at `time`.
    fn admits(&self, event_time: EventTime, time: EventTime) -> bool;

    /// Inserts records, the first of which has the number `sequence` in the total order. The slots of those that do not
    /// count are appended to `rejected`.
    fn insert(&mut self, updates: LineUpdates<'_>, sequence: i64, rejected: &mut Vec<u32>);

    /// Inserts a record that was counted before; returns whether it counts in the window. The result is that of
    /// [`ClosedWindow::insert`].
    fn insert_single(&mut self, slot: u32, single: &Single<A::Acc>) -> bool;

    /// Moves to an asking time: panes that it leaves behind expire. The slots whose answers it changes are appended to
    /// `expired`. Each takes a step of the budget; once that is spent, the window is to be moved to the same time again
    /// before anything else is done with it, except to empty slots.
    fn advance(&mut self, asof: EventTime, budget: &mut StepBudget, expired: &mut Expired);

    /// The next asking time at which a pane expires or an answer changes; `EventTime::MAX` if none does.
    fn next_expiry(&self) -> EventTime;

    fn is_empty(&self, slot: u32) -> bool;

    /// The accumulator of all records of a slot that are in the window.
    fn accumulated(&self, slot: u32) -> Cow<'_, A::Acc>;

    /// Visits the accumulators that the answers of a slot are made of: the one of the window or, of a series, that of
    /// each step, oldest first. Without a slot, they are empty.
    fn visit(&self, slot: Option<u32>, visit: &mut dyn FnMut(&A::Acc)) {
        visit(&slot.map_or_else(Cow::default, |slot| self.accumulated(slot)));
    }

    /// Visits accumulators of a slot that may be visited later and are not now, so that the types of what was loaded can
    /// be checked.
    fn visit_hidden(&self, _slot: u32, _visit: &mut dyn FnMut(&A::Acc)) {}

    /// The panes of a slot and the provisional records beside them, for answers in shorter windows; `None` of a window that
    /// has no panes by entity.
    fn panes(&self, _slot: Option<u32>, _provisional: &[Single<A::Acc>]) -> Option<Arc<dyn PaneSet>> {
        None
    }

    /// The accumulator of the records in this window as of a time before which all are closed, from the panes of a window
    /// of the same line and hop that is no shorter; `None` of a window that has no panes by entity.
    fn accumulated_of(&self, _panes: &dyn PaneSet, _asof: EventTime) -> Option<A::Acc> {
        None
    }

    /// The state as it is now, to be encoded later.
    fn save(&mut self) -> Encoder;

    /// Adds what was saved: each slot of then is the one that `slots` maps it to, or left out.
    ///
    /// # Errors
    /// If the bytes are not what [`ClosedWindow::save`] encoded.
    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error>;

    /// Memory held, that of accumulators included; where there are many, an estimate from some of them.
    fn bytes(&self) -> usize;
}

/// The accumulator to which the record that looks up is added, where others leave the window for it.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnBase<T> {
    /// The first asking time at which it is added to this one; before, it is added to that of the answer.
    pub from: EventTime,
    pub acc: T,
}

/// A window whose answer with provisional records is not the sum of what is closed and what is provisional.
pub trait ContinuedWindow<A: Aggregate>: ClosedWindow<A> {
    /// The same as [`ClosedWindow::visit`], of the window as of a later time, as if some provisional records before it had
    /// closed. They are in the order of their times.
    fn visit_continued(
        &self,
        slot: Option<u32>,
        provisional: &[Single<A::Acc>],
        asof: EventTime,
        visit: &mut dyn FnMut(&A::Acc),
    );

    /// The accumulator to which a record at the asking time is added, with some provisional records; `None` if no record
    /// leaves for it.
    fn own_base(&self, _slot: Option<u32>, _provisional: &[Single<A::Acc>]) -> Option<OwnBase<A::Acc>> {
        None
    }
}
