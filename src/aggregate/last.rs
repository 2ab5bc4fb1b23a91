//! `last`: the value of the last record in the total order.

use super::{Family, Input, Kind, Rank};
use crate::value::Type;

pub static LAST: Kind = Kind {
    name: "last",
    summary: "value of the last record in the total order",
    input: Input::Any,
    output: |of| of.unwrap_or(Type::Float),
    nullable: true,
    family: Family::Pick(Rank::Last),
};
