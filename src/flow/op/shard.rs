//! One worker's share of a feature group: processes updates and look-ups in order of time.
//!
//! Updates that close together are inserted together, up to the next look-up or, where the changes of each time are
//! wanted, to the end of their time.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_row::Rows;
use timely::dataflow::operators::Capability;

use super::changes::Changes;
use super::entities::GroupEntities;
use super::publisher::OnlinePublisher;
use super::updates::{ClosingUpdates, UpdateBatch};
use super::{ClosingRow, Stash};
use crate::aggregate::{Feature, FeatureColumn, GroupSnapshot, LineInput, SavedGroup};
use crate::checkpoint::{CheckpointError, OperatorCheckpoint};
use crate::example::OwnRecord;
use crate::expr::EvalStats;
use crate::flow::exchange::{WorkerShare, key_columns};
use crate::flow::nulls::count;
use crate::flow::plan::GroupPlan;
use crate::metrics::{NullCounter, NullReason};
use crate::source::Partitions;
use crate::store::memory::OnlineTable;
use crate::time::EventTime;
use crate::value::{Batch, MOST_BATCH_BYTES};

/// The changes of a group that are wanted.
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
    /// The number of the operator's activation.
    activation: u64,
}

/// The look-ups of one stream that wait to close.
struct PendingLookups {
    /// The features that are answered: those to append, and those that derived ones among them read.
    answered: Vec<WantedFeature>,
    /// The features to append, by position among all of the group.
    features: Vec<usize>,
    /// The lines that count the record that looks up, with its columns.
    own: Vec<OwnRecord>,
    stash: Stash<LookupBatch>,
}

/// A feature that is answered from a vector.
#[derive(Clone, Copy)]
struct WantedFeature {
    /// Its position in the group's vectors.
    position: usize,
    /// The position of its line among those that count the record that looks up, if it does.
    own: Option<usize>,
}

/// A batch of look-ups with what is computed on its arrival.
struct LookupBatch {
    keys: Rows,
    /// Rows without a null in the entity's columns; `None`: all.
    named: Option<NullBuffer>,
    /// The input of each line that counts the records themselves.
    own: Vec<LineInput>,
    /// A column for each feature that is answered, with the closing rows that are answered and not in `complete`.
    answers: Vec<FeatureColumn>,
    /// The columns of closing rows before those, cut where their texts are large.
    complete: Vec<Vec<ArrayRef>>,
}

/// A closing update or look-up.
#[derive(Clone, Copy)]
struct ClosingEvent {
    /// The position of the stream of look-ups, or [`UPDATE`].
    from: u32,
    row: ClosingRow,
}

/// Updates come after the look-ups of their time.
const UPDATE: u32 = u32::MAX;

impl GroupShard {
    /// An empty shard. `wanted` has, for each stream of look-ups, the features to append and the lines that count the
    /// records themselves.
    pub fn new(
        plan: Arc<GroupPlan>,
        outputs: GroupOutputs,
        wanted: impl Iterator<Item = (Vec<usize>, Vec<OwnRecord>)>,
    ) -> Self {
        let GroupOutputs { offline, online, nulls, dropped, partitions } = outputs;
        let publisher = online.map(OnlinePublisher::new);
        GroupShard {
            entities: GroupEntities::new(&plan, publisher, nulls.clone(), dropped),
            nulls,
            partitions,
            offline,
            updates: Stash::default(),
            lookups: wanted.map(|(features, own)| PendingLookups::new(&plan, features, own)).collect(),
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
    pub fn save(&self) -> GroupSnapshot {
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
        let key = key_columns(&batch, entity);
        let named = key.iter().fold(None, |named, column| NullBuffer::union(named.as_ref(), column.nulls()));
        let keys = self.plan.codec.encode(&key);
        let PendingLookups { answered, own, stash, .. } = &mut self.lookups[index];
        let own = own.iter().map(|own| own_input(own, &batch, &self.nulls)).collect();
        let answers = answered.iter().map(|feature| FeatureColumn::new(self.plan.types[feature.position]));
        let answers = answers.collect();
        stash.push(capability, batch, LookupBatch { keys, named, own, answers, complete: Vec::new() });
    }

    /// Processes everything before `until`. Returns the closed changes, if they are wanted. Look-ups
    /// are taken by [`GroupShard::enriched`] next.
    pub fn process_until(&mut self, until: EventTime) -> Vec<Batch> {
        self.updates.close_before(until);
        self.lookups.iter_mut().for_each(|lookups| lookups.stash.close_before(until));
        if let Some(publisher) = &mut self.entities.publisher {
            publisher.close_before(&self.updates);
        }
        let events = self.events();
        let closing = ClosingUpdates::of(&self.updates);
        let mut changes = self.offline.then(|| Changes::new(&self.plan));
        let mut rest = events.as_slice();
        while let Some(first) = rest.first() {
            let time = first.row.time;
            if first.from != UPDATE {
                self.entities.advance(time);
                self.lookups[first.from as usize].answer(first.row, &mut self.entities);
                rest = &rest[1..];
                continue;
            }
            let by_time = changes.is_some() || self.plan.bound.is_some();
            let together = |next: &&ClosingEvent| next.from == UPDATE && (!by_time || next.row.time == time);
            let (run, after) = rest.split_at(rest.iter().take_while(together).count());
            let last = run.last().map_or(time, |last| last.row.time);
            self.entities.insert_run(&closing, run.iter().map(|event| event.row), time, last, changes.as_mut());
            rest = after;
        }
        if until < EventTime::MAX {
            self.entities.advance(until);
        }
        if let Some(publisher) = &mut self.entities.publisher {
            publisher.retire(&self.updates);
        }
        self.updates.retire();
        let mut failed = EvalStats::default();
        let changes = changes.map_or_else(Vec::new, |changes| changes.finish(&mut failed));
        count(&self.nulls, failed);
        changes
    }

    /// Everything that closes: look-ups of one time before its updates, and those in the total order where that matters.
    fn events(&self) -> Vec<ClosingEvent> {
        let mut events: Vec<ClosingEvent> = Vec::new();
        for (from, lookups) in (0u32..).zip(&self.lookups) {
            events.extend(lookups.stash.rows().map(|row| ClosingEvent { from, row }));
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

    /// The look-ups of a stream that [`GroupShard::process_until`] has answered, with their features appended.
    pub fn enriched(&mut self, index: usize) -> Vec<(Capability<EventTime>, Batch)> {
        let PendingLookups { answered, features, stash, .. } = &mut self.lookups[index];
        let len = stash.closing_len();
        let mut failed = EvalStats::default();
        let mut enriched = Vec::new();
        for position in 0..len {
            let stashed = stash.closing_mut(position);
            let capability = stashed.capability.clone().expect("look-ups are stashed with their capability");
            let LookupBatch { answers, complete, .. } = &mut stashed.extra;
            let mut parts = std::mem::take(complete);
            parts.push(answers.iter_mut().map(FeatureColumn::finish).collect());
            let mut row = stashed.done;
            for answers in parts {
                let rows = answers.first().map_or(stashed.closing_rows().end - row, |column| column.len());
                if rows == 0 {
                    continue;
                }
                let batch = stashed.batch.slice(row, rows);
                row += rows;
                let appended = features.iter().map(|feature| {
                    let answer = |position: usize| answers[place(answered, position)].clone();
                    match self.plan.derived_at(*feature) {
                        Some(derived) => derived.eval(answer, rows, &mut failed),
                        None => answer(*feature),
                    }
                });
                let columns = batch.columns.iter().cloned().chain(appended).collect();
                enriched.push((capability.clone(), batch.with_columns(columns)));
            }
        }
        stash.retire();
        count(&self.nulls, failed);
        enriched
    }

    /// Publishes the vectors that have changed to the online store, for some time or without end; returns whether all are
    /// there that had changed when the round began.
    pub fn publish_round(&mut self, slice: Option<Duration>) -> bool {
        let backlog = self.has_backlog();
        let GroupEntities { state, publisher, .. } = &mut self.entities;
        publisher
            .as_mut()
            .is_none_or(|publisher| publisher.publish(state, &self.updates, self.activation, backlog, slice))
    }

    /// Returns whether a partition of the job has a backlog.
    pub fn has_backlog(&self) -> bool {
        self.partitions.has_backlog()
    }

    /// Returns whether anything has arrived or changed that is not published yet.
    pub fn has_unpublished(&self) -> bool {
        self.entities.publisher.as_ref().is_some_and(OnlinePublisher::has_unpublished)
    }

    /// Memory held by the entities' state, and by the updates and look-ups that wait to close.
    pub fn state_bytes(&self) -> usize {
        let updates = self.updates.bytes() + self.updates.extras().map(|extra| extra.keys.size()).sum::<usize>();
        let lookups = self.lookups.iter().map(|PendingLookups { stash, .. }| {
            stash.bytes() + stash.extras().map(|extra| extra.keys.size()).sum::<usize>()
        });
        self.entities.bytes() + updates + lookups.sum::<usize>()
    }
}

/// Returns the place of a feature among those that are answered.
fn place(answered: &[WantedFeature], position: usize) -> usize {
    answered.iter().position(|wanted| wanted.position == position).expect("all that is read is answered")
}

/// Evaluates what a line reads of the records that look up.
fn own_input(own: &OwnRecord, batch: &Batch, nulls: &NullCounter) -> LineInput {
    let mut failed = EvalStats::default();
    let columns = own.columns.map(|expr| expr.as_ref().map(|expr| expr.eval(&batch.columns, batch.len(), &mut failed)));
    count(nulls, failed);
    let mut unsummable = 0;
    let input = own.input(&columns, &mut unsummable);
    nulls.add(NullReason::Unsummable, unsummable);
    input
}

impl PendingLookups {
    fn new(plan: &GroupPlan, features: Vec<usize>, own: Vec<OwnRecord>) -> Self {
        let mut answered: Vec<WantedFeature> = Vec::new();
        let mut want = |position: usize| {
            if answered.iter().all(|wanted| wanted.position != position) {
                let own = own.iter().position(|own| own.features.contains(&position));
                answered.push(WantedFeature { position, own });
            }
        };
        for feature in &features {
            match plan.derived_at(*feature) {
                Some(derived) => derived.reads().iter().for_each(|(position, _)| want(*position)),
                None => want(*feature),
            }
        }
        PendingLookups { answered, features, own, stash: Stash::default() }
    }

    /// Appends the features of a closing look-up, as of the time that the state is advanced to: its own.
    fn answer(&mut self, row: ClosingRow, entities: &mut GroupEntities) {
        let lookup = &mut self.stash.closing_mut(row.batch).extra;
        let at = row.row as usize;
        let key = lookup.keys.row(at);
        let vector = entities.look_up(key.as_ref());
        // A record without an entity counts nowhere.
        let is_named = lookup.named.as_ref().is_none_or(|named| named.is_valid(at));
        for (feature, column) in self.answered.iter().zip(&mut lookup.answers) {
            match (&vector[feature.position], feature.own) {
                (Feature::Open(open), Some(line)) if is_named => {
                    column.append(&open.with(&lookup.own[line], at, row.time), row.time);
                }
                (answer, _) => column.append(answer, row.time),
            }
        }
        if lookup.answers.iter().map(FeatureColumn::text_bytes).sum::<usize>() >= MOST_BATCH_BYTES {
            lookup.complete.push(lookup.answers.iter_mut().map(FeatureColumn::finish).collect());
        }
    }
}
