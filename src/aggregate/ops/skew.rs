//! `skew`: the asymmetry of values around their mean.

use crate::aggregate::{AggregateKind, Feature, FeatureType, HigherMomentOp, HigherMoments, OpInput};
use crate::value::Type;

pub static SKEW: AggregateKind = AggregateKind {
    name: "skew",
    summary: "population skewness √n·Σ(x − mean)³ / (Σ(x − mean)²)^1.5; null below three values and of equal values",
    parameters: &[],
    input: OpInput::Numeric,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &HigherMomentOp { finish: HigherMoments::skew },
};
