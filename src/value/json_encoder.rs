//! Rows of columns as JSON objects: what [`super::JsonDecoder`] reads back to the same values.
//!
//! Every column is there, null where it has no value, at its path; a float is written so that it reads back to the
//! same bits, a time as RFC 3339 in UTC.
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

/// Encodes rows of one schema.
#[derive(Debug)]
pub struct JsonEncoder {
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    name: String,
    /// The name in JSON, with the colon.
    label: String,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Column(usize, Type),
    Object(Vec<Field>),
}

impl JsonEncoder {
    pub fn new(schema: &Schema) -> Self {
        JsonEncoder::of(schema, &(0..schema.len()).collect::<Vec<_>>())
    }

    /// Encodes some of the columns only.
    pub fn of(schema: &Schema, columns: &[usize]) -> Self {
        let mut fields = Vec::new();
        for index in columns {
            let column = &schema.columns[*index];
            add(&mut fields, &column.path, *index, column.ty);
        }
        JsonEncoder { fields }
    }

    /// Appends the object of a row.
    pub fn encode(&self, columns: &[ArrayRef], row: usize, json: &mut Vec<u8>) {
        write(&self.fields, columns, row, json);
    }
}

fn add(fields: &mut Vec<Field>, path: &[String], column: usize, ty: Type) {
    let (name, rest) = path.split_first().expect("a path has at least one name");
    let label = || format!("{}:", serde_json::Value::from(name.as_str()));
    if rest.is_empty() {
        fields.push(Field { name: name.clone(), label: label(), value: Value::Column(column, ty) });
        return;
    }
    let nested = fields.iter_mut().find_map(|field| match &mut field.value {
        Value::Object(inner) if field.name == *name => Some(inner),
        _ => None,
    });
    match nested {
        Some(inner) => add(inner, rest, column, ty),
        None => {
            let mut inner = Vec::new();
            add(&mut inner, rest, column, ty);
            fields.push(Field { name: name.clone(), label: label(), value: Value::Object(inner) });
        }
    }
}

fn write(fields: &[Field], columns: &[ArrayRef], row: usize, json: &mut Vec<u8>) {
    for (at, field) in fields.iter().enumerate() {
        json.push(if at == 0 { b'{' } else { b',' });
        json.extend_from_slice(field.label.as_bytes());
        match &field.value {
            Value::Object(inner) => write(inner, columns, row, json),
            Value::Column(column, ty) => {
                let value = Scalar::typed(*ty, &columns[*column], row).to_json();
                serde_json::to_writer(&mut *json, &value).expect("a vector takes all that is written");
            }
        }
    }
    if fields.is_empty() {
        json.push(b'{');
    }
    json.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Column, ColumnBuilder, JsonDecoder};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back_to_the_same_bits(
            text in proptest::option::of(".*"),
            int in proptest::option::of(any::<i64>()),
            bits in proptest::option::of(any::<u64>()),
            flag in proptest::option::of(any::<bool>()),
            time in -2_208_988_800_000i64..7_258_118_400_000,
        ) {
            let float = bits.map(f64::from_bits).filter(|float| float.is_finite());
            let mut columns: Vec<_> =
                Type::ALL.iter().map(|ty| Column::new(format!("{ty}\"\n"), *ty, true)).collect();
            columns[1].path = vec!["in".into(), "a".into()];
            columns[3].path = vec!["in".into(), "b".into()];
            let schema = Schema::new(columns);
            let row = [
                text.map_or(Scalar::Null, |text| Scalar::String(text.into())),
                int.map_or(Scalar::Null, Scalar::Int),
                float.map_or(Scalar::Null, Scalar::Float),
                flag.map_or(Scalar::Null, Scalar::Bool),
                Scalar::Timestamp(time),
            ];
            let mut builders: Vec<_> = Type::ALL.iter().map(|ty| ColumnBuilder::new(*ty)).collect();
            builders.iter_mut().zip(&row).for_each(|(builder, value)| builder.append(value));
            let columns: Vec<_> = builders.iter_mut().map(ColumnBuilder::finish).collect();
            let mut json = Vec::new();
            JsonEncoder::new(&schema).encode(&columns, 0, &mut json);
            JsonDecoder::new(&schema).decode(&json, &mut builders, &mut Vec::new()).unwrap();
            for (builder, value) in builders.iter_mut().zip(&row) {
                let found = Scalar::of(&builder.finish(), 0);
                match (&found, value) {
                    (Scalar::Float(found), Scalar::Float(value)) => prop_assert_eq!(found.to_bits(), value.to_bits()),
                    _ => prop_assert_eq!(&found, value),
                }
            }
        }
    }
}
