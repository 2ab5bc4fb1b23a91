//! The state of one feature group on one worker: its entities, and what each window keeps of them.
//!
//! The caller brings records and questions in the total order and says what time it is; in return the state never
//! looks at a clock. For a question as of `a`, [`GroupState::advance`] to `a` first.

use serde::{Deserialize, Serialize};

use super::entities::Entities;
use super::input::Needs;
use super::open::OpenEntities;
use super::snapshot::{Encoder, GroupSnapshot, SavedGroup};
use super::winners::Winners;
use super::{Family, Input, Keeps, Kind, LineInput, totals, winners};
use crate::value::{Key, Scalar};

/// A sliding window of `size_ms` whose oldest edge moves in steps of `hop_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SlidingWindow {
    pub size_ms: i64,
    pub hop_ms: i64,
}

impl SlidingWindow {
    /// The pane of an event time: hops since the epoch, floored toward −∞.
    pub fn pane(&self, event_time: i64) -> i64 {
        event_time.div_euclid(self.hop_ms)
    }

    /// The first asking time at which the records of a pane no longer count.
    ///
    /// The window as of `a` begins at floor((a − size) / hop) · hop, so pane p is out once that is (p + 1) · hop.
    pub fn leaves(&self, pane: i64) -> i64 {
        (pane + 1) * self.hop_ms + self.size_ms
    }

    /// The most panes that an entity can have.
    pub fn panes(&self) -> i64 {
        self.size_ms.div_euclid(self.hop_ms) + 2
    }
}

/// What a group computes: its lines, and how wide its vectors are.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    pub lines: Vec<LineLayout>,
    /// Features in a vector.
    pub width: usize,
}

/// One `aggregate` entry.
#[derive(Clone, Debug)]
pub struct LineLayout {
    /// Digits kept after the point; 0 of an int.
    pub digits: u32,
    pub integer: bool,
    pub ops: Vec<&'static Kind>,
    pub windows: Vec<SlidingWindow>,
    /// The position in the vector of each window's answer to each op.
    pub positions: Vec<Vec<usize>>,
}

impl LineLayout {
    /// Which forms of the input the line reads.
    pub fn needs(&self) -> Needs {
        Needs {
            scaled: self.keeps().is_some_and(|keeps| keeps > Keeps::Count),
            values: self.ops.iter().any(|kind| matches!(kind.family, Family::Pick(_))),
        }
    }

    fn keeps(&self) -> Option<Keeps> {
        self.ops
            .iter()
            .filter_map(|kind| match kind.family {
                Family::Moments { keeps, .. } => Some(keeps),
                Family::Pick(_) => None,
            })
            .max()
    }

    /// Bytes for an entity in one window with all its panes: what it costs at most.
    pub fn bytes_per_entity(&self, window: &SlidingWindow) -> i64 {
        let moments = self.keeps().map(totals::sizes);
        let picks = self.ops.iter().filter(|kind| matches!(kind.family, Family::Pick(_))).map(|_| winners::sizes());
        moments.into_iter().chain(picks).map(|(entity, pane)| entity as i64 + pane as i64 * window.panes()).sum()
    }
}

impl Layout {
    /// Whether an answer can depend on the order of records of equal time.
    pub fn is_ordered(&self) -> bool {
        let ordered = |kind: &&Kind| matches!(kind.family, Family::Pick(rank) if rank.is_ordered());
        self.lines.iter().any(|line| line.ops.iter().any(ordered))
    }

    /// The answer for an entity without records.
    pub fn empty(&self) -> Vec<Scalar> {
        GroupState::new(self).vector(None, None)
    }
}

/// A record that is taken in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub slot: u32,
    /// Which of the batches given, and its row there.
    pub batch: u32,
    pub row: u32,
    /// When it takes effect.
    pub time: i64,
    pub event_time: i64,
}

/// Slots that something left. A slot may stand in either more than once.
#[derive(Debug, Default)]
pub struct Left {
    pub changed: Vec<u32>,
    /// Of those, the ones where a window has become empty.
    pub emptied: Vec<u32>,
}

/// What one window keeps for all entities of a group. Slots are the group's.
pub trait WindowState {
    /// Which line it reads.
    fn line(&self) -> usize;
    /// Makes room for this many slots.
    fn grow(&mut self, slots: usize);
    /// Empties a slot for its next entity.
    fn clear(&mut self, slot: u32);
    /// Takes in records, the first of which is at `position` in the total order. Those that do not count, or have left
    /// by the time they take effect, are passed over; their slots go to `missed`.
    fn insert(&mut self, records: &[Arrival], batches: &[&[LineInput]], position: i64, missed: &mut Vec<u32>);
    /// Moves to asking time `asof`; tells which slots something left.
    fn advance(&mut self, asof: i64, left: &mut Left);
    /// The next asking time at which something leaves.
    fn next_leave(&self) -> i64;
    /// Writes its answers as of the time advanced to into a vector: of the closed records in `slot` and those in `open`,
    /// an open slot.
    fn finish(&self, slot: Option<u32>, open: Option<u32>, row: &mut [Scalar]);
    fn is_empty(&self, slot: u32) -> bool;
    /// Makes room for this many open slots.
    fn grow_open(&mut self, slots: usize);
    /// Takes in open records, the first of which is the `came`-th.
    fn open(&mut self, records: &[Arrival], batches: &[&[LineInput]], came: i64);
    /// Takes out open records.
    fn close(&mut self, records: &[Arrival], batches: &[&[LineInput]]);
    /// Empties an open slot for its next entity.
    fn clear_open(&mut self, slot: u32);
    /// What it keeps now, to be encoded later.
    fn save(&self) -> Encoder;
    /// Puts back what was saved: of each slot then, to the slot that `slots` has for it now, if any.
    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error>;
    /// Memory held.
    fn bytes(&self) -> usize;
}

/// The state of one feature group on one worker.
pub struct GroupState {
    entities: Entities,
    pub(super) windows: Vec<Box<dyn WindowState>>,
    pub(super) open: OpenEntities,
    width: usize,
    /// The place in the total order of the next record.
    position: i64,
    asof: i64,
    next_leave: i64,
}

impl GroupState {
    pub fn new(layout: &Layout) -> Self {
        let mut windows: Vec<Box<dyn WindowState>> = Vec::new();
        for (index, line) in layout.lines.iter().enumerate() {
            for (window, positions) in line.windows.iter().zip(&line.positions) {
                let mut answers: Vec<totals::Answer> = Vec::new();
                for (kind, position) in line.ops.iter().zip(positions) {
                    match kind.family {
                        Family::Moments { finish, .. } => answers.push((*position, finish)),
                        Family::Pick(rank) => windows.push(Box::new(Winners::new(*window, index, rank, *position))),
                    }
                }
                if let Some(keeps) = line.keeps() {
                    windows.push(totals::totals(keeps, *window, index, (line.digits, line.integer), answers));
                }
            }
        }
        GroupState {
            entities: Entities::default(),
            windows,
            open: OpenEntities::default(),
            width: layout.width,
            position: 0,
            asof: i64::MIN,
            next_leave: i64::MAX,
        }
    }

    /// The slot of an entity, given one if it has none.
    pub fn slot(&mut self, key: &[u8], hash: u64) -> u32 {
        let before = self.entities.capacity();
        let slot = self.entities.slot(key, hash);
        if self.entities.capacity() > before {
            let room = self.entities.capacity().next_power_of_two();
            self.windows.iter_mut().for_each(|window| window.grow(room));
        }
        slot
    }

    /// The slot of an entity that has records.
    pub fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        self.entities.find(key, hash)
    }

    pub fn key(&self, slot: u32) -> Option<&Key> {
        self.entities.key(slot)
    }

    /// The entity in a slot, and the hash of its key.
    pub fn entity(&self, slot: u32) -> Option<(&Key, u64)> {
        self.entities.entity(slot)
    }

    /// Takes in records, in the total order, that take effect at the time advanced to or later; `batches` holds what
    /// the lines take from each batch. What leaves between the first and the last of them still waits for
    /// [`GroupState::advance`]. Slots of records that some window passed over go to `missed`: they may be empty.
    pub fn insert(&mut self, records: &[Arrival], batches: &[&[LineInput]], missed: &mut Vec<u32>) {
        for window in &mut self.windows {
            window.insert(records, batches, self.position, missed);
            self.next_leave = self.next_leave.min(window.next_leave());
        }
        self.position += records.len() as i64;
    }

    /// Moves to asking time `asof`, never back; tells which slots something left.
    pub fn advance(&mut self, asof: i64, left: &mut Left) {
        debug_assert!(asof >= self.asof);
        self.asof = asof;
        if asof < self.next_leave {
            return;
        }
        self.next_leave = i64::MAX;
        for window in &mut self.windows {
            window.advance(asof, left);
            self.next_leave = self.next_leave.min(window.next_leave());
        }
    }

    /// Frees the slot of an entity that has left all windows; says whether it did.
    pub fn release_if_empty(&mut self, slot: u32) -> bool {
        let empty = self.windows.iter().all(|window| window.is_empty(slot));
        if empty {
            self.windows.iter_mut().for_each(|window| window.clear(slot));
            self.entities.release(slot);
        }
        empty
    }

    /// The vector of an entity as of the time advanced to: of its closed records and, given its open slot, the open ones.
    pub fn vector(&self, slot: Option<u32>, open: Option<u32>) -> Vec<Scalar> {
        let mut row = vec![Scalar::Null; self.width];
        self.vector_into(slot, open, &mut row);
        row
    }

    /// As [`GroupState::vector`], into a row of the layout's width.
    pub fn vector_into(&self, slot: Option<u32>, open: Option<u32>, row: &mut [Scalar]) {
        self.windows.iter().for_each(|window| window.finish(slot, open, row));
    }

    /// Has the processor bring near what windows keep of a slot; what it gives means nothing.
    pub fn fetch(&self, slot: u32) -> usize {
        self.windows.iter().filter(|window| window.is_empty(slot)).count()
    }

    /// Slots in use or free.
    pub fn capacity(&self) -> usize {
        self.entities.capacity()
    }

    /// Entities held.
    pub fn len(&self) -> usize {
        self.entities.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory held by windows.
    pub fn bytes(&self) -> usize {
        self.windows.iter().map(|window| window.bytes()).sum()
    }

    /// The state as it is now.
    pub fn save(&self) -> GroupSnapshot {
        let windows = self.windows.iter().map(|window| window.save()).collect();
        GroupSnapshot { position: self.position, keys: self.entities.keys(), windows }
    }

    /// Takes over the entities that are `mine` of a saved state, one of possibly several; gives their slots.
    ///
    /// # Errors
    /// If the bytes are not what [`GroupState::save`] gave for the same layout.
    pub fn load(&mut self, saved: SavedGroup, mine: impl Fn(u64) -> bool) -> Result<Vec<u32>, postcard::Error> {
        if saved.windows.len() != self.windows.len() {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        self.position = self.position.max(saved.position);
        let hashed = saved.keys.iter().map(|key| key.as_ref().map(|key| (key, Key::hash_of(key.as_bytes()))));
        let mine = hashed.map(|key| key.filter(|(_, hash)| mine(*hash)));
        let slots: Vec<Option<u32>> = mine.map(|key| key.map(|(key, hash)| self.slot(key.as_bytes(), hash))).collect();
        for (window, bytes) in self.windows.iter_mut().zip(&saved.windows) {
            window.load(bytes, &slots)?;
            self.next_leave = self.next_leave.min(window.next_leave());
        }
        Ok(slots.into_iter().flatten().collect())
    }
}

/// Whether an op may be `of` a column of this type.
pub fn accepts(kind: &Kind, of: Option<crate::value::Type>) -> bool {
    use crate::value::Type;
    match (kind.input, of) {
        (Input::Optional, _) => true,
        (_, None) => false,
        (Input::Numeric, Some(ty)) => ty.is_numeric(),
        (Input::Ordered, Some(ty)) => ty != Type::String,
        (Input::Any, Some(_)) => true,
    }
}
