//! `max`: the largest value.

use super::{Family, Input, Kind, Rank};
use crate::value::Type;

pub static MAX: Kind = Kind {
    name: "max",
    summary: "largest value",
    input: Input::Ordered,
    output: |of| of.unwrap_or(Type::Float),
    nullable: true,
    family: Family::Pick(Rank::Greatest),
};
