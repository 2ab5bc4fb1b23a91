//! `time_between`: the mean gap between records.

use crate::aggregate::{AggregateKind, Feature, FeatureType, OpInput, SpanOp};
use crate::value::{Scalar, Type};

pub static TIME_BETWEEN: AggregateKind = AggregateKind {
    name: "time_between",
    summary: "mean gap between the event times of neighbouring records in seconds, (newest − oldest) / (n − 1); null below \
              two records",
    parameters: &[],
    input: OpInput::Optional,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &SpanOp {
        finish: |span| {
            let gaps = (span.n - 1) as f64;
            let mean = (span.n > 1).then(|| (span.newest - span.oldest) as f64 / gaps / 1e3);
            Feature::Value(Scalar::from(mean))
        },
    },
};
