//! `first`: the value of the first record in the total order.

use crate::aggregate::{AggregateKind, Extremum, Feature, FeatureType, OpInput};
use crate::value::Type;

pub static FIRST: AggregateKind = AggregateKind {
    name: "first",
    summary: "value of the first record in the total order",
    parameters: &[],
    input: OpInput::Any,
    output: |of, _| FeatureType::Scalar(of.unwrap_or(Type::Float)),
    empty: |_| Feature::NULL,
    family: &Extremum::First,
};
