//! Batches in saved state: the buffers of their columns, without the types, which the reader knows.
//!
//! Saved bytes are not trusted: a hash tells that they are the ones that were written, and not that this version wrote
//! them. So the form has no nesting, nothing is allocated for a length before as many bytes have been seen, and each
//! column is validated as a whole, its text included. The format between processes ([`super::codec`]) is faster, and
//! trusts its peer.

use std::fmt;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, UInt32Array, make_array, new_empty_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_schema::{ArrowError, DataType};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::EventTime;
use crate::value::{AckToken, Batch};

/// A batch as it is saved.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedBatch {
    /// The times, the event times, the sort keys, then the columns.
    columns: Vec<SavedColumn>,
}

/// A column: its arrays, a nested one after the one that it belongs to.
#[derive(Debug, Default, Serialize, Deserialize)]
struct SavedColumn {
    /// By array, the number of values.
    lengths: Vec<u64>,
    /// By array, which values are valid; `None` if all are.
    valid: Vec<Option<RawBytes>>,
    /// The buffers of all arrays.
    buffers: Vec<RawBytes>,
}

/// Bytes that are copied as a whole.
#[derive(Debug)]
struct RawBytes(Vec<u8>);

impl Serialize for RawBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for RawBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Copied;
        impl Visitor<'_> for Copied {
            type Value = RawBytes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<RawBytes, E> {
                Ok(RawBytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Copied)
    }
}

/// The largest distance of a time from the epoch that is accepted, in ms: a window can be added to it.
const FARTHEST: EventTime = 1 << 60;

impl SavedBatch {
    /// Saves a batch, without its acknowledgement token.
    pub fn of(batch: &Batch) -> Self {
        // A copy: the buffers of a slice are those of the whole batch.
        let batch = batch.take(&UInt32Array::from_iter_values(0..batch.len() as u32));
        let event_times: ArrayRef = std::sync::Arc::new(arrow_array::Int64Array::new(batch.event_times.clone(), None));
        let times: ArrayRef = batch.times_column();
        let sort_key: ArrayRef = std::sync::Arc::new(batch.sort_key.clone());
        let columns = [times, event_times, sort_key].into_iter().chain(batch.columns);
        SavedBatch { columns: columns.map(|column| SavedColumn::of(&column)).collect() }
    }

    /// Returns the batch, whose columns are of these types.
    ///
    /// # Errors
    /// If it is not a batch of such columns.
    pub fn batch(&self, types: &[DataType]) -> Result<Batch, ArrowError> {
        let [times, event_times, sort_key, columns @ ..] = &self.columns[..] else { return Err(wrong("no times")) };
        let rows = times.rows()?;
        if columns.len() != types.len() || self.columns.iter().any(|column| column.lengths.first() != Some(&rows)) {
            return Err(wrong("not as many columns, or not as many rows in each, as expected"));
        }
        let time = |column: &SavedColumn| {
            let column = column.array(&DataType::Int64)?;
            let times = column.as_primitive::<Int64Type>();
            if times.null_count() > 0 || times.values().iter().any(|time| !(-FARTHEST..=FARTHEST).contains(time)) {
                return Err(wrong("a time is out of range"));
            }
            Ok(times.values().clone())
        };
        let (times, event_times) = (time(times)?, time(event_times)?);
        let sort_key = sort_key.array(&DataType::Binary)?;
        let columns = columns.iter().zip(types).map(|(column, ty)| column.array(ty));
        Ok(Batch {
            times,
            event_times,
            sort_key: sort_key.as_binary().clone(),
            columns: columns.collect::<Result<_, _>>()?,
            ack: AckToken::default(),
        })
    }
}

impl SavedColumn {
    fn of(column: &ArrayRef) -> Self {
        let mut saved = SavedColumn::default();
        let mut waiting = vec![column.to_data()];
        while let Some(data) = waiting.pop() {
            saved.lengths.push(data.len() as u64);
            saved.valid.push(data.nulls().map(|valid| RawBytes(valid.inner().sliced().as_slice().to_vec())));
            saved.buffers.extend(data.buffers().iter().map(|buffer| RawBytes(buffer.as_slice().to_vec())));
            waiting.extend(data.child_data().iter().rev().cloned());
        }
        saved
    }

    fn rows(&self) -> Result<u64, ArrowError> {
        self.lengths.first().copied().ok_or_else(|| wrong("a column without values"))
    }

    /// Returns the column as an array of a type.
    fn array(&self, ty: &DataType) -> Result<ArrayRef, ArrowError> {
        let mut rest = ArrayParts {
            lengths: &self.lengths,
            valid: self.valid.iter(),
            buffers: self.buffers.iter(),
            bytes: self.buffers.iter().map(|buffer| buffer.0.len() as u64).sum(),
        };
        let array = rest.next(ty)?;
        if !rest.lengths.is_empty() || rest.valid.len() > 0 || rest.buffers.len() > 0 {
            return Err(wrong("a column of another type"));
        }
        Ok(array)
    }
}

/// The parts of a column that are not used yet.
struct ArrayParts<'a> {
    lengths: &'a [u64],
    valid: std::slice::Iter<'a, Option<RawBytes>>,
    buffers: std::slice::Iter<'a, RawBytes>,
    /// All bytes of the column: an array has no more than eight values for each.
    bytes: u64,
}

impl ArrayParts<'_> {
    /// Takes an array of a type, with those nested in it.
    fn next(&mut self, ty: &DataType) -> Result<ArrayRef, ArrowError> {
        let missing = || wrong("a column of another type");
        let (length, rest) = self.lengths.split_first().ok_or_else(missing)?;
        self.lengths = rest;
        // Arrays of structs have no buffers of their own, and as many values as their fields.
        let length = usize::try_from(*length).ok().filter(|length| *length as u64 <= self.bytes.saturating_mul(8));
        let length = length.ok_or_else(|| wrong("a length is out of range"))?;
        let valid = match self.valid.next().ok_or_else(missing)? {
            None => None,
            Some(RawBytes(bits)) if bits.len() == length.div_ceil(8) => {
                Some(NullBuffer::new(BooleanBuffer::new(Buffer::from(bits.as_slice()), 0, length)))
            }
            Some(_) => return Err(wrong("a length is out of range")),
        };
        let (buffers, children): (usize, Vec<&DataType>) = match ty {
            DataType::Utf8 | DataType::Binary => (2, Vec::new()),
            DataType::List(item) => (1, vec![item.data_type()]),
            DataType::Map(entries, _) => (1, vec![entries.data_type()]),
            DataType::Struct(fields) => (0, fields.iter().map(|field| field.data_type()).collect()),
            _ => (1, Vec::new()),
        };
        let mut own = Vec::with_capacity(buffers);
        for position in 0..buffers {
            let RawBytes(bytes) = self.buffers.next().ok_or_else(missing)?;
            if !has_length(ty, position, bytes.len(), length) {
                return Err(wrong("a length is out of range"));
            }
            own.push(Buffer::from(bytes.as_slice()));
        }
        let children = children.into_iter().map(|child| Ok(self.next(child)?.to_data()));
        let children = children.collect::<Result<Vec<_>, ArrowError>>()?;
        // Validated as a whole: lengths, offsets and text.
        let builder = new_empty_array(ty).to_data().into_builder().len(length).offset(0).nulls(valid);
        let data = builder.buffers(own).child_data(children).align_buffers(true).build()?;
        Ok(make_array(data))
    }
}

/// Returns whether the buffer at a position has the bytes of an array of `length` values; the bytes of text are of any
/// length.
fn has_length(ty: &DataType, position: usize, bytes: usize, length: usize) -> bool {
    match (ty, position) {
        (DataType::Utf8 | DataType::Binary, 1) => true,
        // Offsets: one more than values, and none or one of no values.
        (DataType::Utf8 | DataType::Binary | DataType::List(_) | DataType::Map(..), _) => {
            bytes == (length + 1) * size_of::<i32>() || length == 0 && bytes == 0
        }
        (DataType::Boolean, _) => bytes == length.div_ceil(8),
        (other, _) => other.primitive_width().is_some_and(|width| bytes == length * width),
    }
}

fn wrong(what: &str) -> ArrowError {
    ArrowError::ParseError(format!("not a saved batch: {what}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::BinaryArray;
    use arrow_buffer::ScalarBuffer;

    use super::*;
    use crate::aggregate::{Feature, FeatureColumn, FeatureType};
    use crate::value::{Scalar, Type};

    /// A batch with a column of each type, and their types.
    fn batch(rows: i64) -> (Batch, Vec<DataType>) {
        let scalars = |n: i64| {
            [
                Scalar::String(format!("né{n}").into()),
                Scalar::Int(n),
                Scalar::Float(n as f64 / 4.0),
                Scalar::Bool(n % 3 == 0),
                Scalar::Timestamp(n),
            ]
        };
        let mut types: Vec<FeatureType> = Type::ALL.iter().map(|ty| FeatureType::Scalar(*ty)).collect();
        types.extend([FeatureType::List(Type::String), FeatureType::Map(Type::Float)]);
        let mut columns: Vec<FeatureColumn> = types.iter().map(|ty| FeatureColumn::new(*ty)).collect();
        for n in 0..rows {
            let items = Feature::List((0..n % 4).map(|item| Scalar::String(format!("i{item}").into())).collect());
            let entries = (0..n % 3).map(|at| (Arc::from(format!("k{at}")), Scalar::Float(at as f64)));
            for (at, column) in columns.iter_mut().enumerate() {
                let value = match &types[at] {
                    FeatureType::Scalar(ty) => {
                        let position = Type::ALL.iter().position(|other| other == ty).unwrap();
                        let of = |scalar: &Scalar| {
                            matches!(
                                (ty, scalar),
                                (Type::String, Scalar::String(_))
                                    | (Type::Int, Scalar::Int(_))
                                    | (Type::Float, Scalar::Float(_))
                                    | (Type::Bool, Scalar::Bool(_))
                                    | (Type::Timestamp, Scalar::Timestamp(_))
                            )
                        };
                        let value = scalars(n).into_iter().find(of).unwrap();
                        Feature::Value(if (n + position as i64) % 5 == 0 { Scalar::Null } else { value })
                    }
                    FeatureType::List(_) if n % 7 == 0 => Feature::NULL,
                    FeatureType::List(_) => items.clone(),
                    FeatureType::Map(_) => Feature::Map(entries.clone().collect()),
                };
                column.append(&value, 0);
            }
        }
        let columns: Vec<ArrayRef> = columns.iter_mut().map(FeatureColumn::finish).collect();
        let times: ScalarBuffer<i64> = (0..rows).collect();
        let keys: Vec<String> = (0..rows).map(|n| n.to_string()).collect();
        let sort_key = BinaryArray::from_iter_values(keys.iter().map(String::as_bytes));
        let types = types.iter().map(|ty| ty.arrow()).collect();
        (Batch { times: times.clone(), event_times: times, sort_key, columns, ack: AckToken::default() }, types)
    }

    fn bytes(batch: &Batch) -> Vec<u8> {
        postcard::to_stdvec(&SavedBatch::of(batch)).unwrap()
    }

    fn read(bytes: &[u8], types: &[DataType]) -> Result<Batch, String> {
        let saved: SavedBatch = postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
        saved.batch(types).map_err(|error| error.to_string())
    }

    #[test]
    fn a_batch_reads_back_whole_sliced_or_empty() {
        let (whole, types) = batch(40);
        for batch in [whole.clone(), whole.slice(3, 21), whole.slice(7, 1), whole.slice(0, 0)] {
            let back = read(&bytes(&batch), &types).unwrap();
            assert_eq!((&back.times, &back.event_times), (&batch.times, &batch.event_times));
            assert_eq!((&back.sort_key, &back.columns), (&batch.sort_key, &batch.columns));
        }
        assert!(read(&bytes(&whole), &types[1..]).is_err(), "a column too many");
        let mut other = types.clone();
        other.swap(0, 1);
        assert!(read(&bytes(&whole), &other).is_err(), "columns of other types");
    }

    #[test]
    fn hostile_bytes_are_refused_or_a_batch_of_the_types() {
        let (whole, types) = batch(9);
        let good = bytes(&whole);
        let check = |bytes: &[u8]| {
            if let Ok(batch) = read(bytes, &types) {
                let lengths = batch.columns.iter().map(|column| column.len());
                assert!(lengths.chain([batch.sort_key.len()]).all(|length| length == batch.len()));
                assert!(batch.columns.iter().zip(&types).all(|(column, ty)| column.data_type() == ty));
                let _ = format!("{:?}", batch.columns);
            }
        };
        for bit in 0..good.len() * 8 {
            let mut flipped = good.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            check(&flipped);
        }
        for at in 0..good.len() {
            check(&good[..at]);
            // A length of 2^63 and more in place of what is there.
            let huge = [&good[..at], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], &good[at..]].concat();
            check(&huge);
        }
    }
}
