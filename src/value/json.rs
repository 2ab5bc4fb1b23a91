//! JSON objects into columns, guided by the schema.
//!
//! One object is one row: fields go straight into the column builders, without a tree between. A row is always
//! completed, with nulls from the first fault on, so that columns stay aligned; the caller drops the row if it is
//! told of a fault. Fields that no column asks for are passed over.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::cell::ValueSeed;
use super::{ColumnBuilder, Schema, Type};

/// What is wrong with a field, or with the whole record.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldFault {
    /// Not JSON, or not an object; or a field that stands twice.
    Malformed(String),
    Missing,
    WrongType {
        expected: Type,
        found: String,
    },
    NonFinite,
    UnparsableTime(String),
}

/// A fault and the column that has it; no column where the record as a whole is at fault.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct FieldError {
    pub column: Option<String>,
    pub fault: FieldFault,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(column) = &self.column {
            write!(f, "{column}: ")?;
        }
        self.fault.fmt(f)
    }
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldFault::Malformed(why) => write!(f, "malformed: {why}"),
            FieldFault::Missing => f.write_str("missing"),
            FieldFault::WrongType { expected, found } => write!(f, "expected {expected}, found {found}"),
            FieldFault::NonFinite => f.write_str("not a finite number"),
            FieldFault::UnparsableTime(text) => write!(f, "{text:?} is not a time"),
        }
    }
}

/// Decodes objects of one schema.
#[derive(Debug)]
pub struct JsonDecoder {
    schema: Schema,
    root: Node,
}

/// Where in an object the columns are.
#[derive(Debug, Default)]
struct Node {
    fields: Vec<(String, Place)>,
}

#[derive(Debug)]
enum Place {
    Column(usize),
    Object(Node),
}

impl Node {
    fn add(&mut self, path: &[String], column: usize) {
        let (name, rest) = path.split_first().expect("a path has at least one name");
        if rest.is_empty() {
            self.fields.push((name.clone(), Place::Column(column)));
            return;
        }
        let nested = self.fields.iter_mut().find_map(|(known, place)| match place {
            Place::Object(node) if known == name => Some(node),
            _ => None,
        });
        match nested {
            Some(node) => node.add(rest, column),
            None => {
                let mut node = Node::default();
                node.add(rest, column);
                self.fields.push((name.clone(), Place::Object(node)));
            }
        }
    }
}

impl JsonDecoder {
    pub fn new(schema: &Schema) -> Self {
        let mut root = Node::default();
        for (index, column) in schema.columns.iter().enumerate() {
            root.add(&column.path, index);
        }
        JsonDecoder { schema: schema.clone(), root }
    }

    /// Appends one row. `present` says afterwards which columns the object had (null counts as present); the first
    /// fault is returned, and whether an absent column is one is for the caller to say.
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
        let object = ObjectSeed { decoder: self, node: &self.root, columns, present, fault: &mut fault };
        // Text that is valid as a whole is not checked again string by string.
        let parsed = match std::str::from_utf8(json) {
            Ok(text) => object.read(serde_json::Deserializer::from_str(text)),
            Err(_) => object.read(serde_json::Deserializer::from_slice(json)),
        };
        for (column, present) in columns.iter_mut().zip(present.iter()) {
            // A value that breaks off is present, but has not been appended.
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

    /// The first column that is absent or null without being nullable.
    pub fn missing(&self, columns: &[bool]) -> Option<FieldError> {
        self.schema
            .columns
            .iter()
            .zip(columns)
            .find(|(column, present)| !column.nullable && !**present)
            .map(|(column, _)| FieldError { column: Some(column.name.clone()), fault: FieldFault::Missing })
    }
}

struct ObjectSeed<'a> {
    decoder: &'a JsonDecoder,
    node: &'a Node,
    columns: &'a mut [ColumnBuilder],
    present: &'a mut [bool],
    fault: &'a mut Option<FieldError>,
}

impl ObjectSeed<'_> {
    /// Reads all there is.
    fn read<'de, R: serde_json::de::Read<'de>>(self, mut json: serde_json::Deserializer<R>) -> serde_json::Result<()> {
        self.deserialize(&mut json)?;
        json.end()
    }
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut next = 0;
        while let Some(found) = map.next_key_seed(FieldName { node: self.node, next })? {
            next = found.map_or(next, |field| field + 1);
            match found.map(|field| &self.node.fields[field].1) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(Place::Object(node)) => map.next_value_seed(ObjectSeed {
                    decoder: self.decoder,
                    node,
                    columns: &mut *self.columns,
                    present: &mut *self.present,
                    fault: &mut *self.fault,
                })?,
                Some(Place::Column(index)) => {
                    let column = &self.decoder.schema.columns[*index];
                    if std::mem::replace(&mut self.present[*index], true) {
                        let fault = FieldFault::Malformed("the field stands twice".to_owned());
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

/// Finds a field by name, without allocating the name; looks first where it stands if fields come in their order.
struct FieldName<'a> {
    node: &'a Node,
    next: usize,
}

impl<'de> DeserializeSeed<'de> for FieldName<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let fields = &self.node.fields;
        let is_next = fields.get(self.next).is_some_and(|(known, _)| known == name);
        Ok(if is_next { Some(self.next) } else { fields.iter().position(|(known, _)| known == name) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Column;

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
        result.and_then(|()| decoder.missing(&present).map_or(Ok(()), Err))
    }

    #[test]
    fn each_fault_is_named() {
        let fault = |json| decode(json).unwrap_err().to_string();
        assert_eq!(decode(r#"{"id":"a","payload":{"amount":1},"n":2.0,"at":"2013-01-01"}"#), Ok(()));
        assert_eq!(decode(r#"{"id":"a","payload":{"amount":1},"n":null,"more":[1,{}]}"#), Ok(()));
        assert_eq!(fault(r#"{"id":"a","payload":{}}"#), "amount: missing");
        assert_eq!(fault(r#"{"id":null,"payload":{"amount":1}}"#), "id: missing");
        assert_eq!(fault(r#"{"id":7,"payload":{"amount":1}}"#), "id: expected string, found the number 7");
        assert_eq!(fault(r#"{"id":"a","payload":{"amount":1},"n":1.5}"#), "n: expected int, found the number 1.5");
        assert_eq!(fault(r#"{"id":"a","payload":{"amount":1e999}}"#), "not a finite number");
        assert_eq!(fault(r#"{"id":"a","payload":{"amount":1},"at":"soon"}"#), "at: \"soon\" is not a time");
        assert_eq!(fault(r#"{"id":"a","id":"b","payload":{"amount":1}}"#), "id: malformed: the field stands twice");
        assert!(fault(r#"{"id":"a","pay"#).starts_with("malformed: EOF"));
        assert!(fault("[1]").starts_with("malformed: invalid type: sequence"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_a_row_or_a_fault(json: Vec<u8>) {
            let _ = decode(&String::from_utf8_lossy(&json));
        }
    }
}
