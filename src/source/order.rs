//! Total order of the records of a source.
//!
//! Records are ordered by effective time. Ties are broken by the sort key: the bytes of the key columns and the offset
//! if the source declares a key (records with one key share a partition), else the bytes of all columns. The bytes
//! compare as the values do: nulls first, strings by their bytes, floats by `total_cmp`.

use arrow_array::builder::BinaryBuilder;
use arrow_array::{ArrayRef, BinaryArray, UInt32Array};

use super::SourcePlan;
use crate::time::{EventTime, Offset};
use crate::value::{Batch, KeyCodec};

/// The longest span of a batch's times, in ms for each record, that is sorted by counting. Longer ones are sorted by comparing.
const MOST_COUNTED: u64 = 16;

/// Computes sort keys and sorts batches by the total order.
pub struct TotalOrder {
    codec: KeyCodec,
    key: Vec<usize>,
    /// True if anything depends on the order of records of equal time.
    required: bool,
}

impl TotalOrder {
    /// Returns the order of a source's records.
    pub fn of(plan: &SourcePlan) -> Self {
        let columns = &plan.schema.columns;
        let codec = match plan.key.as_slice() {
            [] => KeyCodec::of_rows(&columns.iter().map(|column| column.ty).collect::<Vec<_>>()),
            key => KeyCodec::new(&key.iter().map(|column| columns[*column].ty).collect::<Vec<_>>()),
        };
        TotalOrder { codec, key: plan.key.clone(), required: plan.needs_order }
    }

    /// Returns the sort key of each record; nulls if the order of records of equal time is not required.
    pub fn sort_keys(&self, columns: &[ArrayRef], offsets: &[Offset]) -> BinaryArray {
        if !self.required {
            return BinaryArray::new_null(offsets.len());
        }
        let keyed = !self.key.is_empty();
        let ordering: Vec<_> = match keyed {
            true => self.key.iter().map(|column| columns[*column].clone()).collect(),
            false => columns.to_vec(),
        };
        let rows = self.codec.encode(&ordering);
        if !keyed {
            return rows.try_into_binary().expect("a batch has fewer bytes");
        }
        let mut builder = BinaryBuilder::with_capacity(offsets.len(), offsets.len() * 24);
        let mut bytes = Vec::new();
        for (row, offset) in rows.iter().zip(offsets) {
            bytes.clear();
            bytes.extend_from_slice(row.as_ref());
            bytes.extend_from_slice(&offset.to_be_bytes());
            builder.append_value(&bytes);
        }
        builder.finish()
    }

    /// Sorts a batch. A batch that is sorted already is returned without copying.
    pub fn sorted(&self, batch: Batch) -> Batch {
        let place = |row: usize| (batch.times[row], self.required.then(|| batch.sort_key.value(row)));
        if (1..batch.len()).all(|row| place(row - 1) <= place(row)) {
            return batch;
        }
        if self.required {
            let mut rows: Vec<u32> = (0..batch.len() as u32).collect();
            rows.sort_by_key(|row| (batch.times[*row as usize], batch.sort_key.value(*row as usize)));
            return batch.take(&UInt32Array::from(rows));
        }
        batch.take(&rows_by_time(&batch.times).into())
    }
}

/// Returns the rows in the order of their times, equal ones in their own order.
fn rows_by_time(times: &[EventTime]) -> Vec<u32> {
    let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else { return Vec::new() };
    // Times that are close together are counted: the rows of each time come after those of all before it.
    let span = first.abs_diff(*last);
    if span > MOST_COUNTED * times.len() as u64 {
        // Each time with its row behind it in one integer, which compares faster than a pair.
        let place = |(row, time): (u32, &EventTime)| (i128::from(*time) << u32::BITS) | i128::from(row);
        let mut places: Vec<i128> = (0..).zip(times).map(place).collect();
        places.sort_unstable();
        return places.into_iter().map(|place| place as u32).collect();
    }
    let distance = |time: EventTime| first.abs_diff(time) as usize;
    let mut starts = vec![0_u32; span as usize + 2];
    times.iter().for_each(|time| starts[distance(*time) + 1] += 1);
    let mut before = 0;
    for start in &mut starts {
        before += *start;
        *start = before;
    }
    let mut rows = vec![0; times.len()];
    for (row, time) in (0..).zip(times) {
        let place = &mut starts[distance(*time)];
        rows[*place as usize] = row;
        *place += 1;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn oracle_rows_by_time_are_those_of_a_stable_sort(
            times in proptest::collection::vec(0i64..100, 0..50),
            scale in proptest::sample::select(vec![1, 3, 1_000, i64::MAX / 100]),
            shift in proptest::sample::select(vec![0, i64::MIN, -50]),
        ) {
            let times: Vec<EventTime> = times.iter().map(|time| (time * scale).wrapping_add(shift)).collect();
            let mut expected: Vec<u32> = (0..times.len() as u32).collect();
            expected.sort_by_key(|row| times[*row as usize]);
            proptest::prop_assert_eq!(rows_by_time(&times), expected);
        }
    }
}
