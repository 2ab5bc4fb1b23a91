//! `ewma(half-life)`: the time-decayed mean.

use crate::aggregate::{AggregateKind, DecayOp, Feature, FeatureType, HALF_LIFE, OpInput};
use crate::value::{Scalar, Type};

pub static EWMA: AggregateKind = AggregateKind {
    name: "ewma",
    summary: "time-decayed mean Σ w·x / Σ w with w = 2^(−age / half-life), within 10^-12 of the mean magnitude. It does not \
              change between records",
    parameters: &[HALF_LIFE.shortened("ewma")],
    input: OpInput::Numeric,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &DecayOp { finish: |totals| Feature::Value(Scalar::Float(totals.sum / totals.weight)) },
};
