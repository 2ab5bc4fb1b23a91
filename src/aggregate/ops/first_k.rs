//! `first_k(k)`: the values of the first records.

use crate::aggregate::{AggregateKind, Feature, FeatureType, KEPT, Keep, OpInput};
use crate::value::Type;

pub static FIRST_K: AggregateKind = AggregateKind {
    name: "first_k",
    summary: "list of the values of the first `k` records, oldest first",
    parameters: &[KEPT.shortened("first")],
    input: OpInput::Any,
    output: |of, _| FeatureType::List(of.unwrap_or(Type::Float)),
    empty: |_| Feature::NULL,
    family: &Keep::First,
};
