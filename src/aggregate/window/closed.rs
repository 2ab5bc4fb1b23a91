//! The closed part of a window: what one accumulator family keeps of every entity in one kind of window.

use std::borrow::Cow;

use crate::aggregate::algebra::{Aggregate, Observed};
use crate::aggregate::input::LineInput;
use crate::aggregate::snapshot::Encoder;
use crate::time::EventTime;

/// A record of an entity.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// The entity's slot.
    pub slot: u32,
    /// The position of its batch among those passed along, and its row there.
    pub batch: u32,
    pub row: u32,
    /// When it takes effect.
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
    /// The record of an update, if the line counts it and the aggregate takes its value.
    pub fn observed<A: Aggregate>(&self, update: &Update, sequence: i64) -> Option<Observed<'a>> {
        let input = &self.batches[update.batch as usize][self.line];
        Observed::of::<A>(input, update.row as usize, update.event_time, sequence)
    }
}

/// Slots from which panes have expired. A slot may be in either list more than once.
#[derive(Debug, Default)]
pub struct Expired {
    pub changed: Vec<u32>,
    /// Of those, the ones in which a window has become empty.
    pub emptied: Vec<u32>,
}

/// The state of one window over the closed records of all entities, by slot.
pub trait ClosedWindow<A: Aggregate>: 'static {
    /// Bytes of an entity without its panes, and of each of its panes.
    const ENTITY_BYTES: usize;
    const PANE_BYTES: usize;

    /// Makes room for this many slots.
    fn grow(&mut self, slots: usize);

    /// Empties a slot for its next entity.
    fn clear(&mut self, slot: u32);

    /// Returns whether a record of this event time still counts when it takes effect at `time`.
    fn admits(&self, event_time: EventTime, time: EventTime) -> bool;

    /// Inserts records, the first of which has the number `sequence` in the total order. The slots of those that do not
    /// count are appended to `rejected`.
    fn insert(&mut self, updates: LineUpdates<'_>, sequence: i64, rejected: &mut Vec<u32>);

    /// Moves to an asking time: panes that it leaves behind expire.
    fn advance(&mut self, asof: EventTime, expired: &mut Expired);

    /// The next asking time at which a pane expires; `EventTime::MAX` if none does.
    fn next_expiry(&self) -> EventTime;

    fn is_empty(&self, slot: u32) -> bool;

    /// The accumulator of all records of a slot that are in the window.
    fn accumulated(&self, slot: u32) -> Cow<'_, A::Acc>;

    /// The state as it is now, to be encoded later.
    fn save(&self) -> Encoder;

    /// Adds what was saved: each slot of then is the one that `slots` maps it to, or left out.
    ///
    /// # Errors
    /// If the bytes are not what [`ClosedWindow::save`] encoded.
    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error>;

    /// Memory held, without what accumulators keep elsewhere.
    fn bytes(&self) -> usize;
}
