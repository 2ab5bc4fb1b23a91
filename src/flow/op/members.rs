//! The members of a feature group on one worker: works records and questions off in order of time.
//!
//! Records that close together are taken in together, up to the next question or, where each time's changes are given
//! out, to the end of their time.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::Array;
use arrow_buffer::NullBuffer;
use arrow_row::Rows;
use timely::dataflow::operators::Capability;

use super::Chunks;
use super::changes::Changes;
use super::group::Outputs;
use super::shown::Shown;
use crate::aggregate::{Arrival, GroupSnapshot, GroupState, Left, LineInput, SavedGroup};
use crate::checkpoint::{CheckpointError, OperatorCheckpoint};
use crate::flow::exchange::{WorkerShare, key_columns};
use crate::flow::plan::GroupPlan;
use crate::time::EventTime;
use crate::value::{Batch, ColumnBuilder, Key, Scalar};

pub struct Updates {
    pub keys: Rows,
    /// Rows without a null in the entity's columns; `None`: all.
    named: Option<NullBuffer>,
    pub inputs: Vec<LineInput>,
    /// Rows before this were shown while open,
    pub shown: usize,
    /// in these open slots; [`CLOSED`] where a row closed before.
    pub open: Vec<u32>,
    /// In which activation the batch came.
    pub came: u64,
}

/// No open slot.
pub const CLOSED: u32 = u32::MAX;

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
    pub fn load(&mut self, checkpoint: &OperatorCheckpoint, share: WorkerShare) -> Result<(), CheckpointError> {
        for part in checkpoint.load::<SavedGroup>()? {
            let slots =
                self.state.load(part, |hash| share.owns(hash)).map_err(|error| checkpoint.undecodable(error))?;
            if let Some(shown) = &mut self.shown {
                shown.change(slots.into_iter());
            }
        }
        Ok(())
    }

    pub fn save(&self) -> GroupSnapshot {
        self.state.save()
    }

    /// Another activation begins.
    pub fn begin(&mut self) {
        self.activation += 1;
    }

    pub fn take_updates(&mut self, batch: Batch) {
        let entity = &batch.columns[..self.plan.codec.types().len()];
        let keys = self.plan.codec.encode(entity);
        let named = entity.iter().fold(None, |named, column| NullBuffer::union(named.as_ref(), column.nulls()));
        let inputs = self.plan.inputs(&batch);
        if let Some(shown) = &mut self.shown {
            shown.come(&batch);
        }
        let updates = Updates { keys, named, inputs, shown: 0, open: Vec::new(), came: self.activation };
        let number = self.updates.push(None, batch, updates);
        if let (Some(shown), Some(number)) = (&mut self.shown, number) {
            shown.wait(number);
        }
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
        self.updates.begin(upto);
        self.questions.iter_mut().for_each(|(_, chunks)| chunks.begin(upto));
        let events = self.events();
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
        self.updates.finish();
        changes.and_then(Changes::finish)
    }

    /// All that closes now: questions of one time before its updates, and those in the total order where that matters.
    fn events(&self) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        for (stream, (_, chunks)) in self.questions.iter().enumerate() {
            let from = stream as u32;
            events.extend(chunks.rows().map(|(time, chunk, row)| Event { time, from, chunk, row }));
        }
        events.extend(self.updates.rows().map(|(time, chunk, row)| Event { time, from: UPDATE, chunk, row }));
        if self.plan.layout.is_ordered() {
            let updates = &self.updates;
            let order = |event: &Event| match event.from {
                UPDATE => updates.at(event.chunk).batch.sort_key.value(event.row as usize),
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
        let mut arrivals: Vec<Arrival> = Vec::with_capacity(run.len());
        for event in run {
            let chunk = self.updates.at(event.chunk);
            let row = event.row as usize;
            if chunk.extra.is_named(row) {
                let key = chunk.extra.keys.row(row).data();
                let slot = self.state.slot(key, Key::hash_of(key));
                let event_time = chunk.batch.event_times[row];
                arrivals.push(Arrival { slot, batch: event.chunk, row: event.row, time: event.time, event_time });
            }
        }
        let inputs: Vec<&[LineInput]> = self.updates.iter().map(|chunk| chunk.extra.inputs.as_slice()).collect();
        let mut missed: Vec<u32> = Vec::new();
        self.state.insert(&arrivals, &inputs, &mut missed);
        if let Some(shown) = &mut self.shown {
            shown.close(&mut self.state, &self.updates, (&arrivals, &missed), self.plan.layout.is_ordered());
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
            shown.change(self.left.changed.iter().copied());
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
            self.state.vector_into(slot, None, &mut self.row);
            changes.push(time, key, &self.row);
        }
    }

    fn answer(&mut self, event: &Event) {
        let (features, chunks) = &mut self.questions[event.from as usize];
        let asked = &mut chunks.at_mut(event.chunk).extra;
        let key = asked.keys.row(event.row as usize);
        let slot = self.state.find(key.as_ref(), Key::hash_of(key.as_ref()));
        self.state.vector_into(slot, None, &mut self.row);
        for (feature, builder) in features.iter().zip(&mut asked.answers) {
            builder.append(&self.row[*feature]);
        }
    }

    /// The questions that were worked off, with their answers appended.
    pub fn answered(&mut self, index: usize) -> Vec<(Capability<EventTime>, Batch)> {
        let chunks = &mut self.questions[index].1;
        let places = chunks.places();
        let answer = |place: u32| {
            let chunk = chunks.at_mut(place);
            let batch = chunk.batch.slice(chunk.done, chunk.closing().len());
            let mut columns = batch.columns.clone();
            columns.extend(chunk.extra.answers.iter_mut().map(ColumnBuilder::finish));
            let capability = chunk.capability.clone().expect("questions are held with their capability");
            (capability, batch.with_columns(columns))
        };
        let answered = (0..places).map(answer).collect();
        chunks.finish();
        answered
    }

    /// Puts the newest vectors of the entities that changed into the online store, with the records that are not closed,
    /// for some time; says whether all that had changed when it began are there.
    pub fn show(&mut self, slice: Option<Duration>) -> bool {
        let Some(shown) = &mut self.shown else { return true };
        shown.show(&mut self.state, &mut self.updates, self.activation, slice)
    }

    /// Whether anything has come or changed that is not shown yet.
    pub fn look_again(&self) -> bool {
        self.shown.as_ref().is_some_and(Shown::is_behind)
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
