//! Encoder of rows as JSON objects. [`super::JsonDecoder`] reads them back to the same values.
//!
//! Every column is written at its path, null if it has no value. A float is written so that it reads back to the same
//! bits, a time as RFC 3339 in UTC.
//!
//! ```
//! use tidemill::value::{Column, ColumnBuilder, JsonEncoder, Scalar, Schema, Type};
//! let mut at = Column::new("at", Type::Timestamp, false);
//! at.path = vec!["meta".into(), "at".into()];
//! let schema = Schema::new(vec![Column::new("x", Type::Float, true), at]);
//! let mut columns: Vec<_> = schema.columns.iter().map(|column| ColumnBuilder::new(column.ty)).collect();
//! columns[0].append(&Scalar::Float(0.1));
//! columns[1].append(&Scalar::Timestamp(0));
//! let columns: Vec<_> = columns.iter_mut().map(ColumnBuilder::finish).collect();
//! let mut json = Vec::new();
//! JsonEncoder::new(&schema).encode(&columns, 0, &mut json);
//! assert_eq!(json, br#"{"x":0.1,"meta":{"at":"1970-01-01T00:00:00.000Z"}}"#);
//! ```

use arrow_array::{Array, ArrayRef};
use serde_json::value::RawValue;

use super::{Column, Scalar, Schema, Type};

/// Encoder of rows with the columns of one schema.
#[derive(Debug)]
pub struct JsonEncoder {
    fields: Vec<EncodedField>,
}

#[derive(Debug)]
struct EncodedField {
    name: String,
    /// The name in JSON, with the colon.
    label: String,
    /// The column of the field's value; of several, the one from whose value the others can be read.
    column: Option<EncodedColumn>,
    /// The fields of the object in its place.
    below: Vec<EncodedField>,
}

#[derive(Debug)]
struct EncodedColumn {
    index: usize,
    column: Column,
}

impl EncodedColumn {
    /// Returns the position of its type among those that say most: the digits of a text are a number, and numbers are
    /// times, but not the other way round.
    fn rank(&self) -> Option<usize> {
        Type::ALL.iter().position(|ty| *ty == self.column.ty)
    }
}

impl JsonEncoder {
    /// Returns an encoder that writes each column at its path.
    pub fn new(schema: &Schema) -> Self {
        let mut fields = Vec::new();
        for (index, column) in schema.columns.iter().enumerate() {
            add(&mut fields, &column.path, EncodedColumn { index, column: column.clone() });
        }
        JsonEncoder { fields }
    }

    /// Appends the object of a row to `json`.
    ///
    /// # Panics
    /// If the columns are not those of the schema.
    pub fn encode(&self, columns: &[ArrayRef], row: usize, json: &mut Vec<u8>) {
        write(&self.fields, columns, row, json);
    }
}

/// Adds a column at a path to the fields of an object.
fn add(fields: &mut Vec<EncodedField>, path: &[String], column: EncodedColumn) {
    let (name, rest) = path.split_first().expect("a path has at least one name");
    let at = fields.iter().position(|field| field.name == *name).unwrap_or_else(|| {
        let label = format!("{}:", serde_json::Value::from(name.as_str()));
        fields.push(EncodedField { name: name.clone(), label, column: None, below: Vec::new() });
        fields.len() - 1
    });
    let field = &mut fields[at];
    if !rest.is_empty() {
        return add(&mut field.below, rest, column);
    }
    if field.column.as_ref().is_none_or(|known| column.rank() < known.rank()) {
        field.column = Some(column);
    }
}

/// Appends an object.
fn write(fields: &[EncodedField], columns: &[ArrayRef], row: usize, json: &mut Vec<u8>) {
    for (at, field) in fields.iter().enumerate() {
        json.push(if at == 0 { b'{' } else { b',' });
        json.extend_from_slice(field.label.as_bytes());
        let encoded = field.column.as_ref();
        let value = encoded
            .map_or(Scalar::Null, |EncodedColumn { index, column }| Scalar::typed(column.ty, &columns[*index], row));
        match &value {
            // The object of which other columns are a part, as text.
            Scalar::String(text) if !field.below.is_empty() && is_object(text) => {
                json.extend_from_slice(text.as_bytes())
            }
            // Null is written as such if the object might otherwise be read as a value.
            Scalar::Null if encoded.is_none() || has_values(&field.below, columns, row) => {
                write(&field.below, columns, row, json);
            }
            value => {
                let value = encoded.map_or(serde_json::Value::Null, |encoded| encoded.column.json_of(value));
                serde_json::to_writer(&mut *json, &value).expect("writing to memory cannot fail");
            }
        }
    }
    if fields.is_empty() {
        json.push(b'{');
    }
    json.push(b'}');
}

/// Returns whether any column in or below an object has a value.
fn has_values(fields: &[EncodedField], columns: &[ArrayRef], row: usize) -> bool {
    fields.iter().any(|field| {
        let has_value = field.column.as_ref().is_some_and(|encoded| columns[encoded.index].is_valid(row));
        has_value || has_values(&field.below, columns, row)
    })
}

fn is_object(text: &str) -> bool {
    text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Column, ColumnBuilder, JsonDecoder};

    /// Decodes a record, encodes it and decodes that.
    fn round_trip(columns: &[(&str, Type, &str)], json: &str) -> (String, bool) {
        let column = |(name, ty, path): &(&str, Type, &str)| Column {
            path: path.split('.').map(str::to_owned).collect(),
            ..Column::new(*name, *ty, true)
        };
        let schema = Schema::new(columns.iter().map(column).collect());
        let decoder = JsonDecoder::new(&schema);
        let decode = |json: &[u8]| {
            let mut builders: Vec<_> = schema.columns.iter().map(|column| ColumnBuilder::new(column.ty)).collect();
            decoder.decode(json, &mut builders, &mut Vec::new()).unwrap_or_else(|fault| panic!("{fault}"));
            builders.iter_mut().map(ColumnBuilder::finish).collect::<Vec<_>>()
        };
        let (columns, mut written) = (decode(json.as_bytes()), Vec::new());
        JsonEncoder::new(&schema).encode(&columns, 0, &mut written);
        let is_same = decode(&written) == columns;
        (String::from_utf8(written).expect("JSON is UTF-8"), is_same)
    }

    #[test]
    fn columns_of_one_path_are_written_once_and_read_back() {
        let same = |text: &str| (text.to_owned(), true);
        let numbers = [("at", Type::Timestamp, "v"), ("w", Type::Float, "v"), ("v", Type::Int, "v")];
        assert_eq!(round_trip(&numbers, r#"{"v":5}"#), same(r#"{"v":5}"#));
        assert_eq!(round_trip(&numbers, r#"{"v":null}"#), same(r#"{"v":null}"#));
        let texts = [("at", Type::Timestamp, "v"), ("text", Type::String, "v")];
        assert_eq!(round_trip(&texts, r#"{"v":"2024-01-31"}"#), same(r#"{"v":"2024-01-31"}"#));
        let whole = [("v", Type::Int, "o.v"), ("o", Type::String, "o")];
        assert_eq!(round_trip(&whole, r#"{"o":{"u":[1], "v":5}}"#), same(r#"{"o":{"u":[1], "v":5}}"#));
        assert_eq!(round_trip(&whole, r#"{"o":"{x"}"#), same(r#"{"o":"{x"}"#));
        assert_eq!(round_trip(&whole, r#"{"o":null}"#), same(r#"{"o":null}"#));
    }
}
