//! Rules by which the values of one timestamp column are read as event times.
//!
//! The same value is the same time in every format: the digits `1706688000` are that number, be they a number of JSON or
//! Parquet, a text of JSON or a field of CSV. A number counts units since 1970. The one exception is a text of eight
//! digits that is a date, such as `20240131`: unless the file sets `unit`, it is that date.
//!
//! ```
//! use tidemill::time::parse_time;
//! use tidemill::value::{TimeRules, TimeUnit};
//! let seconds = TimeRules { unit: Some(TimeUnit::Second), format: None };
//! assert_eq!(seconds.of_int(1_706_688_000), parse_time("2024-01-31T08:00"));
//! assert_eq!(seconds.of_text("1706688000.5"), parse_time("2024-01-31T08:00:00.500"));
//! assert_eq!(TimeRules::default().of_text("20240131"), parse_time("2024-01-31"));
//! ```

use serde::{Deserialize, Serialize};

use crate::time::{EventTime, TimeFormat, format_time, parse_time};

/// The unit of a timestamp that is written as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TimeUnit {
    #[serde(rename = "s")]
    Second,
    #[default]
    #[serde(rename = "ms")]
    Millisecond,
    #[serde(rename = "us")]
    Microsecond,
    #[serde(rename = "ns")]
    Nanosecond,
}

impl TimeUnit {
    /// All units with their spellings in a dataflow file, the longest first.
    pub const ALL: [(&str, TimeUnit); 4] = [
        ("s", TimeUnit::Second),
        ("ms", TimeUnit::Millisecond),
        ("us", TimeUnit::Microsecond),
        ("ns", TimeUnit::Nanosecond),
    ];

    /// Returns the number of nanoseconds in this unit.
    pub fn nanos(self) -> i64 {
        match self {
            TimeUnit::Second => 1_000_000_000,
            TimeUnit::Millisecond => 1_000_000,
            TimeUnit::Microsecond => 1000,
            TimeUnit::Nanosecond => 1,
        }
    }

    /// Converts a number in this unit to event time, rounded down to the ms; `None` if it does not fit.
    pub fn to_ms(self, value: i64) -> Option<i64> {
        match self {
            TimeUnit::Second => value.checked_mul(1000),
            TimeUnit::Millisecond => Some(value),
            TimeUnit::Microsecond => Some(value.div_euclid(1000)),
            TimeUnit::Nanosecond => Some(value.div_euclid(1_000_000)),
        }
    }

    /// Converts a number with a fraction, rounded down to the ms. It is rounded to the nearest us before, since a float
    /// may be just below the decimals that were meant.
    fn float_to_ms(self, value: f64) -> Option<i64> {
        let us = match self {
            TimeUnit::Second => value * 1e6,
            TimeUnit::Millisecond => value * 1e3,
            TimeUnit::Microsecond => value,
            TimeUnit::Nanosecond => value / 1e3,
        };
        let us = us.round_ties_even();
        (us.abs() < 9.2e18).then_some((us as i64).div_euclid(1000))
    }
}

/// The rules of one column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeRules {
    /// The unit of numbers; `None` if the file does not set it, which is ms.
    pub unit: Option<TimeUnit>,
    /// The format of texts and, written as text, of numbers; `None` for ISO 8601 and numbers in the unit.
    pub format: Option<TimeFormat>,
}

impl TimeRules {
    fn unit(&self) -> TimeUnit {
        self.unit.unwrap_or_default()
    }

    /// Writes a time as text that means it.
    pub fn write(&self, time: EventTime) -> String {
        match &self.format {
            None => format_time(time),
            Some(format) => format.write(time),
        }
    }

    /// Returns the time that an integer means.
    #[inline]
    pub fn of_int(&self, value: i64) -> Option<EventTime> {
        match &self.format {
            None => self.unit().to_ms(value),
            Some(format) => format.parse(&value.to_string()),
        }
    }

    /// Returns the time that a number means.
    pub fn of_float(&self, value: f64) -> Option<EventTime> {
        match &self.format {
            None => self.unit().float_to_ms(value),
            Some(format) => format.parse(&value.to_string()),
        }
    }

    /// Returns the time that a text means.
    pub fn of_text(&self, text: &str) -> Option<EventTime> {
        if let Some(format) = &self.format {
            return format.parse(text);
        }
        let text = text.trim_ascii();
        let is_number = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        let is_date = || self.unit.is_none() && text.len() == 8;
        let date = if is_number && !is_date() { None } else { parse_time(text) };
        let number = || match text.parse() {
            Ok(int) => self.of_int(int),
            Err(_) => self.of_float(text.parse().ok()?),
        };
        date.or_else(|| if is_number { number().or_else(|| parse_time(text)) } else { None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_time_as_a_number_and_as_text() {
        for (unit, number) in [
            (TimeUnit::Second, "1706688000.25"),
            (TimeUnit::Millisecond, "1706688000250"),
            (TimeUnit::Microsecond, "1706688000250999"),
            (TimeUnit::Nanosecond, "1706688000250000000"),
        ] {
            let rules = TimeRules { unit: Some(unit), format: None };
            let expected = parse_time("2024-01-31T08:00:00.250");
            assert_eq!(rules.of_text(number), expected, "{number}");
            assert_eq!(rules.of_float(number.parse().unwrap()), expected, "{number}");
            if let Ok(int) = number.parse() {
                assert_eq!(rules.of_int(int), expected, "{number}");
            }
        }
        let seconds = TimeRules { unit: Some(TimeUnit::Second), format: None };
        for millis in [0, 1, 123, 499, 999] {
            let text = format!("1706688000.{millis:03}");
            assert_eq!(seconds.of_text(&text), Some(1_706_688_000_000 + millis), "{text}");
        }
        assert_eq!(seconds.of_text("1e9"), seconds.of_int(1_000_000_000));
        assert_eq!(seconds.of_float(f64::INFINITY), None);
        assert_eq!(seconds.of_int(i64::MAX), None);
    }

    #[test]
    fn eight_digits_are_a_date_unless_a_unit_is_set() {
        let default = TimeRules::default();
        assert_eq!(default.of_text("20240131"), parse_time("2024-01-31"));
        assert_eq!(default.of_text("20241399"), Some(20_241_399), "no date, so a number");
        assert_eq!(default.of_text("2024"), Some(2024));
        assert_eq!(default.of_text("2024-01-31"), parse_time("2024-01-31"));
        let ms = TimeRules { unit: Some(TimeUnit::Millisecond), format: None };
        assert_eq!(ms.of_text("20240131"), Some(20_240_131));
        assert_eq!(ms.of_text("2024-01-31"), parse_time("2024-01-31"));
        assert_eq!(default.of_text("soon"), None);
        assert_eq!(default.of_text("nan"), None);
        assert_eq!(default.of_text(""), None);
    }

    #[test]
    fn a_format_reads_numbers_as_their_digits() {
        let rules = TimeRules { unit: None, format: Some(TimeFormat::new("%Y%m%d").unwrap()) };
        let expected = parse_time("2024-01-31");
        assert_eq!(rules.of_text("20240131"), expected);
        assert_eq!(rules.of_int(20_240_131), expected);
        assert_eq!(rules.of_float(20_240_131.0), expected);
        assert_eq!(rules.of_text("2024-01-31"), None);
    }
}
