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

use arrow_array::ArrayRef;

use super::{Scalar, Schema, Type};

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
    value: EncodedValue,
}

#[derive(Debug)]
enum EncodedValue {
    Column(usize, Type),
    Object(Vec<EncodedField>),
}

impl JsonEncoder {
    /// Returns an encoder that writes each column at its path.
    pub fn new(schema: &Schema) -> Self {
        let mut fields = Vec::new();
        for (index, column) in schema.columns.iter().enumerate() {
            add(&mut fields, &column.path, index, column.ty);
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
fn add(fields: &mut Vec<EncodedField>, path: &[String], column: usize, ty: Type) {
    let (name, rest) = path.split_first().expect("a path has at least one name");
    let label = || format!("{}:", serde_json::Value::from(name.as_str()));
    if rest.is_empty() {
        fields.push(EncodedField { name: name.clone(), label: label(), value: EncodedValue::Column(column, ty) });
        return;
    }
    let nested = fields.iter_mut().find_map(|field| match &mut field.value {
        EncodedValue::Object(inner) if field.name == *name => Some(inner),
        _ => None,
    });
    match nested {
        Some(inner) => add(inner, rest, column, ty),
        None => {
            let mut inner = Vec::new();
            add(&mut inner, rest, column, ty);
            fields.push(EncodedField { name: name.clone(), label: label(), value: EncodedValue::Object(inner) });
        }
    }
}

/// Appends an object.
fn write(fields: &[EncodedField], columns: &[ArrayRef], row: usize, json: &mut Vec<u8>) {
    for (at, field) in fields.iter().enumerate() {
        json.push(if at == 0 { b'{' } else { b',' });
        json.extend_from_slice(field.label.as_bytes());
        match &field.value {
            EncodedValue::Object(inner) => write(inner, columns, row, json),
            EncodedValue::Column(column, ty) => {
                let value = Scalar::typed(*ty, &columns[*column], row).to_json();
                serde_json::to_writer(&mut *json, &value).expect("writing to memory cannot fail");
            }
        }
    }
    if fields.is_empty() {
        json.push(b'{');
    }
    json.push(b'}');
}
