//! Publishing a feature group's vectors to the online store.
//!
//! A record is served before it closes. This is its way through the group:
//!
//! ```text
//!  arrival            a later activation               its time closes
//!     |  enqueue            |  publish: add_provisional     |  confirm, insert
//!     |                     |                               |
//!     v                     v                               v
//!   queued ----------> provisional --------------------> closed ------> expired
//!     |                     |                             ^  |              |
//!     |                     | dirty provisional slot      |  | dirty slot   | dirty slot,
//!     |                     v                             |  v              v evicted key
//!     |             +---------------------------------------------------------------+
//!     |             | publish_round: for each dirty slot, closed state + provisional |--> OnlineTable
//!     |             +---------------------------------------------------------------+     acks are dropped
//!     +--------- closes before that: never provisional ------------------>^
//! ```
//!
//! A record that arrives is *queued* for one activation: most of what arrives closes at once, as soon as the frontier of
//! its source is known, and is then published once and not twice. While partitions have a backlog it stays queued for up
//! to [`BACKLOG_WAIT`], in which the other partitions come to its time and it closes; the features are behind then by
//! what is still to be read. If it does not close, it becomes *provisional*: it gets a provisional slot, and each window
//! adds it beside the closed state ([`GroupState::add_provisional`]). When its time closes it is inserted into the closed
//! state and *confirmed*, which takes it out of the provisional one; that changes nothing in the sum of both, so its
//! entity is published again only if order matters or the record had not been provisional. Closed records leave when they
//! *expire*. Each step marks the slots whose vectors may change, and a round writes the newest vectors of all marked
//! slots, in slices. The acks of the batches that were no longer queued when the round began are dropped when it ends:
//! their records are served then.
//!
//! A restart has no provisional records: checkpoints hold the closed state, and sources are read again from there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::Stash;
use super::updates::{ClosingUpdates, UpdateBatch};
use crate::aggregate::{Feature, GroupState, Update};
use crate::store::memory::{OnlineCell, OnlineTable};
use crate::time::EventTime;
use crate::value::{AckToken, Batch, Key};

/// Slots that are prefetched together.
const PREFETCHED: usize = 64;

/// The longest time that a record stays queued while partitions have a backlog.
const BACKLOG_WAIT: Duration = Duration::from_millis(200);

/// No provisional slot: the row has no entity, or was done before its batch became provisional.
const NO_SLOT: u32 = u32::MAX;

/// Publishes the entities of one worker.
pub struct OnlinePublisher {
    table: Arc<OnlineTable>,
    /// Slots whose vectors may have changed.
    dirty: DirtySet,
    /// Provisional slots to which records were added.
    dirty_provisional: DirtySet,
    /// Entities that have left their slots. They may have others.
    evicted: Vec<Key>,
    /// The batches that are not provisional yet, in order of arrival.
    queued: VecDeque<QueuedBatch>,
    /// By number of the batch, the provisional slot of each row.
    provisional: HashMap<u64, Vec<u32>>,
    /// The same of the batches with closing rows, by position; empty for one that is not provisional.
    closing: Vec<Vec<u32>>,
    /// The acks of batches that no round has published, in order of arrival.
    acks: VecDeque<WaitingAck>,
    round: Option<PublishRound>,
    /// The cell of each slot in the online store, once it is known.
    cells: Vec<Option<Arc<OnlineCell>>>,
    /// The cell of each provisional slot, once it is known.
    provisional_cells: Vec<Option<Arc<OnlineCell>>>,
    /// Memory for the vector that is being written.
    row: Vec<Feature>,
}

/// A round of publishing that is under way.
struct PublishRound {
    /// The slots left to publish, descending.
    slots: Vec<u32>,
    /// The acks due when it ends.
    acks: DueAcks,
}

/// Batches to be acknowledged once they are served.
#[derive(Default)]
struct DueAcks {
    /// The newest event time, if freshness is measured.
    newest: Option<EventTime>,
    tokens: Vec<AckToken>,
}

/// A batch to be acknowledged once a round has published it.
pub struct WaitingAck {
    /// The number of the batch; `None` if it is empty.
    number: Option<u64>,
    /// Its newest event time, if freshness is measured.
    newest: Option<EventTime>,
    token: AckToken,
}

/// A batch that is not provisional yet.
struct QueuedBatch {
    number: u64,
    /// The activation in which it arrived.
    activation: u64,
    since: Instant,
}

/// A set of slots.
#[derive(Default)]
struct DirtySet {
    slots: Vec<u32>,
    is_dirty: Vec<bool>,
}

impl DirtySet {
    fn mark(&mut self, slot: u32) {
        if slot as usize >= self.is_dirty.len() {
            self.is_dirty.resize((slot as usize + 1).next_power_of_two(), false);
        }
        if !std::mem::replace(&mut self.is_dirty[slot as usize], true) {
            self.slots.push(slot);
        }
    }

    /// Empties the set and returns its slots, descending. Hand the vector back to [`DirtySet::recycle`].
    fn take(&mut self) -> Vec<u32> {
        let mut slots = std::mem::take(&mut self.slots);
        slots.iter().for_each(|slot| self.is_dirty[*slot as usize] = false);
        slots.sort_unstable_by(|a, b| b.cmp(a));
        slots
    }

    /// Reuses the memory of a vector that [`DirtySet::take`] returned.
    fn recycle(&mut self, mut slots: Vec<u32>) {
        slots.clear();
        if self.slots.is_empty() {
            self.slots = slots;
        }
    }
}

impl OnlinePublisher {
    /// A publisher that has published nothing.
    pub fn new(table: Arc<OnlineTable>) -> Self {
        OnlinePublisher {
            table,
            dirty: DirtySet::default(),
            dirty_provisional: DirtySet::default(),
            evicted: Vec::new(),
            queued: VecDeque::new(),
            provisional: HashMap::new(),
            closing: Vec::new(),
            acks: VecDeque::new(),
            round: None,
            cells: Vec::new(),
            provisional_cells: Vec::new(),
            row: Vec::new(),
        }
    }

    /// The ack of a batch that has arrived, to be queued with it.
    pub fn ack_of(&self, batch: &Batch) -> WaitingAck {
        let newest = if self.table.is_measured() { batch.event_times.iter().copied().max() } else { None };
        WaitingAck { number: None, newest, token: batch.ack.clone() }
    }

    /// Queues a stashed batch that arrived in an activation, to become provisional in a later one. Its ack is kept until
    /// its records are served. `number` is `None` if the batch is empty.
    pub fn enqueue(&mut self, ack: WaitingAck, number: Option<u64>, activation: u64) {
        self.acks.push_back(WaitingAck { number, ..ack });
        let since = Instant::now();
        self.queued.extend(number.map(|number| QueuedBatch { number, activation, since }));
    }

    /// Returns whether anything has arrived or changed that is not published yet.
    pub fn has_unpublished(&self) -> bool {
        let dirty = [&self.dirty, &self.dirty_provisional].iter().any(|set| !set.slots.is_empty());
        !self.acks.is_empty() || dirty || !self.evicted.is_empty() || self.round.is_some()
    }

    /// Marks slots whose vectors have changed.
    pub fn mark_dirty(&mut self, slots: impl Iterator<Item = u32>) {
        slots.for_each(|slot| self.dirty.mark(slot));
    }

    /// Registers that an entity has left its slot.
    pub fn evict(&mut self, slot: u32, key: Key) {
        if let Some(cell) = self.cells.get_mut(slot as usize) {
            *cell = None;
        }
        self.evicted.push(key);
    }

    /// Prepares for the closing rows of a stash, until [`OnlinePublisher::retire`].
    pub fn close_before(&mut self, stash: &Stash<UpdateBatch>) {
        let provisional = &mut self.provisional;
        self.closing.clear();
        self.closing.extend(stash.iter().map(|stashed| provisional.remove(&stashed.number()).unwrap_or_default()));
    }

    /// Forgets the closing rows, which are done.
    pub fn retire(&mut self, stash: &Stash<UpdateBatch>) {
        for (stashed, slots) in stash.iter().zip(self.closing.drain(..)) {
            if stashed.stays() && !slots.is_empty() {
                self.provisional.insert(stashed.number(), slots);
            }
        }
    }

    /// Takes records that were inserted into the closed state out of the provisional one. An entity changes if its
    /// record was not provisional, if order matters (`ordered`), or if a window has `rejected` the record.
    pub fn confirm(
        &mut self,
        state: &mut GroupState,
        closing: &ClosingUpdates<'_>,
        updates: &[Update],
        rejected: &[u32],
        ordered: bool,
    ) {
        let mut confirmed: Vec<Update> = Vec::new();
        for update in updates {
            let slots = &self.closing[update.batch as usize];
            let slot = slots.get(update.row as usize).copied().unwrap_or(NO_SLOT);
            if slot != NO_SLOT {
                confirmed.push(Update { slot, ..*update });
            }
            if ordered || slot == NO_SLOT {
                self.dirty.mark(update.slot);
            }
        }
        rejected.iter().for_each(|slot| self.dirty.mark(*slot));
        if !confirmed.is_empty() {
            let mut freed = Vec::new();
            state.confirm(&confirmed, &closing.inputs, &mut freed);
            for slot in freed {
                if let Some(cell) = self.provisional_cells.get_mut(slot as usize) {
                    *cell = None;
                }
            }
        }
    }

    /// Publishes for the time of a slice, or without end, the vectors that have changed, provisional records included.
    /// Returns whether all are published that had changed when the round began. Batches that arrived in this activation
    /// stay queued, and others for a while if there is a `backlog`.
    pub fn publish(
        &mut self,
        state: &mut GroupState,
        stash: &Stash<UpdateBatch>,
        activation: u64,
        backlog: bool,
        slice: Option<Duration>,
    ) -> bool {
        self.add_provisional(state, stash, activation, backlog);
        if self.round.is_none() {
            self.publish_provisional(state);
            self.publish_evicted(state);
            self.round = Some(PublishRound { slots: self.dirty.take(), acks: self.take_due_acks() });
        }
        // The slice begins here, so that each publishes something whatever the steps before took.
        self.publish_round(state, slice.map(|slice| Instant::now() + slice))
    }

    /// Adds the records of batches that have been queued for long enough to the provisional ones.
    fn add_provisional(&mut self, state: &mut GroupState, stash: &Stash<UpdateBatch>, activation: u64, backlog: bool) {
        let mut updates: Vec<Update> = Vec::new();
        let mut queued = std::mem::take(&mut self.queued);
        queued.retain(|&QueuedBatch { number, activation: arrived, since }| {
            // A batch that is done has closed in the meantime, and is no reason to keep acks.
            let Some(stashed) = stash.waiting(number) else { return false };
            if arrived == activation || backlog && since.elapsed() < BACKLOG_WAIT {
                return true;
            }
            let (extra, batch) = (&stashed.extra, &stashed.batch);
            let mut slots = vec![NO_SLOT; batch.len()];
            for (row, slot) in slots.iter_mut().enumerate().skip(stashed.done) {
                if extra.is_named(row) {
                    let key = extra.keys.row(row).data();
                    *slot = state.provisional_slot(key, Key::hash_of(key));
                    self.dirty_provisional.mark(*slot);
                    let (time, event_time) = (batch.times[row], batch.event_times[row]);
                    updates.push(Update { slot: *slot, batch: 0, row: row as u32, time, event_time });
                }
            }
            state.add_provisional(&updates, &[&extra.inputs]);
            updates.clear();
            self.provisional.insert(number, slots);
            false
        });
        self.queued = queued;
    }

    /// Removes the acks of the batches that arrived before those still queued.
    fn take_due_acks(&mut self) -> DueAcks {
        let mut due = DueAcks::default();
        let end = self.queued.front().map_or(u64::MAX, |queued| queued.number);
        while let Some(ack) = self.acks.pop_front_if(|ack| ack.number.is_none_or(|number| number < end)) {
            due.newest = due.newest.max(ack.newest);
            due.tokens.push(ack.token);
        }
        due
    }

    /// Publishes the entities to which provisional records were added; those with closed records go with the dirty slots.
    fn publish_provisional(&mut self, state: &GroupState) {
        let dirty = self.dirty_provisional.take();
        for slot in &dirty {
            let Some((key, hash)) = state.provisional_entity(*slot) else { continue };
            match state.find(key.as_bytes(), hash) {
                Some(closed) => self.dirty.mark(closed),
                None => self.publish_provisional_slot(state, *slot, key),
            }
        }
        self.dirty_provisional.recycle(dirty);
    }

    /// Publishes evicted entities, whatever their slots are now, or removes them.
    fn publish_evicted(&mut self, state: &GroupState) {
        let mut evicted = std::mem::take(&mut self.evicted);
        evicted.sort_unstable();
        evicted.dedup();
        for key in evicted {
            let hash = Key::hash_of(key.as_bytes());
            match (state.find(key.as_bytes(), hash), state.find_provisional(key.as_bytes(), hash)) {
                (Some(slot), _) => self.dirty.mark(slot),
                (None, Some(slot)) => self.publish_provisional_slot(state, slot, &key),
                (None, None) => self.table.remove(&key),
            }
        }
    }

    /// Continues the round until a moment; returns whether it is over. Then its acks are dropped.
    fn publish_round(&mut self, state: &GroupState, until: Option<Instant>) -> bool {
        self.cells.resize(state.capacity(), None);
        let Some(mut round) = self.round.take() else { return true };
        // Neighbouring slots have neighbouring state and cells. All that some slots need is prefetched before any of them
        // is published, so that the processor waits for memory once and not slot by slot.
        while !round.slots.is_empty() && until.is_none_or(|until| Instant::now() < until) {
            let rest = round.slots.len().saturating_sub(PREFETCHED);
            let some = &round.slots[rest..];
            let prefetch = |slot: &u32| {
                let cell = self.cells[*slot as usize].as_ref().is_some_and(|cell| cell.prefetch());
                state.prefetch(*slot) ^ usize::from(cell)
            };
            std::hint::black_box(some.iter().map(prefetch).sum::<usize>());
            some.iter().for_each(|slot| self.publish_slot(state, *slot));
            round.slots.truncate(rest);
        }
        if !round.slots.is_empty() {
            self.round = Some(round);
            return false;
        }
        self.dirty.recycle(round.slots);
        round.acks.newest.into_iter().for_each(|newest| self.table.observe_freshness(newest));
        true
    }

    /// Publishes the entity in a slot, if there is one.
    fn publish_slot(&mut self, state: &GroupState, slot: u32) {
        let Some((key, hash)) = state.entity(slot) else { return };
        let provisional = if state.has_provisional() { state.find_provisional(key.as_bytes(), hash) } else { None };
        self.row.resize(state.published_width(), Feature::NULL);
        state.published_into(Some(slot), provisional, &mut self.row);
        self.table.write(key, &mut self.cells[slot as usize], &self.row);
    }

    /// Publishes an entity that has no closed records.
    fn publish_provisional_slot(&mut self, state: &GroupState, slot: u32, key: &Key) {
        if slot as usize >= self.provisional_cells.len() {
            self.provisional_cells.resize((slot as usize + 1).next_power_of_two(), None);
        }
        self.row.resize(state.published_width(), Feature::NULL);
        state.published_into(None, Some(slot), &mut self.row);
        self.table.write(key, &mut self.provisional_cells[slot as usize], &self.row);
    }

    /// Memory held for publishing, without the online store.
    pub fn bytes(&self) -> usize {
        let cells = self.cells.capacity() + self.provisional_cells.capacity();
        let rows: usize = self.provisional.values().map(Vec::capacity).sum();
        cells * size_of::<Option<Arc<OnlineCell>>>() + rows * size_of::<u32>()
    }
}
