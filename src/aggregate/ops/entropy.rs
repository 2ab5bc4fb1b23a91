//! `entropy`: how evenly records are spread over values.

use crate::aggregate::{AggregateKind, Feature, FeatureType, OpInput, ValueTallyOp};
use crate::value::{Scalar, Type};

pub static ENTROPY: AggregateKind = AggregateKind {
    name: "entropy",
    summary: "Shannon entropy −Σ p·ln p of the shares p of the different values, in nats. Memory grows with them",
    parameters: &[],
    input: OpInput::Any,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &ValueTallyOp {
        finish: |tally, _| {
            let total = tally.total() as f64;
            // Added up in the order of the values, so that the result depends on their counts alone.
            let terms = tally.iter().map(|(_, count)| count as f64 / total).map(|share| share * libm::log(share));
            Feature::Value(Scalar::Float(terms.fold(0.0, |sum, term| sum - term)))
        },
    },
};
