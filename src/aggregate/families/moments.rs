//! Exact moments: how many, their sum, the sum of their squares.
//!
//! Three accumulators keep one, two or three of these, so that a count costs 8 bytes a pane and not 64. All are
//! commutative groups: `add` and `remove` are exact inverses, in any order. Values that cannot be summed are counted
//! apart: they are values for a count, and nulls for a sum.

use std::fmt::Debug;
use std::marker::PhantomData;

use arrow_buffer::i256;
use serde::{Deserialize, Serialize};

use crate::aggregate::algebra::{Aggregate, Invertible, Observed};
use crate::aggregate::answers::Answers;
use crate::aggregate::erasable::Erasable;
use crate::aggregate::estimate::StateEstimate;
use crate::aggregate::exact::{Sum256, nearest, power_of_ten, quotient, scaled_count, to_f64};
use crate::aggregate::family::{Family, OpsInWindow, PlacedOp};
use crate::aggregate::feature::Feature;
use crate::aggregate::input::{Needs, Reads};
use crate::aggregate::op::Op;
use crate::aggregate::state_codec::{StateReader, StateWriter};
use crate::aggregate::window::WindowState;
use crate::value::Scalar;

/// The highest moment that an op needs; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MomentOrder {
    /// The count.
    Zeroth,
    /// The count and the sum.
    First,
    /// The count, the sum and the sum of squares.
    Second,
}

/// The family of ops that are functions of exact counts and sums.
#[derive(Debug)]
pub struct MomentOp {
    pub order: MomentOrder,
    pub finish: fn(&Moments) -> Result<Scalar, IntOverflow>,
}

/// The result of a sum of ints that does not fit 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntOverflow;

/// The moments of the records in a window, as an op's `finish` reads them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// Number of values.
    pub count: i64,
    /// Number of values that can be summed.
    pub n: i64,
    /// Sum of the scaled values.
    pub s: i128,
    /// Sum of the squares of the scaled values.
    pub q: i256,
    /// Digits after the point that the values were scaled by.
    pub digits: u32,
    /// True if the input is an int.
    pub integer: bool,
}

impl Moments {
    /// The f64 nearest to S / 10^d, or S itself of ints.
    ///
    /// # Errors
    /// If a sum of ints does not fit 64 bits.
    pub fn sum(&self) -> Result<Scalar, IntOverflow> {
        match (self.n, self.integer) {
            (0, _) => Ok(Scalar::Null),
            (_, true) => i64::try_from(self.s).map(Scalar::Int).map_err(|_| IntOverflow),
            (_, false) => Ok(Scalar::Float(quotient(self.s, scaled_count(1, self.digits)))),
        }
    }

    /// The f64 nearest to S / (n 10^d).
    pub fn mean(&self) -> Option<f64> {
        let n = u64::try_from(self.n).ok().filter(|n| *n > 0)?;
        Some(quotient(self.s, scaled_count(n, self.digits)))
    }

    /// (nQ − S²) / (n (n − 1)) / 10^2d.
    pub fn variance(&self) -> Option<f64> {
        let n = self.n as f64;
        (self.n > 1).then(|| self.spread() / (n * (n - 1.0)) / power_of_ten(2 * self.digits))
    }

    /// (nQ − S²) / n² / 10^2d.
    pub fn population_variance(&self) -> Option<f64> {
        let n = self.n as f64;
        (self.n > 0).then(|| self.spread() / (n * n) / power_of_ten(2 * self.digits))
    }

    /// The value of `nQ − S²`, rounded once.
    fn spread(&self) -> f64 {
        // Nearly always 128 bits are enough, and 256 are slow. So are multiplications that check for an overflow.
        let q = self.q.to_i128();
        if let (Some(q), Ok(n), Ok(s)) = (q, u32::try_from(self.n), i64::try_from(self.s))
            && q >> 94 == 0
        {
            return nearest(q * i128::from(n) - i128::from(s) * i128::from(s));
        }
        let squares = q.and_then(|q| q.checked_mul(self.n.into()));
        if let (Some(squares), Some(square)) = (squares, self.s.checked_mul(self.s)) {
            return nearest(squares - square);
        }
        let s = i256::from_i128(self.s);
        to_f64(i256::from_i128(self.n.into()).wrapping_mul(self.q).wrapping_sub(s.wrapping_mul(s)))
    }
}

impl From<Option<f64>> for Scalar {
    fn from(value: Option<f64>) -> Scalar {
        value.map_or(Scalar::Null, Scalar::Float)
    }
}

/// A number of values, their sum, and the sum of their squares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    pub n: i64,
    pub s: i128,
    pub q: i256,
}

/// Sums of scaled values: a commutative group under `add`.
pub trait MomentSums:
    Copy + Default + Debug + PartialEq + Send + Sync + Serialize + for<'a> Deserialize<'a> + 'static
{
    /// True if it reads values, and does not only count them.
    const READS_VALUES: bool;
    /// Adds one scaled value; `None` is one that cannot be summed.
    fn insert(&mut self, x: Option<i128>);
    /// Adds all values of `other`.
    fn add(&mut self, other: &Self);
    /// Takes out all values of `other`.
    fn remove(&mut self, other: &Self);
    /// The number of values.
    fn count(&self) -> i64;
    /// The number of values that are summed, their sum and the sum of their squares; sums are zero where not kept.
    fn sums(&self) -> Sums;
}

/// The aggregate whose accumulators are sums.
#[derive(Clone, Copy, Debug)]
pub struct MomentsOf<M>(PhantomData<M>);

impl<M> Default for MomentsOf<M> {
    fn default() -> Self {
        MomentsOf(PhantomData)
    }
}

impl<M: MomentSums> Aggregate for MomentsOf<M> {
    type Acc = M;

    fn reads(&self) -> Reads {
        Reads { needs: Needs { scaled: M::READS_VALUES, values: false }, counts_unsummable: true, paired: false }
    }

    fn insert(&self, acc: &mut M, record: Observed<'_>) {
        acc.insert(record.scaled());
    }

    fn merge(&self, acc: &mut M, later: &M) {
        acc.add(later);
    }

    fn is_empty(&self, acc: &M) -> bool {
        acc.count() == 0
    }

    fn write(&self, acc: &Self::Acc, to: &mut StateWriter) {
        to.value(acc);
    }

    fn read(&self, from: &mut StateReader<'_>) -> Result<Self::Acc, postcard::Error> {
        from.value()
    }

    fn admits(&self, saved: &M) -> bool {
        (0..=1 << 48).contains(&saved.count()) && saved.sums().s.unsigned_abs() <= 1 << 118
    }
}

impl<M: MomentSums> Invertible for MomentsOf<M> {
    fn remove(&self, acc: &mut M, leaving: &M) {
        acc.remove(leaving);
    }
}

impl MomentOp {
    fn of(op: &Op) -> &'static MomentOp {
        op.kind.family_as()
    }

    /// The state that keeps the sums `M`.
    fn state<M: MomentSums>(ops: &OpsInWindow<'_>) -> Box<dyn WindowState>
    where
        MomentsOf<M>: Erasable<Acc = M>,
    {
        let (digits, integer) = (ops.digits, ops.integer);
        let answer = |placed: &PlacedOp<'_>| {
            let default = placed.default.cloned().unwrap_or(Scalar::Null);
            (placed.position, Self::of(placed.op).finish, default)
        };
        let answers: Vec<_> = ops.ops.iter().map(answer).collect();
        ops.of_invertible(MomentsOf::<M>::default(), move |acc: &M, row: &mut Answers<'_>| {
            let Sums { n, s, q } = acc.sums();
            let moments = Moments { count: acc.count(), n, s, q, digits, integer };
            for (position, answer, default) in &answers {
                match answer(&moments) {
                    // Of values that cannot be summed alone.
                    Ok(Scalar::Null) if n == 0 => row[*position] = Feature::Value(default.clone()),
                    Ok(value) => row[*position] = Feature::Value(value),
                    Err(IntOverflow) => row.set_overflow(*position),
                }
            }
        })
    }
}

impl Family for MomentOp {
    /// One state for all ops, of the highest order that one of them needs.
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>> {
        let order = ops.ops.iter().map(|placed| Self::of(placed.op).order).max();
        vec![match order.unwrap_or(MomentOrder::Zeroth) {
            MomentOrder::Zeroth => Self::state::<Count>(ops),
            MomentOrder::First => Self::state::<Total>(ops),
            MomentOrder::Second => Self::state::<Spread>(ops),
        }]
    }

    fn bytes(&self, ops: &[&Op], estimate: &StateEstimate) -> usize {
        let order = ops.iter().map(|op| Self::of(op).order).max();
        match order.unwrap_or(MomentOrder::Zeroth) {
            MomentOrder::Zeroth => estimate.of_invertible(MomentsOf::<Count>::default()),
            MomentOrder::First => estimate.of_invertible(MomentsOf::<Total>::default()),
            MomentOrder::Second => estimate.of_invertible(MomentsOf::<Spread>::default()),
        }
    }

    fn reads(&self) -> Reads {
        let needs = Needs { scaled: self.order > MomentOrder::Zeroth, values: false };
        Reads { needs, counts_unsummable: true, paired: false }
    }

    fn is_ordered(&self) -> bool {
        false
    }
}

/// The number of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Count(i64);

impl MomentSums for Count {
    const READS_VALUES: bool = false;
    fn insert(&mut self, _: Option<i128>) {
        self.0 += 1;
    }
    fn add(&mut self, other: &Self) {
        self.0 += other.0;
    }
    fn remove(&mut self, other: &Self) {
        self.0 -= other.0;
    }
    fn count(&self) -> i64 {
        self.0
    }
    fn sums(&self) -> Sums {
        Sums { n: self.0, ..Sums::default() }
    }
}

/// The number of values and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Total {
    n: i64,
    /// Values that cannot be summed.
    unsummable: i64,
    s: i128,
}

impl MomentSums for Total {
    const READS_VALUES: bool = true;
    fn insert(&mut self, x: Option<i128>) {
        match x {
            Some(x) => (self.n, self.s) = (self.n + 1, self.s + x),
            None => self.unsummable += 1,
        }
    }
    fn add(&mut self, other: &Self) {
        self.n += other.n;
        self.unsummable += other.unsummable;
        self.s += other.s;
    }
    fn remove(&mut self, other: &Self) {
        self.n -= other.n;
        self.unsummable -= other.unsummable;
        self.s -= other.s;
    }
    fn count(&self) -> i64 {
        self.n + self.unsummable
    }
    fn sums(&self) -> Sums {
        Sums { n: self.n, s: self.s, ..Sums::default() }
    }
}

/// The number of values, their sum and the sum of their squares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    n: i64,
    /// Values that cannot be summed.
    unsummable: i64,
    s: i128,
    /// The sum of squares.
    q: Sum256,
}

impl MomentSums for Spread {
    const READS_VALUES: bool = true;
    fn insert(&mut self, x: Option<i128>) {
        let Some(x) = x else {
            self.unsummable += 1;
            return;
        };
        self.n += 1;
        self.s += x;
        match i64::try_from(x) {
            Ok(small) => self.q.add_small((i128::from(small) * i128::from(small)) as u128),
            Err(_) => self.q.add(i256::from_i128(x).wrapping_mul(i256::from_i128(x))),
        }
    }
    fn add(&mut self, other: &Self) {
        self.n += other.n;
        self.unsummable += other.unsummable;
        self.s += other.s;
        self.q.add(other.q.value());
    }
    fn remove(&mut self, other: &Self) {
        self.n -= other.n;
        self.unsummable -= other.unsummable;
        self.s -= other.s;
        self.q.add(other.q.value().wrapping_neg());
    }
    fn count(&self) -> i64 {
        self.n + self.unsummable
    }
    fn sums(&self) -> Sums {
        Sums { n: self.n, s: self.s, q: self.q.value() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn laws<A: MomentSums>(values: &[i64], cut: usize) {
        let cut = cut % (values.len() + 1);
        let of = |values: &[i64]| {
            values.iter().fold(A::default(), |mut acc, x| {
                acc.insert((x % 7 != 0).then(|| i128::from(*x) << (x & 31)));
                acc
            })
        };
        let (whole, left, right) = (of(values), of(&values[..cut]), of(&values[cut..]));
        let (mut forth, mut back) = (left, right);
        forth.add(&right);
        back.add(&left);
        assert_eq!((forth, back), (whole, whole));
        forth.remove(&right);
        assert_eq!(forth, left);
        let mut same = whole;
        same.add(&A::default());
        assert_eq!(same, whole);
    }

    proptest! {
        #[test]
        fn laws_moments_form_a_commutative_group(values: Vec<i64>, cut: usize) {
            laws::<Count>(&values, cut);
            laws::<Total>(&values, cut);
            laws::<Spread>(&values, cut);
        }
    }

    /// The moments of scaled values.
    fn moments(values: impl IntoIterator<Item = Option<i128>>) -> Moments {
        let mut spread = Spread::default();
        values.into_iter().for_each(|x| spread.insert(x));
        let Sums { n, s, q } = spread.sums();
        Moments { count: spread.count(), n, s, q, digits: 9, integer: false }
    }

    proptest! {
        #[test]
        fn the_spread_in_128_bits_is_that_in_256(values in prop::collection::vec(-(1i64 << 58)..1 << 58, 2..40)) {
            let moments = moments(values.iter().map(|x| Some(i128::from(*x))));
            let s = i256::from_i128(moments.s);
            let wide = i256::from_i128(moments.n.into()).wrapping_mul(moments.q).wrapping_sub(s.wrapping_mul(s));
            prop_assert_eq!(moments.spread(), to_f64(wide));
        }
    }

    #[test]
    fn the_variance_of_a_constant_is_zero_however_large() {
        let moments = moments((0..1000).map(|_| Some(10i128.pow(27))));
        assert_eq!(moments.variance(), Some(0.0));
        assert_eq!(moments.mean(), Some(1e18));
    }

    #[test]
    fn a_sum_and_a_mean_are_rounded_once() {
        let of = |values: &[f64]| moments(values.iter().map(|x| crate::aggregate::fixed(*x, 9)));
        assert_eq!(of(&[1000000000.25, 1000000000.5]).sum(), Ok(Scalar::Float(2000000000.75)));
        assert_eq!(of(&[123_456_789.123_456_79]).sum(), Ok(Scalar::Float(123_456_789.123_456_79)));
        assert_eq!(of(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8]).mean(), Some(29.0 / 70.0));
        assert_eq!(of(&[1e18, -1.0, 1e18]).mean(), Some(1999999999999999999.0 / 3.0));
    }

    #[test]
    fn a_value_that_cannot_be_summed_counts_and_is_null_for_a_sum() {
        let some = moments([Some(1), None]);
        assert_eq!((some.count, some.n, some.mean()), (2, 1, Some(1e-9)));
        let none = moments([None]);
        assert_eq!((none.count, none.sum(), none.mean()), (1, Ok(Scalar::Null), None));
    }

    #[test]
    fn a_sum_of_ints_that_leaves_64_bits_is_an_overflow() {
        let ints =
            |values: &[i64]| Moments { digits: 0, integer: true, ..moments(values.iter().map(|x| Some((*x).into()))) };
        assert_eq!(ints(&[i64::MAX, 1]).sum(), Err(IntOverflow));
        assert_eq!(ints(&[i64::MAX, 1, -1]).sum(), Ok(Scalar::Int(i64::MAX)));
        assert_eq!(ints(&[i64::MAX, i64::MAX - 1]).mean(), Some(9223372036854775806.5));
    }
}
