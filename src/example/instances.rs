//! Instances of a request: a JSON list of objects, read straight into a frame.
//!
//! Values are read by the rules for records of a topic ([`ValueSeed`]). Unlike a record, an instance may not have
//! unknown fields: the error names the nearest known field.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Frame;
use super::fields::{FieldEntry, InstanceField, InstanceFields, InstanceSchema};
use super::needs::InputNeeds;
use crate::expr::nearest;
use crate::time::{EventTime, format_time, in_range};
use crate::value::{FieldFault, Scalar, ValueSeed};

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
    /// There is no event time, and no record has been seen whose time could be taken.
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
        match &self.fault {
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
        let InstanceSchema { required, time: slot, time_name: name, .. } = self.schema;
        let is_absent = |(_, slot): &&(String, usize)| !self.frame.is_override(row, *slot);
        if required.iter().any(|column| is_absent(&column)) {
            // The instance may set the values that would have been made from the column.
            let needed = self.needed(row);
            if let Some((name, _)) = required.iter().find(|(_, slot)| needed[*slot]) {
                return Err((Some(name.clone()), InstanceFault::Field(FieldFault::Missing)));
            }
        }
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

    fn read<'de, A: MapAccess<'de>>(&mut self, field: &InstanceField, map: &mut A) -> Result<(), A::Error> {
        let Some(cell) = self.frame.set_override(field.slot) else {
            map.next_value::<IgnoredAny>()?;
            let fault = FieldFault::Malformed("duplicate field".to_owned());
            self.fail(&field.name, InstanceFault::Field(fault));
            return Ok(());
        };
        let seed = ValueSeed { ty: field.ty, unit: field.unit, nullable: field.nullable, cell };
        match map.next_value_seed(seed) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => {
                self.fail(&field.name, InstanceFault::Field(fault));
                Ok(())
            }
            Err(error) => Err(A::Error::custom(format_args!("{}: {error}", self.fields.full_name(&field.name)))),
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
                Ok(FieldEntry::Field(field)) => self.read(field, &mut map)?,
                Ok(FieldEntry::Object(inner)) => map.next_value_seed(InstanceSeed {
                    fields: inner,
                    is_row: false,
                    frame: &mut *self.frame,
                    fault: &mut *self.fault,
                })?,
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
