//! `mean`: the exact sum over the count.

use super::{Family, Input, Keeps, Kind};
use crate::value::Type;

pub static MEAN: Kind = Kind {
    name: "mean",
    summary: "arithmetic mean",
    input: Input::Numeric,
    output: |_| Type::Float,
    nullable: true,
    family: Family::Moments { keeps: Keeps::Total, finish: |moments| moments.mean().into() },
};
