//! Lengths of time: decimal numbers of a unit, as whole numbers of ms.
//!
//! A number is read as it is written, digit by digit: `2.3` hours are 8,280,000 ms, though the float 2.3 is a little less
//! than 2.3. One that is no whole number of ms, or too long, is refused and never rounded.

/// The fault of a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthFault {
    /// Its text is no decimal number.
    NoNumber,
    /// A length that is not a whole number of ms.
    Fraction,
    /// A length above [`LONGEST_MS`].
    TooLong,
}

/// The longest length, in ms: more than 30,000 years.
pub const LONGEST_MS: i64 = 1_000_000_000_000_000;

/// Parses a decimal number such as `-2.5`, in a unit of so many ms. Returns ms.
///
/// ```
/// use tidemill::time::length::{LengthFault, parse};
/// assert_eq!(parse("2.3", 3_600_000), Ok(8_280_000));
/// assert_eq!(parse("0.5", 1), Err(LengthFault::Fraction));
/// ```
///
/// # Errors
/// If the text is no number, the length is not a whole number of ms, or it is too long.
pub fn parse(number: &str, unit_ms: i64) -> Result<i64, LengthFault> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_number(whole) || !is_number(fraction) {
        return Err(LengthFault::NoNumber);
    }
    let most = i128::from(LONGEST_MS);
    let append = |value: i128, digit: u8| Some(value * 10 + i128::from(digit - b'0')).filter(|value| *value <= most);
    let whole = whole.bytes().try_fold(0, append).ok_or(LengthFault::TooLong)?;
    let fraction = fraction.trim_end_matches('0');
    // No unit is a multiple of more than as many powers of ten, or of two or five, as fit a length.
    let (Some(numerator), Ok(places)) = (fraction.bytes().try_fold(0, append), u32::try_from(fraction.len())) else {
        return Err(LengthFault::Fraction);
    };
    let scale = 10_i128.checked_pow(places).ok_or(LengthFault::Fraction)?;
    let numerator = numerator * i128::from(unit_ms);
    if numerator % scale != 0 {
        return Err(LengthFault::Fraction);
    }
    let ms = whole * i128::from(unit_ms) + numerator / scale;
    i64::try_from(ms).ok().filter(|ms| *ms <= LONGEST_MS).map(|ms| sign * ms).ok_or(LengthFault::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn every_tenth_and_thousandth_of_a_unit_is_exact() {
        for tenths in 0..10_000 {
            let text = format!("{}.{}", tenths / 10, tenths % 10);
            assert_eq!(parse(&text, HOUR), Ok(tenths * HOUR / 10), "{text}");
            let text = format!("-{}.{:03}", tenths / 1_000, tenths % 1_000);
            assert_eq!(parse(&text, 1_000), Ok(-tenths), "{text}");
        }
        for (text, ms) in
            [("1.", HOUR), (".5", HOUR / 2), ("+2", 2 * HOUR), ("007", 7 * HOUR), ("1.500000000", 5_400_000)]
        {
            assert_eq!(parse(text, HOUR), Ok(ms), "{text}");
        }
    }

    #[test]
    fn a_length_that_is_no_number_or_does_not_fit_has_its_fault() {
        for text in ["", ".", "-", "1e3", "--1", "+-1", "1.2.3", "1.-2", "NaN", "½", " 1"] {
            assert_eq!(parse(text, HOUR), Err(LengthFault::NoNumber), "{text}");
        }
        let long = format!("0.{}", "3".repeat(60));
        for text in ["0.00000001", "2.3000000001", &long] {
            assert_eq!(parse(text, HOUR), Err(LengthFault::Fraction), "{text}");
        }
        let long = "9".repeat(60);
        for text in ["277777778", "1000000000000000000000", &long] {
            assert_eq!(parse(text, HOUR), Err(LengthFault::TooLong), "{text}");
        }
        assert_eq!(parse("1000000000000000", 1), Ok(LONGEST_MS));
        assert_eq!(parse("1000000000000000.5", 1), Err(LengthFault::Fraction));
    }
}
