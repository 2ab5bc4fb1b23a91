//! `quantile(q)`: a value that a share q of the records does not exceed.
//!
//! Values are counted in buckets whose bounds grow by γ = (1 + α) / (1 − α) with α = 1 %, as in DDSketch (Masson, Rim
//! and Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error Guarantees", 2019). Bucket i > 0
//! holds the magnitudes in (γ^(i−1), γ^i] and answers 2·γ^i / (γ + 1), which is off by at most α of any of them. Buckets
//! are integers with counts, so merging and subtracting are exact.

use serde::{Deserialize, Serialize};

use crate::aggregate::algebra::Observed;
use crate::aggregate::answers::Answers;
use crate::aggregate::estimate::StateEstimate;
use crate::aggregate::families::{Tallied, Tally, TallyBy};
use crate::aggregate::family::{Family, OpsInWindow, PlacedOp};
use crate::aggregate::feature::{Feature, FeatureType};
use crate::aggregate::input::Reads;
use crate::aggregate::op::{Op, OpParameter, ParameterType};
use crate::aggregate::window::WindowState;
use crate::aggregate::{AggregateKind, OpInput};
use crate::value::{Scalar, Type};

pub static QUANTILE: AggregateKind = AggregateKind {
    name: "quantile",
    summary: "value at position floor(`q`·(n − 1)) of the n values in ascending order, within 1 % of its magnitude \
              (DDSketch). Memory grows with the logarithm of the spread of the values",
    parameters: &[OpParameter {
        name: "q",
        summary: "share of the values below",
        of: ParameterType::Share,
        least: 0.0,
        greatest: 1.0,
        short: "p",
    }],
    input: OpInput::Numeric,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::NULL,
    family: &QuantileOp,
};

/// The relative error of an answer.
pub const RELATIVE_ERROR: f64 = 0.01;

const GAMMA: f64 = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);

/// Above the logarithm to base γ of every magnitude's reciprocal, so that indices of magnitudes are positive.
const OFFSET: i32 = 40_000;

/// A bucket of values, in their order: its index plus `OFFSET`, 0 of zero, negative of negative values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct QuantileBucket(i32);

impl QuantileBucket {
    /// The bucket of a finite value.
    pub fn holding(x: f64) -> QuantileBucket {
        if x == 0.0 {
            return QuantileBucket(0);
        }
        let index = OFFSET + libm::ceil(libm::log(x.abs()) / libm::log(GAMMA)) as i32;
        QuantileBucket(if x < 0.0 { -index } else { index })
    }

    /// A value that is within the relative error of all that the bucket holds.
    pub fn value(self) -> f64 {
        if self.0 == 0 {
            return 0.0;
        }
        let index = self.0.abs() - OFFSET;
        // The exponential first: γ^index may be infinite where the value is not.
        let magnitude = libm::exp(f64::from(index) * libm::log(GAMMA) + libm::log(2.0 / (GAMMA + 1.0)));
        magnitude.min(f64::MAX).copysign(f64::from(self.0))
    }
}

impl Tallied for QuantileBucket {
    fn of(record: Observed<'_>) -> QuantileBucket {
        match record.value() {
            Scalar::Float(x) => QuantileBucket::holding(x),
            Scalar::Int(x) => QuantileBucket::holding(x as f64),
            other => unreachable!("the spec admits numbers only, not {other:?}"),
        }
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

/// The family of quantiles. All quantiles of a line in a window share their buckets.
#[derive(Debug)]
pub struct QuantileOp;

impl Family for QuantileOp {
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>> {
        let answer = |placed: &PlacedOp<'_>| (placed.position, placed.op.parameters.get(0));
        let answers: Vec<(usize, f64)> = ops.ops.iter().map(answer).collect();
        let finish = move |tally: &Tally<QuantileBucket>, row: &mut Answers<'_>| {
            for (position, q) in &answers {
                row[*position] = Feature::Value(quantile(tally, *q).into());
            }
        };
        vec![ops.erased_invertible(TallyBy::<QuantileBucket>::default(), finish)]
    }

    fn bytes(&self, _ops: &[&Op], estimate: &StateEstimate) -> usize {
        estimate.erased_invertible(TallyBy::<QuantileBucket>::default())
    }

    fn reads(&self) -> Reads {
        Reads::VALUES
    }

    fn is_ordered(&self) -> bool {
        false
    }
}

/// The value of the bucket that holds position floor(q·(n − 1)); `None` of no values.
fn quantile(tally: &Tally<QuantileBucket>, q: f64) -> Option<f64> {
    let position = (q * (tally.total() - 1) as f64).floor() as i64;
    let mut before = 0;
    let holding = tally.iter().find(|(_, count)| {
        before += count;
        before > position
    });
    holding.map(|(bucket, _)| bucket.value())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_near(x: f64) -> bool {
        let found = QuantileBucket::holding(x).value();
        // A part in 10^9 for the rounding of logarithms.
        (found - x).abs() <= x.abs() * (RELATIVE_ERROR + 1e-9)
    }

    proptest! {
        #[test]
        fn a_bucket_answers_within_the_relative_error(x in any::<f64>().prop_filter("normal", |x| x.is_normal())) {
            prop_assert!(is_near(x), "{x} is answered by {}", QuantileBucket::holding(x).value());
        }

        #[test]
        fn buckets_are_in_the_order_of_their_values(a in -1e12..1e12f64, b in -1e12..1e12f64) {
            prop_assert!((a <= b) == (QuantileBucket::holding(a) <= QuantileBucket::holding(b)) || QuantileBucket::holding(a) == QuantileBucket::holding(b));
        }
    }

    #[test]
    fn the_ends_of_the_range_of_floats_have_buckets() {
        for x in [0.0, -0.0, 1.0, -1.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 1e9, 1e-9] {
            assert!(is_near(x), "{x} is answered by {}", QuantileBucket::holding(x).value());
        }
        assert!(QuantileBucket::holding(5e-324).0 > 0 && QuantileBucket::holding(-5e-324).0 < 0);
    }
}
