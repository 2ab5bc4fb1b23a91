//! Exact higher moments: sums of the first four powers.
//!
//! Scaled values have up to 90 bits, so their fourth powers have 360 and the sums of 2^40 of them 400. The central
//! moments are differences of products of such sums, which are formed exactly and rounded once.

use bnum::cast::As;
use bnum::types::{I512, I1024};
use serde::{Deserialize, Serialize};

use crate::aggregate::algebra::{Aggregate, Invertible, Observed};
use crate::aggregate::answers::Answers;
use crate::aggregate::estimate::StateEstimate;
use crate::aggregate::family::{Family, OpsInWindow, PlacedOp};
use crate::aggregate::feature::Feature;
use crate::aggregate::input::Reads;
use crate::aggregate::op::Op;
use crate::aggregate::state_codec::{StateReader, StateWriter};
use crate::aggregate::window::WindowState;
use crate::value::Scalar;

/// The aggregate whose accumulators are sums of powers.
#[derive(Clone, Copy, Debug)]
pub struct Powers;

/// The number of values and the sums of their first four powers: a commutative group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HigherMoments {
    n: i64,
    s: i128,
    q: I512,
    cubes: I512,
    fourths: I512,
}

impl HigherMoments {
    /// The number of values.
    pub fn count(&self) -> i64 {
        self.n
    }

    /// Σ(x − mean)²·n, exact.
    fn second(&self) -> I1024 {
        let (n, s, q) = self.wide();
        n * q - s * s
    }

    fn wide(&self) -> (I1024, I1024, I1024) {
        (self.n.as_(), self.s.as_(), self.q.as_())
    }

    /// The population skewness √n·m3 / m2^1.5, m2 and m3 being sums of powers of deviations; `None` below three values and
    /// of equal values.
    pub fn skew(&self) -> Option<f64> {
        let (n, s, q) = self.wide();
        let cubes: I1024 = self.cubes.as_();
        let second: f64 = self.second().as_();
        let three: I1024 = 3.as_();
        let third: f64 = (n * n * cubes - three * n * s * q + (s * s * s + s * s * s)).as_();
        (self.n > 2 && second > 0.0).then(|| third / (second * second.sqrt()))
    }

    /// The population excess kurtosis n·m4 / m2² − 3; `None` below four values and of equal values.
    pub fn kurtosis(&self) -> Option<f64> {
        let (n, s, q) = self.wide();
        let (cubes, fourths): (I1024, I1024) = (self.cubes.as_(), self.fourths.as_());
        let [three, four, six] = [3, 4, 6].map(|factor: i32| factor.as_::<I1024>());
        let second: f64 = self.second().as_();
        let fourth = n * n * n * fourths - four * n * n * s * cubes + six * n * s * s * q - three * s * s * s * s;
        let fourth: f64 = fourth.as_();
        (self.n > 3 && second > 0.0).then(|| fourth / second / second - 3.0)
    }
}

impl Aggregate for Powers {
    type Acc = HigherMoments;

    fn reads(&self) -> Reads {
        Reads::SCALED
    }

    fn insert(&self, acc: &mut HigherMoments, record: Observed<'_>) {
        let x: I512 = record.summable().as_();
        let square = x * x;
        acc.n += 1;
        acc.s += record.summable();
        acc.q += square;
        acc.cubes += square * x;
        acc.fourths += square * square;
    }

    fn admits(&self, saved: &HigherMoments) -> bool {
        (0..=1 << 48).contains(&saved.n) && saved.s.unsigned_abs() <= 1 << 118
    }

    fn merge(&self, acc: &mut HigherMoments, later: &HigherMoments) {
        acc.n += later.n;
        acc.s += later.s;
        acc.q += later.q;
        acc.cubes += later.cubes;
        acc.fourths += later.fourths;
    }

    fn is_empty(&self, acc: &HigherMoments) -> bool {
        acc.n == 0
    }

    fn write(&self, acc: &Self::Acc, to: &mut StateWriter) {
        to.value(acc);
    }

    fn read(&self, from: &mut StateReader<'_>) -> Result<Self::Acc, postcard::Error> {
        from.value()
    }
}

impl Invertible for Powers {
    fn remove(&self, acc: &mut HigherMoments, leaving: &HigherMoments) {
        acc.n -= leaving.n;
        acc.s -= leaving.s;
        acc.q -= leaving.q;
        acc.cubes -= leaving.cubes;
        acc.fourths -= leaving.fourths;
    }
}

/// The family of ops that are functions of the sums of powers.
#[derive(Debug)]
pub struct HigherMomentOp {
    pub finish: fn(&HigherMoments) -> Option<f64>,
}

impl Family for HigherMomentOp {
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>> {
        let answer = |placed: &PlacedOp<'_>| (placed.position, placed.op.kind.family_as::<HigherMomentOp>().finish);
        let answers: Vec<(usize, _)> = ops.ops.iter().map(answer).collect();
        let finish = move |acc: &HigherMoments, row: &mut Answers<'_>| {
            for (position, finish) in &answers {
                row[*position] = Feature::Value(Scalar::from(finish(acc)));
            }
        };
        vec![ops.erased_invertible(Powers, finish)]
    }

    fn bytes(&self, _ops: &[&Op], estimate: &StateEstimate) -> usize {
        estimate.erased_invertible(Powers)
    }

    fn reads(&self) -> Reads {
        Powers.reads()
    }

    fn is_ordered(&self) -> bool {
        false
    }
}
