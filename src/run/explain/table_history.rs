//! History of a table: its rows as of any time.
//!
//! The changes of a key are those of the graph's table: its records in the total order, without any that is older by event
//! time than one before it. As of t, the row is that of the last change strictly before t.

use std::collections::HashMap;

use arrow_array::{ArrayRef, UInt32Array};

use crate::flow::exchange::key_columns;
use crate::flow::plan::TablePlan;
use crate::time::EventTime;
use crate::value::{Batch, Key, Scalar};

/// A change of a key.
struct RowChange {
    /// The time at which it takes effect.
    time: EventTime,
    /// The position of the row; `None` for a delete.
    row: Option<u32>,
}

/// All rows that a table ever had.
pub struct TableHistory {
    rows: Vec<Vec<u8>>,
    /// By key, ascending by time.
    changes: HashMap<Key, Vec<RowChange>>,
}

impl TableHistory {
    /// The history of a table's records, in batches of any order.
    pub fn of(plan: &TablePlan, batches: &[Batch]) -> Self {
        let mut history = TableHistory { rows: Vec::new(), changes: HashMap::new() };
        let width = plan.schema.len();
        let encoded: Vec<_> = batches
            .iter()
            .map(|batch| {
                let keys = plan.key_codec.encode(&key_columns(batch, &plan.key));
                (keys, plan.row_codec.encode(&batch.columns[..width]))
            })
            .collect();
        let all = batches.iter().enumerate().flat_map(|(at, batch)| (0..batch.len()).map(move |row| (at, row)));
        let mut order: Vec<(usize, usize)> = all.collect();
        let place = |(at, row): &(usize, usize)| (batches[*at].times[*row], batches[*at].sort_key.value(*row));
        order.sort_by(|one, other| place(one).cmp(&place(other)));
        let mut newest: HashMap<Key, EventTime> = HashMap::new();
        for (at, row) in order {
            let batch = &batches[at];
            let key = Key::from_bytes(encoded[at].0.row(row).data());
            let event_time = batch.event_times[row];
            if newest.get(&key).is_some_and(|newest| *newest > event_time) {
                continue;
            }
            newest.insert(key.clone(), event_time);
            let deleted = Scalar::of(&batch.columns[width], row) == Scalar::Bool(true);
            let position = (!deleted).then(|| {
                history.rows.push(encoded[at].1.row(row).data().to_vec());
                history.rows.len() as u32 - 1
            });
            history.changes.entry(key).or_default().push(RowChange { time: batch.times[row], row: position });
        }
        history
    }

    /// The number of changes.
    pub fn len(&self) -> usize {
        self.changes.values().map(Vec::len).sum()
    }

    /// The row of a key as of a time.
    fn row(&self, key: &[u8], time: EventTime) -> Option<u32> {
        let changes = self.changes.get(key)?;
        let before = changes.partition_point(|change| change.time < time);
        changes[..before].last()?.row
    }

    /// The columns of the rows of keys, one for each record as of its time; `found` has their positions, or null.
    pub fn look_up(&self, plan: &TablePlan, keys: &[ArrayRef], times: &[EventTime]) -> RowsFound {
        let keys = plan.key_codec.encode(keys);
        let mut rows: Vec<&[u8]> = Vec::new();
        let found = times.iter().enumerate().map(|(record, time)| {
            let row = self.row(keys.row(record).data(), *time)?;
            rows.push(&self.rows[row as usize]);
            Some(rows.len() as u32 - 1)
        });
        let found: UInt32Array = found.collect();
        RowsFound { columns: plan.row_codec.decode(rows), found }
    }
}

/// Rows that were looked up.
pub struct RowsFound {
    /// The table's columns.
    pub columns: Vec<ArrayRef>,
    /// For each record, the position of its row, or null.
    pub found: UInt32Array,
}
