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
use super::open::{OpenRow, OpenRows};
use crate::aggregate::{Arrival, EntityState, GroupState, Left, LineInput};
use crate::checkpoint::{CheckpointError, Cut};
use crate::flow::exchange::{key_columns, worker_of};
use crate::flow::plan::GroupPlan;
use crate::store::memory::{Place, Shelf};
use crate::time::EventTime;
use crate::value::{Batch, ColumnBuilder, Key, Scalar};

/// Slots whose memory is fetched together.
const FETCHED: usize = 64;

/// What a worker saves of a group.
#[derive(Serialize, Deserialize)]
pub struct Saved {
    position: i64,
    entities: Vec<EntityState>,
}

struct Updates {
    keys: Rows,
    /// Rows without a null in the entity's columns; `None`: all.
    named: Option<NullBuffer>,
    inputs: Rc<Vec<LineInput>>,
    /// Rows before this were shown while open.
    shown: usize,
    /// Whether the batch has come since the last upserts.
    new: bool,
}

impl Updates {
    /// Whether a record belongs to an entity.
    fn is_named(&self, row: usize) -> bool {
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
    outputs: Outputs,
    state: GroupState,
    updates: Chunks<Updates>,
    /// For each stream of questions: the features wanted, and the questions.
    questions: Vec<(Vec<usize>, Chunks<Asked>)>,
    open: OpenRows,
    /// Slots whose online vector may have changed, and by slot whether it is among them.
    changed: Vec<u32>,
    is_changed: Vec<bool>,
    /// Entities that have left, since the last upserts.
    gone: Vec<Key>,
    /// By slot, where its vector is in the online store, once it is known.
    places: Vec<Option<Arc<Place>>>,
    /// The newest event time of what has come since the last showing, and of what had come before it and waits.
    came: (EventTime, EventTime),
    left: Left,
    row: Vec<Scalar>,
}

impl Members {
    pub fn new(plan: Arc<GroupPlan>, outputs: Outputs, wanted: Vec<Vec<usize>>) -> Self {
        Members {
            state: GroupState::new(&plan.layout),
            outputs,
            updates: Chunks::default(),
            questions: wanted.into_iter().map(|features| (features, Chunks::default())).collect(),
            open: OpenRows::default(),
            changed: Vec::new(),
            is_changed: Vec::new(),
            gone: Vec::new(),
            places: Vec::new(),
            came: (EventTime::MIN, EventTime::MIN),
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
            if self.outputs.online.is_some() {
                self.gone.extend(entities.into_iter().map(|entity| entity.key));
            }
        }
        Ok(())
    }

    pub fn save(&self) -> Saved {
        let (position, entities) = self.state.save();
        Saved { position, entities }
    }

    pub fn take_updates(&mut self, batch: Batch) {
        let entity = &batch.columns[..self.plan.codec.types().len()];
        let keys = self.plan.codec.encode(entity);
        let named = entity.iter().fold(None, |named, column| NullBuffer::union(named.as_ref(), column.nulls()));
        let inputs = Rc::new(self.plan.inputs(&batch));
        if self.outputs.online.as_ref().is_some_and(|shelf| shelf.is_measured()) {
            self.came.0 = batch.event_times.iter().copied().max().unwrap_or(EventTime::MIN).max(self.came.0);
        }
        self.updates.push(None, batch, Updates { keys, named, inputs, shown: 0, new: true });
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
        let mut changes = self.outputs.offline.then(|| Changes::new(&self.plan));
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
        if self.outputs.online.is_some() {
            self.show_closed(&arrivals, &missed);
        }
        let Some(last) = run.last() else { return };
        self.advance(last.time);
        if let Some(changes) = changes {
            self.close_time(last.time, &arrivals, changes);
        }
        missed.into_iter().for_each(|slot| self.release_if_empty(slot));
    }

    /// Has the entities of records shown that were not, or that changes by being closed.
    fn show_closed(&mut self, arrivals: &[Arrival], missed: &[u32]) {
        self.is_changed.resize(self.state.capacity(), false);
        let ordered = self.plan.layout.is_ordered();
        let changed = arrivals.iter().filter_map(|arrival| {
            let (updates, row) = (&self.updates.chunks[arrival.batch as usize].extra, arrival.row as usize);
            let was_open = row < updates.shown;
            if was_open {
                self.open.close(updates.keys.row(row).data(), arrival.time, &updates.inputs, row);
            }
            (ordered || !was_open).then_some(arrival.slot)
        });
        for slot in changed.chain(missed.iter().copied()) {
            if !std::mem::replace(&mut self.is_changed[slot as usize], true) {
                self.changed.push(slot);
            }
        }
    }

    /// Moves the state on; what is left of entities that have no records any more is freed.
    fn advance(&mut self, asof: EventTime) {
        self.state.advance(asof, &mut self.left);
        if self.outputs.online.is_some() {
            self.is_changed.resize(self.state.capacity(), false);
            for slot in &self.left.changed {
                if !std::mem::replace(&mut self.is_changed[*slot as usize], true) {
                    self.changed.push(*slot);
                }
            }
        }
        self.left.changed.clear();
        while let Some(slot) = self.left.emptied.pop() {
            self.release_if_empty(slot);
        }
    }

    fn release_if_empty(&mut self, slot: u32) {
        let Some(key) = self.state.key(slot).filter(|_| self.outputs.online.is_some()).cloned() else {
            self.state.release_if_empty(slot);
            return;
        };
        if self.state.release_if_empty(slot) {
            if let Some(place) = self.places.get_mut(slot as usize) {
                *place = None;
            }
            self.gone.push(key);
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
    /// Records that have come since the last call wait for the next, so that those that close at once are shown once.
    pub fn show(&mut self) {
        let Some(shelf) = self.outputs.online.clone() else { return };
        self.places.resize(self.state.capacity(), None);
        let mut changed = std::mem::take(&mut self.changed);
        // Slots that were given one after another lie beside each other, and so do their places. What some slots need is
        // fetched before any of them is worked on, so that the processor waits for memory once and not slot by slot.
        changed.sort_unstable();
        for some in changed.chunks(FETCHED) {
            let fetch = |slot: &u32| {
                let place = self.places[*slot as usize].as_ref().is_some_and(|place| place.fetch());
                self.state.fetch(*slot) ^ usize::from(place)
            };
            std::hint::black_box(some.iter().map(fetch).sum::<usize>());
            for slot in some {
                self.is_changed[*slot as usize] = false;
                self.show_slot(&shelf, *slot);
            }
        }
        changed.clear();
        self.changed = changed;
        let mut opened = std::mem::take(&mut self.gone);
        for chunk in &mut self.updates.chunks {
            let (updates, batch) = (&mut chunk.extra, &chunk.batch);
            if std::mem::take(&mut updates.new) {
                continue;
            }
            for row in updates.shown.max(chunk.done)..batch.len() {
                if updates.is_named(row) {
                    let (time, event_time) = (batch.times[row], batch.event_times[row]);
                    let key = updates.keys.row(row).data();
                    self.open.add(key, OpenRow { time, event_time, inputs: updates.inputs.clone(), row });
                    opened.push(Key::from_bytes(key));
                }
            }
            updates.shown = batch.len();
        }
        opened.sort_unstable();
        opened.dedup();
        for key in opened {
            match self.state.find(key.as_bytes(), Key::hash_of(key.as_bytes())) {
                Some(slot) => self.show_slot(&shelf, slot),
                None => self.show_open(&shelf, &key),
            }
        }
        let newest = if self.look_again() { self.came.1 } else { self.came.0.max(self.came.1) };
        if newest > EventTime::MIN {
            shelf.shows(newest);
        }
        self.came = (EventTime::MIN, if newest < self.came.0 { self.came.0 } else { EventTime::MIN });
    }

    /// Whether records are open that are not shown yet.
    pub fn look_again(&self) -> bool {
        self.updates.chunks.iter().any(|chunk| chunk.extra.shown < chunk.batch.len())
    }

    /// Shows the entity in a slot, if there is one.
    fn show_slot(&mut self, shelf: &Shelf, slot: u32) {
        let Some(key) = self.state.key(slot) else { return };
        let open = if self.open.is_empty() { Vec::new() } else { self.open.of(key.as_bytes(), self.state.position()) };
        self.state.vector_into(Some(slot), &open, &mut self.row);
        shelf.write(key, &mut self.places[slot as usize], &self.row);
    }

    /// Shows an entity that has no closed records.
    fn show_open(&mut self, shelf: &Shelf, key: &Key) {
        let open = self.open.of(key.as_bytes(), self.state.position());
        if open.is_empty() {
            return shelf.remove(key);
        }
        self.state.vector_into(None, &open, &mut self.row);
        shelf.write(key, &mut None, &self.row);
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
