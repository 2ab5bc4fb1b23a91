//! `variance_pop`: of the whole population.

use crate::aggregate::{AggregateKind, Feature, FeatureType, MomentOp, MomentOrder, OpInput};
use crate::value::Type;

pub static VARIANCE_POP: AggregateKind = AggregateKind {
    name: "variance_pop",
    summary: "population variance; null if there are no records",
    parameters: &[],
    input: OpInput::Numeric,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &MomentOp { order: MomentOrder::Second, finish: |moments| Ok(moments.population_variance().into()) },
};
