//! `max`: the largest value.

use crate::aggregate::{AggregateKind, Extremum, Feature, FeatureType, OpInput};
use crate::value::Type;

pub static MAX: AggregateKind = AggregateKind {
    name: "max",
    summary: "largest value",
    parameters: &[],
    input: OpInput::Ordered,
    output: |of, _| FeatureType::Scalar(of.unwrap_or(Type::Float)),
    empty: |_| Feature::NULL,
    family: &Extremum::Max,
};
