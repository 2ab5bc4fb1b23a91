//! `count`: how many records.

use super::{Family, Input, Keeps, Kind};
use crate::value::{Scalar, Type};

pub static COUNT: Kind = Kind {
    name: "count",
    summary: "number of records, or with `of`, of records whose `of` is not null",
    input: Input::Optional,
    output: |_| Type::Int,
    nullable: false,
    family: Family::Moments { keeps: Keeps::Count, finish: |moments| Scalar::Int(moments.n) },
};
