//! Exact sums of two inputs and of their products, for covariance and correlation.
//!
//! With the scaled values X and Y of n records, nΣXY − ΣXΣY is n² times the covariance of X and Y, and nΣXX − (ΣX)² that of
//! X and itself. These are integers, formed exactly and rounded once, so that a constant input has no covariance at all
//! and neither order nor magnitude matters.

use arrow_buffer::i256;
use serde::{Deserialize, Serialize};

use crate::aggregate::algebra::{Aggregate, Invertible, Observed};
use crate::aggregate::answers::Answers;
use crate::aggregate::estimate::StateEstimate;
use crate::aggregate::exact::{Sum256, power_of_ten, to_f64};
use crate::aggregate::family::{Family, OpsInWindow, PlacedOp};
use crate::aggregate::feature::Feature;
use crate::aggregate::input::Reads;
use crate::aggregate::op::Op;
use crate::aggregate::state_codec::{StateReader, StateWriter};
use crate::aggregate::window::WindowState;
use crate::value::Scalar;

/// The aggregate whose accumulators are sums of two inputs and of their products.
#[derive(Clone, Copy, Debug)]
pub struct PairSums;

/// The number of pairs, the sums of their scaled values and of the products of these: a commutative group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Covariation {
    n: i64,
    x: i128,
    y: i128,
    xx: Sum256,
    yy: Sum256,
    xy: Sum256,
}

/// The inputs of a covariation in units: digits after the point that their values were scaled by.
#[derive(Clone, Copy, Debug)]
pub struct PairDigits {
    pub of: u32,
    pub with: u32,
}

impl Covariation {
    /// Adds the sums of `other` times `sign`, 1 or −1.
    fn add(&mut self, other: &Covariation, sign: i64) {
        let signed = |sum: Sum256| sum.value().wrapping_mul(i256::from_i128(sign.into()));
        self.n += sign * other.n;
        self.x += i128::from(sign) * other.x;
        self.y += i128::from(sign) * other.y;
        self.xx.add(signed(other.xx));
        self.yy.add(signed(other.yy));
        self.xy.add(signed(other.xy));
    }

    /// Returns nΣAB − ΣAΣB, rounded once.
    fn spread(&self, products: Sum256, a: i128, b: i128) -> f64 {
        let products = products.value();
        let product = i256::from_i128(a).wrapping_mul(i256::from_i128(b));
        to_f64(i256::from_i128(self.n.into()).wrapping_mul(products).wrapping_sub(product))
    }

    /// The sample covariance (nΣXY − ΣXΣY) / (n (n − 1)) / 10^(d + e) of inputs with d and e digits, within 5·10^−16 of its
    /// magnitude; `None` below two pairs.
    pub fn covariance(&self, digits: PairDigits) -> Option<f64> {
        let n = self.n as f64;
        let unit = power_of_ten(digits.of + digits.with);
        (self.n > 1).then(|| self.spread(self.xy, self.x, self.y) / (n * (n - 1.0)) / unit)
    }

    /// Pearson's correlation (nΣXY − ΣXΣY) / √((nΣXX − (ΣX)²)(nΣYY − (ΣY)²)), within 6·10^−16 of its magnitude and from
    /// −1 to 1; `None` below two pairs and where all values of an input are equal.
    pub fn correlation(&self) -> Option<f64> {
        let (of, with) = (self.spread(self.xx, self.x, self.x), self.spread(self.yy, self.y, self.y));
        let both = self.spread(self.xy, self.x, self.y);
        (of > 0.0 && with > 0.0).then(|| (both / (of * with).sqrt()).clamp(-1.0, 1.0))
    }
}

impl Aggregate for PairSums {
    type Acc = Covariation;

    fn reads(&self) -> Reads {
        Reads { paired: true, ..Reads::SCALED }
    }

    fn insert(&self, acc: &mut Covariation, record: Observed<'_>) {
        let (x, y) = (record.summable(), record.paired());
        let (wide_x, wide_y) = (i256::from_i128(x), i256::from_i128(y));
        acc.n += 1;
        acc.x += x;
        acc.y += y;
        acc.xx.add(wide_x.wrapping_mul(wide_x));
        acc.yy.add(wide_y.wrapping_mul(wide_y));
        acc.xy.add(wide_x.wrapping_mul(wide_y));
    }

    fn merge(&self, acc: &mut Covariation, later: &Covariation) {
        acc.add(later, 1);
    }

    fn is_empty(&self, acc: &Covariation) -> bool {
        acc.n == 0
    }

    fn write(&self, acc: &Self::Acc, to: &mut StateWriter) {
        to.value(acc);
    }

    fn read(&self, from: &mut StateReader<'_>) -> Result<Self::Acc, postcard::Error> {
        from.value()
    }

    fn admits(&self, saved: &Covariation) -> bool {
        let is_sum = |sum: i128| sum.unsigned_abs() <= 1 << 118;
        (0..=1 << 48).contains(&saved.n) && is_sum(saved.x) && is_sum(saved.y)
    }
}

impl Invertible for PairSums {
    fn remove(&self, acc: &mut Covariation, leaving: &Covariation) {
        acc.add(leaving, -1);
    }
}

/// The family of ops that are functions of the sums of two inputs and of their products.
#[derive(Debug)]
pub struct CovariationOp {
    pub finish: fn(&Covariation, PairDigits) -> Option<f64>,
}

impl Family for CovariationOp {
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>> {
        let answer = |placed: &PlacedOp<'_>| (placed.position, placed.op.kind.family_as::<CovariationOp>().finish);
        let answers: Vec<(usize, _)> = ops.ops.iter().map(answer).collect();
        let digits = PairDigits { of: ops.digits, with: ops.with_digits };
        let finish = move |acc: &Covariation, row: &mut Answers<'_>| {
            for (position, finish) in &answers {
                row[*position] = Feature::Value(Scalar::from(finish(acc, digits)));
            }
        };
        vec![ops.erased_invertible(PairSums, finish)]
    }

    fn bytes(&self, _ops: &[&Op], estimate: &StateEstimate) -> usize {
        estimate.erased_invertible(PairSums)
    }

    fn reads(&self) -> Reads {
        PairSums.reads()
    }

    fn is_ordered(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn covariation(pairs: &[(i64, i64)]) -> Covariation {
        pairs.iter().fold(Covariation::default(), |mut all, (x, y)| {
            let product = |a: &i64, b: &i64| Sum256::from(i256::from_i128(i128::from(*a) * i128::from(*b)));
            let (x_sum, y_sum) = ((*x).into(), (*y).into());
            let one = Covariation { n: 1, x: x_sum, y: y_sum, xx: product(x, x), yy: product(y, y), xy: product(x, y) };
            all.add(&one, 1);
            all
        })
    }

    const WHOLE: PairDigits = PairDigits { of: 0, with: 0 };

    proptest! {
        #[test]
        fn removed_pairs_leave_nothing_behind(one: Vec<(i64, i64)>, other: Vec<(i64, i64)>) {
            let (one, other) = (covariation(&one), covariation(&other));
            let mut both = one;
            PairSums.merge(&mut both, &other);
            PairSums.remove(&mut both, &other);
            prop_assert_eq!(both, one);
        }

        #[test]
        fn a_correlation_is_from_minus_one_to_one(pairs in prop::collection::vec((any::<i64>(), -9i64..9), 2..20)) {
            let correlation = covariation(&pairs).correlation();
            prop_assert!(correlation.is_none_or(|r| (-1.0..=1.0).contains(&r)));
            let linear: Vec<(i64, i64)> = pairs.iter().map(|(_, y)| (7 - 3 * y, *y)).collect();
            prop_assert!(covariation(&linear).correlation().is_none_or(|r| (-1.0..=-1.0 + 1e-15).contains(&r)));
        }
    }

    #[test]
    fn large_values_that_differ_little_have_an_exact_covariance() {
        let near = |x: i64| 1_000_000_000_000_000_000 + x;
        let pairs = [(near(1), near(2)), (near(2), near(4)), (near(3), near(6))];
        assert_eq!(covariation(&pairs).covariance(WHOLE), Some(2.0));
        assert_eq!(covariation(&pairs).correlation(), Some(1.0));
    }

    #[test]
    fn one_pair_and_constants_have_no_correlation() {
        assert_eq!(covariation(&[(1, 2)]).covariance(WHOLE), None);
        assert_eq!(covariation(&[(1, 2)]).correlation(), None);
        let constant = covariation(&[(5, 1), (5, 2)]);
        assert_eq!((constant.covariance(WHOLE), constant.correlation()), (Some(0.0), None));
    }
}
