//! Faults of the fields of a record.

use std::fmt;

use super::Type;

/// A fault of a field, or of the record as a whole.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldFault {
    /// The record or the field cannot be parsed.
    Malformed(String),
    Missing,
    /// Null in a column of this type that takes none.
    Null(Type),
    WrongType {
        expected: Type,
        found: String,
    },
    NonFinite,
    UnparsableTime(String),
}

/// A fault and the column that has it; `None` if the record as a whole is at fault.
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
            FieldFault::Null(expected) => write!(f, "expected {expected}, found null"),
            FieldFault::WrongType { expected, found } => write!(f, "expected {expected}, found {found}"),
            FieldFault::NonFinite => f.write_str("not a finite number"),
            FieldFault::UnparsableTime(text) => write!(f, "{text:?} is not a time"),
        }
    }
}
