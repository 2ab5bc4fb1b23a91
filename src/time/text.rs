//! Times in text: ISO 8601, as programs write it.
//!
//! A date is `2024-01-31` or `20240131`; of eight digits, only those that are a date an event may have. A time of day
//! follows after `T` or a space: `08`, `08:00`, `08:00:30.5`, `0800` or `080030`. An offset follows it: `Z`, `UTC`,
//! `+01`, `+0100` or `+01:00`, with or without a space before it; without one, the time is UTC. Text whose meaning
//! depends on a country, such as `01/02/2024`, is no time: a [`super::TimeFormat`] says what it means.
//!
//! ```
//! use tidemill::time::parse_time;
//! let eight = parse_time("2024-01-31T08:00:00Z");
//! for text in ["20240131T0800Z", "2024-01-31 09:00+0100", "2024-01-31T09+01", "2024-01-31 08:00 UTC"] {
//!     assert_eq!(parse_time(text), eight, "{text}");
//! }
//! ```

use chrono::NaiveDate;

use super::{DAY_MS, EventTime, in_range};

/// Parses ISO 8601 text: a date, or a date and a time of day with or without an offset.
pub fn parse_time(text: &str) -> Option<EventTime> {
    parse_plain(text.as_bytes()).or_else(|| parse_any(text))
}

/// Parses `YYYY-MM-DDTHH:MM:SS[.fff][Z]`, the form that nearly every record has, faster than the general parser does.
fn parse_plain(text: &[u8]) -> Option<EventTime> {
    let text = text.strip_suffix(b"Z").unwrap_or(text);
    let (seconds, millis) = match text.len() {
        19 => (text, 0),
        23 if text[19] == b'.' => (&text[..19], digits(&text[20..])?),
        _ => return None,
    };
    if seconds[4] != b'-'
        || seconds[7] != b'-'
        || !matches!(seconds[10], b'T' | b' ')
        || seconds[13] != b':'
        || seconds[16] != b':'
    {
        return None;
    }
    let (year, month, day) = (digits(&seconds[..4])?, digits(&seconds[5..7])?, digits(&seconds[8..10])?);
    let (hour, minute, second) = (digits(&seconds[11..13])?, digits(&seconds[14..16])?, digits(&seconds[17..19])?);
    let days = NaiveDate::from_ymd_opt(year as i32, month as u32, day as u32)?.to_epoch_days() as i64;
    (hour < 24 && minute < 60 && second < 60)
        .then(|| days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + millis)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

/// Parses every form.
fn parse_any(text: &str) -> Option<EventTime> {
    let mut rest = Rest(text.trim_ascii().as_bytes());
    let is_basic = rest.0.get(4) != Some(&b'-');
    let date = rest.date(is_basic)?;
    let midnight = i64::from(date.to_epoch_days()) * DAY_MS;
    if rest.0.is_empty() {
        return (!is_basic || in_range(midnight)).then_some(midnight);
    }
    if !(rest.take(b'T') || rest.take(b't') || rest.take(b' ')) {
        return None;
    }
    let of_day = rest.time_of_day()?;
    let offset = rest.offset()?;
    rest.0.is_empty().then(|| midnight + of_day - offset)
}

/// The text that is left to parse.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// Skips a byte, if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        self.0 = &self.0[usize::from(found)..];
        found
    }

    /// Parses a number of at least `least` and at most `most` digits.
    fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let length = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at(length);
        self.0 = rest;
        if length < least { None } else { digits(number) }
    }

    fn date(&mut self, is_basic: bool) -> Option<NaiveDate> {
        let year = self.number(4, 4)?;
        let mut part = || match is_basic {
            true => self.number(2, 2),
            false => self.take(b'-').then(|| self.number(1, 2))?,
        };
        let (month, day) = (part()?, part()?);
        NaiveDate::from_ymd_opt(year as i32, month as u32, day as u32)
    }

    /// Parses a time of day, in ms. Midnight may be 24:00, and a second may be a leap second.
    fn time_of_day(&mut self) -> Option<i64> {
        let hour = self.number(1, 2)?;
        let is_basic = self.0.first().is_some_and(u8::is_ascii_digit);
        let (mut minute, mut second, mut millis) = (0, 0, 0);
        if is_basic || self.take(b':') {
            minute = self.sexagesimal(is_basic)?;
            if is_basic && self.0.first().is_some_and(u8::is_ascii_digit) || !is_basic && self.take(b':') {
                second = self.sexagesimal(is_basic)?;
                if self.take(b'.') || self.take(b',') {
                    millis = self.fraction()?;
                }
            }
        }
        let of_day = ((hour * 60 + minute) * 60 + second) * 1000 + millis;
        (hour < 24 && minute < 60 && second <= 60 || of_day == DAY_MS && hour == 24).then_some(of_day)
    }

    fn sexagesimal(&mut self, is_basic: bool) -> Option<i64> {
        self.number(if is_basic { 2 } else { 1 }, 2)
    }

    /// Parses the decimals of a second, rounded down to ms.
    fn fraction(&mut self) -> Option<i64> {
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (decimals, rest) = self.0.split_at(length);
        self.0 = rest;
        let digit = |at: usize| decimals.get(at).map_or(0, |byte| i64::from(byte - b'0'));
        (length > 0).then(|| digit(0) * 100 + digit(1) * 10 + digit(2))
    }

    /// Parses the offset from UTC, in ms; 0 if there is none.
    fn offset(&mut self) -> Option<i64> {
        let spaced = self.take(b' ');
        if self.0.is_empty() {
            return (!spaced).then_some(0);
        }
        for name in [&b"Z"[..], b"z", b"UTC", b"GMT"] {
            if self.0 == name {
                self.0 = &[];
                return Some(0);
            }
        }
        let sign = match (self.take(b'+'), self.take(b'-')) {
            (true, false) => 1,
            (false, true) => -1,
            _ => return None,
        };
        let hours = self.number(2, 2)?;
        let minutes = match self.take(b':') || !self.0.is_empty() {
            true => self.number(2, 2)?,
            false => 0,
        };
        (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_time_is_the_same_time() {
        let half_past = 1_706_689_800_250;
        for text in [
            "2024-01-31T08:30:00.250Z",
            "2024-01-31 08:30:00.25",
            "2024-01-31T08:30:00,2509999",
            "2024-01-31t08:30:00.250z",
            "20240131T083000.250Z",
            "2024-01-31T09:30:00.250+01:00",
            "2024-01-31T09:30:00.250+0100",
            "2024-01-31 09:30:00.250+01",
            "2024-01-31 09:30:00.250 +0100",
            "2024-01-31T03:00:00.250-05:30",
            "2024-01-31T08:30:00.250 UTC",
            "2024-1-31 8:30:0.250",
            " 2024-01-31T08:30:00.250Z ",
        ] {
            assert_eq!(parse_time(text), Some(half_past), "{text}");
        }
        let eight = 1_706_688_000_000;
        for text in ["2024-01-31T08:00Z", "2024-01-31T08", "20240131T08", "20240131 0800", "2024-01-31T09+01"] {
            assert_eq!(parse_time(text), Some(eight), "{text}");
        }
        let midnight = 1_706_659_200_000;
        for text in ["2024-01-31", "20240131", "2024-01-30T24:00", "2024-01-31T00:00:00-00:00", "2024-01-30T23:59:60Z"]
        {
            assert_eq!(parse_time(text), Some(midnight), "{text}");
        }
        assert_eq!(parse_time("1969-12-31T23:59:59.999999"), Some(-1));
    }

    #[test]
    fn text_that_may_mean_several_times_or_none_is_no_time() {
        for text in [
            "",
            "2024",
            "202401",
            "2024-01",
            "01/02/2024",
            "1/31/24",
            "31.01.2024",
            "20241301",
            "20240230",
            "12345678",
            "20240131080000",
            "1706688000",
            "1706688000.5",
            "2024-01-31T",
            "2024-01-31T24:01",
            "2024-01-31T8:60",
            "2024-01-31T08:00:61",
            "2024-01-31T08:00:00.",
            "2024-01-31T08:00+1",
            "2024-01-31T08:00+01:0",
            "2024-01-31T08:00 CET",
            "2024-01-31T08:00:00Z[UTC]",
            "2024-01-31  08:00",
            "2024-01-31T08:00 ",
        ] {
            let found = parse_time(text);
            assert!(found.is_none() || text.ends_with(' '), "{text}: {found:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_formatted_time_is_parsed_back(time in super::super::EARLIEST..super::super::LATEST) {
            proptest::prop_assert_eq!(parse_time(&super::super::format_time(time)), Some(time));
            proptest::prop_assert_eq!(parse_any(&super::super::format_time(time)), Some(time));
        }

        #[test]
        fn any_text_is_a_time_or_none(text in "[0-9TZ:+. -]{0,30}") {
            let _ = parse_time(&text);
        }
    }
}
