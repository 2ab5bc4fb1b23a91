//! Instances of a request: a JSON list of objects, read straight into a frame.
//!
//! Values are read by the rules for records of a topic ([`ValueSeed`]). Unlike a record, an instance may not have
//! unknown fields: the error names the nearest known field.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Frame;
use super::fields::{FieldEntry, InstanceField, InstanceFields, InstanceSchema};
use super::needs::InputNeeds;
use super::nested;
use crate::expr::nearest;
use crate::time::{EventTime, format_time, in_range};
use crate::value::{FieldFault, Found, Scalar, Type, ValueSeed};

/// The most cells of a request: its instances times the cells of a row.
pub const MOST_CELLS: usize = 1 << 20;

/// A mistake in an instance.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct InstanceError {
    /// Position in the list.
    pub index: usize,
    /// The field, nested ones as `outer.inner`; `None` if the mistake is not in a field.
    pub field: Option<String>,
    pub fault: InstanceFault,
}

/// The kinds of mistake in an instance.
#[derive(Clone, Debug, PartialEq)]
pub enum InstanceFault {
    Field(FieldFault),
    UnknownField {
        nearest: Option<String>,
    },
    /// The event time is outside the allowed range.
    TimeOutOfRange(EventTime),
    /// An instance without an event time, before any record whose time could be taken.
    NoTime,
    /// The request exceeds [`MOST_CELLS`].
    TooMany,
}

impl fmt::Display for InstanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instances[{}]", self.index)?;
        if let Some(field) = &self.field {
            write!(f, ".{field}")?;
        }
        self.fault.fmt(f)
    }
}

/// Writes what follows the place of the mistake.
impl fmt::Display for InstanceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstanceFault::Field(fault) => write!(f, ": {fault}"),
            InstanceFault::UnknownField { nearest: None } => f.write_str(": unknown field"),
            InstanceFault::UnknownField { nearest: Some(name) } => write!(f, ": unknown field; did you mean {name}?"),
            InstanceFault::TimeOutOfRange(time) => {
                write!(f, ": {} is outside what an event time may be", format_time(*time))
            }
            InstanceFault::NoTime => f.write_str(": missing, and no record has been seen yet whose time to take"),
            InstanceFault::TooMany => f.write_str(": more instances than one request may have"),
        }
    }
}

/// Reads a list of instances into a frame. The value is the first mistake in an instance, if any; malformed JSON is the
/// deserializer's error, and [`Frame::reading`] is then the instance that it was in.
pub struct InstancesSeed<'a> {
    schema: &'a InstanceSchema,
    needs: InputNeeds<'a>,
    frame: &'a mut Frame,
    newest: Option<EventTime>,
}

impl<'a> InstancesSeed<'a> {
    pub(super) fn new(
        schema: &'a InstanceSchema,
        needs: InputNeeds<'a>,
        frame: &'a mut Frame,
        newest: Option<EventTime>,
    ) -> Self {
        InstancesSeed { schema, needs, frame, newest }
    }

    /// Checks the instance just read, and sets the time if it has none.
    fn finish(&mut self, row: usize) -> Result<(), (Option<String>, InstanceFault)> {
        let InstanceSchema { required, time, .. } = self.schema;
        let is_absent = |(_, slot): &&(String, usize)| !self.frame.is_override(row, *slot);
        if required.iter().any(|column| is_absent(&column)) {
            // The instance may set the values that would have been made from the column.
            let needed = self.needed(row);
            if let Some((name, _)) = required.iter().find(|(_, slot)| needed[*slot]) {
                return Err((Some(name.clone()), InstanceFault::Field(FieldFault::Missing)));
            }
        }
        let Some((slot, name)) = time else { return Ok(()) };
        if !self.frame.is_override(row, *slot) {
            match self.newest {
                Some(newest) => self.frame.set_computed(row, *slot, Scalar::Timestamp(newest)),
                None if self.needed(row)[*slot] => return Err((Some(name.clone()), InstanceFault::NoTime)),
                None => {}
            }
        }
        match self.frame.get(row, *slot) {
            Scalar::Timestamp(time) if !in_range(*time) => {
                Err((Some(name.clone()), InstanceFault::TimeOutOfRange(*time)))
            }
            _ => Ok(()),
        }
    }

    /// Returns for each slot whether it must be known, given those that an instance sets.
    fn needed(&self, row: usize) -> Vec<bool> {
        self.needs.slots(|slot| self.frame.is_override(row, slot))
    }
}

impl<'de> DeserializeSeed<'de> for InstancesSeed<'_> {
    type Value = Result<(), InstanceError>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for InstancesSeed<'_> {
    type Value = Result<(), InstanceError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of instances")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
        let schema = self.schema;
        let mut wrong = None;
        loop {
            let index = self.frame.rows();
            if self.frame.cells() + schema.width > MOST_CELLS {
                wrong.get_or_insert(InstanceError { index, field: None, fault: InstanceFault::TooMany });
            }
            if wrong.is_some() {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                self.frame.reading = None;
                return Ok(wrong.map_or(Ok(()), Err));
            }
            self.frame.reading = Some(index);
            let mut fault = None;
            let seed =
                InstanceSeed { fields: &schema.fields, is_row: true, frame: &mut *self.frame, fault: &mut fault };
            if list.next_element_seed(seed)?.is_none() {
                self.frame.reading = None;
                return Ok(Ok(()));
            }
            let fault = fault.map_or_else(|| self.finish(index), Err);
            wrong = fault.err().map(|(field, fault)| InstanceError { index, field, fault });
        }
    }
}

/// Reads an instance, or an object inside one.
struct InstanceSeed<'a> {
    fields: &'a InstanceFields,
    /// Set for the instance itself, which adds a row to the frame.
    is_row: bool,
    frame: &'a mut Frame,
    /// The first mistake, with its field.
    fault: &'a mut Option<(Option<String>, InstanceFault)>,
}

impl InstanceSeed<'_> {
    /// Records a mistake unless there is one already.
    fn fail(&mut self, field: &str, fault: InstanceFault) {
        let fields = self.fields;
        self.fault.get_or_insert_with(|| (Some(fields.full_name(field)), fault));
    }

    /// Reads the value of a name that is one column's or one object's.
    fn read<'de, A: MapAccess<'de>>(&mut self, entry: &FieldEntry, map: &mut A) -> Result<(), A::Error> {
        match (entry.fields.as_slice(), &entry.object) {
            ([field], None) if !field.form.is_value() => self.read_nested(field, &map.next_value()?),
            ([field], None) => {
                let Some(cell) = self.cell(field, &field.name) else {
                    map.next_value::<IgnoredAny>()?;
                    return Ok(());
                };
                let read = map.next_value_seed(ValueSeed { rules: field.rules(), cell });
                self.note(field, read)
            }
            ([], Some(inner)) => map.next_value_seed(self.inside(inner)),
            _ => self.read_shared(entry, &map.next_value::<Box<RawValue>>()?).map_err(A::Error::custom),
        }
    }

    /// Reads a list or a map.
    fn read_nested<E>(&mut self, field: &InstanceField, value: &serde_json::Value) -> Result<(), E> {
        if self.cell(field, &field.name).is_some() {
            match nested::read(field, value) {
                Ok(feature) => self.frame.set_nested(self.frame.rows() - 1, field.slot, feature),
                Err(fault) => self.fail(&field.name, InstanceFault::Field(fault)),
            }
        }
        Ok(())
    }

    /// Reads a value that several columns have, or that may be an object with columns.
    fn read_shared(&mut self, entry: &FieldEntry, raw: &RawValue) -> serde_json::Result<()> {
        let mut value = serde_json::Deserializer::from_str(raw.get());
        let is_object = raw.get().starts_with('{');
        for field in &entry.fields {
            // The column's own name says more than a path that it shares.
            let Some(cell) = self.cell(field, "") else { continue };
            let read = match is_object && entry.object.is_some() && field.ty == Type::String {
                true => Ok(field.rules().write(Found::Text(raw.get()), cell)),
                false => {
                    let seed = ValueSeed { rules: field.rules(), cell };
                    seed.deserialize(&mut serde_json::Deserializer::from_str(raw.get()))
                }
            };
            self.note(field, read)?;
        }
        match &entry.object {
            Some(inner) if is_object => self.inside(inner).deserialize(&mut value),
            _ => Ok(()),
        }
    }

    fn inside<'b>(&'b mut self, fields: &'b InstanceFields) -> InstanceSeed<'b> {
        InstanceSeed { fields, is_row: false, frame: &mut *self.frame, fault: &mut *self.fault }
    }

    /// Returns the cell that a name sets; `None` if it is set already, which is a mistake unless columns share a path.
    fn cell(&mut self, field: &InstanceField, name: &str) -> Option<&mut Scalar> {
        if field.is_shared && field.name == name {
            return Some(self.frame.replace_override(field.slot));
        }
        if self.frame.is_set(field.slot) && !field.is_shared {
            let fault = FieldFault::Malformed("duplicate field".to_owned());
            self.fail(&field.name, InstanceFault::Field(fault));
        }
        self.frame.set_override(field.slot)
    }

    fn note<E: serde::de::Error>(
        &mut self,
        field: &InstanceField,
        read: Result<Result<(), FieldFault>, E>,
    ) -> Result<(), E> {
        match read {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => {
                self.fail(&field.name, InstanceFault::Field(fault));
                Ok(())
            }
            Err(error) => Err(E::custom(format_args!("{}: {error}", self.fields.full_name(&field.name)))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for InstanceSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.is_row {
            self.frame.push_row();
            return deserializer.deserialize_map(self);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for InstanceSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    /// Null in place of an inner object: none of its fields is set.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let fields = self.fields;
        while let Some(entry) = map.next_key_seed(InstanceFieldName(fields))? {
            match entry {
                Ok(entry) => self.read(entry, &mut map)?,
                Err(name) => {
                    map.next_value::<IgnoredAny>()?;
                    let nearest = nearest(&name, fields.names());
                    self.fail(&name, InstanceFault::UnknownField { nearest });
                }
            }
        }
        Ok(())
    }
}

/// Reads a field's name and finds its entry; an unknown name is the error.
struct InstanceFieldName<'a>(&'a InstanceFields);

impl<'a, 'de> DeserializeSeed<'de> for InstanceFieldName<'a> {
    type Value = Result<&'a FieldEntry, String>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for InstanceFieldName<'a> {
    type Value = Result<&'a FieldEntry, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.find(name).ok_or_else(|| name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Column;

    /// Reads one instance and returns its cells: the event time, then those of the columns.
    fn read(columns: &[(&str, Type, &str)], instance: &str) -> Result<Vec<Scalar>, String> {
        let mut schema =
            InstanceSchema { time: Some((0, "at".to_owned())), width: columns.len() + 1, ..Default::default() };
        schema.fields.add_column(&Column::new("at", Type::Timestamp, false), 0);
        for (slot, (name, ty, path)) in (1..).zip(columns) {
            let path = path.split('.').map(str::to_owned).collect();
            schema.fields.add_column(&Column { path, ..Column::new(*name, *ty, true) }, slot);
        }
        schema.fields.mark_shared();
        let mut frame = Frame::default();
        frame.reset(schema.width);
        let mut json = serde_json::Deserializer::from_str(instance);
        let needs = InputNeeds { steps: &[], inputs: &[], width: schema.width };
        let read = InstancesSeed::new(&schema, needs, &mut frame, Some(7)).deserialize(&mut json);
        read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        Ok((1..schema.width).map(|slot| frame.get(0, slot).clone()).collect())
    }

    #[test]
    fn an_instance_has_the_columns_that_a_record_has() {
        let (five, null) = ([Scalar::Int(5), Scalar::Float(5.0)], [Scalar::Null, Scalar::Null]);
        let both = [("v", Type::Int, "v"), ("w", Type::Float, "v")];
        assert_eq!(read(&both, r#"[{"v":5}]"#), Ok(five.to_vec()));
        assert_eq!(read(&both, r#"[{"v":null}]"#), Ok(null.to_vec()));
        let other = Ok(vec![Scalar::Int(5), Scalar::Float(6.0)]);
        assert_eq!(read(&both, r#"[{"v":5,"w":6}]"#), other, "its own name says more than a shared path");
        assert_eq!(read(&both, r#"[{"w":6,"v":5}]"#), other);
        assert_eq!(read(&both, r#"[{"v":5.5}]"#), Err("instances[0].v: expected int, found the number 5.5".to_owned()));

        let nested = [("v", Type::Int, "o.v"), ("w", Type::Float, "o.v")];
        assert_eq!(read(&nested, r#"[{"o":{"v":5}}]"#), Ok(five.to_vec()));
        assert_eq!(read(&nested, r#"[{"o":null}]"#), Ok(null.to_vec()));
        assert_eq!(read(&nested, r#"[{"v":5,"w":5}]"#), Ok(five.to_vec()));
        assert_eq!(read(&nested[..1], r#"[{"o.v":5}]"#), Ok(vec![Scalar::Int(5)]));
        let twice = Err("instances[0].o.v: malformed: duplicate field".to_owned());
        assert_eq!(read(&nested[..1], r#"[{"v":5,"o":{"v":5}}]"#), twice);
        assert!(read(&nested, "[null]").unwrap_err().starts_with("invalid type: null"));

        let whole = [("o", Type::String, "o"), ("v", Type::Int, "o.v")];
        let text = Scalar::String(r#"{"v":5}"#.into());
        assert_eq!(read(&whole, r#"[{"o":{"v":5}}]"#), Ok(vec![text, Scalar::Int(5)]));
        assert_eq!(read(&whole, r#"[{"o":"x"}]"#), Ok(vec![Scalar::String("x".into()), Scalar::Null]));
        assert_eq!(read(&whole, r#"[{"o":null}]"#), Ok(null.to_vec()));
    }
}
