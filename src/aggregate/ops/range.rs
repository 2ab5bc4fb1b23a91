//! `range`: the distance between the smallest and the greatest value.

use crate::aggregate::{AggregateKind, ExtentOp, Feature, FeatureType, OpInput};
use crate::value::Type;

pub static RANGE: AggregateKind = AggregateKind {
    name: "range",
    summary: "greatest value less the smallest, of the type of its input; null where that leaves the type",
    parameters: &[],
    input: OpInput::Numeric,
    output: |of, _| FeatureType::Scalar(of.unwrap_or(Type::Float)),
    empty: |_| Feature::NULL,
    family: &ExtentOp,
};
