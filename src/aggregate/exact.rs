//! Exact arithmetic: floats as scaled integers.
//!
//! A float x enters a sum as X = round-half-even(x·10^d). Integers add without error in any order, so a sum depends
//! on the set of records alone and a record that leaves a window leaves nothing behind. What is read from a sum is
//! rounded once, to the nearest f64.

use arrow_buffer::i256;
use serde::{Deserialize, Serialize};

/// A sum of 256 bits, as accumulators keep and save it: in halves, since `i256` has no encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sum256 {
    low: u128,
    high: i128,
}

impl Sum256 {
    /// Returns the sum.
    pub fn value(self) -> i256 {
        i256::from_parts(self.low, self.high)
    }

    /// Adds a number.
    pub fn add(&mut self, by: i256) {
        *self = self.value().wrapping_add(by).into();
    }

    /// Adds a number that is not negative and has at most 128 bits.
    pub fn add_small(&mut self, by: u128) {
        let (low, carry) = self.low.overflowing_add(by);
        *self = Sum256 { low, high: self.high + i128::from(carry) };
    }
}

impl From<i256> for Sum256 {
    fn from(sum: i256) -> Self {
        let (low, high) = sum.to_parts();
        Sum256 { low, high }
    }
}

/// The most digits after the point that a sum can keep.
pub const MAX_DIGITS: u32 = 9;

/// Larger magnitudes are taken as null, so that 10^11 records cannot overflow a sum nor their squares 256 bits.
const LIMIT: f64 = 1e18;

/// Powers of ten that an f64 holds exactly.
const POWERS: [f64; 19] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];

/// Powers of ten, up to that of [`MAX_DIGITS`].
const INTEGER_POWERS: [u64; MAX_DIGITS as usize + 1] =
    [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/// Returns count · 10^digits.
///
/// # Panics
/// Above [`MAX_DIGITS`].
pub fn scaled_count(count: u64, digits: u32) -> u128 {
    u128::from(count) * u128::from(INTEGER_POWERS[digits as usize])
}

/// 10^digits.
///
/// # Panics
/// Above 18 digits.
pub fn power_of_ten(digits: u32) -> f64 {
    POWERS[digits as usize]
}

/// A float scaled to `digits` after the point: the integer nearest to the exact product x·10^digits, halves to even;
/// `None` if it is not finite or beyond ±1e18.
///
/// ```
/// use tidemill::aggregate::fixed;
/// assert_eq!(fixed(0.1, 9), Some(100_000_000));
/// assert_eq!(fixed(2.5, 0), Some(2));
/// assert_eq!(fixed(123_456_789.123_456_79, 9), Some(123_456_789_123_456_791));
/// assert_eq!(fixed(f64::INFINITY, 9), None);
/// ```
pub fn fixed(x: f64, digits: u32) -> Option<i128> {
    (x.abs() <= LIMIT).then(|| match nearby(x, digits) {
        Some(scaled) => scaled.into(),
        None => scaled_exactly(x, digits),
    })
}

/// The same as [`fixed`] in 64 bits, `None` where the result does not fit.
pub fn narrow(x: f64, digits: u32) -> Option<i64> {
    match nearby(x, digits) {
        Some(scaled) => Some(scaled),
        None => fixed(x, digits).and_then(|wide| i64::try_from(wide).ok()),
    }
}

/// The scaled integer, where one float multiplication is enough to tell it: the product is within half its last place
/// of x·10^digits, so an integer nearer to it than one half by more than that is the nearest to both.
fn nearby(x: f64, digits: u32) -> Option<i64> {
    let product = x * power_of_ten(digits);
    let scaled = product.round_ties_even();
    ((product - scaled).abs() + product.abs() * f64::EPSILON < 0.5).then_some(scaled as i64)
}

/// The scaled integer of a float within ±1e18, in integers.
fn scaled_exactly(x: f64, digits: u32) -> i128 {
    const FRACTION: u32 = f64::MANTISSA_DIGITS - 1;
    let (fraction, exponent) = (x.to_bits() & ((1 << FRACTION) - 1), (x.to_bits() >> FRACTION) as u32 & 0x7ff);
    // x = ± mantissa / 2^places; a product of 53 and 30 bits, shifted left by 7 at most.
    let (mantissa, places) = match exponent {
        0 => (fraction, 1074),
        _ => (fraction | 1 << FRACTION, 1075 - exponent as i32),
    };
    let product = u128::from(mantissa) * 10u128.pow(digits);
    let magnitude = match u32::try_from(places) {
        Err(_) => product << places.unsigned_abs(),
        Ok(0) => product,
        Ok(places) if places >= u128::BITS => 0,
        Ok(places) => {
            let (floor, rest, half) = (product >> places, product & ((1 << places) - 1), 1 << (places - 1));
            floor + u128::from(rest > half || (rest == half && floor & 1 == 1))
        }
    };
    if x < 0.0 { -(magnitude as i128) } else { magnitude as i128 }
}

/// The f64 nearest to the quotient of two integers, halves to even.
///
/// # Panics
/// If the denominator is 0, or 2^95 or above.
pub fn quotient(numerator: i128, denominator: u128) -> f64 {
    /// Integers up to this are floats, and the division of two floats rounds once.
    const FLOATS: i64 = 1 << f64::MANTISSA_DIGITS;
    // Of 64 bits, the conversions are one instruction each.
    if let (Ok(numerator), Ok(denominator)) = (i64::try_from(numerator), i64::try_from(denominator))
        && (-FLOATS..=FLOATS).contains(&numerator)
        && denominator <= FLOATS
    {
        assert!(denominator != 0, "a denominator is a count times a power of ten");
        return numerator as f64 / denominator as f64;
    }
    assert!(denominator >> 95 == 0, "a denominator is a count times a power of ten");
    let magnitude = numerator.unsigned_abs();
    // At least 64 bits of the quotient, with a sticky last bit for whatever is left, round as the whole would.
    let (mut bits, mut rest, mut places) = (magnitude / denominator, magnitude % denominator, 0);
    while bits >> 64 == 0 && rest != 0 {
        (bits, rest) = ((bits << 32) | ((rest << 32) / denominator), (rest << 32) % denominator);
        places += 32;
    }
    let nearest = (bits | u128::from(rest != 0)) as f64 / 2f64.powi(places);
    if numerator < 0 { -nearest } else { nearest }
}

/// The f64 nearest to an integer, halves to even.
pub fn nearest(value: i128) -> f64 {
    match i64::try_from(value) {
        Ok(value) => value as f64,
        Err(_) => value as f64,
    }
}

/// The f64 nearest to a 256-bit integer, halves to even.
pub fn to_f64(value: i256) -> f64 {
    let magnitude = value.wrapping_abs();
    let (low, high) = magnitude.to_parts();
    let high = high as u128;
    let nearest = if high == 0 {
        low as f64
    } else {
        // The top 128 bits, with a sticky last bit for whatever falls off, round as the whole would.
        let shift = 128 - high.leading_zeros();
        let (top, lost) =
            if shift == 128 { (high, low) } else { ((high << (128 - shift)) | (low >> shift), low << (128 - shift)) };
        let exponent = u64::from(1023 + shift) << 52;
        (top | u128::from(lost != 0)) as f64 * f64::from_bits(exponent)
    };
    if value.is_negative() { -nearest } else { nearest }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;

    use super::*;
    use proptest::prelude::*;

    /// A float as a fraction of integers: the numerator, and the denominator's number of bits after the first.
    fn fraction(x: f64) -> (BigInt, u32) {
        let mut places = 0;
        let mut whole = x;
        while whole.fract() != 0.0 {
            (whole, places) = (whole * 2.0, places + 1);
        }
        let text = format!("{whole:.0}");
        (text.parse().expect("a float without a fraction is written as an integer"), places)
    }

    /// The integer nearest to a fraction, halves to even.
    fn rounded(numerator: &BigInt, denominator: &BigInt) -> BigInt {
        let magnitude = BigInt::from(numerator.magnitude().clone());
        let (floor, rest) = (&magnitude / denominator, (&magnitude % denominator) * 2);
        let up = rest > *denominator || (rest == *denominator && floor.bit(0));
        let nearest = floor + i32::from(up);
        if *numerator == magnitude { nearest } else { -nearest }
    }

    /// The f64 nearest to a fraction, by its decimal text.
    fn by_text(numerator: i128, denominator: u128) -> f64 {
        let (magnitude, denominator) = (BigInt::from(numerator.unsigned_abs()), BigInt::from(denominator));
        let places = BigInt::from(10).pow(90);
        let rest = (&magnitude % &denominator) * &places;
        let (digits, left) = (&rest / &denominator, &rest % &denominator);
        let sticky = u8::from(left != BigInt::ZERO);
        let text = format!("{}.{:0>90}{sticky}", magnitude / &denominator, digits.to_string());
        let nearest: f64 = text.parse().expect("a number");
        if numerator < 0 { -nearest } else { nearest }
    }

    proptest! {
        #[test]
        fn a_small_wide_integer_converts_as_an_i128_does(value: i128) {
            prop_assert_eq!(to_f64(i256::from_i128(value)), value as f64);
        }

        #[test]
        fn a_wide_integer_converts_as_its_decimal_text_does(a: i128, b: i128) {
            let product = i256::from_i128(a).wrapping_mul(i256::from_i128(b));
            prop_assert_eq!(to_f64(product), product.to_string().parse::<f64>().unwrap());
        }

        #[test]
        fn scaling_rounds_the_exact_product(x: f64, near in -1e19..1e19f64, digits in 0..=MAX_DIGITS) {
            for x in [x, near, near / 1e6, near / power_of_ten(digits), (near / 1e4).round() / 2.0] {
                let scaled = |x: f64| {
                    let (numerator, places) = fraction(x);
                    rounded(&(numerator * 10i64.pow(digits)), &(BigInt::from(1) << places))
                };
                prop_assert_eq!(fixed(x, digits).map(BigInt::from), (x.abs() <= LIMIT).then(|| scaled(x)));
            }
        }

        #[test]
        fn a_quotient_is_the_float_nearest_to_it(
            numerator: i128,
            smaller_by in 0u32..127,
            denominator in 1u128..1 << 94,
            less_by in 0u32..94,
        ) {
            let (numerator, denominator) = (numerator >> smaller_by, (denominator >> less_by).max(1));
            prop_assert_eq!(quotient(numerator, denominator), by_text(numerator, denominator));
            // Close to the middle of two floats.
            let odd = i128::from((numerator as u64 >> 11) | 1 << 53) * denominator as i64 as i128;
            let denominator = (denominator as i64 as i128 * 2).unsigned_abs().max(1);
            for numerator in [odd, odd - 1, odd + 1] {
                prop_assert_eq!(quotient(numerator, denominator), by_text(numerator, denominator));
            }
        }

        #[test]
        fn scaling_to_64_bits_is_scaling(x: f64, near in -1e19..1e19f64, digits in 0..=MAX_DIGITS) {
            for x in [x, near, near / power_of_ten(digits)] {
                let expected = fixed(x, digits).and_then(|wide| i64::try_from(wide).ok());
                prop_assert_eq!(narrow(x, digits), expected);
            }
        }

        #[test]
        fn scaling_is_symmetric(x in -1e18..1e18f64) {
            prop_assert_eq!(fixed(-x, 9), fixed(x, 9).map(|v| -v));
        }
    }
}
