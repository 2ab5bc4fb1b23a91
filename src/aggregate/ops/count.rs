//! `count`: how many records.

use crate::aggregate::{AggregateKind, Feature, FeatureType, MomentOp, MomentOrder, OpInput};
use crate::value::{Scalar, Type};

pub static COUNT: AggregateKind = AggregateKind {
    name: "count",
    summary: "number of records, or with `of`, of records whose `of` is not null",
    parameters: &[],
    input: OpInput::Optional,
    output: |_, _| FeatureType::Scalar(Type::Int),
    empty: |_| Feature::Value(Scalar::Int(0)),
    family: &MomentOp { order: MomentOrder::Zeroth, finish: |moments| Ok(Scalar::Int(moments.count)) },
};
