//! What the online store has of a feature group's members on one worker, and what it has not yet.

use std::sync::Arc;

use super::Chunks;
use super::members::Updates;
use super::open::{OpenRow, OpenRows};
use crate::aggregate::{Arrival, GroupState};
use crate::store::memory::{Place, Shelf};
use crate::time::EventTime;
use crate::value::{Batch, Key, Scalar};

/// Slots whose memory is fetched together.
const FETCHED: usize = 64;

/// The entities that are shown, and which of them must be shown again.
pub struct Shown {
    shelf: Arc<Shelf>,
    open: OpenRows,
    /// Slots whose vector may have changed, and by slot whether it is among them.
    changed: Vec<u32>,
    is_changed: Vec<bool>,
    /// Entities to be looked at whatever their slot is now: those that have left are among them.
    gone: Vec<Key>,
    /// By slot, where its vector is in the online store, once it is known.
    places: Vec<Option<Arc<Place>>>,
    /// The newest event time of what has come since the last showing, and of what had come before it and waits.
    came: (EventTime, EventTime),
    row: Vec<Scalar>,
}

impl Shown {
    /// Nothing shown yet, of vectors of this width.
    pub fn new(shelf: Arc<Shelf>, width: usize) -> Self {
        Shown {
            shelf,
            open: OpenRows::default(),
            changed: Vec::new(),
            is_changed: Vec::new(),
            gone: Vec::new(),
            places: Vec::new(),
            came: (EventTime::MIN, EventTime::MIN),
            row: vec![Scalar::Null; width],
        }
    }

    /// A batch has come.
    pub fn come(&mut self, batch: &Batch) {
        if self.shelf.is_measured() {
            self.came.0 = batch.event_times.iter().copied().max().unwrap_or(EventTime::MIN).max(self.came.0);
        }
    }

    /// These entities may have changed.
    pub fn look_at(&mut self, keys: impl Iterator<Item = Key>) {
        self.gone.extend(keys);
    }

    /// What is in these slots has changed.
    pub fn change(&mut self, state: &GroupState, slots: impl Iterator<Item = u32>) {
        self.is_changed.resize(state.capacity(), false);
        for slot in slots {
            if !std::mem::replace(&mut self.is_changed[slot as usize], true) {
                self.changed.push(slot);
            }
        }
    }

    /// The entity in a slot has left it.
    pub fn release(&mut self, slot: u32, key: Key) {
        if let Some(place) = self.places.get_mut(slot as usize) {
            *place = None;
        }
        self.gone.push(key);
    }

    /// Records have closed; their entities change if they were not shown, or if being closed changes their order.
    pub fn close(
        &mut self,
        state: &GroupState,
        updates: &Chunks<Updates>,
        (arrivals, missed): (&[Arrival], &[u32]),
        ordered: bool,
    ) {
        let open = &mut self.open;
        let mut changed: Vec<u32> = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            let (updates, row) = (&updates.chunks[arrival.batch as usize].extra, arrival.row as usize);
            let was_open = row < updates.shown;
            if was_open {
                open.close(updates.keys.row(row).data(), arrival.time, &updates.inputs, row);
            }
            if ordered || !was_open {
                changed.push(arrival.slot);
            }
        }
        self.change(state, changed.into_iter().chain(missed.iter().copied()));
    }

    /// Shows the entities that changed as they are now, with the records that are not closed. Records that have come
    /// in this activation wait, so that those that close at once are shown once.
    pub fn show(&mut self, state: &GroupState, updates: &mut Chunks<Updates>, activation: u64) {
        self.places.resize(state.capacity(), None);
        self.show_changed(state);
        let mut opened = std::mem::take(&mut self.gone);
        self.open_new(updates, activation, &mut opened);
        opened.sort_unstable();
        opened.dedup();
        for key in opened {
            match state.find(key.as_bytes(), Key::hash_of(key.as_bytes())) {
                Some(slot) => self.show_slot(state, slot),
                None => self.show_open(state, &key),
            }
        }
        let behind = is_behind(updates);
        let newest = if behind { self.came.1 } else { self.came.0.max(self.came.1) };
        if newest > EventTime::MIN {
            self.shelf.shows(newest);
        }
        self.came = (EventTime::MIN, if behind { self.came.0 } else { EventTime::MIN });
    }

    fn show_changed(&mut self, state: &GroupState) {
        let mut changed = std::mem::take(&mut self.changed);
        // Slots that were given one after another lie beside each other, and so do their places. What some slots need is
        // fetched before any of them is worked on, so that the processor waits for memory once and not slot by slot.
        changed.sort_unstable();
        for some in changed.chunks(FETCHED) {
            let fetch = |slot: &u32| {
                let place = self.places[*slot as usize].as_ref().is_some_and(|place| place.fetch());
                state.fetch(*slot) ^ usize::from(place)
            };
            std::hint::black_box(some.iter().map(fetch).sum::<usize>());
            for slot in some {
                self.is_changed[*slot as usize] = false;
                self.show_slot(state, *slot);
            }
        }
        changed.clear();
        self.changed = changed;
    }

    /// Adds what has waited long enough to the open records; its entities go to `opened`.
    fn open_new(&mut self, updates: &mut Chunks<Updates>, activation: u64, opened: &mut Vec<Key>) {
        for chunk in &mut updates.chunks {
            let (updates, batch) = (&mut chunk.extra, &chunk.batch);
            if updates.came == activation || updates.shown == batch.len() {
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
    }

    /// Shows the entity in a slot, if there is one.
    fn show_slot(&mut self, state: &GroupState, slot: u32) {
        let Some(key) = state.key(slot) else { return };
        let open = if self.open.is_empty() { Vec::new() } else { self.open.of(key.as_bytes(), state.position()) };
        state.vector_into(Some(slot), &open, &mut self.row);
        self.shelf.write(key, &mut self.places[slot as usize], &self.row);
    }

    /// Shows an entity that has no closed records.
    fn show_open(&mut self, state: &GroupState, key: &Key) {
        let open = self.open.of(key.as_bytes(), state.position());
        if open.is_empty() {
            return self.shelf.remove(key);
        }
        state.vector_into(None, &open, &mut self.row);
        self.shelf.write(key, &mut None, &self.row);
    }
}

/// Whether records are open that are not shown yet.
pub fn is_behind(updates: &Chunks<Updates>) -> bool {
    updates.chunks.iter().any(|chunk| chunk.extra.shown < chunk.batch.len())
}
