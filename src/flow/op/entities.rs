//! The entities of a feature group on one worker: their state, and its publishing to the online store.

use std::sync::Arc;

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
    /// True if an answer can depend on the order of records of equal time.
    is_ordered: bool,
    expired: Expired,
    row: Vec<Feature>,
    /// Memory for the updates of a run.
    updates: Vec<Update>,
}

impl GroupEntities {
    /// No entities. Sums that do not fit, in look-ups and changes, are counted in `nulls`.
    pub fn new(plan: &GroupPlan, publisher: Option<OnlinePublisher>, nulls: Arc<NullCounter>) -> Self {
        GroupEntities {
            state: GroupState::new(&plan.layout),
            publisher,
            nulls,
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

    /// Inserts a run of closing updates, in the total order. If `changes` are wanted, the run is all updates of one time,
    /// and their entities' vectors just after that time are pushed to them.
    pub fn insert_run(
        &mut self,
        closing: &ClosingUpdates<'_>,
        run: impl ExactSizeIterator<Item = ClosingRow>,
        first: EventTime,
        last: EventTime,
        changes: Option<&mut Changes>,
    ) {
        if changes.is_some() {
            // An entity that leaves its windows by then is released before its update, not between that and its change.
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
        if let Some(changes) = changes {
            self.push_changes(last, &updates, changes);
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

    /// Pushes the new vectors of the entities that had updates, once all records of `time` are inserted.
    fn push_changes(&mut self, time: EventTime, updates: &[Update], changes: &mut Changes) {
        let mut touched: Vec<u32> = updates.iter().map(|update| update.slot).collect();
        touched.sort_unstable();
        touched.dedup();
        let keys: Vec<(Key, u32)> =
            touched.into_iter().filter_map(|slot| Some((self.state.key(slot)?.clone(), slot))).collect();
        self.advance(time + 1);
        for (key, slot) in keys {
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
