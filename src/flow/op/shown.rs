//! What the online store has of a feature group's members on one worker, and what it has not yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Chunks;
use super::members::{CLOSED, Updates};
use crate::aggregate::{Arrival, GroupState, LineInput};
use crate::store::memory::{Place, Shelf};
use crate::time::EventTime;
use crate::value::{AckToken, Batch, Key, Scalar};

/// Slots whose memory is fetched together.
const FETCHED: usize = 64;

/// The entities that are shown, and which of them must be shown again.
pub struct Shown {
    shelf: Arc<Shelf>,
    /// Slots whose vector may have changed,
    changed: Marked,
    /// and those that had when the round of showing began that is under way, descending, with what it will have shown.
    round: Option<(Vec<u32>, Came)>,
    /// Open slots that records have come to.
    opened: Marked,
    /// Batches whose records are not shown yet, by number.
    waiting: VecDeque<u64>,
    /// Entities that have left their slot; they may have another.
    gone: Vec<Key>,
    /// By slot and by open slot, where its vector is in the online store, once it is known.
    places: Vec<Option<Arc<Place>>>,
    open_places: Vec<Option<Arc<Place>>>,
    /// What has come since the last showing, and what had come before it and waits.
    came: (Came, Came),
    row: Vec<Scalar>,
}

/// Records that have come.
#[derive(Default)]
struct Came {
    /// The newest event time, if it is asked for.
    newest: Option<EventTime>,
    pending: Vec<AckToken>,
}

impl Came {
    fn add(&mut self, mut other: Came) {
        self.newest = self.newest.max(other.newest);
        self.pending.append(&mut other.pending);
    }
}

/// Slots, each once.
#[derive(Default)]
struct Marked {
    slots: Vec<u32>,
    is_marked: Vec<bool>,
}

impl Marked {
    fn mark(&mut self, slot: u32) {
        if slot as usize >= self.is_marked.len() {
            self.is_marked.resize((slot as usize + 1).next_power_of_two(), false);
        }
        if !std::mem::replace(&mut self.is_marked[slot as usize], true) {
            self.slots.push(slot);
        }
    }

    /// The slots, descending; none is marked any more. They are to be given back to [`Marked::clear`].
    fn take(&mut self) -> Vec<u32> {
        let mut slots = std::mem::take(&mut self.slots);
        slots.iter().for_each(|slot| self.is_marked[*slot as usize] = false);
        slots.sort_unstable_by(|a, b| b.cmp(a));
        slots
    }

    /// Takes the memory of slots that were taken back.
    fn clear(&mut self, mut slots: Vec<u32>) {
        slots.clear();
        if self.slots.is_empty() {
            self.slots = slots;
        }
    }
}

impl Shown {
    /// Nothing shown yet, of vectors of this width.
    pub fn new(shelf: Arc<Shelf>, width: usize) -> Self {
        Shown {
            shelf,
            changed: Marked::default(),
            round: None,
            opened: Marked::default(),
            waiting: VecDeque::new(),
            gone: Vec::new(),
            places: Vec::new(),
            open_places: Vec::new(),
            came: Default::default(),
            row: vec![Scalar::Null; width],
        }
    }

    /// A batch has come.
    pub fn come(&mut self, batch: &Batch) {
        let came = &mut self.came.0;
        if self.shelf.is_measured() {
            came.newest = came.newest.max(batch.event_times.iter().copied().max());
        }
        came.pending.push(batch.ack.clone());
    }

    /// A batch waits to be shown, if it does not close before.
    pub fn wait(&mut self, number: u64) {
        self.waiting.push_back(number);
    }

    /// Whether anything has come or changed that is not shown yet.
    pub fn is_behind(&self) -> bool {
        let marked = [&self.changed, &self.opened].iter().any(|marked| !marked.slots.is_empty());
        let came = [&self.came.0, &self.came.1].iter().any(|came| !came.pending.is_empty());
        came || marked || !self.gone.is_empty() || self.round.is_some()
    }

    /// What is in these slots has changed.
    pub fn change(&mut self, slots: impl Iterator<Item = u32>) {
        slots.for_each(|slot| self.changed.mark(slot));
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
        state: &mut GroupState,
        updates: &Chunks<Updates>,
        (arrivals, missed): (&[Arrival], &[u32]),
        ordered: bool,
    ) {
        let mut closing: Vec<Arrival> = Vec::new();
        for arrival in arrivals {
            let (updates, row) = (&updates.at(arrival.batch).extra, arrival.row as usize);
            let open = if row < updates.shown { updates.open[row] } else { CLOSED };
            if open != CLOSED {
                closing.push(Arrival { slot: open, ..*arrival });
            }
            if ordered || open == CLOSED {
                self.changed.mark(arrival.slot);
            }
        }
        missed.iter().for_each(|slot| self.changed.mark(*slot));
        if !closing.is_empty() {
            let inputs: Vec<&[LineInput]> = updates.iter().map(|chunk| chunk.extra.inputs.as_slice()).collect();
            let mut freed = Vec::new();
            state.close(&closing, &inputs, &mut freed);
            for slot in freed {
                if let Some(place) = self.open_places.get_mut(slot as usize) {
                    *place = None;
                }
            }
        }
    }

    /// Shows the entities that changed as they are now, with the records that are not closed, for some time; says
    /// whether all are shown that had changed when the round began. Records that have come in this activation wait, so
    /// that those that close at once are shown once.
    pub fn show(
        &mut self,
        state: &mut GroupState,
        updates: &mut Chunks<Updates>,
        activation: u64,
        slice: Option<Duration>,
    ) -> bool {
        self.open_new(state, updates, activation);
        if self.round.is_none() {
            self.show_open(state);
            self.show_gone(state);
            let (new, mut came) = std::mem::take(&mut self.came);
            if self.waiting.is_empty() {
                came.add(new);
            } else {
                self.came.1 = new;
            }
            self.round = Some((self.changed.take(), came));
        }
        // Counted from here: whatever comes meanwhile, each slice shows something.
        let over = self.show_changed(state, slice.map(|slice| Instant::now() + slice));
        if over && let Some((slots, came)) = self.round.take() {
            self.changed.clear(slots);
            came.newest.into_iter().for_each(|newest| self.shelf.shows(newest));
        }
        over
    }

    /// Adds what has waited long enough to the open records.
    fn open_new(&mut self, state: &mut GroupState, updates: &mut Chunks<Updates>, activation: u64) {
        let mut opening: Vec<Arrival> = Vec::new();
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|number| {
            let Some(chunk) = updates.get_mut(*number) else { return false };
            if chunk.extra.came == activation {
                return true;
            }
            let (updates, batch) = (&mut chunk.extra, &chunk.batch);
            updates.open.resize(batch.len(), CLOSED);
            for row in chunk.done..batch.len() {
                if updates.is_named(row) {
                    let key = updates.keys.row(row).data();
                    let slot = state.open_slot(key, Key::hash_of(key));
                    updates.open[row] = slot;
                    self.opened.mark(slot);
                    let (time, event_time) = (batch.times[row], batch.event_times[row]);
                    opening.push(Arrival { slot, batch: 0, row: row as u32, time, event_time });
                }
            }
            updates.shown = batch.len();
            state.open(&opening, &[&updates.inputs]);
            opening.clear();
            false
        });
        self.waiting = waiting;
    }

    /// Shows the entities that open records have come to; those with closed records among what has changed.
    fn show_open(&mut self, state: &GroupState) {
        let opened = self.opened.take();
        for slot in &opened {
            let Some((key, hash)) = state.open_entity(*slot) else { continue };
            match state.find(key.as_bytes(), hash) {
                Some(closed) => self.changed.mark(closed),
                None => self.show_open_slot(state, *slot, key),
            }
        }
        self.opened.clear(opened);
    }

    /// Shows entities whatever their slots are; nothing where there is none.
    fn show_gone(&mut self, state: &GroupState) {
        let mut gone = std::mem::take(&mut self.gone);
        gone.sort_unstable();
        gone.dedup();
        for key in gone {
            let hash = Key::hash_of(key.as_bytes());
            match (state.find(key.as_bytes(), hash), state.find_open(key.as_bytes(), hash)) {
                (Some(slot), _) => self.changed.mark(slot),
                (None, Some(open)) => self.show_open_slot(state, open, &key),
                (None, None) => self.shelf.remove(&key),
            }
        }
    }

    /// Goes on with the round until some moment; says whether it is over.
    fn show_changed(&mut self, state: &GroupState, until: Option<Instant>) -> bool {
        self.places.resize(state.capacity(), None);
        let Some((mut slots, came)) = self.round.take() else { return true };
        // Slots that were given one after another lie beside each other, and so do their places. What some slots need is
        // fetched before any of them is worked on, so that the processor waits for memory once and not slot by slot.
        while !slots.is_empty() && until.is_none_or(|until| Instant::now() < until) {
            let rest = slots.len().saturating_sub(FETCHED);
            let some = &slots[rest..];
            let fetch = |slot: &u32| {
                let place = self.places[*slot as usize].as_ref().is_some_and(|place| place.fetch());
                state.fetch(*slot) ^ usize::from(place)
            };
            std::hint::black_box(some.iter().map(fetch).sum::<usize>());
            some.iter().for_each(|slot| self.show_slot(state, *slot));
            slots.truncate(rest);
        }
        let over = slots.is_empty();
        self.round = Some((slots, came));
        over
    }

    /// Shows the entity in a slot, if there is one.
    fn show_slot(&mut self, state: &GroupState, slot: u32) {
        let Some((key, hash)) = state.entity(slot) else { return };
        let open = if state.has_open() { state.find_open(key.as_bytes(), hash) } else { None };
        state.vector_into(Some(slot), open, &mut self.row);
        self.shelf.write(key, &mut self.places[slot as usize], &self.row);
    }

    /// Shows an entity that has no closed records.
    fn show_open_slot(&mut self, state: &GroupState, open: u32, key: &Key) {
        if open as usize >= self.open_places.len() {
            self.open_places.resize((open as usize + 1).next_power_of_two(), None);
        }
        state.vector_into(None, Some(open), &mut self.row);
        self.shelf.write(key, &mut self.open_places[open as usize], &self.row);
    }
}
