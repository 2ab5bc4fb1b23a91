//! `distinct`: the number of different values.

use crate::aggregate::{AggregateKind, Feature, FeatureType, OpInput, ValueTallyOp};
use crate::value::{Scalar, Type};

pub static DISTINCT: AggregateKind = AggregateKind {
    name: "distinct",
    summary: "exact number of different values; memory grows with them",
    parameters: &[],
    input: OpInput::Any,
    output: |_, _| FeatureType::Scalar(Type::Int),
    empty: |_| Feature::Value(Scalar::Int(0)),
    family: &ValueTallyOp { finish: |tally, _| Feature::Value(Scalar::Int(tally.distinct() as i64)) },
};
