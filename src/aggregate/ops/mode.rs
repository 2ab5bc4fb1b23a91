//! `mode`: the most frequent value.

use std::cmp::Reverse;

use crate::aggregate::{AggregateKind, Feature, FeatureType, OpInput, ValueTallyOp};
use crate::value::Type;

pub static MODE: AggregateKind = AggregateKind {
    name: "mode",
    summary: "most frequent value (ties: the smallest). Memory grows with the different values",
    parameters: &[],
    input: OpInput::Any,
    output: |of, _| FeatureType::Scalar(of.unwrap_or(Type::String)),
    empty: |_| Feature::NULL,
    family: &ValueTallyOp {
        finish: |tally, _| {
            let most = tally.iter().min_by_key(|(key, count)| (Reverse(*count), *key));
            most.map_or(Feature::NULL, |(key, _)| Feature::Value(key.value().clone()))
        },
    },
};
