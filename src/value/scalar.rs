//! Single values, and the builder of columns from them.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMillisecondBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::bit_util;
use serde::{Deserialize, Serialize};

use super::{Column, TimeRules, Type};
use crate::time::format_time;

/// One value of a column, owned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Scalar {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(Arc<str>),
    Timestamp(i64),
}

/// Returns the shortest text that reads back to a float: with an exponent below 1e-5 and from 1e16 on.
pub fn float_text(value: f64) -> String {
    match value != 0.0 && !(1e-5..1e16).contains(&value.abs()) {
        true => format!("{value:e}"),
        false => value.to_string(),
    }
}

impl Scalar {
    /// Returns the bytes that it holds outside itself. Values that share a text share its bytes.
    pub fn heap_bytes(&self) -> usize {
        /// A shared text has two counts before it.
        const COUNTS: usize = 2 * size_of::<usize>();
        match self {
            Scalar::String(text) => {
                (COUNTS + text.len()).next_multiple_of(align_of::<usize>()) / Arc::strong_count(text)
            }
            _ => 0,
        }
    }

    /// Returns the value of a row of an Arrow column.
    ///
    /// # Panics
    /// If the column has a type that no [`Type`] maps to.
    pub fn of(column: &dyn Array, row: usize) -> Scalar {
        if column.is_null(row) {
            return Scalar::Null;
        }
        let ty = Type::of_arrow(column.data_type()).expect("columns are made from tidemill's types");
        Scalar::typed(ty, column, row)
    }

    /// Returns the value of a row of an Arrow column that is known to be of this type.
    ///
    /// # Panics
    /// If it is of another type.
    pub fn typed(ty: Type, column: &dyn Array, row: usize) -> Scalar {
        if column.is_null(row) {
            return Scalar::Null;
        }
        match ty {
            Type::String => Scalar::String(column.as_string::<i32>().value(row).into()),
            Type::Int => Scalar::Int(column.as_primitive::<Int64Type>().value(row)),
            Type::Float => Scalar::Float(column.as_primitive::<Float64Type>().value(row)),
            Type::Bool => Scalar::Bool(column.as_boolean().value(row)),
            Type::Timestamp => Scalar::Timestamp(column.as_primitive::<TimestampMillisecondType>().value(row)),
        }
    }

    /// Returns the value of a type that a text without quotes stands for, as in a path; `None` if it is malformed. Times are
    /// RFC 3339, dates or epoch ms.
    pub fn of_text(ty: Type, text: &str) -> Option<Scalar> {
        match ty {
            Type::String => Some(Scalar::String(text.into())),
            Type::Int => text.parse().ok().map(Scalar::Int),
            Type::Float => text.parse().ok().filter(|value: &f64| value.is_finite()).map(Scalar::Float),
            Type::Bool => text.parse().ok().map(Scalar::Bool),
            Type::Timestamp => TimeRules::default().of_text(text).map(Scalar::Timestamp),
        }
    }

    /// Returns the value as text without quotes: the counterpart of [`Scalar::of_text`].
    pub fn to_text(&self) -> String {
        let json = self.to_json();
        json.as_str().map_or_else(|| json.to_string(), str::to_owned)
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Scalar::Null)
    }

    /// Converts to JSON: a time to RFC 3339 text, a float that JSON cannot hold to null.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Scalar::Null => serde_json::Value::Null,
            Scalar::Bool(value) => (*value).into(),
            Scalar::Int(value) => (*value).into(),
            Scalar::Float(value) => (*value).into(),
            Scalar::String(value) => value.as_ref().into(),
            Scalar::Timestamp(time) => format_time(*time).into(),
        }
    }
}

impl Column {
    /// Converts a value of this column to JSON that is read as the same value.
    pub fn json_of(&self, value: &Scalar) -> serde_json::Value {
        match value {
            Scalar::Timestamp(time) => self.time.write(*time).into(),
            value => value.to_json(),
        }
    }
}

/// Builder of one column of a known type.
pub enum ColumnBuilder {
    String(StringBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Timestamp(TimestampMillisecondBuilder),
}

impl ColumnBuilder {
    pub fn new(ty: Type) -> Self {
        match ty {
            Type::String => ColumnBuilder::String(StringBuilder::new()),
            Type::Int => ColumnBuilder::Int(Int64Builder::new()),
            Type::Float => ColumnBuilder::Float(Float64Builder::new()),
            Type::Bool => ColumnBuilder::Bool(BooleanBuilder::new()),
            Type::Timestamp => ColumnBuilder::Timestamp(TimestampMillisecondBuilder::new()),
        }
    }

    /// Returns a builder with room for this many values.
    pub fn with_capacity(ty: Type, rows: usize) -> Self {
        match ty {
            Type::String => ColumnBuilder::String(StringBuilder::with_capacity(rows, rows * 16)),
            Type::Int => ColumnBuilder::Int(Int64Builder::with_capacity(rows)),
            Type::Float => ColumnBuilder::Float(Float64Builder::with_capacity(rows)),
            Type::Bool => ColumnBuilder::Bool(BooleanBuilder::with_capacity(rows)),
            Type::Timestamp => ColumnBuilder::Timestamp(TimestampMillisecondBuilder::with_capacity(rows)),
        }
    }

    /// Returns a copy of the values so far, and keeps them.
    pub fn finish_cloned(&self) -> ArrayRef {
        match self {
            ColumnBuilder::String(b) => Arc::new(b.finish_cloned()),
            ColumnBuilder::Int(b) => Arc::new(b.finish_cloned()),
            ColumnBuilder::Float(b) => Arc::new(b.finish_cloned()),
            ColumnBuilder::Bool(b) => Arc::new(b.finish_cloned()),
            ColumnBuilder::Timestamp(b) => Arc::new(b.finish_cloned()),
        }
    }

    /// Appends a value.
    ///
    /// # Panics
    /// If the value is neither null nor of the column's type.
    pub fn append(&mut self, value: &Scalar) {
        match (self, value) {
            (builder, Scalar::Null) => builder.append_null(),
            (ColumnBuilder::String(b), Scalar::String(v)) => b.append_value(v),
            (ColumnBuilder::Int(b), Scalar::Int(v)) => b.append_value(*v),
            (ColumnBuilder::Float(b), Scalar::Float(v)) => b.append_value(*v),
            (ColumnBuilder::Float(b), Scalar::Int(v)) => b.append_value(*v as f64),
            (ColumnBuilder::Bool(b), Scalar::Bool(v)) => b.append_value(*v),
            (ColumnBuilder::Timestamp(b), Scalar::Timestamp(v)) => b.append_value(*v),
            (_, value) => panic!("{value:?} is not of the column's type"),
        }
    }

    pub fn append_null(&mut self) {
        match self {
            ColumnBuilder::String(b) => b.append_null(),
            ColumnBuilder::Int(b) => b.append_null(),
            ColumnBuilder::Float(b) => b.append_null(),
            ColumnBuilder::Bool(b) => b.append_null(),
            ColumnBuilder::Timestamp(b) => b.append_null(),
        }
    }

    pub fn len(&self) -> usize {
        use arrow_array::builder::ArrayBuilder;
        match self {
            ColumnBuilder::String(b) => b.len(),
            ColumnBuilder::Int(b) => b.len(),
            ColumnBuilder::Float(b) => b.len(),
            ColumnBuilder::Bool(b) => b.len(),
            ColumnBuilder::Timestamp(b) => b.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the value that was appended last is null.
    pub fn is_last_null(&self) -> bool {
        let validity = match self {
            ColumnBuilder::String(b) => b.validity_slice(),
            ColumnBuilder::Int(b) => b.validity_slice(),
            ColumnBuilder::Float(b) => b.validity_slice(),
            ColumnBuilder::Bool(b) => b.validity_slice(),
            ColumnBuilder::Timestamp(b) => b.validity_slice(),
        };
        validity.is_some_and(|bits| !bit_util::get_bit(bits, self.len() - 1))
    }

    /// Returns the bytes of the texts of a string column; 0 of any other.
    pub fn text_bytes(&self) -> usize {
        match self {
            ColumnBuilder::String(b) => b.values_slice().len(),
            _ => 0,
        }
    }

    /// Returns the column built so far and starts a new one with room for as much.
    pub fn finish_and_reserve(&mut self) -> ArrayRef {
        let rows = self.len();
        let next = match self {
            ColumnBuilder::String(b) => {
                ColumnBuilder::String(StringBuilder::with_capacity(rows, b.values_slice().len()))
            }
            ColumnBuilder::Int(_) => ColumnBuilder::with_capacity(Type::Int, rows),
            ColumnBuilder::Float(_) => ColumnBuilder::with_capacity(Type::Float, rows),
            ColumnBuilder::Bool(_) => ColumnBuilder::with_capacity(Type::Bool, rows),
            ColumnBuilder::Timestamp(_) => ColumnBuilder::with_capacity(Type::Timestamp, rows),
        };
        std::mem::replace(self, next).finish()
    }

    /// Returns the column built so far and starts a new one.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            ColumnBuilder::String(b) => Arc::new(b.finish()),
            ColumnBuilder::Int(b) => Arc::new(b.finish()),
            ColumnBuilder::Float(b) => Arc::new(b.finish()),
            ColumnBuilder::Bool(b) => Arc::new(b.finish()),
            ColumnBuilder::Timestamp(b) => Arc::new(b.finish()),
        }
    }
}
