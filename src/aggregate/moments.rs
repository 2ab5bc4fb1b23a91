//! Exact moments: how many, their sum, the sum of their squares.
//!
//! Three accumulators keep one, two or three of these, so that a count costs 8 bytes a pane and not 64. All are
//! commutative groups: `add` and `remove` are exact inverses, in any order.

use std::fmt::Debug;

use arrow_buffer::i256;
use serde::{Deserialize, Serialize};

use super::exact::{power_of_ten, to_f64};
use crate::value::Scalar;

/// Which moments an aggregate needs; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeps {
    Count,
    Total,
    Spread,
}

/// The moments of the records in a window, as an aggregate's `finish` sees them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// Number of values.
    pub n: i64,
    /// Sum of the scaled values.
    pub s: i128,
    /// Sum of the squares of the scaled values.
    pub q: i256,
    /// Digits after the point that the values were scaled by.
    pub digits: u32,
    /// Whether the input is an int.
    pub integer: bool,
}

impl Moments {
    /// S / 10^d, or S itself of ints (null where it leaves 64 bits).
    pub fn sum(&self) -> Scalar {
        match (self.n, self.integer) {
            (0, _) => Scalar::Null,
            (_, true) => i64::try_from(self.s).map_or(Scalar::Null, Scalar::Int),
            (_, false) => Scalar::Float(self.s as f64 / power_of_ten(self.digits)),
        }
    }

    /// S / n / 10^d.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.s as f64 / self.n as f64 / power_of_ten(self.digits))
    }

    /// (nQ − S²) / (n (n − 1)) / 10^2d.
    pub fn variance(&self) -> Option<f64> {
        let n = self.n as f64;
        (self.n > 1).then(|| self.spread() / (n * (n - 1.0)) / power_of_ten(2 * self.digits))
    }

    /// nQ − S², rounded once.
    fn spread(&self) -> f64 {
        // Nearly always 128 bits are enough, and 256 are slow.
        let squares = self.q.to_i128().and_then(|q| q.checked_mul(self.n.into()));
        if let (Some(squares), Some(square)) = (squares, self.s.checked_mul(self.s)) {
            return (squares - square) as f64;
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

/// A commutative group of scaled values.
pub trait Invertible:
    Copy + Default + Debug + PartialEq + Send + Sync + Serialize + for<'a> Deserialize<'a> + 'static
{
    /// Takes in one scaled value.
    fn insert(&mut self, x: i128);
    /// Takes in all that `other` holds.
    fn add(&mut self, other: &Self);
    /// Takes out all that `other` holds.
    fn remove(&mut self, other: &Self);
    /// (n, S, Q), zero where not kept.
    fn parts(&self) -> (i64, i128, i256);
    /// Whether it holds nothing.
    fn is_empty(&self) -> bool {
        self.parts().0 == 0
    }
}

/// How many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Count(i64);

impl Invertible for Count {
    fn insert(&mut self, _: i128) {
        self.0 += 1;
    }
    fn add(&mut self, other: &Self) {
        self.0 += other.0;
    }
    fn remove(&mut self, other: &Self) {
        self.0 -= other.0;
    }
    fn parts(&self) -> (i64, i128, i256) {
        (self.0, 0, i256::ZERO)
    }
}

/// How many, and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Total {
    n: i64,
    s: i128,
}

impl Invertible for Total {
    fn insert(&mut self, x: i128) {
        self.n += 1;
        self.s += x;
    }
    fn add(&mut self, other: &Self) {
        self.n += other.n;
        self.s += other.s;
    }
    fn remove(&mut self, other: &Self) {
        self.n -= other.n;
        self.s -= other.s;
    }
    fn parts(&self) -> (i64, i128, i256) {
        (self.n, self.s, i256::ZERO)
    }
}

/// How many, their sum and the sum of their squares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    n: i64,
    s: i128,
    /// The sum of squares: low and high half.
    q: (u128, i128),
}

impl Spread {
    fn shift_q(&mut self, by: i256) {
        self.q = i256::from_parts(self.q.0, self.q.1).wrapping_add(by).to_parts();
    }
}

impl Invertible for Spread {
    fn insert(&mut self, x: i128) {
        self.n += 1;
        self.s += x;
        match i64::try_from(x) {
            Ok(small) => {
                let (low, carry) = self.q.0.overflowing_add((i128::from(small) * i128::from(small)) as u128);
                self.q = (low, self.q.1 + i128::from(carry));
            }
            Err(_) => self.shift_q(i256::from_i128(x).wrapping_mul(i256::from_i128(x))),
        }
    }
    fn add(&mut self, other: &Self) {
        self.n += other.n;
        self.s += other.s;
        self.shift_q(i256::from_parts(other.q.0, other.q.1));
    }
    fn remove(&mut self, other: &Self) {
        self.n -= other.n;
        self.s -= other.s;
        self.shift_q(i256::from_parts(other.q.0, other.q.1).wrapping_neg());
    }
    fn parts(&self) -> (i64, i128, i256) {
        (self.n, self.s, i256::from_parts(self.q.0, self.q.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn laws<A: Invertible>(values: &[i64], cut: usize) {
        let cut = cut % (values.len() + 1);
        let of = |values: &[i64]| {
            values.iter().fold(A::default(), |mut acc, x| {
                acc.insert(i128::from(*x) << (x & 31));
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
        fn laws_of_the_moments(values: Vec<i64>, cut: usize) {
            laws::<Count>(&values, cut);
            laws::<Total>(&values, cut);
            laws::<Spread>(&values, cut);
        }
    }

    proptest! {
        #[test]
        fn the_spread_in_128_bits_is_that_in_256(values in prop::collection::vec(-(1i64 << 58)..1 << 58, 2..40)) {
            let mut spread = Spread::default();
            values.iter().for_each(|x| spread.insert(i128::from(*x)));
            let (n, s, q) = spread.parts();
            let wide = i256::from_i128(n.into()).wrapping_mul(q)
                .wrapping_sub(i256::from_i128(s).wrapping_mul(i256::from_i128(s)));
            let moments = Moments { n, s, q, digits: 9, integer: false };
            prop_assert_eq!(moments.spread(), to_f64(wide));
        }
    }

    #[test]
    fn the_variance_of_a_constant_is_zero_however_large() {
        let mut spread = Spread::default();
        (0..1000).for_each(|_| spread.insert(10i128.pow(27)));
        let (n, s, q) = spread.parts();
        let moments = Moments { n, s, q, digits: 9, integer: false };
        assert_eq!(moments.variance(), Some(0.0));
        assert_eq!(moments.mean(), Some(1e18));
    }
}
