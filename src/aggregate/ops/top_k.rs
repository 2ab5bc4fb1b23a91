//! `top_k(k)`: the greatest values.

use crate::aggregate::{AggregateKind, Feature, FeatureType, KEPT, Keep, OpInput};
use crate::value::Type;

pub static TOP_K: AggregateKind = AggregateKind {
    name: "top_k",
    summary: "list of the `k` greatest values, greatest first",
    parameters: &[KEPT.shortened("top")],
    input: OpInput::Ordered,
    output: |of, _| FeatureType::List(of.unwrap_or(Type::Float)),
    empty: |_| Feature::NULL,
    family: &Keep::Top,
};
