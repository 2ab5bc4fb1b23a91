//! Decoder of JSON objects into columns.
//!
//! One object is one row. Fields are written straight into the column builders, without building a tree. A row is always
//! completed, with nulls from the first fault on, so that columns stay aligned; the caller drops the row if a fault is
//! returned. Fields that are no column are ignored.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::cell::ValueSeed;
use super::{ColumnBuilder, FieldError, FieldFault, Schema};

/// Decoder of objects with the columns of one schema.
#[derive(Debug)]
pub struct JsonDecoder {
    schema: Schema,
    root: ObjectShape,
}

/// The fields of an object that are columns, or have columns inside.
#[derive(Debug, Default)]
struct ObjectShape {
    fields: Vec<FieldShape>,
}

#[derive(Debug)]
struct FieldShape {
    name: String,
    value: ValueShape,
}

#[derive(Debug)]
enum ValueShape {
    /// A column, by position.
    Column(usize),
    Object(ObjectShape),
}

impl ObjectShape {
    /// Adds a column at a path below this object.
    fn add(&mut self, path: &[String], column: usize) {
        let (name, rest) = path.split_first().expect("a path has at least one name");
        if rest.is_empty() {
            self.fields.push(FieldShape { name: name.clone(), value: ValueShape::Column(column) });
            return;
        }
        let nested = self.fields.iter_mut().find_map(|field| match &mut field.value {
            ValueShape::Object(object) if field.name == *name => Some(object),
            _ => None,
        });
        match nested {
            Some(object) => object.add(rest, column),
            None => {
                let mut object = ObjectShape::default();
                object.add(rest, column);
                self.fields.push(FieldShape { name: name.clone(), value: ValueShape::Object(object) });
            }
        }
    }
}

impl JsonDecoder {
    /// Returns a decoder that finds each column at its path.
    pub fn new(schema: &Schema) -> Self {
        let mut root = ObjectShape::default();
        for (index, column) in schema.columns.iter().enumerate() {
            root.add(&column.path, index);
        }
        JsonDecoder { schema: schema.clone(), root }
    }

    /// Appends one row and sets in `present` which columns the object has (null counts as present). A missing column is no
    /// fault here.
    ///
    /// # Errors
    /// The first fault of the object.
    pub fn decode(
        &self,
        json: &[u8],
        columns: &mut [ColumnBuilder],
        present: &mut Vec<bool>,
    ) -> Result<(), FieldError> {
        present.clear();
        present.resize(self.schema.len(), false);
        let mut fault = None;
        let rows = columns.first().map_or(0, ColumnBuilder::len);
        let object = RowSeed { decoder: self, shape: &self.root, columns, present, fault: &mut fault };
        // If the text is valid UTF-8 as a whole, its strings need not be checked one by one.
        let parsed = match std::str::from_utf8(json) {
            Ok(text) => object.read(serde_json::Deserializer::from_str(text)),
            Err(_) => object.read(serde_json::Deserializer::from_slice(json)),
        };
        for (column, present) in columns.iter_mut().zip(present.iter()) {
            // A value that breaks off is present but has not been appended.
            if !present || parsed.is_err() && column.len() == rows {
                column.append_null();
            }
        }
        match (fault, parsed) {
            (Some(fault), _) => Err(fault),
            (None, Ok(())) => Ok(()),
            (None, Err(error)) if error.to_string().starts_with("number out of range") => {
                Err(FieldError { column: None, fault: FieldFault::NonFinite })
            }
            (None, Err(error)) => Err(FieldError { column: None, fault: FieldFault::Malformed(error.to_string()) }),
        }
    }
}

/// Reads an object into the columns that it has.
struct RowSeed<'a> {
    decoder: &'a JsonDecoder,
    shape: &'a ObjectShape,
    columns: &'a mut [ColumnBuilder],
    present: &'a mut [bool],
    fault: &'a mut Option<FieldError>,
}

impl RowSeed<'_> {
    /// Reads the object, which must be all there is.
    fn read<'de, R: serde_json::de::Read<'de>>(self, mut json: serde_json::Deserializer<R>) -> serde_json::Result<()> {
        self.deserialize(&mut json)?;
        json.end()
    }
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut next = 0;
        while let Some(found) = map.next_key_seed(FieldIndex { shape: self.shape, next })? {
            next = found.map_or(next, |field| field + 1);
            match found.map(|field| &self.shape.fields[field].value) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(ValueShape::Object(shape)) => map.next_value_seed(RowSeed {
                    decoder: self.decoder,
                    shape,
                    columns: &mut *self.columns,
                    present: &mut *self.present,
                    fault: &mut *self.fault,
                })?,
                Some(ValueShape::Column(index)) => {
                    let column = &self.decoder.schema.columns[*index];
                    if std::mem::replace(&mut self.present[*index], true) {
                        let fault = FieldFault::Malformed("duplicate field".to_owned());
                        self.fault.get_or_insert(FieldError { column: Some(column.name.clone()), fault });
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let value = ValueSeed {
                        ty: column.ty,
                        unit: column.unit,
                        nullable: column.nullable,
                        cell: &mut self.columns[*index],
                    };
                    if let Err(fault) = map.next_value_seed(value)? {
                        self.fault.get_or_insert(FieldError { column: Some(column.name.clone()), fault });
                    }
                }
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Finds a field by its name, without allocating the name.
struct FieldIndex<'a> {
    shape: &'a ObjectShape,
    /// The field to try first: the next in the order of the schema.
    next: usize,
}

impl<'de> DeserializeSeed<'de> for FieldIndex<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldIndex<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let fields = &self.shape.fields;
        let is_next = fields.get(self.next).is_some_and(|field| field.name == name);
        Ok(if is_next { Some(self.next) } else { fields.iter().position(|field| field.name == name) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Column, Type};

    fn decode(json: &str) -> Result<(), FieldError> {
        let mut nested = Column::new("amount", Type::Float, false);
        nested.path = vec!["payload".into(), "amount".into()];
        let schema = Schema::new(vec![
            Column::new("id", Type::String, false),
            nested,
            Column::new("n", Type::Int, true),
            Column::new("at", Type::Timestamp, true),
        ]);
        let decoder = JsonDecoder::new(&schema);
        let mut columns: Vec<_> = schema.columns.iter().map(|c| ColumnBuilder::new(c.ty)).collect();
        let mut present = Vec::new();
        let result = decoder.decode(json.as_bytes(), &mut columns, &mut present);
        assert!(columns.iter().all(|column| column.len() == 1), "a row is always completed");
        assert_eq!(present.len(), schema.len());
        result
    }

    #[test]
    fn each_fault_is_named() {
        let fault = |json| decode(json).unwrap_err().to_string();
        assert_eq!(decode(r#"{"id":"a","payload":{"amount":1},"n":2.0,"at":"2013-01-01"}"#), Ok(()));
        assert_eq!(decode(r#"{"id":"a","payload":{"amount":1},"n":null,"more":[1,{}]}"#), Ok(()));
        assert_eq!(decode(r#"{"id":"a","payload":{}}"#), Ok(()));
        assert_eq!(fault(r#"{"id":null,"payload":{"amount":1}}"#), "id: missing");
        assert_eq!(fault(r#"{"id":7,"payload":{"amount":1}}"#), "id: expected string, found the number 7");
        assert_eq!(fault(r#"{"id":"a","payload":{"amount":1},"n":1.5}"#), "n: expected int, found the number 1.5");
        assert_eq!(fault(r#"{"id":"a","payload":{"amount":1e999}}"#), "not a finite number");
        assert_eq!(fault(r#"{"id":"a","payload":{"amount":1},"at":"soon"}"#), "at: \"soon\" is not a time");
        assert_eq!(fault(r#"{"id":"a","id":"b","payload":{"amount":1}}"#), "id: malformed: duplicate field");
        assert!(fault(r#"{"id":"a","pay"#).starts_with("malformed: EOF"));
        assert!(fault("[1]").starts_with("malformed: invalid type: sequence"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_decode_to_a_row_or_a_fault(json: Vec<u8>) {
            let _ = decode(&String::from_utf8_lossy(&json));
        }
    }
}
