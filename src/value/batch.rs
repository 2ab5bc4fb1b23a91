//! Batches: the columns of some records, and the times at which the records take effect.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_select::interleave::interleave;
use arrow_select::take::take;

use super::AckToken;
use crate::time::EventTime;

/// The bytes of a batch that is made in the graph, at most, unless it is a single row.
pub const MOST_BATCH_BYTES: usize = 256 << 20;

/// Cuts rows into runs of at most [`MOST_BATCH_BYTES`] bytes, or of one row. `total` is the size of all of them or
/// more: only if it is too large is the size of each row asked for.
pub fn cut_by_bytes<R>(rows: &[R], total: usize, bytes: impl Fn(&R) -> usize) -> Vec<&[R]> {
    if total <= MOST_BATCH_BYTES {
        return vec![rows];
    }
    let (mut runs, mut start, mut size) = (Vec::new(), 0, 0);
    for (index, row) in rows.iter().enumerate() {
        let row = bytes(row);
        if size + row > MOST_BATCH_BYTES && index > start {
            runs.push(&rows[start..index]);
            (start, size) = (index, 0);
        }
        size += row;
    }
    runs.push(&rows[start..]);
    runs
}

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

    /// Returns the memory that the rows take up, in bytes.
    pub fn bytes(&self) -> usize {
        let column = |column: &dyn Array| column.to_data().get_slice_memory_size().unwrap_or(0);
        let columns: usize = self.columns.iter().map(|values| column(values)).sum();
        columns + column(&self.sort_key) + 2 * size_of::<EventTime>() * self.len()
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

    /// Returns rows of several batches of one stream, each given by its batch and row, in the given order. They are cut into
    /// batches whose columns fit the 32-bit offsets of Arrow: one batch unless the rows are large.
    ///
    /// # Panics
    /// If a batch or row number is out of range, or the batches have other columns.
    pub fn interleave(batches: &[&Batch], rows: &[(usize, usize)]) -> Vec<Batch> {
        let total: usize = batches.iter().map(|batch| batch.bytes()).sum();
        let runs = cut_by_bytes(rows, total, |(batch, row)| batches[*batch].slice(*row, 1).bytes());
        runs.into_iter().map(|run| Batch::interleave_run(batches, run)).collect()
    }

    fn interleave_run(batches: &[&Batch], rows: &[(usize, usize)]) -> Batch {
        let pick = |arrays: Vec<&dyn Array>| interleave(&arrays, rows).expect("batches of one stream");
        let column = |index: usize| pick(batches.iter().map(|batch| batch.columns[index].as_ref()).collect());
        let sort_key = pick(batches.iter().map(|batch| &batch.sort_key as &dyn Array).collect());
        Batch {
            times: rows.iter().map(|(batch, row)| batches[*batch].times[*row]).collect(),
            event_times: rows.iter().map(|(batch, row)| batches[*batch].event_times[*row]).collect(),
            sort_key: sort_key.as_binary().clone(),
            columns: (0..batches.first().map_or(0, |batch| batch.columns.len())).map(column).collect(),
            ack: AckToken::default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_where_they_would_become_too_large() {
        let half = MOST_BATCH_BYTES / 2;
        let cut =
            |rows: &[usize]| cut_by_bytes(rows, rows.iter().sum(), |row| *row).iter().map(|run| run.len()).collect();
        let lengths: Vec<usize> = cut(&[half, half, 1, half, half, 3 * half, half]);
        assert_eq!(lengths, [2, 2, 1, 1, 1]);
        let lengths: Vec<usize> = cut(&[1, 2, 3]);
        assert_eq!(lengths, [3]);
    }
}
