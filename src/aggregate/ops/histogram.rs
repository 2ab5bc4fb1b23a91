//! `histogram(k)`: the number of records of each value.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::aggregate::{AggregateKind, Feature, FeatureType, KEPT, OpInput, ValueKey, ValueTallyOp};
use crate::value::{Scalar, Type};

pub static HISTOGRAM: AggregateKind = AggregateKind {
    name: "histogram",
    summary: "map from each value, as text, to the number of its records; of more than `k` values, the `k` most frequent \
              (ties: the smaller value). Memory grows with all of them",
    parameters: &[KEPT.shortened("histogram")],
    input: OpInput::Any,
    output: |_, _| FeatureType::Map(Type::Int),
    empty: |_| Feature::NULL,
    family: &ValueTallyOp {
        finish: |tally, parameters| {
            let mut counts: Vec<(&ValueKey, i64)> = tally.iter().collect();
            if counts.len() > parameters.count(0) {
                counts.sort_by_key(|(key, count)| (Reverse(*count), *key));
                counts.truncate(parameters.count(0));
            }
            let entry = |(key, count): (&ValueKey, i64)| (Arc::from(key.to_string()), Scalar::Int(count));
            let mut entries: Vec<(Arc<str>, Scalar)> = counts.into_iter().map(entry).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Feature::Map(entries.into())
        },
    },
};
