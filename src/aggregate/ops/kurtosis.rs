//! `kurtosis`: the weight of the tails of values.

use crate::aggregate::{AggregateKind, Feature, FeatureType, HigherMomentOp, HigherMoments, OpInput};
use crate::value::Type;

pub static KURTOSIS: AggregateKind = AggregateKind {
    name: "kurtosis",
    summary: "population excess kurtosis n·Σ(x − mean)⁴ / (Σ(x − mean)²)² − 3; null below four values and of equal values",
    parameters: &[],
    input: OpInput::Numeric,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &HigherMomentOp { finish: HigherMoments::kurtosis },
};
