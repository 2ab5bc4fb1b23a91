//! Batches: the columns of some records, and the times at which the records take effect.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_select::take::take;

use super::AckToken;
use crate::time::EventTime;

/// Records as columns, in ascending order of effective time. Cloning and slicing share the memory.
///
/// `times` are effective times (what the graph orders by); `event_times` differ from them only for late records,
/// which keep their event time so that they leave their windows when they always would have. `sort_key` breaks ties of
/// effective time: its bytes compare as the total order of one source does (key and offset, or content).
#[derive(Clone, Debug)]
pub struct Batch {
    pub times: ScalarBuffer<EventTime>,
    pub event_times: ScalarBuffer<EventTime>,
    pub sort_key: BinaryArray,
    pub columns: Vec<ArrayRef>,
    /// Held until these records have been published.
    pub ack: AckToken,
}

impl Default for Batch {
    fn default() -> Self {
        Batch {
            times: ScalarBuffer::from(Vec::new()),
            event_times: ScalarBuffer::from(Vec::new()),
            sort_key: BinaryArray::new_null(0),
            columns: Vec::new(),
            ack: AckToken::default(),
        }
    }
}

impl Batch {
    pub fn len(&self) -> usize {
        self.times.len()
    }

    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Returns rows `from..from + len`, sharing the memory.
    pub fn slice(&self, from: usize, len: usize) -> Batch {
        Batch {
            times: self.times.slice(from, len),
            event_times: self.event_times.slice(from, len),
            sort_key: self.sort_key.slice(from, len),
            columns: self.columns.iter().map(|column| column.slice(from, len)).collect(),
            ack: self.ack.clone(),
        }
    }

    /// Splits off the rows before time `upper`. Returns them and the rest, sharing the memory.
    pub fn split(&self, upper: EventTime) -> (Batch, Batch) {
        let at = self.times.partition_point(|time| *time < upper);
        (self.slice(0, at), self.slice(at, self.len() - at))
    }

    /// Returns a copy of the given rows, in the given order.
    ///
    /// # Panics
    /// If a row number is out of range.
    pub fn take(&self, rows: &UInt32Array) -> Batch {
        let pick = |column: &dyn Array| take(column, rows, None).expect("row numbers are of this batch");
        let number = |buffer: &ScalarBuffer<i64>| rows.values().iter().map(|row| buffer[*row as usize]).collect();
        Batch {
            times: number(&self.times),
            event_times: number(&self.event_times),
            sort_key: pick(&self.sort_key)
                .as_any()
                .downcast_ref::<BinaryArray>()
                .expect("taking keeps the type")
                .clone(),
            columns: self.columns.iter().map(|column| pick(column)).collect(),
            ack: self.ack.clone(),
        }
    }

    /// Returns the rows for which a boolean column is true. Copies them unless it is true for all.
    pub fn filter(self, condition: &ArrayRef) -> Batch {
        let condition = condition.as_boolean();
        let holds = |row: &usize| condition.is_valid(*row) && condition.value(*row);
        let rows: Vec<u32> = (0..self.len()).filter(holds).map(|row| row as u32).collect();
        if rows.len() == self.len() { self } else { self.take(&UInt32Array::from(rows)) }
    }

    /// Returns the same records with other columns.
    pub fn with_columns(&self, columns: Vec<ArrayRef>) -> Batch {
        debug_assert!(columns.iter().all(|column| column.len() == self.len()));
        let Batch { times, event_times, sort_key, columns: _, ack } = self;
        let (times, event_times) = (times.clone(), event_times.clone());
        Batch { times, event_times, sort_key: sort_key.clone(), columns, ack: ack.clone() }
    }

    /// Returns the effective times as an Arrow column.
    pub fn times_column(&self) -> Arc<Int64Array> {
        Arc::new(Int64Array::new(self.times.clone(), None))
    }
}
