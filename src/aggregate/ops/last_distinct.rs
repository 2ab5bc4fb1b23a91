//! `last_distinct(k)`: the values that occurred last.

use crate::aggregate::{AggregateKind, Feature, FeatureType, KEPT, Keep, OpInput};
use crate::value::Type;

pub static LAST_DISTINCT: AggregateKind = AggregateKind {
    name: "last_distinct",
    summary: "list of the last `k` different values, the one whose newest record is oldest first",
    parameters: &[KEPT.shortened("lastdistinct")],
    input: OpInput::Any,
    output: |of, _| FeatureType::List(of.unwrap_or(Type::Float)),
    empty: |_| Feature::NULL,
    family: &Keep::LastDistinct,
};
