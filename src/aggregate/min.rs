//! `min`: the smallest value.

use super::{Family, Input, Kind, Rank};
use crate::value::Type;

pub static MIN: Kind = Kind {
    name: "min",
    summary: "smallest value",
    input: Input::Ordered,
    output: |of| of.unwrap_or(Type::Float),
    nullable: true,
    family: Family::Pick(Rank::Least),
};
