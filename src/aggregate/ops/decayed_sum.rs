//! `decayed_sum(half-life)`: the time-decayed sum.

use crate::aggregate::{AggregateKind, DecayOp, Deferred, Feature, FeatureType, HALF_LIFE, OpInput};
use crate::value::Type;

pub static DECAYED_SUM: AggregateKind = AggregateKind {
    name: "decayed_sum",
    summary: "time-decayed sum Σ w·x with w = 2^(−age / half-life), age being the asking time less the event time; within \
              10^-12 of the sum of magnitudes",
    parameters: &[HALF_LIFE.shortened("decayedsum")],
    input: OpInput::Numeric,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &DecayOp {
        finish: |totals| Feature::AsOf(Deferred::decaying(totals.sum, totals.as_of, totals.half_life_ms)),
    },
};
