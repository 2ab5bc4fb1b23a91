//! `distinct_values(k)`: the different values.

use crate::aggregate::{AggregateKind, Feature, FeatureType, KEPT, OpInput, ValueTallyOp};
use crate::value::Type;

pub static DISTINCT_VALUES: AggregateKind = AggregateKind {
    name: "distinct_values",
    summary: "list of the different values, ascending; of more than `k`, the `k` smallest. Memory grows with all of them",
    parameters: &[KEPT.shortened("values")],
    input: OpInput::Any,
    output: |of, _| FeatureType::List(of.unwrap_or(Type::String)),
    empty: |_| Feature::NULL,
    family: &ValueTallyOp {
        finish: |tally, parameters| {
            let kept = tally.iter().take(parameters.count(0));
            Feature::List(kept.map(|(key, _)| key.value().clone()).collect())
        },
    },
};
