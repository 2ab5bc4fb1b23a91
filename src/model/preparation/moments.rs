//! Exact moments: count, sum and sum of squares that no order can change.
//!
//! A number x enters as X = round-half-even(x·10^9). S = ΣX and Q = ΣX² are integers of 128 and 256 bits and never
//! wrap for |x| <= 10^18 and fewer than 10^11 numbers, so merging and adding commute exactly. Then
//! mean = S/n/10^9 and variance = (nQ − S²)/(n(n − 1))/10^18, each from integers that are exact up to the last step.
//! Digits beyond the ninth decimal are lost: an input of that scale needs another unit.

use arrow_buffer::i256;
use serde::{Deserialize, Serialize};

/// Count, sum and sum of squares of the numbers seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExactMoments {
    count: u64,
    sum: i128,
    /// 256 bits, the low half first.
    squares: (u128, u128),
}

/// Numbers beyond this are treated as null.
pub const LARGEST: f64 = 1e18;

const SCALE: f64 = 1e9;

impl ExactMoments {
    /// Adds a number.
    ///
    /// # Panics
    /// In debug builds, if it is not finite or beyond [`LARGEST`].
    #[inline]
    pub fn add(&mut self, x: f64) {
        debug_assert!(x.abs() <= LARGEST);
        let scaled = scale(x);
        self.count += 1;
        self.sum += scaled;
        let square = match i64::try_from(scaled) {
            Ok(small) => (u128::from(small.unsigned_abs()) * u128::from(small.unsigned_abs()), 0),
            Err(_) => wide_square(scaled),
        };
        self.add_squares(square);
    }

    #[inline]
    fn add_squares(&mut self, (low, high): (u128, u128)) {
        let (sum, carry) = self.squares.0.overflowing_add(low);
        self.squares = (sum, self.squares.1 + high + u128::from(carry));
    }

    /// Adds everything that `other` has seen.
    pub fn merge(&mut self, other: &ExactMoments) {
        self.count += other.count;
        self.sum += other.sum;
        self.add_squares(other.squares);
    }

    /// Takes away what `other` has seen, all of which this has, too.
    pub fn subtract(&mut self, other: &ExactMoments) {
        let (low, borrow) = self.squares.0.overflowing_sub(other.squares.0);
        self.count = self.count.wrapping_sub(other.count);
        self.sum = self.sum.wrapping_sub(other.sum);
        self.squares = (low, self.squares.1.wrapping_sub(other.squares.1).wrapping_sub(u128::from(borrow)));
    }

    /// The number of [words](ExactMoments::to_words).
    pub const WORDS: usize = 14;

    /// Returns the count, the sum and the sum of squares as words of 32 bits, the lowest of each first.
    pub fn to_words(&self) -> [u32; Self::WORDS] {
        let mut bytes = [0; 4 * Self::WORDS];
        bytes[..8].copy_from_slice(&self.count.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.sum.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.squares.0.to_le_bytes());
        bytes[40..].copy_from_slice(&self.squares.1.to_le_bytes());
        std::array::from_fn(|at| u32::from_le_bytes(std::array::from_fn(|byte| bytes[4 * at + byte])))
    }

    /// Returns the moments that [`ExactMoments::to_words`] returned.
    ///
    /// # Panics
    /// If there are fewer words.
    pub fn from_words(words: &[u32]) -> Self {
        let number = |at: usize| (0..4).fold(0, |sum, word| sum | u128::from(words[at + word]) << (32 * word));
        let count = u64::from(words[0]) | u64::from(words[1]) << 32;
        ExactMoments { count, sum: number(2) as i128, squares: (number(6), number(10)) }
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the sum; 0 of nothing.
    pub fn sum(&self) -> f64 {
        self.sum as f64 / SCALE
    }

    /// Returns the mean; 0 of nothing.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 / SCALE }
    }

    /// Returns the mean of the squares; 0 of nothing.
    pub fn mean_square(&self) -> f64 {
        let squares = i256::from_parts(self.squares.0, self.squares.1 as i128);
        if self.count == 0 { 0.0 } else { to_f64(squares) / self.count as f64 / (SCALE * SCALE) }
    }

    /// Returns the sample variance; 0 of fewer than two.
    pub fn variance(&self) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        let squares = i256::from_parts(self.squares.0, self.squares.1 as i128);
        let sum = i256::from_i128(self.sum);
        let spread = i256::from_i128(i128::from(self.count)).wrapping_mul(squares).wrapping_sub(sum.wrapping_mul(sum));
        let count = self.count as f64;
        to_f64(spread) / (count * (count - 1.0)) / (SCALE * SCALE)
    }
}

/// Returns x·10^9, rounded half to even. Adding 1.5·2^52 and taking it off again rounds what is below 2^51 that way.
#[inline]
fn scale(x: f64) -> i128 {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let scaled = x * SCALE;
    if scaled.abs() < ROUND / 3.0 {
        i128::from(((scaled + ROUND) - ROUND) as i64)
    } else {
        scaled.round_ties_even() as i128
    }
}

fn wide_square(x: i128) -> (u128, u128) {
    let x = i256::from_i128(x);
    let (low, high) = x.wrapping_mul(x).to_parts();
    (low, high as u128)
}

fn to_f64(x: i256) -> f64 {
    const TWO_128: f64 = 340_282_366_920_938_463_463_374_607_431_768_211_456.0;
    let (low, high) = x.to_parts();
    high as f64 * TWO_128 + low as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn laws_order_and_batching_do_not_matter(
            mut xs in prop::collection::vec(-1e18..1e18_f64, 0..50),
            at in 0..50_usize,
        ) {
            let mut all = ExactMoments::default();
            xs.iter().for_each(|x| all.add(*x));
            xs.sort_by(f64::total_cmp);
            let (left, right) = xs.split_at(at.min(xs.len()));
            let mut one = ExactMoments::default();
            let mut other = ExactMoments::default();
            right.iter().for_each(|x| one.add(*x));
            left.iter().for_each(|x| other.add(*x));
            one.merge(&other);
            prop_assert_eq!(one, all);
            one.subtract(&other);
            other.merge(&one);
            prop_assert_eq!(other, all);
            prop_assert_eq!(ExactMoments::from_words(&all.to_words()), all);
        }

        #[test]
        fn oracle_mean_and_variance(xs in prop::collection::vec(-1e6..1e6_f64, 2..100)) {
            let mut moments = ExactMoments::default();
            xs.iter().for_each(|x| moments.add(*x));
            let n = xs.len() as f64;
            let mean = xs.iter().sum::<f64>() / n;
            let variance = xs.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
            prop_assert!((moments.mean() - mean).abs() < 1e-6);
            prop_assert!((moments.variance() - variance).abs() <= 1e-6 * (1.0 + variance));
            let square = xs.iter().map(|x| x * x).sum::<f64>() / n;
            prop_assert!((moments.mean_square() - square).abs() <= 1e-6 * (1.0 + square));
        }
    }

    #[test]
    fn rounding_is_half_to_even_on_both_sides_of_the_fast_path() {
        for (x, scaled) in [(0.5e-9, 0), (1.5e-9, 2), (-2.5e-9, -2), (3e6, 3_000_000_000_000_000)] {
            assert_eq!(scale(x), scaled, "{x}");
        }
        assert_eq!(scale(1e18), 1_000_000_000_000_000_013_287_555_072);
    }
}
