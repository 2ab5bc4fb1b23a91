//! `correlation`: how linear the relation of two values is.

use crate::aggregate::{AggregateKind, CovariationOp, Feature, FeatureType, OpInput};
use crate::value::Type;

pub static CORRELATION: AggregateKind = AggregateKind {
    name: "correlation",
    summary: "Pearson's correlation of `of` and `with`, from −1 to 1, over the records that have both, within 6·10^−16 of its \
              magnitude; null below two, and where all values of either are equal",
    parameters: &[],
    input: OpInput::Pair,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &CovariationOp { finish: |sums, _| sums.correlation() },
};
