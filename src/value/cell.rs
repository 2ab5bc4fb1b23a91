//! Conversion of one JSON value to the type of its column.
//!
//! The same rules hold wherever a value is read: records of a topic are written to [`ColumnBuilder`]s, the instances of a
//! request to [`Scalar`]s. Whatever the value is, exactly one cell is written: null if it does not fit.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{ColumnBuilder, FieldFault, Scalar, TimeUnit, Type};
use crate::time::parse_time;

/// A cell that one value is written to. The caller has checked that the value is of the cell's type.
pub trait CellWriter {
    fn null(self);
    fn bool(self, value: bool);
    fn int(self, value: i64);
    fn float(self, value: f64);
    fn text(self, value: &str);
    /// Event time in ms.
    fn time(self, value: i64);
}

impl CellWriter for &mut Scalar {
    fn null(self) {
        *self = Scalar::Null;
    }

    fn bool(self, value: bool) {
        *self = Scalar::Bool(value);
    }

    fn int(self, value: i64) {
        *self = Scalar::Int(value);
    }

    fn float(self, value: f64) {
        *self = Scalar::Float(value);
    }

    fn text(self, value: &str) {
        *self = Scalar::String(value.into());
    }

    fn time(self, value: i64) {
        *self = Scalar::Timestamp(value);
    }
}

/// Appends a value; a builder of another type is left as it is.
impl CellWriter for &mut ColumnBuilder {
    fn null(self) {
        self.append_null();
    }

    fn bool(self, value: bool) {
        if let ColumnBuilder::Bool(builder) = self {
            builder.append_value(value);
        }
    }

    fn int(self, value: i64) {
        if let ColumnBuilder::Int(builder) = self {
            builder.append_value(value);
        }
    }

    fn float(self, value: f64) {
        if let ColumnBuilder::Float(builder) = self {
            builder.append_value(value);
        }
    }

    fn text(self, value: &str) {
        if let ColumnBuilder::String(builder) = self {
            builder.append_value(value);
        }
    }

    fn time(self, value: i64) {
        if let ColumnBuilder::Timestamp(builder) = self {
            builder.append_value(value);
        }
    }
}

/// Reads one value into a cell of a column of this type. Returns the fault if it does not fit.
pub struct ValueSeed<C> {
    pub ty: Type,
    pub unit: TimeUnit,
    pub nullable: bool,
    pub cell: C,
}

impl<C: CellWriter> ValueSeed<C> {
    /// Writes null and returns that the value is of the wrong type.
    fn wrong(self, found: impl Into<String>) -> Result<(), FieldFault> {
        self.cell.null();
        Err(FieldFault::WrongType { expected: self.ty, found: found.into() })
    }

    /// Writes an integer.
    fn number(self, value: i64) -> Result<(), FieldFault> {
        match self.ty {
            Type::Int => self.cell.int(value),
            Type::Float => self.cell.float(value as f64),
            Type::Timestamp => match self.unit.to_ms(value) {
                Some(time) => self.cell.time(time),
                None => {
                    self.cell.null();
                    return Err(FieldFault::UnparsableTime(value.to_string()));
                }
            },
            Type::String | Type::Bool => return self.wrong(format!("the number {value}")),
        }
        Ok(())
    }
}

impl<'de, C: CellWriter> DeserializeSeed<'de> for ValueSeed<C> {
    type Value = Result<(), FieldFault>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, C: CellWriter> Visitor<'de> for ValueSeed<C> {
    type Value = Result<(), FieldFault>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {}", self.ty)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        match self.ty {
            Type::String => self.cell.text(text),
            Type::Timestamp => match parse_time(text) {
                Some(time) => self.cell.time(time),
                None => {
                    self.cell.null();
                    return Ok(Err(FieldFault::UnparsableTime(text.to_owned())));
                }
            },
            Type::Int | Type::Float | Type::Bool => return Ok(self.wrong(format!("the text {text:?}"))),
        }
        Ok(Ok(()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(self.number(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(match i64::try_from(value) {
            Ok(value) => self.number(value),
            Err(_) if self.ty == Type::Float => {
                self.cell.float(value as f64);
                Ok(())
            }
            Err(_) => self.wrong(format!("the number {value}, which does not fit 64 bits")),
        })
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        if self.ty == Type::Float {
            if !value.is_finite() {
                self.cell.null();
                return Ok(Err(FieldFault::NonFinite));
            }
            self.cell.float(value);
            return Ok(Ok(()));
        }
        if value.fract() == 0.0 && value.abs() < 9e15 {
            return Ok(self.number(value as i64));
        }
        Ok(self.wrong(format!("the number {value}")))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        if self.ty != Type::Bool {
            return Ok(self.wrong(value.to_string()));
        }
        self.cell.bool(value);
        Ok(Ok(()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        self.cell.null();
        Ok(if self.nullable { Ok(()) } else { Err(FieldFault::Missing) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.wrong("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.wrong("an object"))
    }
}
