//! A feature group: entity -> panes, fed by records, asked by examples.
//!
//! - Inputs: updates, then one stream of questions for each model that looks this group up; all dealt by entity.
//! - Outputs: the closed changes (a vector just after all records of a time, for the offline store); a stream of
//!   nothing that follows what the online store shows; then for each stream of questions the same records with their
//!   vectors appended.
//! - The online store is written from here: the newest vector of every entity that changed, what is not closed included.
//!
//! Updates and questions are worked off together in order of time, questions first among equals: a question at t sees
//! exactly the records before t. Questions and updates below the frontier are all there, so batches do not matter.

use std::sync::Arc;

use timely::container::NoopBuilder;
use timely::dataflow::Scope;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::Antichain;

use super::members::Members;
use super::showing::Showing;
use super::sink::SinkProgress;
use super::{Records, frontier_of};
use crate::checkpoint::{CheckpointError, OperatorCheckpoint, SavedPart};
use crate::flow::exchange::{Route, WorkerShare};
use crate::flow::plan::GroupPlan;
use crate::store::memory::Shelf;
use crate::time::EventTime;
use crate::value::Batch;

/// A stream of questions: whose records, by which columns, for which features.
pub struct Questions<'scope> {
    pub stream: Records<'scope>,
    /// Columns of the stream that hold the entity.
    pub entity: Vec<usize>,
    /// Features wanted, by position in the group's vectors.
    pub features: Vec<usize>,
}

/// Which of its changes a group gives out.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// A row for every entity and time that had records.
    pub offline: bool,
    /// Where the newest vector of every entity that changed is shown.
    pub online: Option<Arc<Shelf>>,
}

/// What a group gives out.
pub struct GroupStreams<'scope> {
    pub closed: Records<'scope>,
    /// Nothing, at the times that are shown.
    pub online: SinkProgress<'scope>,
    /// The questions with their answers, in the order given.
    pub answered: Vec<Records<'scope>>,
}

/// Builds the operator.
///
/// # Errors
/// If saved state cannot be read.
pub fn group<'scope>(
    scope: Scope<'scope, EventTime>,
    plan: &Arc<GroupPlan>,
    updates: Records<'scope>,
    questions: Vec<Questions<'scope>>,
    outputs: Outputs,
    mut checkpoint: OperatorCheckpoint,
) -> Result<GroupStreams<'scope>, CheckpointError> {
    let worker = WorkerShare::of(scope);
    let mut group = Members::new(plan.clone(), outputs.clone(), questions.iter().map(|q| q.features.clone()).collect());
    group.load(&checkpoint, worker)?;

    let mut builder = OperatorBuilder::new(format!("features.{}", plan.name), scope);
    let activator = scope.activator_for(builder.operator_info().address);
    let waker = scope.worker().sync_activator_for(builder.operator_info().address.to_vec());
    checkpoint.on_trigger(move || _ = waker.activate());
    let identity = || Antichain::from_elem(0);
    let route = Route::Key { codec: plan.codec.clone(), columns: plan.entity() };
    let mut update_input = builder.new_input_connection(updates, route.pact(), []);
    let mut question_inputs = Vec::new();
    for asked in questions {
        let route = Route::Key { codec: plan.codec.clone(), columns: asked.entity.clone() };
        question_inputs.push((builder.new_input_connection(asked.stream, route.pact(), []), asked.entity));
    }
    let (closed, closed_stream) = builder.new_output_connection([(0, identity())]);
    let (_online, online_stream) = builder.new_output_connection::<Vec<()>, _>([(0, identity())]);
    let mut closed = OutputBuilder::<_, NoopBuilder<Batch>>::from(closed);
    let mut answered = Vec::new();
    let mut answered_streams = Vec::new();
    for index in 0..question_inputs.len() {
        let (output, stream) = builder.new_output_connection([(index + 1, identity())]);
        answered.push(OutputBuilder::<_, NoopBuilder<Batch>>::from(output));
        answered_streams.push(stream);
    }

    builder.build(move |mut capabilities| {
        capabilities.truncate(2);
        let mut own: Vec<Capability<EventTime>> = capabilities;
        let mut done = EventTime::MIN;
        let mut showing = Showing::default();
        move |frontiers| {
            group.begin();
            update_input.for_each(|_, batch| group.take_updates(std::mem::take(batch)));
            for (index, (input, entity)) in question_inputs.iter_mut().enumerate() {
                input.for_each(|capability, batch| {
                    let capability = capability.retain_least(index + 2);
                    group.take_questions(index, capability, std::mem::take(batch), entity);
                });
            }
            let frontier = frontiers.iter().map(frontier_of).min().unwrap_or(EventTime::MAX);
            for stretch in checkpoint.stretches(frontier) {
                if stretch.until > done {
                    done = stretch.until;
                    let mut handle = closed.activate();
                    if let Some(mut batch) = group.work_off(stretch.until) {
                        handle.session_with_builder(&own[0]).give_container(&mut batch);
                    }
                    for (index, output) in answered.iter_mut().enumerate() {
                        let mut handle = output.activate();
                        for (capability, mut batch) in group.answered(index) {
                            handle.session_with_builder(&capability).give_container(&mut batch);
                        }
                    }
                }
                if stretch.save_after {
                    let snapshot = group.save();
                    checkpoint.save(stretch.until, SavedPart::deferred(move || snapshot.saved()));
                }
            }
            let shown = match &outputs.online {
                None => Some(done),
                Some(_) => showing.show(done, |slice| group.show(slice)),
            };
            // Most of what has just come is closed as soon as the frontier of its source is known.
            if done < EventTime::MAX && (shown != Some(done) || group.look_again()) {
                activator.activate_after(showing.wait());
            }
            if done == EventTime::MAX {
                own.clear();
            } else {
                own[0].downgrade(&done);
                shown.iter().for_each(|shown| own[1].downgrade(shown));
            }
        }
    });
    Ok(GroupStreams { closed: closed_stream, online: online_stream, answered: answered_streams })
}
