//! `sum`: exact, in the type of its input.

use super::{Family, Input, Keeps, Kind};
use crate::value::Type;

pub static SUM: Kind = Kind {
    name: "sum",
    summary: "exact sum, of the same type as its input",
    input: Input::Numeric,
    output: |of| of.unwrap_or(Type::Float),
    nullable: true,
    family: Family::Moments { keeps: Keeps::Total, finish: |moments| moments.sum() },
};
