//! Total order of the records of a source.
//!
//! Records are ordered by effective time. Ties are broken by the sort key: the bytes of the key columns and the offset
//! if the source declares a key (records with one key share a partition), else the bytes of all columns. The bytes
//! compare as the values do: nulls first, strings by their bytes, floats by `total_cmp`.

use arrow_array::builder::BinaryBuilder;
use arrow_array::{ArrayRef, BinaryArray, UInt32Array};

use super::SourcePlan;
use crate::time::{EventTime, Offset};
use crate::value::{Batch, KeyCodec, Type};

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
        let types: Vec<Type> = match plan.key.as_slice() {
            [] => columns.iter().map(|column| column.ty).collect(),
            key => key.iter().map(|column| columns[*column].ty).collect(),
        };
        TotalOrder { codec: KeyCodec::new(&types), key: plan.key.clone(), required: plan.needs_order }
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
        // Each time with its row behind it in one integer, which compares faster than a pair.
        let place = |(row, time): (u32, &EventTime)| (i128::from(*time) << u32::BITS) | i128::from(row);
        let mut places: Vec<i128> = (0..).zip(batch.times.iter()).map(place).collect();
        places.sort_unstable();
        batch.take(&places.into_iter().map(|place| place as u32).collect())
    }
}
