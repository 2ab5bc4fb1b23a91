//! `last`: the value of the last record in the total order.

use crate::aggregate::{AggregateKind, Extremum, Feature, FeatureType, OpInput};
use crate::value::Type;

pub static LAST: AggregateKind = AggregateKind {
    name: "last",
    summary: "value of the last record in the total order",
    parameters: &[],
    input: OpInput::Any,
    output: |of, _| FeatureType::Scalar(of.unwrap_or(Type::Float)),
    empty: |_| Feature::NULL,
    family: &Extremum::Last,
};
