//! Keys: identities of entities, table rows and messages.
//!
//! A key is a tuple of values in an encoding whose byte order is the order of the values: nulls first, strings by
//! their bytes, floats by `total_cmp` (Arrow's row format). So keys are compared, hashed and stored as bytes. As −0.0 and
//! 0.0 are equal, both are encoded as 0.0.

use std::sync::Arc;

use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, cast::AsArray};
use arrow_buffer::NullBuffer;
use arrow_row::{RowConverter, Rows, SortField};
use serde::{Deserialize, Serialize};

use super::{Scalar, Type, tuple};

/// An encoded key, ordered as the tuple of its values. Cloning shares the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// Copies the bytes of an encoded key.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Key(bytes.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the hash by which keys are distributed among workers, shards and holdouts: XXH3, 64 bits, seed 0. It never
    /// changes.
    pub fn hash_of(bytes: &[u8]) -> u64 {
        twox_hash::XxHash3_64::oneshot(bytes)
    }
}

impl std::borrow::Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Returns the rows in which no column is null, `None` if that is all of them. As a null equals nothing, the others have no
/// key in common with any row.
pub fn complete_rows(columns: &[ArrayRef]) -> Option<NullBuffer> {
    columns.iter().fold(None, |complete, column| NullBuffer::union(complete.as_ref(), column.nulls()))
}

/// Encoder and decoder of keys of given column types. Cheap to clone.
#[derive(Clone, Debug)]
pub struct KeyCodec {
    types: Arc<[Type]>,
    converter: Arc<RowConverter>,
    /// True if −0.0 is encoded as itself.
    is_exact: bool,
}

impl KeyCodec {
    /// Returns a codec for keys of these types.
    pub fn new(types: &[Type]) -> Self {
        KeyCodec { is_exact: false, ..KeyCodec::of_rows(types) }
    }

    /// Returns a codec for rows of these types, which decode to the very values that were encoded: −0.0 stays −0.0.
    pub fn of_rows(types: &[Type]) -> Self {
        let fields = types.iter().map(|ty| SortField::new(ty.arrow())).collect();
        let converter = RowConverter::new(fields).expect("tidemill's types all have a row format");
        KeyCodec { types: types.into(), converter: Arc::new(converter), is_exact: true }
    }

    pub fn types(&self) -> &[Type] {
        &self.types
    }

    /// Encodes columns of one length, one key a row.
    ///
    /// # Panics
    /// If the columns are not of the codec's types.
    pub fn encode(&self, columns: &[ArrayRef]) -> Rows {
        let rows = match self.is_exact || !columns.iter().any(has_negative_zero) {
            true => self.converter.convert_columns(columns),
            false => self.converter.convert_columns(&columns.iter().map(unsigned_zeros).collect::<Vec<_>>()),
        };
        rows.expect("the columns have the codec's types")
    }

    /// Encodes one tuple.
    ///
    /// # Panics
    /// If a value is neither null nor of its column's type.
    pub fn encode_one(&self, values: &[Scalar]) -> Key {
        let mut bytes = Vec::with_capacity(32);
        self.encode_into(values, &mut bytes);
        Key::from_bytes(&bytes)
    }

    /// Appends the bytes of one tuple, the same as those of [`KeyCodec::encode`], without building columns first.
    ///
    /// # Panics
    /// If a value is neither null nor of its column's type.
    pub fn encode_into<'a>(&self, values: impl IntoIterator<Item = &'a Scalar>, bytes: &mut Vec<u8>) {
        for (ty, value) in self.types.iter().zip(values) {
            match value {
                Scalar::Float(0.0) if !self.is_exact => tuple::push(*ty, &Scalar::Float(0.0), bytes),
                value => tuple::push(*ty, value, bytes),
            }
        }
    }

    /// Returns whether these are the bytes of a tuple, which the other methods take without asking.
    pub fn admits(&self, bytes: &[u8]) -> bool {
        let rest = self.types.iter().try_fold(bytes, |rest, ty| tuple::skip(*ty, rest));
        rest.is_some_and(<[u8]>::is_empty)
    }

    /// Decodes keys into columns, in the order of the codec's types.
    ///
    /// # Panics
    /// If the bytes are not those of a codec of the same types.
    pub fn decode<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> Vec<ArrayRef> {
        let parser = self.converter.parser();
        self.converter
            .convert_rows(keys.into_iter().map(|key| parser.parse(key)))
            .expect("keys come from a codec of the same types")
    }

    /// Decodes one key.
    pub fn decode_one(&self, key: &[u8]) -> Vec<Scalar> {
        self.decode([key]).iter().map(|column| Scalar::of(column, 0)).collect()
    }
}

fn has_negative_zero(column: &ArrayRef) -> bool {
    const NEGATIVE_ZERO: u64 = (-0.0f64).to_bits();
    let floats = column.as_primitive_opt::<Float64Type>();
    floats.is_some_and(|floats| floats.values().iter().any(|value| value.to_bits() == NEGATIVE_ZERO))
}

/// Returns a column with −0.0 replaced by 0.0.
fn unsigned_zeros(column: &ArrayRef) -> ArrayRef {
    match column.as_primitive_opt::<Float64Type>() {
        Some(floats) => Arc::new(floats.unary::<_, Float64Type>(|value| value + 0.0)),
        None => column.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::ColumnBuilder;

    #[test]
    fn zeros_of_either_sign_are_one_key_and_two_rows() {
        let values = [Scalar::Float(-0.0), Scalar::Float(0.0), Scalar::Float(-1.5), Scalar::Null];
        let mut builder = ColumnBuilder::new(Type::Float);
        values.iter().for_each(|value| builder.append(value));
        let column = builder.finish();
        let bytes = |codec: &KeyCodec| -> Vec<Key> {
            let rows = codec.encode(std::slice::from_ref(&column));
            let encoded: Vec<Key> = rows.iter().map(|row| Key::from_bytes(row.as_ref())).collect();
            let ones = values.iter().map(|value| codec.encode_one(std::slice::from_ref(value)));
            assert_eq!(encoded, ones.collect::<Vec<_>>());
            encoded
        };
        let (keys, rows) = (bytes(&KeyCodec::new(&[Type::Float])), bytes(&KeyCodec::of_rows(&[Type::Float])));
        assert_eq!(keys[0], keys[1]);
        assert_ne!(rows[0], rows[1]);
        assert_eq!((&keys[1..], &rows[1..]), (&rows[1..], &keys[1..]));
        let decoded = KeyCodec::of_rows(&[Type::Float]).decode_one(rows[0].as_bytes());
        assert!(matches!(decoded[..], [Scalar::Float(zero)] if zero.is_sign_negative()));
    }
}
