//! The operator of a feature group: fed by records, asked by examples.
//!
//! - Inputs: updates, then one stream of look-ups for each model that asks the group; all exchanged by entity.
//! - Outputs: the closed changes (a vector just after all records of a time, for the offline store); an empty stream whose
//!   frontier follows what is published; then, for each stream of look-ups, its records with their features appended.
//! - The online store is written from here: the newest vector of every entity that changed, provisional records included
//!   (see `publisher`).
//!
//! Updates and look-ups are processed together in order of time, look-ups first among equals: a look-up as of t sees
//! exactly the records before t. All updates and look-ups before the frontier have arrived, so batches do not matter.
//!
//! The operator holds its worker for a few milliseconds at most ([`SliceLength`]), also when the panes of a million
//! entities leave at once. What closes is processed in slices; until the last, the outputs stay where they are in time,
//! no output is sent or saved, and nothing is published: a vector in the online store is as of one time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use timely::container::NoopBuilder;
use timely::dataflow::Scope;
use timely::dataflow::channels::pact::ParallelizationContract;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{InputHandleCore, OutputBuilder};
use timely::progress::Antichain;
use timely::progress::frontier::MutableAntichain;
use timely::scheduling::Activator;

use super::closed_times::Interrupted;
use super::shard::GroupShard;
use super::sink::SinkProgress;
use super::throttle::PublishThrottle;
use super::work_slice::{SliceLength, WorkSlice};
use super::{Records, frontier_of};
use crate::checkpoint::{CheckpointError, OperatorCheckpoint, SavedPart};
use crate::example::OwnRecord;
use crate::flow::exchange::{BatchPact, Route, WorkerShare};
use crate::flow::plan::GroupPlan;
use crate::time::EventTime;
use crate::value::Batch;

pub use super::shard::GroupOutputs;

/// A stream of look-ups.
pub struct Lookups<'scope> {
    pub stream: Records<'scope>,
    /// Columns of the stream that hold the entity.
    pub entity: Vec<usize>,
    /// The features to append, by position in the group's vectors.
    pub features: Vec<usize>,
    /// The lines that count the record that looks up, with its columns.
    pub own: Vec<OwnRecord>,
}

/// The output streams of a group.
pub struct GroupStreams<'scope> {
    pub closed: Records<'scope>,
    /// Empty; its frontier follows what is published.
    pub online: SinkProgress<'scope>,
    /// The look-ups with their features appended, in the order given.
    pub enriched: Vec<Records<'scope>>,
}

/// Builds the operator.
///
/// # Errors
/// If saved state cannot be read.
pub fn group<'scope>(
    scope: Scope<'scope, EventTime>,
    plan: &Arc<GroupPlan>,
    updates: Records<'scope>,
    lookups: Vec<Lookups<'scope>>,
    outputs: GroupOutputs,
    checkpoint: OperatorCheckpoint,
) -> Result<GroupStreams<'scope>, CheckpointError> {
    let worker = WorkerShare::of(scope);
    let wanted = lookups.iter().map(|lookups| (lookups.features.clone(), lookups.own.clone()));
    let (is_online, length) = (outputs.online.is_some(), outputs.slice);
    let mut shard = GroupShard::new(plan.clone(), outputs, wanted);
    shard.load(&checkpoint, worker)?;

    let mut builder = OperatorBuilder::new(format!("features.{}", plan.name), scope);
    let activator = scope.activator_for(builder.operator_info().address);
    let waker = scope.worker().sync_activator_for(builder.operator_info().address.to_vec());
    checkpoint.on_trigger(move || _ = waker.activate());
    let (mut ports, streams) = wire(&mut builder, plan, updates, lookups);
    builder.build(move |mut capabilities| {
        // Look-ups bring the capabilities of their outputs.
        capabilities.truncate(2);
        let mut schedule = GroupSchedule {
            shard,
            checkpoint,
            capabilities,
            done: EventTime::MIN,
            length,
            throttle: is_online.then(|| PublishThrottle::new(length)),
            activator,
            measures_at: None,
            measuring: None,
        };
        move |frontiers| schedule.run(&mut ports, frontiers)
    });
    Ok(streams)
}

type GroupInput = InputHandleCore<EventTime, Batch, <BatchPact as ParallelizationContract<EventTime, Batch>>::Puller>;
type GroupOutput = OutputBuilder<EventTime, NoopBuilder<Batch>>;

/// The inputs and outputs of the operator.
struct Ports {
    updates: GroupInput,
    closed: GroupOutput,
    lookups: Vec<LookupPort>,
}

/// A stream of look-ups and where it goes on.
struct LookupPort {
    input: GroupInput,
    entity: Vec<usize>,
    enriched: GroupOutput,
}

/// Connects the inputs and outputs. Only outputs of look-ups may have the times of an input, each that of its own.
fn wire<'scope>(
    builder: &mut OperatorBuilder<'scope, EventTime>,
    plan: &GroupPlan,
    updates: Records<'scope>,
    lookups: Vec<Lookups<'scope>>,
) -> (Ports, GroupStreams<'scope>) {
    let identity = || Antichain::from_elem(0);
    let pact = |columns| {
        let codec = plan.codec.clone();
        match plan.bound {
            None => Route::Key { codec, columns }.pact(),
            Some(bound) => Route::Part { codec, columns, bound }.pact(),
        }
    };
    let updates = builder.new_input_connection(updates, pact(plan.entity()), []);
    let mut inputs = Vec::with_capacity(lookups.len());
    for Lookups { stream, entity, .. } in lookups {
        inputs.push((builder.new_input_connection(stream, pact(entity.clone()), []), entity));
    }
    let (closed, closed_stream) = builder.new_output_connection([(0, identity())]);
    let (_online, online_stream) = builder.new_output_connection::<Vec<()>, _>([(0, identity())]);
    let (mut ports, mut enriched_streams) = (Vec::new(), Vec::new());
    for (index, (input, entity)) in inputs.into_iter().enumerate() {
        let (output, stream) = builder.new_output_connection([(index + 1, identity())]);
        ports.push(LookupPort { input, entity, enriched: OutputBuilder::from(output) });
        enriched_streams.push(stream);
    }
    let streams = GroupStreams { closed: closed_stream, online: online_stream, enriched: enriched_streams };
    (Ports { updates, closed: OutputBuilder::from(closed), lookups: ports }, streams)
}

/// The pause before publishing again while partitions have a backlog: most records that wait are then waiting to close.
const BACKLOG_PAUSE: Duration = Duration::from_millis(1);

/// The work of an activation.
struct GroupSchedule {
    shard: GroupShard,
    checkpoint: OperatorCheckpoint,
    /// Capabilities of the closed changes and of what is published; none at the end of time.
    capabilities: Vec<Capability<EventTime>>,
    /// The time before which everything is processed.
    done: EventTime,
    length: SliceLength,
    /// `None` if there is no online store.
    throttle: Option<PublishThrottle>,
    activator: Activator,
    /// The time of the next activation that measures the state.
    measures_at: Option<Instant>,
    /// The measurement that is under way.
    measuring: Option<StateMeasurement>,
}

/// A measurement of the state, part by part.
#[derive(Default)]
struct StateMeasurement {
    next_part: usize,
    bytes: usize,
}

impl GroupSchedule {
    fn run(&mut self, ports: &mut Ports, frontiers: &[MutableAntichain<EventTime>]) {
        self.receive(ports);
        let frontier = frontiers.iter().map(frontier_of).min().unwrap_or(EventTime::MAX);
        let slice = WorkSlice::begin(self.length);
        // What an activation does beside a slice of processing is left for the next, so that none is much longer.
        if self.advance(ports, frontier, &slice).is_err() || self.measure(&slice) {
            self.activator.activate();
        } else {
            self.publish();
        }
    }

    /// Processes everything before the frontier, and saves the state where a barrier lies on the way. What another slice had
    /// to leave is processed first, and then nothing else: it is published before more is begun.
    fn advance(&mut self, ports: &mut Ports, frontier: EventTime, slice: &WorkSlice) -> Result<(), Interrupted> {
        let mut upto = frontier;
        if let Some(until) = self.shard.closing_before() {
            self.process(ports, until, slice)?;
            upto = until;
        }
        for stretch in self.checkpoint.stretches(upto) {
            if stretch.until > self.done {
                self.shard.close_before(stretch.until);
                self.process(ports, stretch.until, slice)?;
            }
            if stretch.save_after {
                let snapshot = self.shard.save();
                self.checkpoint.save(stretch.until, SavedPart::deferred(move || snapshot.saved()));
            }
        }
        if self.done < frontier {
            self.activator.activate();
        }
        Ok(())
    }

    /// Measures the state as far as a slice goes, if it is time; returns whether it has. Otherwise there will be an
    /// activation for it, so that what the state holds is known although no input follows.
    fn measure(&mut self, slice: &WorkSlice) -> bool {
        let wait = self.checkpoint.measures_in();
        if !wait.is_zero() {
            let (now, is_over) = (Instant::now(), self.done == EventTime::MAX);
            if !is_over && self.measures_at.is_none_or(|at| at <= now) {
                self.measures_at = Some(now + wait);
                self.activator.activate_after(wait);
            }
            return false;
        }
        self.measures_at = None;
        let mut measurement = self.measuring.take().unwrap_or_default();
        while let Some(bytes) = self.shard.state_bytes(measurement.next_part) {
            measurement.bytes += bytes;
            measurement.next_part += 1;
            if slice.is_over() {
                self.measuring = Some(measurement);
                return true;
            }
        }
        self.checkpoint.set_state_bytes(measurement.bytes);
        true
    }

    /// Stashes what has arrived.
    fn receive(&mut self, ports: &mut Ports) {
        self.shard.begin_activation();
        ports.updates.for_each(|_, batch| self.shard.push_updates(std::mem::take(batch)));
        for (index, LookupPort { input, entity, .. }) in ports.lookups.iter_mut().enumerate() {
            input.for_each(|capability, batch| {
                let capability = capability.retain_least(index + 2);
                self.shard.push_lookups(index, capability, std::mem::take(batch), entity);
            });
        }
    }

    /// Processes what closes before `until`, as far as a slice goes, and sends the results once all is processed.
    fn process(&mut self, ports: &mut Ports, until: EventTime, slice: &WorkSlice) -> Result<(), Interrupted> {
        let changes = self.shard.process(slice)?;
        self.done = until;
        let mut closed = ports.closed.activate();
        for mut batch in changes {
            closed.session_with_builder(&self.capabilities[0]).give_container(&mut batch);
        }
        for (index, port) in ports.lookups.iter_mut().enumerate() {
            let mut enriched = port.enriched.activate();
            for (capability, mut batch) in self.shard.enriched(index) {
                enriched.session_with_builder(&capability).give_container(&mut batch);
            }
        }
        Ok(())
    }

    /// Publishes if it is time, downgrades the capabilities, and asks to be activated again if anything is left.
    fn publish(&mut self) {
        let (done, shard) = (self.done, &mut self.shard);
        let (published, wait) = match &mut self.throttle {
            None => (Some(done), Default::default()),
            Some(throttle) => {
                let published = throttle.run(done, |slice| shard.publish_round(slice));
                (published, throttle.wait().max(if shard.has_backlog() { BACKLOG_PAUSE } else { Duration::ZERO }))
            }
        };
        if done == EventTime::MAX {
            self.capabilities.clear();
            return;
        }
        // Batches that arrived in this activation stay queued for the next.
        if published != Some(done) || shard.has_unpublished() {
            self.activator.activate_after(wait);
        }
        self.capabilities[0].downgrade(&done);
        published.iter().for_each(|published| self.capabilities[1].downgrade(published));
    }
}
