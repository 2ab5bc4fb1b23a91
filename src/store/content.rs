//! The hash of the rows of an offline file: over their values, not over Parquet's bytes.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use sha2::{Digest, Sha256};

use crate::value::Type;

/// Feeds rows to a hash, value by value: a byte that is 0 for a null and 1 for a value, then the value. Numbers and times
/// are 8 bytes, little-endian; text comes after its length, and the items of a list and the entries of a map after their
/// number.
pub fn hash_rows(hash: &mut Sha256, columns: &[ArrayRef]) {
    let rows = columns.first().map_or(0, |column| column.len());
    let mut bytes = Vec::new();
    for row in 0..rows {
        for column in columns {
            push_value(column, row, &mut bytes);
        }
        if bytes.len() > 1 << 16 {
            hash.update(&bytes);
            bytes.clear();
        }
    }
    hash.update(&bytes);
}

fn push_value(column: &dyn Array, row: usize, bytes: &mut Vec<u8>) {
    if column.is_null(row) {
        bytes.push(0);
        return;
    }
    bytes.push(1);
    let push_length = |length: usize, bytes: &mut Vec<u8>| bytes.extend_from_slice(&(length as u64).to_le_bytes());
    match column.data_type() {
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            push_length(items.len(), bytes);
            (0..items.len()).for_each(|at| push_value(&items, at, bytes));
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            push_length(entries.len(), bytes);
            for at in 0..entries.len() {
                push_value(entries.column(0), at, bytes);
                push_value(entries.column(1), at, bytes);
            }
        }
        scalar => {
            push_scalar(column, Type::of_arrow(scalar).expect("columns are made from tidemill's types"), row, bytes)
        }
    }
}

fn push_scalar(column: &dyn Array, ty: Type, row: usize, bytes: &mut Vec<u8>) {
    match ty {
        Type::String => {
            let text = column.as_string::<i32>().value(row);
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        Type::Int => bytes.extend_from_slice(&column.as_primitive::<Int64Type>().value(row).to_le_bytes()),
        Type::Float => {
            bytes.extend_from_slice(&column.as_primitive::<Float64Type>().value(row).to_bits().to_le_bytes());
        }
        Type::Bool => bytes.push(u8::from(column.as_boolean().value(row))),
        Type::Timestamp => {
            bytes.extend_from_slice(&column.as_primitive::<TimestampMillisecondType>().value(row).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::aggregate::{Feature, FeatureColumn, FeatureType};
    use crate::value::Scalar;

    fn hash_of(ty: FeatureType, features: &[Feature]) -> Vec<u8> {
        let mut column = FeatureColumn::new(ty);
        features.iter().for_each(|feature| column.append(feature, 0));
        let mut hash = Sha256::new();
        hash_rows(&mut hash, &[column.finish()]);
        hash.finalize().to_vec()
    }

    #[test]
    fn lists_and_maps_that_differ_have_different_hashes() {
        let list = |items: &[i64]| Feature::List(items.iter().map(|item| Scalar::Int(*item)).collect());
        let map = |key: &str, value| Feature::Map(Arc::from([(Arc::from(key), Scalar::Int(value))]));
        let (lists, maps) = (FeatureType::List(Type::Int), FeatureType::Map(Type::Int));
        let hashes = [
            hash_of(lists, &[list(&[1, 2]), list(&[])]),
            hash_of(lists, &[list(&[1]), list(&[2])]),
            hash_of(lists, &[Feature::NULL, list(&[2])]),
            hash_of(maps, &[map("a", 1)]),
            hash_of(maps, &[map("b", 1)]),
            hash_of(maps, &[map("a", 2)]),
        ];
        for (index, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..index].contains(hash), "{index}");
        }
        assert_eq!(hash_of(lists, &[list(&[1, 2])]), hash_of(lists, &[list(&[1, 2])]));
    }
}
