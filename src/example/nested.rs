//! Lists and maps of instances, in place of features.

use std::sync::Arc;

use serde::de::DeserializeSeed;
use serde_json::Value;

use super::fields::InstanceField;
use crate::aggregate::Feature;
use crate::model::InputShape;
use crate::value::{FieldFault, Scalar, ValueSeed};

/// Reads the value of a field that is a list or a map. An empty map is null, as that of an entity without records.
pub(super) fn read(field: &InstanceField, value: &Value) -> Result<Feature, FieldFault> {
    match (field.form, value) {
        (_, Value::Null) => Ok(Feature::NULL),
        (InputShape::List(most), Value::Array(items)) if items.len() <= most => {
            let items: Result<Vec<Scalar>, _> =
                items.iter().enumerate().map(|(at, item)| read_value(field, item, &format!("[{at}]"))).collect();
            Ok(Feature::List(items?.into()))
        }
        (InputShape::List(most), Value::Array(items)) => {
            Err(FieldFault::Malformed(format!("a list of {} items, expected at most {most}", items.len())))
        }
        (InputShape::Map, Value::Object(entries)) => {
            let entry = |(key, value): (&String, &Value)| Ok((Arc::from(key.as_str()), read_value(field, value, key)?));
            let mut entries: Vec<(Arc<str>, Scalar)> = entries.iter().map(entry).collect::<Result<_, _>>()?;
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Ok(if entries.is_empty() { Feature::NULL } else { Feature::Map(entries.into()) })
        }
        (InputShape::Map, other) => {
            Err(FieldFault::Malformed(format!("{other} is not an object of {} values", field.ty)))
        }
        (_, other) => Err(FieldFault::Malformed(format!("{other} is not a list of {} values", field.ty))),
    }
}

/// Reads a value at a place in a list or map.
fn read_value(field: &InstanceField, value: &Value, place: &str) -> Result<Scalar, FieldFault> {
    let mut cell = Scalar::Null;
    let read = ValueSeed { rules: field.rules(), cell: &mut cell }.deserialize(value);
    match read.map_err(|error| FieldFault::Malformed(error.to_string())).and_then(|read| read) {
        Ok(()) => Ok(cell),
        Err(fault) => Err(FieldFault::Malformed(format!("{place}: {fault}"))),
    }
}
