//! `variance`: of a sample.

use crate::aggregate::{AggregateKind, Feature, FeatureType, MomentOp, MomentOrder, OpInput};
use crate::value::Type;

pub static VARIANCE: AggregateKind = AggregateKind {
    name: "variance",
    summary: "sample variance; null for fewer than two records",
    parameters: &[],
    input: OpInput::Numeric,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &MomentOp { order: MomentOrder::Second, finish: |moments| Ok(moments.variance().into()) },
};
