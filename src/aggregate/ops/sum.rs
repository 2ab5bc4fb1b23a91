//! `sum`: exact, in the type of its input.

use crate::aggregate::{AggregateKind, Feature, FeatureType, MomentOp, MomentOrder, OpInput};
use crate::value::Type;

pub static SUM: AggregateKind = AggregateKind {
    name: "sum",
    summary: "exact sum, of the same type as its input",
    parameters: &[],
    input: OpInput::Numeric,
    output: |of, _| FeatureType::Scalar(of.unwrap_or(Type::Float)),
    empty: |_| Feature::NULL,
    family: &MomentOp { order: MomentOrder::First, finish: |moments| moments.sum() },
};
