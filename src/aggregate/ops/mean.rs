//! `mean`: the exact sum over the count.

use crate::aggregate::{AggregateKind, Feature, FeatureType, MomentOp, MomentOrder, OpInput};
use crate::value::Type;

pub static MEAN: AggregateKind = AggregateKind {
    name: "mean",
    summary: "arithmetic mean",
    parameters: &[],
    input: OpInput::Numeric,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &MomentOp { order: MomentOrder::First, finish: |moments| Ok(moments.mean().into()) },
};
