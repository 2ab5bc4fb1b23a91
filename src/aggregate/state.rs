//! The state of one feature group on one worker: its entities, and what each window keeps of them.
//!
//! The caller brings records and look-ups in the total order and says what time it is; the state never looks at a
//! clock. For a look-up as of `a`, [`GroupState::advance`] to `a` first. Records that are not closed are kept apart, as
//! provisional ones: they are part of a vector if the caller asks for it.
//!
//! ```
//! use tidemill::aggregate::{AggregateSpec, Feature, GroupLayout, GroupState, LineInput, Op, Update, Window};
//! use tidemill::value::{Key, Scalar};
//!
//! let line = AggregateSpec {
//!     digits: 0,
//!     integer: true,
//!     ops: vec![Op::parse("count").unwrap()],
//!     windows: vec![Window::parse("1h").unwrap()],
//!     positions: vec![vec![0]],
//!     ..AggregateSpec::default()
//! };
//! let mut group = GroupState::new(&GroupLayout { lines: vec![line], width: 1 });
//! let slot = group.slot(b"a", Key::hash_of(b"a"));
//! let update = Update { slot, batch: 0, row: 0, time: 5, event_time: 5 };
//! group.insert(&[update], &[&[LineInput::default()]], &mut Vec::new());
//! assert_eq!(group.vector(Some(slot), None), [Feature::Value(Scalar::Int(1))]);
//! ```

use super::answers::Answers;
use super::entities::Entities;
use super::entity_bound::EntityBound;
use super::feature::Feature;
use super::input::LineInput;
use super::layout::GroupLayout;
use super::provisional_entities::ProvisionalEntities;
use super::recency::Recency;
use super::snapshot::{GroupSnapshot, SavedGroup, remap_slot};
use super::step_budget::StepBudget;
use super::window::{Expired, Update, WindowState};
use crate::time::EventTime;
use crate::value::Key;

/// The largest number of records that a saved state can have had.
const MOST_RECORDS: i64 = 1 << 60;

/// The least number of dropped entities after which windows are compacted.
const LEAST_COMPACTED: usize = 16;

/// Returns whether a state can have been advanced to a time, or to none yet.
fn is_asking_time(asof: EventTime) -> bool {
    const FARTHEST: i64 = 1 << 60;
    asof == EventTime::MIN || (-FARTHEST..=FARTHEST).contains(&asof)
}

/// The state of one feature group on one worker.
pub struct GroupState {
    entities: Entities,
    /// Slots that windows have room for: an eighth more than there are, so that little of it is not used.
    room: usize,
    windows: Vec<Box<dyn WindowState>>,
    /// Positions of the windows whose panes go along with vectors.
    divisible: Vec<usize>,
    provisional: ProvisionalEntities,
    /// The order in which entities are dropped; `None` if the group has no bound.
    recency: Option<Recency>,
    /// Entities that have been dropped, and those since windows were compacted last.
    dropped: u64,
    uncompacted: usize,
    width: usize,
    /// The number in the total order of the next record.
    sequence: i64,
    asof: EventTime,
    next_expiry: EventTime,
}

impl GroupState {
    pub fn new(layout: &GroupLayout) -> Self {
        GroupState::bounded(layout, None)
    }

    /// The state of a group that may have a bound, which [`GroupState::drop_excess`] keeps.
    pub fn bounded(layout: &GroupLayout, bound: Option<EntityBound>) -> Self {
        let windows = layout.build();
        let is_divisible = |at: &usize| windows[*at].panes(None, None).is_some();
        GroupState {
            divisible: (0..windows.len()).filter(is_divisible).collect(),
            entities: Entities::default(),
            room: 0,
            windows,
            provisional: ProvisionalEntities::default(),
            recency: bound.map(Recency::new),
            dropped: 0,
            uncompacted: 0,
            width: layout.width,
            sequence: 0,
            asof: EventTime::MIN,
            next_expiry: EventTime::MAX,
        }
    }

    /// The slot of an entity, which gets one if it has none.
    pub fn slot(&mut self, key: &[u8], hash: u64) -> u32 {
        let slot = self.entities.slot(key, hash);
        if self.entities.capacity() > self.room {
            let slots = self.entities.capacity();
            self.room = (slots + slots / 8).next_multiple_of(256);
            self.windows.iter_mut().for_each(|window| window.grow(self.room));
        }
        slot
    }

    /// Brings what [`GroupState::slot`] reads for the keys of up to [`PREFETCHED`] hashes into the processor's cache; ignore
    /// the result.
    ///
    /// [`PREFETCHED`]: super::PREFETCHED
    pub fn prefetch_slots(&self, hashes: &[u64]) -> usize {
        self.entities.prefetch(hashes)
    }

    /// The slot of an entity that has closed records.
    pub fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        self.entities.find(key, hash)
    }

    /// The entity in a slot; `None` if the slot is free.
    pub fn key(&self, slot: u32) -> Option<&Key> {
        self.entities.key(slot)
    }

    /// The entity in a slot, and the hash of its key.
    pub fn entity(&self, slot: u32) -> Option<(&Key, u64)> {
        self.entities.entity(slot)
    }

    /// Inserts records, in the total order, that take effect at the time advanced to or later; `batches` has, for each
    /// batch, its input by line. What expires between the first and the last of them still waits for
    /// [`GroupState::advance`]. The slots of records that some window did not count are appended to `rejected`: they
    /// may be empty.
    pub fn insert(&mut self, updates: &[Update], batches: &[&[LineInput]], rejected: &mut Vec<u32>) {
        for window in &mut self.windows {
            window.insert(updates, batches, self.sequence, rejected);
            self.next_expiry = self.next_expiry.min(window.next_expiry());
        }
        self.sequence += updates.len() as i64;
        if let Some(recency) = &mut self.recency {
            for update in updates {
                let hash = self.entities.entity(update.slot).map_or(0, |(_, hash)| hash);
                recency.touch(update.slot, hash);
            }
        }
    }

    /// Drops the entities beyond the bound, those longest without a record; their slots and keys are appended to `dropped`.
    pub fn drop_excess(&mut self, dropped: &mut Vec<(u32, Key)>) {
        while let Some(slot) = self.recency.as_mut().and_then(Recency::excess) {
            let Some((key, _)) = self.entities.entity(slot) else { unreachable!("a slot in the order has an entity") };
            dropped.push((slot, key.clone()));
            self.windows.iter_mut().for_each(|window| window.drop_entity(slot));
            self.release(slot);
            self.dropped += 1;
            self.uncompacted += 1;
        }
        if self.uncompacted > self.entities.len().max(LEAST_COMPACTED) {
            self.uncompacted = 0;
            self.windows.iter_mut().for_each(|window| window.compact());
        }
    }

    /// Frees the slot of an entity that no window has.
    fn release(&mut self, slot: u32) {
        if let (Some(recency), Some((_, hash))) = (&mut self.recency, self.entities.entity(slot)) {
            recency.remove(slot, hash);
        }
        self.entities.release(slot);
    }

    /// Returns whether the group has a bound.
    pub fn is_bounded(&self) -> bool {
        self.recency.is_some()
    }

    /// Returns how many entities have been dropped, with those that the parts of a saved state had.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Moves to an asking time, never back, as to one before that of a state that was loaded; slots whose answers change are
    /// appended to `expired`.
    pub fn advance(&mut self, asof: EventTime, expired: &mut Expired) {
        let is_there = self.advance_within(asof, &mut StepBudget::unlimited(), expired);
        debug_assert!(is_there, "an unlimited budget is enough");
    }

    /// The same as [`GroupState::advance`] as far as a budget goes; returns whether the state is there. Until it is, no more
    /// may be done with it than to release entities and to advance it to the same time, with another budget.
    pub fn advance_within(&mut self, asof: EventTime, budget: &mut StepBudget, expired: &mut Expired) -> bool {
        let asof = asof.max(self.asof);
        self.asof = asof;
        if asof < self.next_expiry {
            return true;
        }
        for window in &mut self.windows {
            window.advance(asof, budget, expired);
            if budget.is_spent() {
                return false;
            }
        }
        let next = self.windows.iter().map(|window| window.next_expiry());
        self.next_expiry = next.min().unwrap_or(EventTime::MAX);
        true
    }

    /// Returns a time before which no answer changes unless a record is inserted; `EventTime::MAX` if none ever does.
    pub fn next_expiry(&self) -> EventTime {
        self.next_expiry
    }

    /// Frees the slot of an entity that has left all windows; returns whether it has.
    pub fn release_if_empty(&mut self, slot: u32) -> bool {
        let empty = self.windows.iter().all(|window| window.is_empty(slot));
        if empty {
            self.windows.iter_mut().for_each(|window| window.clear(slot));
            self.release(slot);
        }
        empty
    }

    /// The vector of an entity as of the time advanced to: of its closed records and, given its provisional slot, the
    /// provisional ones.
    pub fn vector(&self, slot: Option<u32>, provisional: Option<u32>) -> Vec<Feature> {
        let mut row = vec![Feature::NULL; self.width];
        self.vector_into(slot, provisional, &mut row);
        row
    }

    /// The same as [`GroupState::vector`], into a row of the layout's width. Returns the number of features that are null
    /// because a sum of ints does not fit 64 bits.
    pub fn vector_into(&self, slot: Option<u32>, provisional: Option<u32>, row: &mut [Feature]) -> u64 {
        let mut answers = Answers::new(row);
        self.windows.iter().for_each(|window| window.finish(slot, provisional, &mut answers));
        answers.overflows()
    }

    /// The number of features in a vector, and of the panes that go along with it.
    pub fn published_width(&self) -> usize {
        self.width + self.divisible.len()
    }

    /// The same as [`GroupState::vector_into`], with the panes of windows behind the features; the row has room for both.
    pub fn published_into(&self, slot: Option<u32>, provisional: Option<u32>, row: &mut [Feature]) {
        self.vector_into(slot, provisional, row);
        for (panes, window) in row[self.width..].iter_mut().zip(&self.divisible) {
            *panes = self.windows[*window].panes(slot, provisional).map_or(Feature::NULL, Feature::Panes);
        }
    }

    /// Calls `check` on vectors of the features that an entity has later, those that have been loaded and are not in
    /// [`GroupState::vector`] now. Features of other windows are of `row`.
    pub fn check_hidden(&self, slot: u32, row: &mut [Feature], check: &mut dyn FnMut(&[Feature])) {
        self.windows.iter().for_each(|window| window.finish_hidden(slot, row, check));
    }

    /// Brings what windows keep of a slot into the processor's cache; ignore the result.
    pub fn prefetch(&self, slot: u32) -> usize {
        self.windows.iter().filter(|window| window.is_empty(slot)).count()
    }

    /// Slots in use or free.
    pub fn capacity(&self) -> usize {
        self.entities.capacity()
    }

    /// Entities that have closed records.
    pub fn len(&self) -> usize {
        self.entities.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory held by entities and windows. Where entities hold memory of their own, it is that of all up to 1,024
    /// entities, and beyond an estimate from as many of them.
    pub fn bytes(&self) -> usize {
        (0..).map_while(|part| self.bytes_of(part)).sum()
    }

    /// The same of a part: of the entities, or of a window. `None` if there are no more.
    pub fn bytes_of(&self, part: usize) -> Option<usize> {
        let Some(window) = part.checked_sub(1) else {
            let recency = self.recency.as_ref().map_or(0, Recency::bytes);
            return Some(self.entities.bytes() + self.provisional.bytes() + recency);
        };
        self.windows.get(window).map(|window| window.bytes())
    }

    /// The closed state as it is now.
    pub fn save(&mut self) -> GroupSnapshot {
        let windows = self.windows.iter_mut().map(|window| window.save()).collect();
        GroupSnapshot {
            sequence: self.sequence,
            asof: self.asof,
            keys: self.entities.keys(),
            windows,
            recency: self.recency.as_ref().map(Recency::snapshot),
            dropped: self.dropped,
        }
    }

    /// Adds the entities that are `mine`, by the hash of their keys, of a saved state, one of possibly several; returns
    /// their slots. The entities that it had dropped count as those of the owner of hash 0.
    ///
    /// # Errors
    /// If the bytes are not what [`GroupState::save`] saved of the same layout.
    pub fn load(&mut self, saved: SavedGroup, mine: impl Fn(u64) -> bool) -> Result<Vec<u32>, postcard::Error> {
        if saved.windows.len() != self.windows.len()
            || !(0..=MOST_RECORDS).contains(&saved.sequence)
            || !is_asking_time(saved.asof)
        {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        self.sequence = self.sequence.max(saved.sequence);
        if mine(0) {
            self.dropped += saved.dropped;
        }
        let hashed = saved.keys.iter().map(|key| key.as_ref().map(|key| (key, Key::hash_of(key.as_bytes()))));
        let mine = hashed.map(|key| key.filter(|(_, hash)| mine(*hash)));
        let slots: Vec<Option<u32>> = mine.map(|key| key.map(|(key, hash)| self.slot(key.as_bytes(), hash))).collect();
        for (window, bytes) in self.windows.iter_mut().zip(&saved.windows) {
            window.load(bytes, &slots)?;
        }
        self.load_recency(&saved.recency, &slots)?;
        // Nothing expires by that, but windows need the asking time.
        self.next_expiry = EventTime::MIN;
        self.advance(self.asof.max(saved.asof), &mut Expired::default());
        Ok(slots.into_iter().flatten().collect())
    }

    /// Adds the order of saved slots, each of which is mapped to one of `slots` or left out.
    fn load_recency(&mut self, saved: &[u32], slots: &[Option<u32>]) -> Result<(), postcard::Error> {
        let Some(recency) = &mut self.recency else { return Ok(()) };
        for slot in saved {
            if let Some(slot) = remap_slot(slots, *slot)? {
                let hash = self.entities.entity(slot).map_or(0, |(_, hash)| hash);
                recency.touch(slot, hash);
            }
        }
        // One that were missing would never be dropped.
        let mine = slots.iter().flatten().filter(|slot| !recency.has(**slot)).count();
        if mine == 0 { Ok(()) } else { Err(postcard::Error::DeserializeBadEncoding) }
    }

    /// The provisional slot of an entity, which gets one if it has none; a record of it must be added next.
    pub fn provisional_slot(&mut self, key: &[u8], hash: u64) -> u32 {
        let (slot, room) = self.provisional.slot(key, hash);
        if let Some(room) = room {
            self.windows.iter_mut().for_each(|window| window.grow_provisional(room));
        }
        slot
    }

    /// Adds records that are not closed, by provisional slots; none takes effect before the time advanced to.
    pub fn add_provisional(&mut self, updates: &[Update], batches: &[&[LineInput]]) {
        self.windows.iter_mut().for_each(|window| window.add(updates, batches));
        updates.iter().for_each(|update| self.provisional.count(update.slot));
    }

    /// Makes the provisional records of a slot reach to a time, as one does that is not added: windows that provisional
    /// records continue are as of the time just after it.
    pub fn extend_provisional(&mut self, slot: u32, time: EventTime) {
        self.windows.iter_mut().for_each(|window| window.extend_provisional(slot, time));
    }

    /// Takes out records that were provisional and are closed now, with all of their entities that take effect no
    /// later. Provisional slots that become free are appended to `freed`.
    pub fn confirm(&mut self, updates: &[Update], batches: &[&[LineInput]], freed: &mut Vec<u32>) {
        self.windows.iter_mut().for_each(|window| window.confirm(updates, batches));
        for update in updates {
            if self.provisional.discount(update.slot) {
                self.windows.iter_mut().for_each(|window| window.clear_provisional(update.slot));
                freed.push(update.slot);
            }
        }
    }

    /// The provisional slot of an entity that has provisional records.
    pub fn find_provisional(&self, key: &[u8], hash: u64) -> Option<u32> {
        self.provisional.find(key, hash)
    }

    /// The entity in a provisional slot, and the hash of its key.
    pub fn provisional_entity(&self, slot: u32) -> Option<(&Key, u64)> {
        self.provisional.entity(slot)
    }

    /// Returns whether any record is provisional.
    pub fn has_provisional(&self) -> bool {
        !self.provisional.is_empty()
    }
}
