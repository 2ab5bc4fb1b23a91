//! Exact arithmetic: floats as scaled integers.
//!
//! A float x enters a sum as X = round-half-even(x·10^d). Integers add without error in any order, so a sum depends
//! on the set of records alone and a record that leaves a window leaves nothing behind.

use arrow_buffer::i256;

/// The most digits after the point that a sum can keep.
pub const MAX_DIGITS: u32 = 9;

/// Larger magnitudes are taken as null, so that 10^11 records cannot overflow a sum nor their squares 256 bits.
const LIMIT: f64 = 1e18;

/// Powers of ten that an f64 holds exactly.
const POWERS: [f64; 19] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];

/// 10^digits.
///
/// # Panics
/// Above 18 digits.
pub fn power_of_ten(digits: u32) -> f64 {
    POWERS[digits as usize]
}

/// A float scaled to `digits` after the point, halves to even; `None` if it is not finite or beyond ±1e18.
///
/// ```
/// use tidemill::aggregate::fixed;
/// assert_eq!(fixed(0.1, 9), Some(100_000_000));
/// assert_eq!(fixed(2.5, 0), Some(2));
/// assert_eq!(fixed(f64::INFINITY, 9), None);
/// ```
pub fn fixed(x: f64, digits: u32) -> Option<i128> {
    (x.abs() <= LIMIT).then(|| (x * power_of_ten(digits)).round_ties_even() as i128)
}

/// The same as [`fixed`] in 64 bits, `None` where the result does not fit.
pub fn narrow(x: f64, digits: u32) -> Option<i64> {
    let scaled = (x * power_of_ten(digits)).round_ties_even();
    (x.abs() <= LIMIT && scaled.abs() < i64::MAX as f64).then_some(scaled as i64)
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
    use super::*;
    use proptest::prelude::*;

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
        fn scaling_to_64_bits_is_scaling(x: f64, near in -1e19..1e19f64, digits in 0..=MAX_DIGITS) {
            for x in [x, near, near / power_of_ten(digits)] {
                let expected = fixed(x, digits).and_then(|wide| i64::try_from(wide).ok()).filter(|x| *x > i64::MIN);
                prop_assert_eq!(narrow(x, digits), expected);
            }
        }

        #[test]
        fn scaling_is_symmetric(x in -1e18..1e18f64) {
            prop_assert_eq!(fixed(-x, 9), fixed(x, 9).map(|v| -v));
        }
    }
}
