//! The inputs that kinds of aggregates take.

use crate::value::Type;

/// The types that an aggregate may be `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpInput {
    /// Any type; `of` may be left out. Nulls do not count.
    Optional,
    /// An int or a float.
    Numeric,
    /// An int or a float, and another in `with`.
    Pair,
    /// Any type with an order: numbers, times, bools.
    Ordered,
    /// Any type.
    Any,
}

impl OpInput {
    /// Returns whether an aggregate may be `of` a column of this type; `None`: without `of`.
    pub fn accepts(self, of: Option<Type>) -> bool {
        match (self, of) {
            (OpInput::Optional, _) => true,
            (_, None) => false,
            (OpInput::Numeric | OpInput::Pair, Some(ty)) => ty.is_numeric(),
            (OpInput::Ordered, Some(ty)) => ty != Type::String,
            (OpInput::Any, Some(_)) => true,
        }
    }
}
