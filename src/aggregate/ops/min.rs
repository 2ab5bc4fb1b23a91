//! `min`: the smallest value.

use crate::aggregate::{AggregateKind, Extremum, Feature, FeatureType, OpInput};
use crate::value::Type;

pub static MIN: AggregateKind = AggregateKind {
    name: "min",
    summary: "smallest value",
    parameters: &[],
    input: OpInput::Ordered,
    output: |of, _| FeatureType::Scalar(of.unwrap_or(Type::Float)),
    empty: |_| Feature::NULL,
    family: &Extremum::Min,
};
