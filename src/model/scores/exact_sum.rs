//! Exact sums of floats, whatever their magnitudes.
//!
//! A finite float is an integer multiple of 2^-1074, and a product of two of 2^-2148. A sum is such an integer, wide enough
//! for 2^60 terms of any magnitude, in two's complement (Kulisch 1971). So no term is rounded or clamped, sums are equal
//! however they are grouped, and what is read from them is rounded once.
//!
//! A sum costs 34 or 67 words of memory, and adding to it touches three of them and those that a carry reaches.

use num_bigint::{BigInt, BigUint, Sign};
use serde::{Deserialize, Serialize};

/// Bits of a float's mantissa after the first.
const FRACTION: u32 = f64::MANTISSA_DIGITS - 1;

/// The exponent of the smallest float, 2^-1074, of which a sum of floats is a multiple.
pub const LEAST: i32 = 1074;

/// Words of a sum of floats, and of one of products.
const FLOAT_WORDS: usize = 34;
const PRODUCT_WORDS: usize = 67;

/// The exact sum of floats.
pub type FloatSum = WideSum<FLOAT_WORDS>;

/// The exact sum of products of two floats.
pub type ProductSum = WideSum<PRODUCT_WORDS>;

/// An integer of `WORDS` 64-bit words, the lowest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SavedSum", into = "SavedSum")]
pub struct WideSum<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Default for WideSum<WORDS> {
    fn default() -> Self {
        WideSum([0; WORDS])
    }
}

/// A finite float as mantissa · 2^(place − 1074).
struct DecodedFloat {
    mantissa: u64,
    place: u32,
    negative: bool,
}

impl DecodedFloat {
    fn of(x: f64) -> Self {
        let (bits, exponent) = (x.to_bits(), (x.to_bits() >> FRACTION) as u32 & 0x7ff);
        let fraction = bits & ((1 << FRACTION) - 1);
        let mantissa = if exponent == 0 { fraction } else { fraction | 1 << FRACTION };
        DecodedFloat { mantissa, place: exponent.saturating_sub(1), negative: x < 0.0 }
    }
}

impl FloatSum {
    /// Adds a finite float.
    #[inline]
    pub fn add(&mut self, x: f64) {
        let DecodedFloat { mantissa, place, negative } = DecodedFloat::of(x);
        self.shift(mantissa.into(), place, negative);
    }

    /// Adds a finite float a number of times, fewer than 2^32.
    pub fn add_times(&mut self, x: f64, times: u64) {
        let DecodedFloat { mantissa, place, negative } = DecodedFloat::of(x);
        self.shift(u128::from(mantissa) * u128::from(times), place, negative);
    }

    /// Returns the f64 nearest to the sum over a count; 0 of nothing.
    pub fn over(&self, count: u64) -> f64 {
        Quotient::of(&self.integer(), &BigUint::from(count)).shifted(-LEAST)
    }

    /// Returns how far the sum is above a whole number, as a multiple of 2^-1074.
    pub fn above(&self, whole: u64) -> BigInt {
        self.integer() - (BigInt::from(whole) << LEAST)
    }

    /// Returns the square of the sum, a multiple of 2^-2148.
    pub fn square(&self) -> BigInt {
        let sum = self.integer();
        &sum * &sum
    }
}

impl ProductSum {
    /// Adds the square of a finite float.
    #[inline]
    pub fn add_square(&mut self, x: f64) {
        let DecodedFloat { mantissa, place, .. } = DecodedFloat::of(x);
        self.shift(u128::from(mantissa) * u128::from(mantissa), 2 * place, false);
    }

    /// Adds the square of a finite float a number of times, fewer than 2^16.
    pub fn add_square_times(&mut self, x: f64, times: u64) {
        let DecodedFloat { mantissa, place, .. } = DecodedFloat::of(x);
        self.shift(u128::from(mantissa) * u128::from(mantissa) * u128::from(times), 2 * place, false);
    }

    /// Returns the f64 nearest to the sum over a count; 0 of nothing.
    pub fn over(&self, count: u64) -> f64 {
        Quotient::of(&self.integer(), &BigUint::from(count)).shifted(-2 * LEAST)
    }

    /// Returns the root of the sum over a count, within one unit of the last place; 0 of nothing.
    pub fn root_over(&self, count: u64) -> f64 {
        Quotient::of(&self.integer(), &BigUint::from(count)).root(-2 * LEAST)
    }
}

impl<const WORDS: usize> WideSum<WORDS> {
    /// Adds or subtracts magnitude · 2^place: three words have it, and those above may have a carry.
    #[inline]
    fn shift(&mut self, magnitude: u128, place: u32, negative: bool) {
        let (word, bit) = ((place / 64) as usize, place % 64);
        let (low, high) = (magnitude << bit, if bit == 0 { 0 } else { (magnitude >> (128 - bit)) as u64 });
        let (touched, above) = self.0[word..].split_at_mut(3);
        let pair = u128::from(touched[1]) << 64 | u128::from(touched[0]);
        let (pair, carry) = if negative { pair.overflowing_sub(low) } else { pair.overflowing_add(low) };
        (touched[0], touched[1]) = (pair as u64, (pair >> 64) as u64);
        let step = if negative { u64::overflowing_sub } else { u64::overflowing_add };
        let (once, first) = step(touched[2], high);
        let (twice, second) = step(once, carry.into());
        touched[2] = twice;
        let mut carry = first || second;
        for cell in above {
            if !carry {
                break;
            }
            (*cell, carry) = step(*cell, 1);
        }
    }

    /// Adds everything that `other` has summed.
    pub fn merge(&mut self, other: &Self) {
        let mut carry = false;
        for (cell, more) in self.0.iter_mut().zip(&other.0) {
            let (once, first) = cell.overflowing_add(*more);
            let (twice, second) = once.overflowing_add(carry.into());
            (*cell, carry) = (twice, first || second);
        }
    }

    /// Returns the sum as a multiple of its unit.
    pub fn integer(&self) -> BigInt {
        let bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        BigInt::from_signed_bytes_le(&bytes)
    }
}

/// A quotient of two integers, rounded once: mantissa · 2^exponent.
#[derive(Clone, Copy, Debug)]
pub struct Quotient {
    mantissa: f64,
    exponent: i32,
}

impl Quotient {
    /// Divides; 0 if the denominator is 0.
    pub fn of(numerator: &BigInt, denominator: &BigUint) -> Self {
        const BITS: i64 = 80;
        if numerator.sign() == Sign::NoSign || *denominator == BigUint::ZERO {
            return Quotient { mantissa: 0.0, exponent: 0 };
        }
        // At least 79 bits of the quotient, with a sticky last bit for whatever is left, round as the whole would.
        let shift = BITS + denominator.bits() as i64 - numerator.bits() as i64;
        let (up, down) = (shift.max(0) as u64, (-shift).max(0) as u64);
        let (dividend, divisor) = (numerator.magnitude() << up, denominator << down);
        let (bits, rest) = (&dividend / &divisor, &dividend % &divisor);
        let bits = u128::try_from(bits).expect("a quotient of a chosen length") | u128::from(rest != BigUint::ZERO);
        let mantissa = if numerator.sign() == Sign::Minus { -(bits as f64) } else { bits as f64 };
        Quotient { mantissa, exponent: -shift as i32 }
    }

    /// Returns the quotient times a power of two; infinite if that is no float.
    pub fn shifted(self, exponent: i32) -> f64 {
        libm::ldexp(self.mantissa, self.exponent + exponent)
    }

    /// Returns the root of the quotient times a power of two.
    fn root(self, exponent: i32) -> f64 {
        let exponent = self.exponent + exponent;
        let odd = exponent.rem_euclid(2);
        libm::ldexp(libm::sqrt(libm::ldexp(self.mantissa, odd)), (exponent - odd) / 2)
    }
}

/// The words of a sum in use: `from` is the position of the first, and the last one's highest bit is the sign.
#[derive(Serialize, Deserialize)]
struct SavedSum {
    from: u8,
    words: Vec<u64>,
}

impl<const WORDS: usize> From<WideSum<WORDS>> for SavedSum {
    fn from(WideSum(words): WideSum<WORDS>) -> Self {
        let from = words.iter().position(|word| *word != 0).unwrap_or(WORDS);
        let sign = if words[WORDS - 1] >> 63 == 1 { u64::MAX } else { 0 };
        let mut to = WORDS;
        while to > from + 1 && words[to - 1] == sign && words[to - 2] >> 63 == sign & 1 {
            to -= 1;
        }
        SavedSum { from: from as u8, words: words[from..to].to_vec() }
    }
}

impl<const WORDS: usize> TryFrom<SavedSum> for WideSum<WORDS> {
    type Error = &'static str;

    fn try_from(SavedSum { from, words }: SavedSum) -> Result<Self, Self::Error> {
        let from = usize::from(from);
        let cells = from.checked_add(words.len()).filter(|to| *to <= WORDS).ok_or("a sum is too long")?;
        let sign = if words.last().is_some_and(|last| last >> 63 == 1) { u64::MAX } else { 0 };
        let mut sum = [0; WORDS];
        sum[from..cells].copy_from_slice(&words);
        sum[cells..].fill(sign);
        Ok(WideSum(sum))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(xs: &[f64]) -> FloatSum {
        xs.iter().fold(FloatSum::default(), |mut sum, x| {
            sum.add(*x);
            sum
        })
    }

    /// A float as a multiple of 2^-1074.
    fn exact(x: f64) -> BigInt {
        let DecodedFloat { mantissa, place, negative } = DecodedFloat::of(x);
        let magnitude = BigInt::from(mantissa) << place;
        if negative { -magnitude } else { magnitude }
    }

    fn finite() -> impl Strategy<Value = f64> {
        any::<f64>().prop_filter("finite", |x| x.is_finite())
    }

    proptest! {
        #[test]
        fn oracle_a_sum_is_that_of_big_integers(xs in prop::collection::vec(finite(), 0..20), at in 0..20_usize) {
            prop_assert_eq!(sum(&xs).integer(), xs.iter().map(|x| exact(*x)).sum::<BigInt>());
            let (left, right) = xs.split_at(at.min(xs.len()));
            let mut merged = sum(right);
            merged.merge(&sum(left));
            prop_assert_eq!(&merged, &sum(&xs));
            let bytes = postcard::to_stdvec(&merged).unwrap();
            prop_assert_eq!(postcard::from_bytes::<FloatSum>(&bytes).unwrap(), merged);
            let mut squares = ProductSum::default();
            xs.iter().for_each(|x| squares.add_square(*x));
            prop_assert_eq!(squares.integer(), xs.iter().map(|x| exact(*x) * exact(*x)).sum::<BigInt>());
        }

        #[test]
        fn the_sum_of_one_float_is_itself(x in finite()) {
            prop_assert_eq!(sum(&[x]).over(1), x);
            prop_assert_eq!(sum(&[x, x, x]).over(3), x);
            let mut squares = ProductSum::default();
            squares.add_square(x);
            prop_assert_eq!(squares.root_over(1), x.abs());
        }
    }

    #[test]
    fn a_mean_is_rounded_once() {
        assert_eq!(sum(&[0.1; 10]).over(10), 0.1);
        assert_eq!(sum(&[1e300, 1.0, -1e300]).over(2), 0.5);
        assert_eq!(sum(&[f64::MAX, f64::MAX]).over(2), f64::MAX);
        assert_eq!(FloatSum::default().over(0), 0.0);
    }

    #[test]
    fn hostile_bytes_are_no_sum() {
        let bytes = postcard::to_stdvec(&SavedSum { from: 200, words: vec![1; 9] }).unwrap();
        assert!(postcard::from_bytes::<FloatSum>(&bytes).is_err());
    }
}
