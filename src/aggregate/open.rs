//! Records that have arrived but are not closed: what a vector that is shown has beyond the closed state.
//!
//! Windows keep what such records add up to, by entity, beside what is closed; so a vector costs the same however many
//! of its entity's records are open. Entities with open records have slots of their own, as long as they have some. An
//! open record counts where it will count when it closes.

use super::entities::Entities;
use super::state::{Arrival, GroupState};
use super::{LineInput, SlidingWindow};
use crate::value::Key;

/// The entities that have open records.
#[derive(Default)]
pub struct OpenEntities {
    entities: Entities,
    /// By slot, how many of its records are open.
    counts: Vec<u32>,
    /// How many records have been opened.
    came: i64,
}

impl SlidingWindow {
    /// Whether a record counts when it takes effect.
    pub fn takes(&self, record: &Arrival) -> bool {
        self.leaves(self.pane(record.event_time)) > record.time
    }
}

impl GroupState {
    /// The open slot of an entity, given one if it has none: [`GroupState::open`] is to follow.
    pub fn open_slot(&mut self, key: &[u8], hash: u64) -> u32 {
        let slot = self.open.entities.slot(key, hash);
        if slot as usize >= self.open.counts.len() {
            let room = self.open.entities.capacity().next_power_of_two();
            self.open.counts.resize(room, 0);
            self.windows.iter_mut().for_each(|window| window.grow_open(room));
        }
        slot
    }

    /// Takes in records that are not closed, with their open slots; none that takes effect before the time advanced to.
    pub fn open(&mut self, records: &[Arrival], batches: &[&[LineInput]]) {
        self.windows.iter_mut().for_each(|window| window.open(records, batches, self.open.came));
        records.iter().for_each(|record| self.open.counts[record.slot as usize] += 1);
        self.open.came += records.len() as i64;
    }

    /// Takes out records that were open and close, with all of their entities that take effect no later; open slots that
    /// are free again go to `freed`.
    pub fn close(&mut self, records: &[Arrival], batches: &[&[LineInput]], freed: &mut Vec<u32>) {
        self.windows.iter_mut().for_each(|window| window.close(records, batches));
        for record in records {
            let count = &mut self.open.counts[record.slot as usize];
            *count -= 1;
            if *count == 0 {
                self.windows.iter_mut().for_each(|window| window.clear_open(record.slot));
                self.open.entities.release(record.slot);
                freed.push(record.slot);
            }
        }
    }

    /// The open slot of an entity that has open records.
    pub fn find_open(&self, key: &[u8], hash: u64) -> Option<u32> {
        self.open.entities.find(key, hash)
    }

    /// The entity in an open slot, and the hash of its key.
    pub fn open_entity(&self, slot: u32) -> Option<(&Key, u64)> {
        self.open.entities.entity(slot)
    }

    /// Whether any record is open.
    pub fn has_open(&self) -> bool {
        self.open.entities.len() > 0
    }
}
