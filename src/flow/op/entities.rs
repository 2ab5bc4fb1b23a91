//! The entities of a feature group on one worker: their state, and its publishing to the online store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::changes::Changes;
use super::publisher::OnlinePublisher;
use super::stash::ClosingRow;
use super::updates::ClosingUpdates;
use super::work_slice::WorkSlice;
use crate::aggregate::{Expired, Feature, GroupSnapshot, GroupState, PREFETCHED, Update};
use crate::flow::plan::GroupPlan;
use crate::metrics::{NullCounter, NullReason};
use crate::time::EventTime;
use crate::value::Key;

/// The entities of a feature group on one worker.
pub struct GroupEntities {
    pub state: GroupState,
    /// `None` if there is no online store.
    pub publisher: Option<OnlinePublisher>,
    nulls: Arc<NullCounter>,
    /// Counts the entities that are dropped at the bound.
    dropped: Arc<AtomicU64>,
    /// True if an answer can depend on the order of records of equal time.
    is_ordered: bool,
    expired: Expired,
    row: Vec<Feature>,
    /// Memory for the updates of a run.
    updates: Vec<Update>,
}

/// A run of updates that is inserted and not finished.
pub struct InsertedRun {
    /// The number of its updates.
    pub events: usize,
    /// The time of the last.
    last: EventTime,
    /// The time that the state is to be advanced to next.
    pub until: EventTime,
    /// The entities that had updates, with their slots, where closed changes are wanted.
    touched: Vec<(Key, u32)>,
    /// The slots of updates that some window did not count. They may be empty.
    rejected: Vec<u32>,
}

impl GroupEntities {
    /// No entities. Sums that do not fit, in look-ups and changes, are counted in `nulls`, and entities that are dropped at
    /// the bound in `dropped`.
    pub fn new(
        plan: &GroupPlan,
        publisher: Option<OnlinePublisher>,
        nulls: Arc<NullCounter>,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        GroupEntities {
            state: GroupState::bounded(&plan.layout, plan.bound),
            publisher,
            nulls,
            dropped,
            is_ordered: plan.layout.is_ordered(),
            expired: Expired::default(),
            row: vec![Feature::NULL; plan.layout.width],
            updates: Vec::new(),
        }
    }

    /// The vector of an entity as of the time advanced to, of its closed records.
    pub fn look_up(&mut self, key: &[u8]) -> &[Feature] {
        let slot = self.state.find(key, Key::hash_of(key));
        self.nulls.add(NullReason::SumOverflow, self.state.vector_into(slot, None, &mut self.row));
        &self.row
    }

    /// Counts the entities that a loaded state had dropped.
    pub fn count_loaded(&self) {
        self.dropped.fetch_add(self.state.dropped(), Relaxed);
    }

    /// Inserts a run of closing updates, in the total order, the last of which takes effect at `last`. Returns what is left
    /// to do, by [`GroupEntities::finish_run`], once the state is advanced to [`InsertedRun::until`].
    ///
    /// Where closed changes are wanted (`with_changes`) or the group has a bound, the run is all updates of one time, which
    /// the state is advanced to: an entity that leaves its windows by then is released before its update, not between that
    /// and its change, and does not count for the bound. The entities beyond the bound are dropped after the run.
    pub fn insert_run(
        &mut self,
        closing: &ClosingUpdates<'_>,
        run: impl ExactSizeIterator<Item = ClosingRow>,
        last: EventTime,
        with_changes: bool,
    ) -> InsertedRun {
        let (mut updates, events) = (std::mem::take(&mut self.updates), run.len());
        updates.reserve(events);
        self.find_slots(closing, run, &mut updates);
        let mut rejected: Vec<u32> = Vec::new();
        self.state.insert(&updates, &closing.inputs, &mut rejected);
        if let Some(publisher) = &mut self.publisher {
            publisher.confirm(&mut self.state, closing, &updates, &rejected, self.is_ordered);
        }
        let touched = if with_changes { self.touched(&updates) } else { Vec::new() };
        if self.state.is_bounded() {
            rejected.drain(..).for_each(|slot| self.release_if_empty(slot));
            self.drop_excess();
        }
        updates.clear();
        self.updates = updates;
        InsertedRun { events, last, until: last + EventTime::from(with_changes), touched, rejected }
    }

    /// Appends the updates of a run with the slots of their entities, which get one if they have none.
    fn find_slots(
        &mut self,
        closing: &ClosingUpdates<'_>,
        run: impl ExactSizeIterator<Item = ClosingRow>,
        updates: &mut Vec<Update>,
    ) {
        let most = run.len().min(PREFETCHED);
        let (mut keys, mut hashes) = (Vec::with_capacity(most), Vec::with_capacity(most));
        let mut named = run.filter_map(|row| {
            let extra = &closing.stash.closing(row.batch).extra;
            extra.is_named(row.row as usize).then(|| (row, extra.keys.row(row.row as usize).data()))
        });
        loop {
            keys.clear();
            keys.extend(named.by_ref().take(PREFETCHED));
            if keys.is_empty() {
                return;
            }
            hashes.clear();
            hashes.extend(keys.iter().map(|(_, key)| Key::hash_of(key)));
            std::hint::black_box(self.state.prefetch_slots(&hashes));
            for ((ClosingRow { time, batch, row }, key), hash) in keys.iter().zip(&hashes) {
                let slot = self.state.slot(key, *hash);
                let event_time = closing.stash.closing(*batch).batch.event_times[*row as usize];
                updates.push(Update { slot, batch: *batch, row: *row, time: *time, event_time });
            }
        }
    }

    /// Ends a run, once the state is advanced to [`InsertedRun::until`]: if `changes` are wanted, the vectors of its entities
    /// just after its time are pushed to them.
    pub fn finish_run(&mut self, run: InsertedRun, changes: Option<&mut Changes>) {
        if let Some(changes) = changes {
            for (key, slot) in run.touched {
                let slot = Some(slot).filter(|slot| self.state.key(*slot) == Some(&key));
                self.nulls.add(NullReason::SumOverflow, self.state.vector_into(slot, None, &mut self.row));
                changes.push(run.last, key, &self.row);
            }
        }
        run.rejected.into_iter().for_each(|slot| self.release_if_empty(slot));
    }

    /// Moves the state to an asking time, as far as a slice goes; returns whether it is there. Entities that have no records
    /// any more are released.
    pub fn advance(&mut self, asof: EventTime, slice: &WorkSlice) -> bool {
        loop {
            let is_there = self.state.advance_within(asof, &mut slice.budget(), &mut self.expired);
            self.release_expired();
            if is_there || slice.is_over() {
                return is_there;
            }
        }
    }

    /// Marks the entities whose panes have expired as changed, and releases those that have no records any more.
    fn release_expired(&mut self) {
        if let Some(publisher) = &mut self.publisher {
            publisher.mark_dirty(self.expired.changed.iter().copied());
        }
        self.expired.changed.clear();
        while let Some(slot) = self.expired.emptied.pop() {
            self.release_if_empty(slot);
        }
    }

    fn release_if_empty(&mut self, slot: u32) {
        let Some(publisher) = &mut self.publisher else {
            self.state.release_if_empty(slot);
            return;
        };
        let key = self.state.key(slot).cloned();
        if self.state.release_if_empty(slot)
            && let Some(key) = key
        {
            publisher.evict(slot, key);
        }
    }

    /// Drops the entities beyond the bound.
    fn drop_excess(&mut self) {
        let mut dropped = Vec::new();
        self.state.drop_excess(&mut dropped);
        self.dropped.fetch_add(dropped.len() as u64, Relaxed);
        if let Some(publisher) = &mut self.publisher {
            dropped.into_iter().for_each(|(slot, key)| publisher.evict(slot, key));
        }
    }

    /// The entities that had updates, by slot.
    fn touched(&self, updates: &[Update]) -> Vec<(Key, u32)> {
        let mut touched: Vec<u32> = updates.iter().map(|update| update.slot).collect();
        touched.sort_unstable();
        touched.dedup();
        touched.into_iter().filter_map(|slot| Some((self.state.key(slot)?.clone(), slot))).collect()
    }

    /// The closed state as it is now.
    pub fn save(&mut self) -> GroupSnapshot {
        self.state.save()
    }

    /// Memory held by a part; `None` if there are no more.
    pub fn bytes(&self, part: usize) -> Option<usize> {
        let Some(part) = part.checked_sub(1) else {
            return Some(self.publisher.as_ref().map_or(0, OnlinePublisher::bytes));
        };
        self.state.bytes_of(part)
    }
}
