//! `time_since_first`: how long ago the oldest record was.

use crate::aggregate::{AggregateKind, Deferred, Feature, FeatureType, OpInput, SpanOp};
use crate::value::Type;

pub static TIME_SINCE_FIRST: AggregateKind = AggregateKind {
    name: "time_since_first",
    summary: "seconds from the oldest event time in the window to the asking time, or with `of`, from that of the records whose \
              `of` is not null",
    parameters: &[],
    input: OpInput::Optional,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &SpanOp { finish: |span| Feature::AsOf(Deferred::SecondsSince(span.oldest)) },
};
