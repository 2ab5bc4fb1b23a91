//! The entities of a feature group on one worker: their state, and its publishing to the online store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::changes::Changes;
use super::publisher::OnlinePublisher;
use super::stash::ClosingRow;
use super::updates::ClosingUpdates;
use crate::aggregate::{Expired, Feature, GroupSnapshot, GroupState, Update};
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

    /// Inserts a run of closing updates, in the total order. If `changes` are wanted, the run is all updates of one time,
    /// and their entities' vectors just after that time are pushed to them. If the group has a bound, the run is of one time,
    /// too, and the entities beyond it are dropped after it.
    pub fn insert_run(
        &mut self,
        closing: &ClosingUpdates<'_>,
        run: impl ExactSizeIterator<Item = ClosingRow>,
        first: EventTime,
        last: EventTime,
        changes: Option<&mut Changes>,
    ) {
        if changes.is_some() || self.state.is_bounded() {
            // An entity that leaves its windows by then is released before its update, not between that and its change, and
            // does not count for the bound.
            self.advance(first);
        }
        let mut updates = std::mem::take(&mut self.updates);
        updates.reserve(run.len());
        for ClosingRow { time, batch, row } in run {
            let stashed = closing.stash.closing(batch);
            if stashed.extra.is_named(row as usize) {
                let key = stashed.extra.keys.row(row as usize).data();
                let slot = self.state.slot(key, Key::hash_of(key));
                let event_time = stashed.batch.event_times[row as usize];
                updates.push(Update { slot, batch, row, time, event_time });
            }
        }
        let mut rejected: Vec<u32> = Vec::new();
        self.state.insert(&updates, &closing.inputs, &mut rejected);
        if let Some(publisher) = &mut self.publisher {
            publisher.confirm(&mut self.state, closing, &updates, &rejected, self.is_ordered);
        }
        self.advance(last);
        let touched = changes.as_ref().map(|_| self.touched(&updates));
        if self.state.is_bounded() {
            rejected.drain(..).for_each(|slot| self.release_if_empty(slot));
            self.drop_excess();
        }
        if let (Some(changes), Some(touched)) = (changes, touched) {
            self.push_changes(last, touched, changes);
        }
        rejected.into_iter().for_each(|slot| self.release_if_empty(slot));
        updates.clear();
        self.updates = updates;
    }

    /// Moves the state to an asking time. Entities that have no records any more are released.
    pub fn advance(&mut self, asof: EventTime) {
        self.state.advance(asof, &mut self.expired);
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

    /// Pushes the new vectors of the entities that had updates, once all records of `time` are inserted.
    fn push_changes(&mut self, time: EventTime, touched: Vec<(Key, u32)>, changes: &mut Changes) {
        self.advance(time + 1);
        for (key, slot) in touched {
            let slot = Some(slot).filter(|slot| self.state.key(*slot) == Some(&key));
            self.nulls.add(NullReason::SumOverflow, self.state.vector_into(slot, None, &mut self.row));
            changes.push(time, key, &self.row);
        }
    }

    /// The closed state as it is now.
    pub fn save(&self) -> GroupSnapshot {
        self.state.save()
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        self.state.bytes() + self.publisher.as_ref().map_or(0, OnlinePublisher::bytes)
    }
}
