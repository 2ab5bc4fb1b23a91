//! Provisional records: those that have arrived and are not closed, as part of the vectors that are served.
//!
//! A window keeps what an entity's provisional records add, beside the closed state, so a vector costs the same however
//! many of its entity's records are provisional. Entities with provisional records have slots of their own, as long as
//! they have some. A provisional record counts where it will count when it closes.

use std::collections::VecDeque;

use super::algebra::{Aggregate, Invertible, Observed};
use super::entities::Entities;
use crate::time::EventTime;
use crate::value::Key;

/// The provisional records of an aggregate, by provisional slot.
pub trait Provisional<A: Aggregate>: Default + 'static {
    /// Makes room for this many slots.
    fn grow(&mut self, slots: usize);
    /// Adds a record that takes effect at `time`.
    fn add(&mut self, aggregate: &A, slot: u32, time: EventTime, record: Observed<'_>);
    /// Takes out a record that was added, and may take out all of its slot that take effect no later.
    fn confirm(&mut self, aggregate: &A, slot: u32, time: EventTime, record: Observed<'_>);
    /// Adds what a slot has to the closed accumulator of its entity.
    fn fold_into(&self, aggregate: &A, slot: u32, acc: &mut A::Acc);
    /// Empties a slot.
    fn clear(&mut self, slot: u32);
    /// Memory held.
    fn bytes(&self) -> usize;
}

/// Of an invertible aggregate: one accumulator a slot.
pub struct Summed<A: Aggregate>(Vec<A::Acc>);

impl<A: Aggregate> Default for Summed<A> {
    fn default() -> Self {
        Summed(Vec::new())
    }
}

impl<A: Invertible> Provisional<A> for Summed<A> {
    fn grow(&mut self, slots: usize) {
        self.0.resize_with(slots, A::Acc::default);
    }

    fn add(&mut self, aggregate: &A, slot: u32, _time: EventTime, record: Observed<'_>) {
        aggregate.insert(&mut self.0[slot as usize], record);
    }

    fn confirm(&mut self, aggregate: &A, slot: u32, _time: EventTime, record: Observed<'_>) {
        let mut leaving = A::Acc::default();
        aggregate.insert(&mut leaving, record);
        aggregate.remove(&mut self.0[slot as usize], &leaving);
    }

    fn fold_into(&self, aggregate: &A, slot: u32, acc: &mut A::Acc) {
        aggregate.merge(acc, &self.0[slot as usize]);
    }

    fn clear(&mut self, slot: u32) {
        self.0[slot as usize] = A::Acc::default();
    }

    fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<A::Acc>()
    }
}

/// Of any other aggregate: for each slot, an accumulator for each time at which records take effect, ascending, without
/// those that a later one supersedes.
pub struct Queued<A: Aggregate> {
    by_slot: Vec<VecDeque<(EventTime, A::Acc)>>,
    /// Accumulators in all slots.
    held: usize,
}

impl<A: Aggregate> Default for Queued<A> {
    fn default() -> Self {
        Queued { by_slot: Vec::new(), held: 0 }
    }
}

impl<A: Aggregate> Provisional<A> for Queued<A> {
    fn grow(&mut self, slots: usize) {
        self.by_slot.resize_with(slots, VecDeque::new);
    }

    fn add(&mut self, aggregate: &A, slot: u32, time: EventTime, record: Observed<'_>) {
        let queue = &mut self.by_slot[slot as usize];
        let at = queue.partition_point(|(known, _)| *known < time);
        let known = queue.get(at).is_some_and(|(known, _)| *known == time);
        if known {
            aggregate.insert(&mut queue[at].1, record);
        } else {
            let mut acc = A::Acc::default();
            aggregate.insert(&mut acc, record);
            if queue.get(at).is_some_and(|(_, later)| aggregate.supersedes(later, &acc)) {
                return;
            }
            queue.insert(at, (time, acc));
        }
        let newest = &queue[at].1;
        let superseded = (0..at).rev().take_while(|before| aggregate.supersedes(newest, &queue[*before].1)).count();
        queue.drain(at - superseded..at);
        self.held = self.held + usize::from(!known) - superseded;
    }

    fn confirm(&mut self, _aggregate: &A, slot: u32, time: EventTime, _record: Observed<'_>) {
        while self.by_slot[slot as usize].pop_front_if(|(known, _)| *known <= time).is_some() {
            self.held -= 1;
        }
    }

    fn fold_into(&self, aggregate: &A, slot: u32, acc: &mut A::Acc) {
        let queue = &self.by_slot[slot as usize];
        if !queue.is_empty() {
            aggregate.merge(acc, &aggregate.merged(queue.iter().map(|(_, acc)| acc)));
        }
    }

    fn clear(&mut self, slot: u32) {
        let queue = std::mem::take(&mut self.by_slot[slot as usize]);
        self.held -= queue.len();
    }

    fn bytes(&self) -> usize {
        let entries = self.held * size_of::<(EventTime, A::Acc)>();
        entries + self.by_slot.capacity() * size_of::<VecDeque<(EventTime, A::Acc)>>()
    }
}

/// The entities that have provisional records.
#[derive(Default)]
pub struct ProvisionalEntities {
    entities: Entities,
    /// By slot, the number of its provisional records.
    counts: Vec<u32>,
}

impl ProvisionalEntities {
    /// The slot of an entity, which gets one if it has none; and the room that windows must make, if more is needed.
    pub fn slot(&mut self, key: &[u8], hash: u64) -> (u32, Option<usize>) {
        let slot = self.entities.slot(key, hash);
        let grows = slot as usize >= self.counts.len();
        let room = grows.then(|| self.entities.capacity().next_power_of_two());
        room.iter().for_each(|room| self.counts.resize(*room, 0));
        (slot, room)
    }

    /// Counts a record of a slot.
    pub fn count(&mut self, slot: u32) {
        self.counts[slot as usize] += 1;
    }

    /// Counts a record of a slot out; returns whether it was the last, by which the slot is free.
    pub fn discount(&mut self, slot: u32) -> bool {
        let count = &mut self.counts[slot as usize];
        *count -= 1;
        let free = *count == 0;
        if free {
            self.entities.release(slot);
        }
        free
    }

    /// The slot of an entity.
    pub fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        self.entities.find(key, hash)
    }

    /// The entity in a slot, and the hash of its key.
    pub fn entity(&self, slot: u32) -> Option<(&Key, u64)> {
        self.entities.entity(slot)
    }

    pub fn is_empty(&self) -> bool {
        self.entities.len() == 0
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        self.entities.bytes() + self.counts.capacity() * size_of::<u32>()
    }
}
