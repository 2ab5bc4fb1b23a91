//! Records that have arrived but are not closed, by entity: what an online vector adds to the closed state.
//!
//! Kept up record by record, so that an activation costs what is new in it and not all that is open.

use std::collections::VecDeque;
use std::rc::Rc;

use hashbrown::HashMap;

use crate::aggregate::{LineInput, Open};
use crate::time::EventTime;
use crate::value::Key;

/// An open record: what its group's lines take from its batch, and its row there.
pub struct OpenRow {
    pub time: EventTime,
    pub event_time: EventTime,
    pub inputs: Rc<Vec<LineInput>>,
    pub row: usize,
}

/// The open records of every entity that has some, each entity's in order of time, those of one time as they came.
#[derive(Default)]
pub struct OpenRows {
    entities: HashMap<Key, VecDeque<OpenRow>>,
}

impl OpenRows {
    /// A record of an entity has arrived.
    pub fn add(&mut self, key: &[u8], row: OpenRow) {
        let rows = match self.entities.get_mut(key) {
            Some(rows) => rows,
            None => self.entities.entry(Key::from_bytes(key)).or_default(),
        };
        let at = rows.partition_point(|known| known.time <= row.time);
        rows.insert(at, row);
    }

    /// A record that was added, taking effect at `time`, has closed.
    pub fn close(&mut self, key: &[u8], time: EventTime, inputs: &Rc<Vec<LineInput>>, row: usize) {
        let Some(rows) = self.entities.get_mut(key) else { return };
        let from = rows.partition_point(|known| known.time < time);
        let is_it = |known: &OpenRow| known.row == row && Rc::ptr_eq(&known.inputs, inputs);
        if let Some(at) = rows.range(from..).position(is_it) {
            rows.remove(from + at);
        }
        if rows.is_empty() {
            self.entities.remove(key);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// The open records of an entity, as if they came after `position` closed ones.
    pub fn of(&self, key: &[u8], position: i64) -> Vec<Open<'_>> {
        let rows = self.entities.get(key).into_iter().flatten().zip(position..);
        rows.map(|(row, position)| Open { inputs: &row.inputs, row: row.row, event_time: row.event_time, position })
            .collect()
    }
}
