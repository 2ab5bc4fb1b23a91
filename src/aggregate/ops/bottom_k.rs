//! `bottom_k(k)`: the smallest values.

use crate::aggregate::{AggregateKind, Feature, FeatureType, KEPT, Keep, OpInput};
use crate::value::Type;

pub static BOTTOM_K: AggregateKind = AggregateKind {
    name: "bottom_k",
    summary: "list of the `k` smallest values, smallest first",
    parameters: &[KEPT.shortened("bottom")],
    input: OpInput::Ordered,
    output: |of, _| FeatureType::List(of.unwrap_or(Type::Float)),
    empty: |_| Feature::NULL,
    family: &Keep::Bottom,
};
