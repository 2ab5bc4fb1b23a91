//! `covariance`: how two values vary together.

use crate::aggregate::{AggregateKind, Covariation, CovariationOp, Feature, FeatureType, OpInput};
use crate::value::Type;

pub static COVARIANCE: AggregateKind = AggregateKind {
    name: "covariance",
    summary: "sample covariance (n − 1) of `of` and `with`, over the records that have both, within 5·10^−16 of its magnitude; \
              null below two",
    parameters: &[],
    input: OpInput::Pair,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &CovariationOp { finish: Covariation::covariance },
};
