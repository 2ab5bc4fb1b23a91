//! `time_since_last`: how long ago the newest record was.

use crate::aggregate::{AggregateKind, Deferred, Feature, FeatureType, NewestOp, OpInput};
use crate::value::Type;

pub static TIME_SINCE_LAST: AggregateKind = AggregateKind {
    name: "time_since_last",
    summary: "seconds from the newest event time in the window to the asking time, or with `of`, from that of the records whose \
              `of` is not null",
    parameters: &[],
    input: OpInput::Optional,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &NewestOp { finish: |newest| Feature::AsOf(Deferred::SecondsSince(newest)) },
};
