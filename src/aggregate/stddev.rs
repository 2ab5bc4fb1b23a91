//! `stddev`: the root of the sample variance.

use super::{Family, Input, Keeps, Kind};
use crate::value::Type;

pub static STDDEV: Kind = Kind {
    name: "stddev",
    summary: "sample standard deviation; null for fewer than two records",
    input: Input::Numeric,
    output: |_| Type::Float,
    nullable: true,
    family: Family::Moments { keeps: Keeps::Spread, finish: |moments| moments.variance().map(f64::sqrt).into() },
};
