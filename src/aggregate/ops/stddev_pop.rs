//! `stddev_pop`: the root of the population variance.

use crate::aggregate::{AggregateKind, Feature, FeatureType, MomentOp, MomentOrder, OpInput};
use crate::value::Type;

pub static STDDEV_POP: AggregateKind = AggregateKind {
    name: "stddev_pop",
    summary: "population standard deviation; null if there are no records",
    parameters: &[],
    input: OpInput::Numeric,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &MomentOp {
        order: MomentOrder::Second,
        finish: |moments| Ok(moments.population_variance().map(f64::sqrt).into()),
    },
};
