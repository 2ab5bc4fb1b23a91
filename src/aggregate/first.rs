//! `first`: the value of the first record in the total order.

use super::{Family, Input, Kind, Rank};
use crate::value::Type;

pub static FIRST: Kind = Kind {
    name: "first",
    summary: "value of the first record in the total order",
    input: Input::Any,
    output: |of| of.unwrap_or(Type::Float),
    nullable: true,
    family: Family::Pick(Rank::First),
};
