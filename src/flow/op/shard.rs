//! One worker's share of a feature group: processes updates and look-ups in order of time.
//!
//! Updates that close together are inserted together, up to the next look-up or, where the changes of each time are
//! wanted, to the end of their time. What closes is processed in slices: the shard keeps its place between them, and
//! neither answers nor changes are given out before the last.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use timely::dataflow::operators::Capability;

use super::Stash;
use super::changes::Changes;
use super::closed_times::Interrupted;
use super::closing::{ClosingEvent, ClosingEvents, UPDATE};
use super::entities::GroupEntities;
use super::pending_lookups::PendingLookups;
use super::publisher::OnlinePublisher;
use super::updates::{ClosingUpdates, UpdateBatch};
use super::work_slice::{SliceLength, WorkSlice};
use crate::aggregate::{Feature, GroupSnapshot, SavedGroup};
use crate::checkpoint::{CheckpointError, OperatorCheckpoint};
use crate::example::OwnRecord;
use crate::expr::EvalStats;
use crate::flow::exchange::WorkerShare;
use crate::flow::nulls::count;
use crate::flow::plan::GroupPlan;
use crate::metrics::NullCounter;
use crate::source::Partitions;
use crate::store::memory::OnlineTable;
use crate::time::EventTime;
use crate::value::Batch;

/// The changes of a group that are wanted, and how they are made.
#[derive(Clone, Debug, Default)]
pub struct GroupOutputs {
    /// True if a row is wanted for every entity and time that had records.
    pub offline: bool,
    /// The table in which the newest vector of every changed entity is published.
    pub online: Option<Arc<OnlineTable>>,
    /// Counts the values that cannot be summed, and the sums that do not fit.
    pub nulls: Arc<NullCounter>,
    /// Counts the entities that are dropped at the bound.
    pub dropped: Arc<AtomicU64>,
    /// The partitions of the job.
    pub partitions: Arc<Partitions>,
    /// The length of the slices in which the operator works.
    pub slice: SliceLength,
}

/// A worker's share of a group's entities, and the updates and look-ups that wait to close.
pub struct GroupShard {
    plan: Arc<GroupPlan>,
    /// True if the closed changes are wanted.
    offline: bool,
    nulls: Arc<NullCounter>,
    partitions: Arc<Partitions>,
    entities: GroupEntities,
    updates: Stash<UpdateBatch>,
    lookups: Vec<PendingLookups>,
    /// The events that close and are not all processed.
    closing: Option<ClosingEvents>,
    /// The number of the operator's activation.
    activation: u64,
}

/// The most updates that are inserted together, unless closed changes are wanted or the group has a bound.
const MOST_IN_RUN: usize = 1024;

impl GroupShard {
    /// An empty shard. `wanted` has, for each stream of look-ups, the features to append and the lines that count the
    /// records themselves.
    pub fn new(
        plan: Arc<GroupPlan>,
        outputs: GroupOutputs,
        wanted: impl Iterator<Item = (Vec<usize>, Vec<OwnRecord>)>,
    ) -> Self {
        let GroupOutputs { offline, online, nulls, dropped, partitions, .. } = outputs;
        let publisher = online.map(OnlinePublisher::new);
        GroupShard {
            entities: GroupEntities::new(&plan, publisher, nulls.clone(), dropped),
            nulls,
            partitions,
            offline,
            updates: Stash::default(),
            lookups: wanted.map(|(features, own)| PendingLookups::new(&plan, features, own)).collect(),
            closing: None,
            activation: 0,
            plan,
        }
    }

    /// Loads the saved state of this worker's entities, which are to be published.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn load(&mut self, checkpoint: &OperatorCheckpoint, share: WorkerShare) -> Result<(), CheckpointError> {
        for part in checkpoint.load::<SavedGroup>()? {
            if !part.keys.iter().flatten().all(|key| self.plan.codec.admits(key.as_bytes())) {
                return Err(checkpoint.undecodable("a key is not one of the group's entity columns"));
            }
            let mine = |hash| share.owns(self.plan.bound.map_or(hash, |bound| bound.part_of(hash)));
            let slots = self.entities.state.load(part, mine).map_err(|error| checkpoint.undecodable(error))?;
            let mut row = vec![Feature::NULL; self.plan.layout.width];
            let is_typed = |row: &[Feature]| self.plan.types.iter().zip(row).all(|(ty, feature)| ty.admits(feature));
            for slot in &slots {
                self.entities.state.vector_into(Some(*slot), None, &mut row);
                let mut are_typed = is_typed(&row);
                self.entities.state.check_hidden(*slot, &mut row, &mut |row| are_typed &= is_typed(row));
                if !are_typed {
                    return Err(checkpoint.undecodable("a value is not of its feature's type"));
                }
            }
            if let Some(publisher) = &mut self.entities.publisher {
                publisher.mark_dirty(slots.into_iter());
            }
        }
        self.entities.count_loaded();
        Ok(())
    }

    /// The closed state as it is now.
    pub fn save(&mut self) -> GroupSnapshot {
        self.entities.save()
    }

    /// Begins another activation.
    pub fn begin_activation(&mut self) {
        self.activation += 1;
    }

    /// Stashes a batch of updates.
    pub fn push_updates(&mut self, batch: Batch) {
        let updates = UpdateBatch::new(&self.plan, &batch, &self.nulls);
        let ack = self.entities.publisher.as_ref().map(|publisher| publisher.ack_of(&batch));
        let number = self.updates.push(None, batch, updates);
        if let (Some(publisher), Some(ack)) = (&mut self.entities.publisher, ack) {
            publisher.enqueue(ack, number, self.activation);
        }
    }

    /// Stashes a batch of look-ups of the stream at `index`, whose entities are in the columns `entity`.
    pub fn push_lookups(
        &mut self,
        index: usize,
        capability: Option<Capability<EventTime>>,
        batch: Batch,
        entity: &[usize],
    ) {
        self.lookups[index].push(&self.plan, capability, batch, entity, &self.nulls);
    }

    /// Closes everything before `until`, to be processed by [`GroupShard::process`].
    pub fn close_before(&mut self, until: EventTime) {
        self.updates.close_before(until);
        self.lookups.iter_mut().for_each(|lookups| lookups.close_before(until));
        if let Some(publisher) = &mut self.entities.publisher {
            publisher.close_before(&self.updates);
        }
        let changes = self.offline.then(|| Changes::new(&self.plan));
        self.closing = Some(ClosingEvents { until, events: self.events(), at: 0, inserted: None, changes });
    }

    /// Returns the time before which everything is closed and is being processed, if any is.
    pub fn closing_before(&self) -> Option<EventTime> {
        self.closing.as_ref().map(|closing| closing.until)
    }

    /// Processes what closes, as far as a slice goes. Returns the closed changes, if they are wanted, once all is processed.
    /// Look-ups are taken by [`GroupShard::enriched`] next.
    ///
    /// # Errors
    /// If the slice is over before: the rest is to be processed by another.
    pub fn process(&mut self, slice: &WorkSlice) -> Result<Vec<Batch>, Interrupted> {
        let Some(mut closing) = self.closing.take() else { return Ok(Vec::new()) };
        if !self.process_events(&mut closing, slice) {
            self.closing = Some(closing);
            return Err(Interrupted);
        }
        if let Some(publisher) = &mut self.entities.publisher {
            publisher.retire(&self.updates);
        }
        self.updates.retire();
        let mut failed = EvalStats::default();
        let changes = closing.changes.map_or_else(Vec::new, |changes| changes.finish(&mut failed));
        count(&self.nulls, failed);
        Ok(changes)
    }

    /// Processes events in order, each once the state is advanced to it, then advances the state to the end. Returns whether
    /// it is there.
    fn process_events(&mut self, closing: &mut ClosingEvents, slice: &WorkSlice) -> bool {
        let updates = ClosingUpdates::of(&self.updates);
        let with_changes = closing.changes.is_some();
        let by_time = with_changes || self.plan.bound.is_some();
        loop {
            if let Some(run) = closing.inserted.take_if(|run| self.entities.advance(run.until, slice)) {
                self.entities.finish_run(run, closing.changes.as_mut());
            }
            let Some(first) = closing.rest().first().copied().filter(|_| closing.inserted.is_none()) else { break };
            let is_lookup = first.from != UPDATE;
            if (is_lookup || by_time) && !self.entities.advance(first.row.time, slice) {
                return false;
            }
            if is_lookup {
                self.lookups[first.from as usize].answer(first.row, &mut self.entities);
                closing.at += 1;
            } else {
                let run = closing.run(by_time, MOST_IN_RUN);
                let last = run.last().map_or(first.row.time, |last| last.row.time);
                let run = self.entities.insert_run(&updates, run.iter().map(|event| event.row), last, with_changes);
                closing.at += run.events;
                closing.inserted = Some(run);
            }
            if (!is_lookup || closing.at.is_multiple_of(slice.piece())) && slice.is_over() {
                return false;
            }
        }
        closing.inserted.is_none() && (closing.until == EventTime::MAX || self.entities.advance(closing.until, slice))
    }

    /// Returns everything that closes: look-ups of one time before its updates, and those in the total order where that matters.
    fn events(&self) -> Vec<ClosingEvent> {
        let mut events: Vec<ClosingEvent> = Vec::new();
        for (from, lookups) in (0u32..).zip(&self.lookups) {
            events.extend(lookups.rows().map(|row| ClosingEvent { from, row }));
        }
        events.extend(self.updates.rows().map(|row| ClosingEvent { from: UPDATE, row }));
        let place = |event: &ClosingEvent| (event.row.time, event.from);
        if self.plan.is_ordered() {
            let order = |event: &ClosingEvent| match event.from {
                UPDATE => self.updates.closing(event.row.batch).batch.sort_key.value(event.row.row as usize),
                _ => &[],
            };
            events.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| order(a).cmp(order(b))));
        } else {
            events.sort_by_key(place);
        }
        events
    }

    /// The look-ups of a stream that [`GroupShard::process`] has answered, with their features appended.
    pub fn enriched(&mut self, index: usize) -> Vec<(Capability<EventTime>, Batch)> {
        let mut failed = EvalStats::default();
        let enriched = self.lookups[index].enriched(&self.plan, &mut failed);
        count(&self.nulls, failed);
        enriched
    }

    /// Publishes the vectors that have changed to the online store, for a slice or without end; returns whether all are
    /// there that had changed when the round began.
    pub fn publish_round(&mut self, slice: Option<SliceLength>) -> bool {
        let backlog = self.has_backlog();
        let GroupEntities { state, publisher, .. } = &mut self.entities;
        let Some(publisher) = publisher else { return true };
        publisher.add_provisional(state, &self.updates, self.activation, backlog);
        // The slice begins here, so that each publishes something whatever the step before took.
        publisher.publish(state, &slice.map_or_else(WorkSlice::endless, WorkSlice::begin))
    }

    /// Returns whether a partition of the job has a backlog.
    pub fn has_backlog(&self) -> bool {
        self.partitions.has_backlog()
    }

    /// Returns whether anything has arrived or changed that is not published yet.
    pub fn has_unpublished(&self) -> bool {
        self.entities.publisher.as_ref().is_some_and(OnlinePublisher::has_unpublished)
    }

    /// Memory held by a part: the updates and look-ups that wait to close, then the parts of the entities' state. `None` if
    /// there are no more.
    pub fn state_bytes(&self, part: usize) -> Option<usize> {
        let Some(part) = part.checked_sub(1) else {
            let updates = self.updates.bytes() + self.updates.extras().map(|extra| extra.keys.size()).sum::<usize>();
            return Some(updates + self.lookups.iter().map(PendingLookups::bytes).sum::<usize>());
        };
        self.entities.bytes(part)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use arrow_array::{ArrayRef, StringArray};

    use super::*;
    use crate::aggregate::Feature;
    use crate::flow::Plan;
    use crate::store::Online;
    use crate::value::Scalar;

    const SPEC: &str = "name = \"demo\"\n[source.clicks]\ntopic = \"clicks\"\nformat = \"json\"\ntime = \"at\"\n\
                        columns = { user = \"string\", at = \"timestamp\" }\n\
                        [features.user]\nfrom = \"clicks\"\nentity = \"user\"\n\
                        aggregate = [{ op = \"count\", windows = [\"1h\"] }]\n";

    fn batch(users: &[&str], time: EventTime) -> Batch {
        let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(users.to_vec()))];
        let times = vec![time; users.len()];
        Batch { times: times.clone().into(), event_times: times.into(), columns, ..Batch::default() }
    }

    /// Publishes one vector of a round at a time.
    const SMALL: SliceLength = SliceLength { piece: 1, lasts: Duration::ZERO };

    #[test]
    fn a_record_that_closes_before_a_round_comes_to_it_is_published() {
        let plan = Plan::new(Arc::new(crate::spec::parse(SPEC, "demo.toml").unwrap()));
        let online = Online::new([("user".to_owned(), plan.groups[0].codec.types().to_vec())], []);
        let table = online.group("user").unwrap();
        let outputs = GroupOutputs { online: Some(table.clone()), ..GroupOutputs::default() };
        let mut shard = GroupShard::new(plan.groups[0].clone(), outputs, std::iter::empty());
        let close = |shard: &mut GroupShard, until| {
            shard.close_before(until);
            assert!(shard.process(&WorkSlice::endless()).expect("a slice without end").is_empty());
        };
        // A round is under way when a record becomes provisional, and when it closes.
        shard.begin_activation();
        shard.push_updates(batch(&["a", "b", "c"], 1));
        close(&mut shard, 5);
        assert!(!shard.publish_round(Some(SMALL)));
        shard.begin_activation();
        shard.push_updates(batch(&["d"], 10));
        shard.begin_activation();
        assert!(!shard.publish_round(Some(SMALL)));
        close(&mut shard, 20);
        while shard.has_unpublished() {
            shard.publish_round(Some(SMALL));
        }
        for user in ["a", "b", "c", "d"] {
            let key = table.codec().encode_one(&[Scalar::String(user.into())]);
            let shown = table.get(&key).unwrap_or_else(|| panic!("{user} is not shown"));
            assert_eq!(*shown, [Feature::Value(Scalar::Int(1))]);
        }
    }
}
