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
//! entity is published again only if order matters or the record had not been published as provisional. Closed records
//! leave when they *expire*. Each step marks the slots whose vectors may change, and a round writes the newest vectors of
//! all marked slots, in slices: at first those of provisional slots and of entities that have left, which may turn out to
//! be in other slots. The acks of the batches that were no longer queued when the round began are dropped when it ends:
//! their records are served then.
//!
//! A restart has no provisional records: checkpoints hold the closed state, and sources are read again from there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::Stash;
use super::key_stack::KeyStack;
use super::slot_set::SlotSet;
use super::updates::{ClosingUpdates, UpdateBatch};
use super::work_slice::WorkSlice;
use crate::aggregate::{Feature, GroupState, Update};
use crate::store::memory::{OnlineCell, OnlineTable};
use crate::time::EventTime;
use crate::value::{AckToken, Batch, Key};

/// The longest time that a record stays queued while partitions have a backlog.
const BACKLOG_WAIT: Duration = Duration::from_millis(200);

/// No provisional slot: the row has no entity, or was done before its batch became provisional.
const NO_SLOT: u32 = u32::MAX;

/// Publishes the entities of one worker.
pub struct OnlinePublisher {
    table: Arc<OnlineTable>,
    /// The changes that are in no round yet.
    changed: ChangedVectors,
    /// The batches that are not provisional yet, in order of arrival.
    queued: VecDeque<QueuedBatch>,
    /// By number of the batch, the provisional slot of each row.
    provisional: HashMap<u64, Vec<u32>>,
    /// The same of the batches with closing rows, by position; empty for one that is not provisional.
    closing: Vec<Vec<u32>>,
    /// The acks of batches that no round has published, in order of arrival.
    acks: VecDeque<WaitingAck>,
    round: Option<PublishRound>,
    /// Memory for the changes of the next round.
    spare: ChangedVectors,
    /// The cell of each slot in the online store, once it is known.
    cells: Vec<Option<Arc<OnlineCell>>>,
    /// The cell of each provisional slot, once it is known.
    provisional_cells: Vec<Option<Arc<OnlineCell>>>,
    /// Memory for the vector that is being written, and for the slots of a piece of a round.
    row: Vec<Feature>,
    piece: Vec<u32>,
}

/// The entities whose vectors may have changed.
#[derive(Default)]
struct ChangedVectors {
    /// Provisional slots to which records were added.
    provisional: SlotSet,
    /// Entities that have left their slots. They may have others, and be here more than once.
    evicted: KeyStack,
    slots: SlotSet,
}

impl ChangedVectors {
    fn is_empty(&self) -> bool {
        self.provisional.is_empty() && self.evicted.is_empty() && self.slots.is_empty()
    }

    /// Memory held, without that of keys.
    fn bytes(&self) -> usize {
        self.provisional.bytes() + self.evicted.bytes() + self.slots.bytes()
    }
}

/// A round of publishing that is under way.
struct PublishRound {
    /// The changes left to publish.
    changed: ChangedVectors,
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

impl OnlinePublisher {
    /// A publisher that has published nothing.
    pub fn new(table: Arc<OnlineTable>) -> Self {
        OnlinePublisher {
            table,
            changed: ChangedVectors::default(),
            queued: VecDeque::new(),
            provisional: HashMap::new(),
            closing: Vec::new(),
            acks: VecDeque::new(),
            round: None,
            spare: ChangedVectors::default(),
            cells: Vec::new(),
            provisional_cells: Vec::new(),
            row: Vec::new(),
            piece: Vec::new(),
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
        !self.acks.is_empty() || !self.changed.is_empty() || self.round.is_some()
    }

    /// Marks slots whose vectors have changed.
    pub fn mark_dirty(&mut self, slots: impl Iterator<Item = u32>) {
        slots.for_each(|slot| self.changed.slots.insert(slot));
    }

    /// Registers that an entity has left its slot.
    pub fn evict(&mut self, slot: u32, key: Key) {
        if let Some(cell) = self.cells.get_mut(slot as usize) {
            *cell = None;
        }
        self.changed.evicted.push(key);
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
    /// record has not been published as provisional, if order matters (`ordered`), or if a window has `rejected` the record.
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
            if ordered || slot == NO_SLOT || self.is_unpublished(slot) {
                self.changed.slots.insert(update.slot);
            }
        }
        self.mark_dirty(rejected.iter().copied());
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

    /// Returns whether records were added to a provisional slot that have not been published since.
    fn is_unpublished(&self, slot: u32) -> bool {
        let rounds = [Some(&self.changed), self.round.as_ref().map(|round| &round.changed)];
        rounds.into_iter().flatten().any(|changed| changed.provisional.contains(slot))
    }

    /// Adds the records of batches that have been queued for long enough to the provisional ones. Batches that arrived in
    /// this activation stay queued, and others for a while if there is a `backlog`.
    pub fn add_provisional(
        &mut self,
        state: &mut GroupState,
        stash: &Stash<UpdateBatch>,
        activation: u64,
        backlog: bool,
    ) {
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
                    self.changed.provisional.insert(*slot);
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

    /// Publishes for a slice the vectors that have changed, provisional records included. Returns whether all are published
    /// that had changed when the round began. Then its acks are dropped.
    pub fn publish(&mut self, state: &GroupState, slice: &WorkSlice) -> bool {
        let mut round = self.round.take().unwrap_or_else(|| PublishRound {
            acks: self.take_due_acks(),
            changed: std::mem::replace(&mut self.changed, std::mem::take(&mut self.spare)),
        });
        self.cells.resize(state.capacity(), None);
        while !round.changed.is_empty() {
            self.publish_piece(state, &mut round.changed, slice.piece());
            if !round.changed.is_empty() && slice.is_over() {
                self.round = Some(round);
                return false;
            }
        }
        self.spare = round.changed;
        round.acks.newest.into_iter().for_each(|newest| self.table.observe_freshness(newest));
        true
    }

    /// Publishes up to this many of the vectors that have changed. What is found to be in another slot is published later.
    fn publish_piece(&mut self, state: &GroupState, changed: &mut ChangedVectors, most: usize) {
        let mut piece = std::mem::take(&mut self.piece);
        if !changed.provisional.is_empty() {
            changed.provisional.take_least(most, &mut piece);
            piece.iter().for_each(|slot| self.publish_provisional(state, *slot, &mut changed.slots));
        } else if !changed.evicted.is_empty() {
            for key in changed.evicted.pop_some(most) {
                self.publish_evicted(state, &key, &mut changed.slots);
            }
        } else {
            changed.slots.take_least(most, &mut piece);
            // Neighbouring slots have neighbouring state and cells. All that some slots need is prefetched before any of
            // them is published, so that the processor waits for memory once and not slot by slot.
            let prefetch = |slot: &u32| {
                let cell = self.cells[*slot as usize].as_ref().is_some_and(|cell| cell.prefetch());
                state.prefetch(*slot) ^ usize::from(cell)
            };
            std::hint::black_box(piece.iter().map(prefetch).sum::<usize>());
            piece.iter().for_each(|slot| self.publish_slot(state, *slot));
        }
        piece.clear();
        self.piece = piece;
    }

    /// Publishes the entity in a provisional slot, if there is one; one with closed records goes with the other slots.
    fn publish_provisional(&mut self, state: &GroupState, slot: u32, slots: &mut SlotSet) {
        let Some((key, hash)) = state.provisional_entity(slot) else { return };
        match state.find(key.as_bytes(), hash) {
            Some(closed) => slots.insert(closed),
            None => self.publish_provisional_slot(state, slot, key),
        }
    }

    /// Publishes an evicted entity, whatever its slot is now, or removes it.
    fn publish_evicted(&mut self, state: &GroupState, key: &Key, slots: &mut SlotSet) {
        let hash = Key::hash_of(key.as_bytes());
        match (state.find(key.as_bytes(), hash), state.find_provisional(key.as_bytes(), hash)) {
            (Some(slot), _) => slots.insert(slot),
            (None, Some(slot)) => self.publish_provisional_slot(state, slot, key),
            (None, None) => self.table.remove(key),
        }
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
        let sets = [Some(&self.changed), Some(&self.spare), self.round.as_ref().map(|round| &round.changed)];
        let sets: usize = sets.into_iter().flatten().map(ChangedVectors::bytes).sum();
        cells * size_of::<Option<Arc<OnlineCell>>>() + rows * size_of::<u32>() + sets
    }
}
