//! `count`: how many records.

use super::{Family, Input, Keeps, Kind};
use crate::value::{Scalar, Type};

pub static COUNT: Kind = Kind {
    name: "count",
    summary: "number of records; with `of`, of those where it is not null; 0 if there are none",
    input: Input::Optional,
    output: |_| Type::Int,
    nullable: false,
    family: Family::Moments { keeps: Keeps::Count, finish: |moments| Scalar::Int(moments.n) },
};
