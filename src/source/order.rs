//! The total order of a topic's records: by effective time, then by bytes that compare as key and offset do or, where
//! the topic has no key, as content does.

use arrow_array::builder::BinaryBuilder;
use arrow_array::{ArrayRef, BinaryArray, UInt32Array};

use super::TopicReader;
use crate::time::Offset;
use crate::value::{Batch, KeyCodec, Type};

/// Puts the records of one partition in order.
pub struct TotalOrder {
    codec: KeyCodec,
    key: Vec<usize>,
    /// Whether anything depends on the order of records of equal time.
    matters: bool,
}

impl TotalOrder {
    /// The order of a topic.
    pub fn of(reader: &TopicReader) -> Self {
        let columns = &reader.schema.columns;
        let types: Vec<Type> = match reader.key.as_slice() {
            [] => columns.iter().map(|column| column.ty).collect(),
            key => key.iter().map(|column| columns[*column].ty).collect(),
        };
        TotalOrder { codec: KeyCodec::new(&types), key: reader.key.clone(), matters: reader.ordered }
    }

    /// The place of each record among those of its time; nulls where that does not matter.
    pub fn places(&self, columns: &[ArrayRef], offsets: &[Offset]) -> BinaryArray {
        if !self.matters {
            return BinaryArray::new_null(offsets.len());
        }
        let keyed = !self.key.is_empty();
        let ordering: Vec<_> = match keyed {
            true => self.key.iter().map(|column| columns[*column].clone()).collect(),
            false => columns.to_vec(),
        };
        let rows = self.codec.encode(&ordering);
        let mut builder = BinaryBuilder::with_capacity(offsets.len(), offsets.len() * 24);
        let mut bytes = Vec::new();
        for (row, offset) in rows.iter().zip(offsets) {
            bytes.clear();
            bytes.extend_from_slice(row.as_ref());
            if keyed {
                bytes.extend_from_slice(&offset.to_be_bytes());
            }
            builder.append_value(&bytes);
        }
        builder.finish()
    }

    /// A batch in order.
    pub fn sorted(&self, batch: Batch) -> Batch {
        let place = |row: usize| (batch.times[row], self.matters.then(|| batch.sort_key.value(row)));
        if (1..batch.len()).all(|row| place(row - 1) <= place(row)) {
            return batch;
        }
        let mut rows: Vec<u32> = (0..batch.len() as u32).collect();
        if self.matters {
            rows.sort_by_key(|row| (batch.times[*row as usize], batch.sort_key.value(*row as usize)));
        } else {
            rows.sort_by_key(|row| batch.times[*row as usize]);
        }
        batch.take(&UInt32Array::from(rows))
    }
}
