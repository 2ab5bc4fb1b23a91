//! Values as keys: compared, counted and put in order.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::format_time;
use crate::value::{Scalar, float_text};

/// A value that is not null, as a key. Values of one type are in their usual order: floats by `total_cmp`, strings by
/// their bytes, `false` before `true`. −0.0 is 0.0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ValueKey(Scalar);

impl ValueKey {
    /// The key of a value.
    pub fn of(value: Scalar) -> ValueKey {
        ValueKey(match value {
            Scalar::Float(x) => Scalar::Float(x + 0.0),
            other => other,
        })
    }

    /// The value.
    pub fn value(&self) -> &Scalar {
        &self.0
    }

    /// Returns whether the values are of one type.
    pub fn is_alike(&self, other: &ValueKey) -> bool {
        self.type_rank() == other.type_rank()
    }

    /// The position of its type among all: keys of different types do not occur together.
    fn type_rank(&self) -> u8 {
        match self.0 {
            Scalar::Null => 0,
            Scalar::Bool(_) => 1,
            Scalar::Int(_) => 2,
            Scalar::Float(_) => 3,
            Scalar::String(_) => 4,
            Scalar::Timestamp(_) => 5,
        }
    }
}

impl Ord for ValueKey {
    fn cmp(&self, other: &ValueKey) -> Ordering {
        match (&self.0, &other.0) {
            (Scalar::Bool(a), Scalar::Bool(b)) => a.cmp(b),
            (Scalar::Int(a), Scalar::Int(b)) | (Scalar::Timestamp(a), Scalar::Timestamp(b)) => a.cmp(b),
            (Scalar::Float(a), Scalar::Float(b)) => a.total_cmp(b),
            (Scalar::String(a), Scalar::String(b)) => a.cmp(b),
            _ => self.type_rank().cmp(&other.type_rank()),
        }
    }
}

impl PartialOrd for ValueKey {
    fn partial_cmp(&self, other: &ValueKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ValueKey {
    fn eq(&self, other: &ValueKey) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ValueKey {}

/// Writes the text of the value as the key of a map: a string itself, a number as the shortest text that reads back
/// to it, a time in RFC 3339.
impl fmt::Display for ValueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Scalar::Null => f.write_str("null"),
            Scalar::Bool(value) => value.fmt(f),
            Scalar::Int(value) => value.fmt(f),
            Scalar::Float(value) => f.write_str(&float_text(*value)),
            Scalar::String(value) => f.write_str(value),
            Scalar::Timestamp(time) => f.write_str(&format_time(*time).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_of_either_sign_are_one_key() {
        assert_eq!(ValueKey::of(Scalar::Float(-0.0)), ValueKey::of(Scalar::Float(0.0)));
        assert_eq!(ValueKey::of(Scalar::Float(-0.0)).to_string(), "0");
    }

    #[test]
    fn keys_are_in_the_order_of_their_values() {
        let texts = |values: [Scalar; 3]| {
            let mut keys: Vec<ValueKey> = values.into_iter().map(ValueKey::of).collect();
            keys.sort();
            keys.iter().map(ValueKey::to_string).collect::<Vec<_>>()
        };
        assert_eq!(texts([10, 9, -1].map(Scalar::Int)), ["-1", "9", "10"]);
        assert_eq!(texts([10.5, 9.0, -1e300].map(Scalar::Float))[1..], ["9", "10.5"]);
        assert_eq!(texts([1e21, 1e-7, 5e-324].map(Scalar::Float)), ["5e-324", "1e-7", "1e21"]);
        assert_eq!(texts(["b", "a", "B"].map(|text| Scalar::String(text.into()))), ["B", "a", "b"]);
    }
}
