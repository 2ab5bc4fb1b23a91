//! The members of a feature group on one worker: works records and questions off in order of time.
//!
//! Records that close together are taken in together, up to the next question or, where each time's changes are given
//! out, to the end of their time.

use std::rc::Rc;
use std::sync::Arc;

use arrow_array::Array;
use arrow_buffer::NullBuffer;
use arrow_row::Rows;
use serde::{Deserialize, Serialize};
use timely::dataflow::operators::Capability;

use super::Chunks;
use super::changes::Changes;
use super::chunks::Chunk;
use super::group::Outputs;
use super::shown::{self, Shown};
use crate::aggregate::{Arrival, EntityState, GroupState, Left, LineInput};
use crate::checkpoint::{CheckpointError, Cut};
use crate::flow::exchange::{key_columns, worker_of};
use crate::flow::plan::GroupPlan;
use crate::time::EventTime;
use crate::value::{Batch, ColumnBuilder, Key, Scalar};

/// What a worker saves of a group.
#[derive(Serialize, Deserialize)]
pub struct Saved {
    position: i64,
    entities: Vec<EntityState>,
}

pub struct Updates {
    pub keys: Rows,
    /// Rows without a null in the entity's columns; `None`: all.
    named: Option<NullBuffer>,
    pub inputs: Rc<Vec<LineInput>>,
    /// Rows before this were shown while open.
    pub shown: usize,
    /// In which activation the batch came.
    pub came: u64,
}

impl Updates {
    /// Whether a record belongs to an entity.
    pub fn is_named(&self, row: usize) -> bool {
        self.named.as_ref().is_none_or(|named| named.is_valid(row))
    }
}

struct Asked {
    keys: Rows,
    answers: Vec<ColumnBuilder>,
}

/// A worker's share of a group's entities.
pub struct Members {
    plan: Arc<GroupPlan>,
    /// Whether the closed changes are given out.
    offline: bool,
    state: GroupState,
    updates: Chunks<Updates>,
    /// For each stream of questions: the features wanted, and the questions.
    questions: Vec<(Vec<usize>, Chunks<Asked>)>,
    /// Which activation of the operator this is.
    activation: u64,
    /// What the online store has of them, if it has.
    shown: Option<Shown>,
    left: Left,
    row: Vec<Scalar>,
}

impl Members {
    pub fn new(plan: Arc<GroupPlan>, outputs: Outputs, wanted: Vec<Vec<usize>>) -> Self {
        Members {
            state: GroupState::new(&plan.layout),
            offline: outputs.offline,
            updates: Chunks::default(),
            questions: wanted.into_iter().map(|features| (features, Chunks::default())).collect(),
            activation: 0,
            shown: outputs.online.map(|shelf| Shown::new(shelf, plan.layout.width)),
            left: Left::default(),
            row: vec![Scalar::Null; plan.layout.width],
            plan,
        }
    }

    /// Takes over what was saved of this worker's entities.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn load(&mut self, cut: &Cut, (index, peers): (usize, usize)) -> Result<(), CheckpointError> {
        for part in cut.vault().load::<Saved>(cut.operator())? {
            let mine = |entity: &EntityState| worker_of(Key::hash_of(entity.key.as_bytes()), peers) == index;
            let entities: Vec<EntityState> = part.entities.into_iter().filter(mine).collect();
            let wrong = |source| CheckpointError::Undecodable { operator: cut.operator().to_owned(), source };
            self.state.load(part.position, &entities).map_err(wrong)?;
            if let Some(shown) = &mut self.shown {
                shown.look_at(entities.into_iter().map(|entity| entity.key));
            }
        }
        Ok(())
    }

    pub fn save(&self) -> Saved {
        let (position, entities) = self.state.save();
        Saved { position, entities }
    }

    /// Another activation begins.
    pub fn begin(&mut self) {
        self.activation += 1;
    }

    pub fn take_updates(&mut self, batch: Batch) {
        let entity = &batch.columns[..self.plan.codec.types().len()];
        let keys = self.plan.codec.encode(entity);
        let named = entity.iter().fold(None, |named, column| NullBuffer::union(named.as_ref(), column.nulls()));
        let inputs = Rc::new(self.plan.inputs(&batch));
        if let Some(shown) = &mut self.shown {
            shown.come(&batch);
        }
        self.updates.push(None, batch, Updates { keys, named, inputs, shown: 0, came: self.activation });
    }

    pub fn take_questions(
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
    pub fn work_off(&mut self, upto: EventTime) -> Option<Batch> {
        let events = self.events(upto);
        let mut changes = self.offline.then(|| Changes::new(&self.plan));
        let mut at = 0;
        while let Some(event) = events.get(at) {
            if event.from != UPDATE {
                self.advance(event.time);
                self.answer(event);
                at += 1;
                continue;
            }
            let together = |next: &&Event| next.from == UPDATE && (changes.is_none() || next.time == event.time);
            let run = events[at..].iter().take_while(together).count();
            self.take_in(&events[at..at + run], changes.as_mut());
            at += run;
        }
        if upto < EventTime::MAX {
            self.advance(upto);
        }
        self.updates.finish(upto);
        changes.and_then(Changes::finish)
    }

    /// All that is closed by `upto`: questions of one time before its updates, and those in the total order where that
    /// matters.
    fn events(&self, upto: EventTime) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        for (stream, (_, chunks)) in self.questions.iter().enumerate() {
            let from = stream as u32;
            events.extend(chunks.closed(upto).map(|(time, chunk, row)| Event { time, from, chunk, row }));
        }
        events.extend(self.updates.closed(upto).map(|(time, chunk, row)| Event { time, from: UPDATE, chunk, row }));
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
        events
    }

    /// Takes in a run of updates; if changes are wanted, all updates of one time.
    fn take_in(&mut self, run: &[Event], changes: Option<&mut Changes>) {
        if let (Some(first), Some(_)) = (run.first(), &changes) {
            // What leaves by then frees its entity before an update of it comes, not between the update and its change.
            self.advance(first.time);
        }
        let chunks = &self.updates.chunks;
        let mut arrivals: Vec<Arrival> = Vec::with_capacity(run.len());
        for event in run {
            let chunk = &chunks[event.chunk as usize];
            let row = event.row as usize;
            if chunk.extra.is_named(row) {
                let key = chunk.extra.keys.row(row).data();
                let slot = self.state.slot(key, Key::hash_of(key));
                let event_time = chunk.batch.event_times[row];
                arrivals.push(Arrival { slot, batch: event.chunk, row: event.row, time: event.time, event_time });
            }
        }
        let inputs: Vec<&[LineInput]> = chunks.iter().map(|chunk| chunk.extra.inputs.as_slice()).collect();
        let mut missed: Vec<u32> = Vec::new();
        self.state.insert(&arrivals, &inputs, &mut missed);
        if let Some(shown) = &mut self.shown {
            shown.close(&self.state, &self.updates, (&arrivals, &missed), self.plan.layout.is_ordered());
        }
        let Some(last) = run.last() else { return };
        self.advance(last.time);
        if let Some(changes) = changes {
            self.close_time(last.time, &arrivals, changes);
        }
        missed.into_iter().for_each(|slot| self.release_if_empty(slot));
    }

    /// Moves the state on; what is left of entities that have no records any more is freed.
    fn advance(&mut self, asof: EventTime) {
        self.state.advance(asof, &mut self.left);
        if let Some(shown) = &mut self.shown {
            shown.change(&self.state, self.left.changed.iter().copied());
        }
        self.left.changed.clear();
        while let Some(slot) = self.left.emptied.pop() {
            self.release_if_empty(slot);
        }
    }

    fn release_if_empty(&mut self, slot: u32) {
        let Some(shown) = &mut self.shown else {
            self.state.release_if_empty(slot);
            return;
        };
        let key = self.state.key(slot).cloned();
        if self.state.release_if_empty(slot)
            && let Some(key) = key
        {
            shown.release(slot, key);
        }
    }

    /// All records of `time` are in: their entities have new vectors.
    fn close_time(&mut self, time: EventTime, arrivals: &[Arrival], changes: &mut Changes) {
        let mut touched: Vec<u32> = arrivals.iter().map(|arrival| arrival.slot).collect();
        touched.sort_unstable();
        touched.dedup();
        let keys: Vec<(Key, u32)> =
            touched.into_iter().filter_map(|slot| Some((self.state.key(slot)?.clone(), slot))).collect();
        self.advance(time + 1);
        for (key, slot) in keys {
            let slot = Some(slot).filter(|slot| self.state.key(*slot) == Some(&key));
            self.state.vector_into(slot, &[], &mut self.row);
            changes.push(time, key, &self.row);
        }
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
    pub fn answered(&mut self, index: usize, upto: EventTime) -> Vec<(Capability<EventTime>, Batch)> {
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

    /// Puts the newest vectors of the entities that changed into the online store, with the records that are not closed.
    pub fn show(&mut self) {
        if let Some(shown) = &mut self.shown {
            shown.show(&self.state, &mut self.updates, self.activation);
        }
    }

    /// Whether records are open that are not shown yet.
    pub fn look_again(&self) -> bool {
        self.shown.is_some() && shown::is_behind(&self.updates)
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
