//! The entities that have provisional records: those that have arrived and are not closed.

use super::entities::Entities;
use crate::value::Key;

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
