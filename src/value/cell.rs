//! Conversion of one value to the type of its column.
//!
//! The same rules hold in every format and wherever a value is read: records of a topic are written to
//! [`ColumnBuilder`]s, the instances of a request to [`Scalar`]s. A value is converted if nothing is lost. Whatever the
//! value is, exactly one cell is written: null if it does not fit.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Column, ColumnBuilder, FieldFault, Scalar, TimeRules, Type};
use crate::time::format_time;

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

/// The least number that is too large for an int of 64 bits.
const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// A value as a format presents it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A number that neither of these may hold exactly: its value as an int, if it is one, and the float nearest to it.
    Wide {
        int: Option<i64>,
        float: f64,
    },
    Text(&'a str),
    /// Event time in ms.
    Time(i64),
    List,
    Object,
}

/// The value in words, as the object of "found".
impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Null => f.write_str("null"),
            Found::Bool(value) => write!(f, "{value}"),
            Found::Int(value) | Found::Wide { int: Some(value), .. } => write!(f, "the number {value}"),
            // The nearest float has other digits than the number.
            Found::Wide { float, .. } if float.abs() >= TWO_63 => write!(f, "a number near {float:e}, beyond 64 bits"),
            Found::Float(value) | Found::Wide { float: value, .. } => write!(f, "the number {value}"),
            Found::Text(text) => write!(f, "the text {text:?}"),
            Found::Time(time) => write!(f, "the time {}", format_time(*time)),
            Found::List => f.write_str("a list"),
            Found::Object => f.write_str("an object"),
        }
    }
}

/// The first whole number that a float may stand for besides its neighbour: 2^53.
const INEXACT: f64 = 9_007_199_254_740_992.0;

/// Rules by which the values of one column are read, in every format.
///
/// | type | takes |
/// |---|---|
/// | `string` | text |
/// | `int` | whole numbers, also as floats below 2^53 and as text |
/// | `float` | finite numbers, also as text |
/// | `bool` | true and false, 1 and 0, also as text |
/// | `timestamp` | times, numbers in its unit, text by [`TimeRules`] |
#[derive(Clone, Copy, Debug)]
pub struct CellRules<'a> {
    pub ty: Type,
    pub nullable: bool,
    pub time: &'a TimeRules,
}

impl CellRules<'_> {
    /// Writes a value into a cell of this type: null if it does not fit.
    ///
    /// # Errors
    /// If the value does not fit.
    #[inline]
    pub fn write<C: CellWriter>(&self, found: Found<'_>, cell: C) -> Result<(), FieldFault> {
        match (self.ty, found) {
            (Type::Int, Found::Int(value)) => cell.int(value),
            (Type::Float, Found::Float(value)) if value.is_finite() => cell.float(value),
            (Type::Float, Found::Int(value)) => cell.float(value as f64),
            (Type::String, Found::Text(text)) => cell.text(text),
            (Type::Float, Found::Text(text)) => match short_float(text) {
                Some(value) => cell.float(value),
                None => return self.convert(found, cell),
            },
            (Type::Bool, Found::Bool(value)) => cell.bool(value),
            (Type::Timestamp, Found::Time(time)) => cell.time(time),
            _ => return self.convert(found, cell),
        }
        Ok(())
    }

    /// Writes a value of another type.
    fn convert<C: CellWriter>(&self, found: Found<'_>, cell: C) -> Result<(), FieldFault> {
        let fault = match (self.ty, found) {
            (_, Found::Null) if self.nullable => None,
            (_, Found::Null) => Some(FieldFault::Null(self.ty)),
            (Type::Int, found) => match int_of(found) {
                Some(value) => {
                    cell.int(value);
                    return Ok(());
                }
                None => Some(self.wrong(found)),
            },
            (Type::Float, found) => match float_of(found) {
                Some(value) if value.is_finite() => {
                    cell.float(value);
                    return Ok(());
                }
                Some(_) => Some(FieldFault::NonFinite),
                None => Some(self.wrong(found)),
            },
            (Type::Bool, found) => match bool_of(found) {
                Some(value) => {
                    cell.bool(value);
                    return Ok(());
                }
                None => Some(self.wrong(found)),
            },
            (Type::Timestamp, found) => match self.time_of(found) {
                Ok(time) => {
                    cell.time(time);
                    return Ok(());
                }
                Err(fault) => Some(fault),
            },
            (Type::String, found) => Some(self.wrong(found)),
        };
        cell.null();
        fault.map_or(Ok(()), Err)
    }

    fn wrong(&self, found: Found<'_>) -> FieldFault {
        FieldFault::WrongType { expected: self.ty, found: found.to_string() }
    }

    fn time_of(&self, found: Found<'_>) -> Result<i64, FieldFault> {
        let unparsable = |shown: String| FieldFault::UnparsableTime(shown);
        match found {
            Found::Time(time) => Ok(time),
            Found::Int(value) | Found::Wide { int: Some(value), .. } => {
                self.time.of_int(value).ok_or_else(|| unparsable(value.to_string()))
            }
            Found::Float(value) | Found::Wide { float: value, .. } => {
                self.time.of_float(value).ok_or_else(|| unparsable(value.to_string()))
            }
            Found::Text(text) => self.time.of_text(text).ok_or_else(|| unparsable(text.to_owned())),
            Found::Null | Found::Bool(_) | Found::List | Found::Object => Err(self.wrong(found)),
        }
    }
}

impl Column {
    /// Returns the rules by which values of this column are read.
    pub fn rules(&self) -> CellRules<'_> {
        CellRules { ty: self.ty, nullable: self.nullable, time: &self.time }
    }
}

/// Returns the int that a value is without loss.
fn int_of(found: Found<'_>) -> Option<i64> {
    let whole = |value: f64| (value.fract() == 0.0 && value.abs() < INEXACT).then_some(value as i64);
    match found {
        Found::Int(value) => Some(value),
        Found::Wide { int, .. } => int,
        Found::Float(value) => whole(value),
        Found::Text(text) => {
            let text = text.trim_ascii();
            text.parse().ok().or_else(|| whole(text.parse().ok()?))
        }
        Found::Null | Found::Bool(_) | Found::Time(_) | Found::List | Found::Object => None,
    }
}

/// Returns the float nearest to a number of at most 15 digits, with or without a point among them; `None` of another text.
///
/// Such digits are an integer below 2^53, and 10 to the power of their decimals is a float as well, so that one division
/// rounds to the nearest float (Clinger 1990).
#[inline]
fn short_float(text: &str) -> Option<f64> {
    const DIGITS: usize = 15;
    const POWERS: [f64; DIGITS + 1] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let bytes = text.as_bytes();
    let (is_negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.len() > DIGITS + 1 {
        return None;
    }
    let (mut number, mut point) = (0_u64, None);
    for (at, byte) in digits.iter().enumerate() {
        match byte.wrapping_sub(b'0') {
            digit @ 0..=9 => number = number * 10 + u64::from(digit),
            _ if *byte == b'.' && point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let decimals = point.map_or(0, |at| digits.len() - 1 - at);
    if !(1..=DIGITS).contains(&(digits.len() - usize::from(point.is_some()))) {
        return None;
    }
    let size = number as f64 / POWERS[decimals];
    Some(if is_negative { -size } else { size })
}

/// Returns the float nearest to a number.
fn float_of(found: Found<'_>) -> Option<f64> {
    match found {
        Found::Int(value) => Some(value as f64),
        Found::Float(value) | Found::Wide { float: value, .. } => Some(value),
        Found::Text(text) => text.trim_ascii().parse().ok(),
        Found::Null | Found::Bool(_) | Found::Time(_) | Found::List | Found::Object => None,
    }
}

fn bool_of(found: Found<'_>) -> Option<bool> {
    match found {
        Found::Bool(value) => Some(value),
        Found::Text(text) => match text.trim_ascii() {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            text => bool_of(Found::Float(text.parse().ok()?)),
        },
        number => match float_of(number)? {
            1.0 => Some(true),
            0.0 => Some(false),
            _ => None,
        },
    }
}

/// Reads one value into a cell. Returns the fault if it does not fit.
pub struct ValueSeed<'a, C> {
    pub rules: CellRules<'a>,
    pub cell: C,
}

impl<'de, C: CellWriter> DeserializeSeed<'de> for ValueSeed<'_, C> {
    type Value = Result<(), FieldFault>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, C: CellWriter> Visitor<'de> for ValueSeed<'_, C> {
    type Value = Result<(), FieldFault>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {}", self.rules.ty)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.rules.write(Found::Text(text), self.cell))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(self.rules.write(Found::Int(value), self.cell))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        let found = i64::try_from(value).map_or(Found::Wide { int: None, float: value as f64 }, Found::Int);
        Ok(self.rules.write(found, self.cell))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(self.rules.write(Found::Float(value), self.cell))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(self.rules.write(Found::Bool(value), self.cell))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(self.rules.write(Found::Null, self.cell))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.rules.write(Found::List, self.cell))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.rules.write(Found::Object, self.cell))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn oracle_a_short_number_is_what_the_standard_library_reads(text in "-?[0-9]{0,9}(\\.[0-9]{0,9})?[e+. ]?") {
            if let Some(value) = short_float(&text) {
                let expected: f64 = text.parse().expect("only numbers are read");
                prop_assert_eq!(value.to_bits(), expected.to_bits());
            }
        }
    }

    #[test]
    fn numbers_of_files_are_short() {
        for text in ["0", "-0", "1.5", "-0.1234", ".5", "5.", "123456789.012345", "99999999999999"] {
            assert_eq!(short_float(text).map(f64::to_bits), text.parse::<f64>().ok().map(f64::to_bits), "{text}");
        }
        for text in ["", "-", ".", "1e5", "+1", " 1", "NaN", "inf", "1234567890123456", "1.2.3"] {
            assert_eq!(short_float(text), None, "{text}");
        }
    }
}
