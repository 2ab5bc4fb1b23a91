//! Columns of examples as a trainer reads them: numbers, segments, and hashes of several together.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef};

use crate::flow::exchange::key_columns;
use crate::model::segment_name;
use crate::value::{Batch, Key, KeyCodec, Scalar, Schema, Type, complete_rows};

/// Returns the values of a column of numbers or bools; NaN is null.
pub(super) fn numbers(column: &ArrayRef) -> Vec<f64> {
    let number = |row| match Scalar::of(column, row) {
        Scalar::Int(value) => value as f64,
        Scalar::Float(value) => value,
        Scalar::Bool(value) => f64::from(u8::from(value)),
        _ => f64::NAN,
    };
    (0..column.len()).map(number).collect()
}

/// Returns the segments of the values of a column.
pub(super) fn segments(column: &ArrayRef) -> Vec<Arc<str>> {
    (0..column.len()).map(|row| segment_name(&Scalar::of(column, row)).into()).collect()
}

/// Returns the positions of columns by name.
///
/// # Panics
/// If there is no such column: the spec has checked them.
pub(super) fn positions(schema: &Schema, names: &[String]) -> Vec<usize> {
    let place = |name: &String| schema.index_of(name).expect("the spec has checked the columns");
    names.iter().map(place).collect()
}

/// Returns a hash of some columns together, by row; `None` if one of them is null.
pub(super) fn hashes(batch: &Batch, schema: &Schema, names: &[String]) -> Vec<Option<u64>> {
    let columns = positions(schema, names);
    let types: Vec<Type> = columns.iter().map(|column| schema.columns[*column].ty).collect();
    let columns = key_columns(batch, &columns);
    let complete = complete_rows(&columns);
    let keys = KeyCodec::new(&types).encode(&columns);
    let is_complete = |row: usize| complete.as_ref().is_none_or(|complete| complete.is_valid(row));
    keys.iter().enumerate().map(|(row, key)| is_complete(row).then(|| Key::hash_of(key.as_ref()))).collect()
}
