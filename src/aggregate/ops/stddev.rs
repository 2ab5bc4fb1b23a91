//! `stddev`: the root of the sample variance.

use crate::aggregate::{AggregateKind, Feature, FeatureType, MomentOp, MomentOrder, OpInput};
use crate::value::Type;

pub static STDDEV: AggregateKind = AggregateKind {
    name: "stddev",
    summary: "sample standard deviation; null for fewer than two records",
    parameters: &[],
    input: OpInput::Numeric,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &MomentOp { order: MomentOrder::Second, finish: |moments| Ok(moments.variance().map(f64::sqrt).into()) },
};
