//! A feature group: entity -> panes, fed by records, asked by examples.
//!
//! - Inputs: updates, then one stream of questions for each model that looks this group up; all dealt by entity.
//! - Outputs: the closed changes (a vector just after all records of a time, for the offline store); the online
//!   upserts (newest vector of an entity, what is not closed included); then for each stream of questions the same
//!   records with their vectors appended.
//!
//! Updates and questions are worked off together in order of time, questions first among equals: a question at t sees
//! exactly the records before t. Questions and updates below the frontier are all there, so batches do not matter.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_row::Rows;
use serde::{Deserialize, Serialize};
use timely::container::NoopBuilder;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, Stream};
use timely::progress::Antichain;

use super::changes::Changes;
use super::chunks::Chunk;
use super::{Chunks, Records, frontier_of};
use crate::aggregate::{EntityState, GroupState, LineInput, Open};
use crate::checkpoint::{CheckpointError, Cut};
use crate::flow::exchange::{Route, key_columns, worker_of};
use crate::flow::plan::GroupPlan;
use crate::store::Upsert;
use crate::time::EventTime;
use crate::value::{Batch, ColumnBuilder, Key, Scalar};

/// A stream of questions: whose records, by which columns, for which features.
pub struct Questions<'scope> {
    pub stream: Records<'scope>,
    /// Columns of the stream that hold the entity.
    pub entity: Vec<usize>,
    /// Features wanted, by position in the group's vectors.
    pub features: Vec<usize>,
}

/// Which of its changes a group gives out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outputs {
    /// A row for every entity and time that had records.
    pub offline: bool,
    /// The newest vector of every entity that changed.
    pub online: bool,
}

/// What a group gives out.
pub struct GroupStreams<'scope> {
    pub closed: Records<'scope>,
    pub online: Stream<'scope, EventTime, Vec<Upsert>>,
    /// The questions with their answers, in the order given.
    pub answered: Vec<Records<'scope>>,
}

/// What a worker saves of a group.
#[derive(Serialize, Deserialize)]
struct Saved {
    position: i64,
    entities: Vec<EntityState>,
}

struct Updates {
    keys: Rows,
    inputs: Vec<LineInput>,
    /// Rows before this were seen by the online output.
    shown: usize,
}

struct Asked {
    keys: Rows,
    answers: Vec<ColumnBuilder>,
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
    mut cut: Cut,
) -> Result<GroupStreams<'scope>, CheckpointError> {
    let worker = (scope.worker().index(), scope.worker().peers());
    let mut group = Group::new(plan.clone(), outputs, questions.iter().map(|q| q.features.clone()).collect());
    group.load(&cut, worker)?;

    let mut builder = OperatorBuilder::new(format!("features.{}", plan.name), scope);
    let identity = || Antichain::from_elem(0);
    let route = Route::Key { codec: plan.codec.clone(), columns: plan.entity() };
    let mut update_input = builder.new_input_connection(updates, route.pact(), []);
    let mut question_inputs = Vec::new();
    for asked in questions {
        let route = Route::Key { codec: plan.codec.clone(), columns: asked.entity.clone() };
        question_inputs.push((builder.new_input_connection(asked.stream, route.pact(), []), asked.entity));
    }
    let (closed, closed_stream) = builder.new_output_connection([(0, identity())]);
    let (online, online_stream) = builder.new_output_connection([(0, identity())]);
    let mut closed = OutputBuilder::<_, NoopBuilder<Batch>>::from(closed);
    let mut online = OutputBuilder::<_, NoopBuilder<Vec<Upsert>>>::from(online);
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
        move |frontiers| {
            update_input.for_each(|_, batch| group.take_updates(std::mem::take(batch)));
            for (index, (input, entity)) in question_inputs.iter_mut().enumerate() {
                input.for_each(|capability, batch| {
                    let capability = capability.retain_least(index + 2);
                    group.take_questions(index, capability, std::mem::take(batch), entity);
                });
            }
            let frontier = frontiers.iter().map(frontier_of).min().unwrap_or(EventTime::MAX);
            for step in cut.steps(frontier) {
                if step.upto > done {
                    done = step.upto;
                    let mut handle = closed.activate();
                    if let Some(mut batch) = group.work_off(step.upto) {
                        handle.session_with_builder(&own[0]).give_container(&mut batch);
                    }
                    for (index, output) in answered.iter_mut().enumerate() {
                        let mut handle = output.activate();
                        for (capability, mut batch) in group.answered(index, step.upto) {
                            handle.session_with_builder(&capability).give_container(&mut batch);
                        }
                    }
                }
                if step.save {
                    cut.save(step.upto, &group.save());
                }
            }
            if outputs.online {
                let mut upserts = group.upserts();
                if !upserts.is_empty() {
                    online.activate().session_with_builder(&own[1]).give_container(&mut upserts);
                }
            }
            if done == EventTime::MAX {
                own.clear();
            } else {
                own.iter_mut().for_each(|capability| capability.downgrade(&done));
            }
        }
    });
    Ok(GroupStreams { closed: closed_stream, online: online_stream, answered: answered_streams })
}

/// The operator's state on one worker.
struct Group {
    plan: Arc<GroupPlan>,
    outputs: Outputs,
    state: GroupState,
    updates: Chunks<Updates>,
    /// For each stream of questions: the features wanted, and the questions.
    questions: Vec<(Vec<usize>, Chunks<Asked>)>,
    /// Entities whose online vector may have changed.
    changed: Vec<Key>,
    left: Vec<u32>,
    row: Vec<Scalar>,
}

impl Group {
    fn new(plan: Arc<GroupPlan>, outputs: Outputs, wanted: Vec<Vec<usize>>) -> Self {
        Group {
            state: GroupState::new(&plan.layout),
            outputs,
            updates: Chunks::default(),
            questions: wanted.into_iter().map(|features| (features, Chunks::default())).collect(),
            changed: Vec::new(),
            left: Vec::new(),
            row: vec![Scalar::Null; plan.layout.width],
            plan,
        }
    }

    fn load(&mut self, cut: &Cut, (index, peers): (usize, usize)) -> Result<(), CheckpointError> {
        for part in cut.vault().load::<Saved>(cut.operator())? {
            let mine = |entity: &EntityState| worker_of(Key::hash_of(entity.key.as_bytes()), peers) == index;
            let entities: Vec<EntityState> = part.entities.into_iter().filter(mine).collect();
            let wrong = |source| CheckpointError::Undecodable { operator: cut.operator().to_owned(), source };
            self.state.load(part.position, &entities).map_err(wrong)?;
            if self.outputs.online {
                self.changed.extend(entities.into_iter().map(|entity| entity.key));
            }
        }
        Ok(())
    }

    fn save(&self) -> Saved {
        let (position, entities) = self.state.save();
        Saved { position, entities }
    }

    fn take_updates(&mut self, batch: Batch) {
        let keys = self.plan.codec.encode(&batch.columns[..self.plan.codec.types().len()]);
        let inputs = self.plan.inputs(&batch);
        self.updates.push(None, batch, Updates { keys, inputs, shown: 0 });
    }

    fn take_questions(
        &mut self,
        index: usize,
        capability: Option<Capability<EventTime>>,
        batch: Batch,
        entity: &[usize],
    ) {
        let keys = self.plan.codec.encode(&key_columns(&batch, entity));
        let (features, chunks) = &mut self.questions[index];
        let answers = features.iter().map(|feature| ColumnBuilder::new(self.plan.types[*feature])).collect();
        chunks.push(capability, batch, Asked { keys, answers });
    }

    /// Works off everything before `upto`; gives the closed changes if they are wanted.
    fn work_off(&mut self, upto: EventTime) -> Option<Batch> {
        let mut events: Vec<Event> = Vec::new();
        for (stream, (_, chunks)) in self.questions.iter().enumerate() {
            events.extend(chunks.closed(upto).map(|(time, chunk, row)| Event {
                time,
                from: stream as u32,
                chunk,
                row,
            }));
        }
        events.extend(self.updates.closed(upto).map(|(time, chunk, row)| Event { time, from: UPDATE, chunk, row }));
        // Questions of one time come before its updates; updates of one time in the total order where it matters.
        if self.plan.layout.is_ordered() {
            let chunks = &self.updates.chunks;
            let order = |event: &Event| match event.from {
                UPDATE => chunks[event.chunk as usize].batch.order.value(event.row as usize),
                _ => &[],
            };
            events.sort_by(|a, b| (a.time, a.from).cmp(&(b.time, b.from)).then_with(|| order(a).cmp(order(b))));
        } else {
            events.sort_by_key(|event| (event.time, event.from));
        }

        let mut changes = self.outputs.offline.then(|| Changes::new(&self.plan));
        let mut touched: Vec<u32> = Vec::new();
        for (index, event) in events.iter().enumerate() {
            self.advance(event.time);
            if event.from == UPDATE {
                let chunk = &self.updates.chunks[event.chunk as usize];
                let row = event.row as usize;
                if !self.plan.has_null_entity(&chunk.batch, row) {
                    let key = chunk.extra.keys.row(row);
                    let slot = self.state.slot(key.as_ref(), Key::hash_of(key.as_ref()));
                    self.state.insert(slot, &chunk.extra.inputs, row, chunk.batch.event_times[row]);
                    touched.push(slot);
                }
                let last_of_time = events.get(index + 1).is_none_or(|next| next.time > event.time);
                if last_of_time {
                    self.close_time(event.time, &mut touched, changes.as_mut());
                }
            } else {
                self.answer(event);
            }
        }
        if upto < EventTime::MAX {
            self.advance(upto);
        }
        self.updates.finish(upto);
        changes.and_then(Changes::finish)
    }

    /// Moves the state on; what is left of entities that have no records any more is freed.
    fn advance(&mut self, asof: EventTime) {
        self.state.advance(asof, &mut self.left);
        while let Some(slot) = self.left.pop() {
            let Some(key) = self.state.key(slot) else { continue };
            if self.outputs.online {
                self.changed.push(key.clone());
            }
            self.state.release_if_empty(slot);
        }
    }

    /// All records of `time` are in: their entities have new vectors.
    fn close_time(&mut self, time: EventTime, touched: &mut Vec<u32>, changes: Option<&mut Changes>) {
        touched.sort_unstable();
        touched.dedup();
        if self.outputs.online {
            self.changed.extend(touched.iter().filter_map(|slot| self.state.key(*slot).cloned()));
        }
        if let Some(changes) = changes {
            let keys: Vec<(Key, u32)> =
                touched.iter().filter_map(|slot| Some((self.state.key(*slot)?.clone(), *slot))).collect();
            self.advance(time + 1);
            for (key, slot) in keys {
                let slot = Some(slot).filter(|slot| self.state.key(*slot) == Some(&key));
                self.state.vector_into(slot, &[], &mut self.row);
                changes.push(time, key, &self.row);
            }
        }
        touched.drain(..).for_each(|slot| {
            self.state.release_if_empty(slot);
        });
    }

    fn answer(&mut self, event: &Event) {
        let (features, chunks) = &mut self.questions[event.from as usize];
        let asked = &mut chunks.chunks[event.chunk as usize].extra;
        let key = asked.keys.row(event.row as usize);
        let slot = self.state.find(key.as_ref(), Key::hash_of(key.as_ref()));
        self.state.vector_into(slot, &[], &mut self.row);
        for (feature, builder) in features.iter().zip(&mut asked.answers) {
            builder.append(&self.row[*feature]);
        }
    }

    /// The questions before `upto` with their answers appended.
    fn answered(&mut self, index: usize, upto: EventTime) -> Vec<(Capability<EventTime>, Batch)> {
        let chunks = &mut self.questions[index].1;
        let answer = |chunk: &mut Chunk<Asked>| {
            let rows = chunk.extra.answers.first().map_or_else(
                || chunk.batch.times.partition_point(|time| *time < upto) - chunk.done,
                ColumnBuilder::len,
            );
            let batch = chunk.batch.slice(chunk.done, rows);
            let mut columns = batch.columns.clone();
            columns.extend(chunk.extra.answers.iter_mut().map(ColumnBuilder::finish));
            let capability = chunk.capability.clone().expect("questions are held with their capability");
            (rows > 0).then(|| (capability, batch.with_columns(columns)))
        };
        let answered = chunks.chunks.iter_mut().filter_map(answer).collect();
        chunks.finish(upto);
        answered
    }

    /// The newest vectors of the entities that changed, with the records that are not closed.
    fn upserts(&mut self) -> Vec<Upsert> {
        let mut open: HashMap<&[u8], Vec<(usize, usize)>> = HashMap::new();
        for (index, chunk) in self.updates.chunks.iter().enumerate() {
            for row in chunk.done..chunk.batch.len() {
                if !self.plan.has_null_entity(&chunk.batch, row) {
                    open.entry(chunk.extra.keys.row(row).data()).or_default().push((index, row));
                }
            }
        }
        let mut keys: Vec<Key> = std::mem::take(&mut self.changed);
        for chunk in &self.updates.chunks {
            let new = chunk.extra.shown.max(chunk.done)..chunk.batch.len();
            keys.extend(new.map(|row| Key::from_bytes(chunk.extra.keys.row(row).as_ref())));
        }
        keys.sort_unstable();
        keys.dedup();
        let upserts = keys
            .into_iter()
            .map(|key| {
                let slot = self.state.find(key.as_bytes(), Key::hash_of(key.as_bytes()));
                let mut rows = open.remove(key.as_bytes()).unwrap_or_default();
                let chunks = &self.updates.chunks;
                rows.sort_by_key(|(chunk, row)| chunks[*chunk].batch.times[*row]);
                let open: Vec<Open<'_>> = rows
                    .iter()
                    .enumerate()
                    .map(|(place, (chunk, row))| Open {
                        inputs: &chunks[*chunk].extra.inputs,
                        row: *row,
                        event_time: chunks[*chunk].batch.event_times[*row],
                        position: self.state.position() + place as i64,
                    })
                    .collect();
                let known = slot.is_some() || !open.is_empty();
                Upsert { key, vector: known.then(|| self.state.vector(slot, &open).into()) }
            })
            .collect();
        for chunk in &mut self.updates.chunks {
            chunk.extra.shown = chunk.batch.len();
        }
        upserts
    }
}

/// One thing to work off. Ordered by time; questions (`from` is the stream) before updates.
#[derive(Clone, Copy)]
struct Event {
    time: EventTime,
    from: u32,
    chunk: u32,
    row: u32,
}

const UPDATE: u32 = u32::MAX;
