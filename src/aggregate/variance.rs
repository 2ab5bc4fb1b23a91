//! `variance`: of a sample.

use super::{Family, Input, Keeps, Kind};
use crate::value::Type;

pub static VARIANCE: Kind = Kind {
    name: "variance",
    summary: "sample variance; null for fewer than two records",
    input: Input::Numeric,
    output: |_| Type::Float,
    nullable: true,
    family: Family::Moments { keeps: Keeps::Spread, finish: |moments| moments.variance().into() },
};
