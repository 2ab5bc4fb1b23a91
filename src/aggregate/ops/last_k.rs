//! `last_k(k)`: the values of the last records.

use crate::aggregate::{AggregateKind, Feature, FeatureType, KEPT, Keep, OpInput};
use crate::value::Type;

pub static LAST_K: AggregateKind = AggregateKind {
    name: "last_k",
    summary: "list of the values of the last `k` records, oldest first",
    parameters: &[KEPT.shortened("last")],
    input: OpInput::Any,
    output: |of, _| FeatureType::List(of.unwrap_or(Type::Float)),
    empty: |_| Feature::NULL,
    family: &Keep::Last,
};
