//! Formats of times in text, by strftime's directives.

use std::fmt;
use std::sync::Arc;

use chrono::format::{Fixed, Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, NaiveDate};

use super::{DAY_MS, EventTime, format_time};

/// A format such as `%d/%m/%Y %H:%M`. Text without an offset is UTC; without a time of day, it is midnight.
///
/// ```
/// use tidemill::time::{TimeFormat, parse_time};
/// let format = TimeFormat::new("%d/%m/%Y %H:%M").unwrap();
/// assert_eq!(format.parse("31/01/2024 08:30"), parse_time("2024-01-31T08:30"));
/// assert_eq!(format.parse("2024-01-31"), None);
/// assert!(TimeFormat::new("%H:%M").is_err());
/// ```
#[derive(Clone)]
pub struct TimeFormat {
    text: Arc<str>,
    items: Arc<[Item<'static>]>,
}

impl TimeFormat {
    /// Parses a format.
    ///
    /// # Errors
    /// If it has an unknown directive, or does not determine a time; the text says what is wrong.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let items = StrftimeItems::new(text).parse_to_owned().map_err(|_| "it has an unknown directive")?;
        if items.iter().any(|item| matches!(item, Item::Fixed(Fixed::TimezoneName))) {
            return Err("%Z, the name of a zone, does not determine its offset; %z does");
        }
        let format = TimeFormat { text: text.into(), items: items.into() };
        // A moment of which no two fields are equal, so that a field that is missing or misread shows.
        let moment = DateTime::from_timestamp_millis(1_706_706_367_250).expect("a valid time");
        let mut written = String::new();
        // A directive that cannot be written is an error of formatting.
        let shown = fmt::write(&mut written, format_args!("{}", moment.format_with_items(format.items.iter())));
        match shown.ok().and_then(|()| format.parse(&written)) {
            Some(time) if time.div_euclid(DAY_MS) == moment.timestamp_millis().div_euclid(DAY_MS) => Ok(format),
            _ => Err("it does not determine a date and time"),
        }
    }

    /// Writes a time in this format; as ISO 8601 if chrono cannot hold it.
    pub fn write(&self, time: EventTime) -> String {
        match DateTime::from_timestamp_millis(time) {
            Some(moment) => moment.format_with_items(self.items.iter()).to_string(),
            None => format_time(time),
        }
    }

    /// Parses a text of this format; `None` if it is not one.
    pub fn parse(&self, text: &str) -> Option<EventTime> {
        let mut parsed = Parsed::new();
        parse(&mut parsed, text.trim_ascii(), self.items.iter()).ok()?;
        if parsed.timestamp().is_some() {
            return parsed.to_naive_datetime_with_offset(0).ok().map(|time| time.and_utc().timestamp_millis());
        }
        let has_hour = parsed.hour_mod_12().is_some() || parsed.hour_div_12().is_some();
        if !has_hour && parsed.minute().is_none() && parsed.second().is_none() {
            let date: NaiveDate = parsed.to_naive_date().ok()?;
            return Some(i64::from(date.to_epoch_days()) * DAY_MS);
        }
        if parsed.minute().is_none() {
            parsed.set_minute(0).ok()?;
        }
        let offset = parsed.offset().unwrap_or(0);
        let local = parsed.to_naive_datetime_with_offset(offset).ok()?;
        Some(local.and_utc().timestamp_millis() - i64::from(offset) * 1000)
    }
}

impl PartialEq for TimeFormat {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_time;

    #[test]
    fn a_format_reads_the_layouts_that_programs_write() {
        for (format, text, time) in [
            ("%m/%d/%Y %I:%M:%S %p", "01/31/2024 08:05:09 PM", "2024-01-31T20:05:09"),
            ("%d.%m.%Y %H:%M:%S%.f", "31.01.2024 08:05:09.5", "2024-01-31T08:05:09.500"),
            ("%d %b %Y", "31 Jan 2024", "2024-01-31"),
            ("%Y%m%d%H%M%S", "20240131080509", "2024-01-31T08:05:09"),
            ("%Y%m%d", "20240131", "2024-01-31"),
            ("%Y-%m-%d %H", "2024-01-31 08", "2024-01-31T08:00"),
            ("%d/%b/%Y:%H:%M:%S %z", "31/Jan/2024:09:05:09 +0100", "2024-01-31T08:05:09"),
            ("%a, %d %b %Y %H:%M:%S GMT", "Wed, 31 Jan 2024 08:05:09 GMT", "2024-01-31T08:05:09"),
            ("%Y-%j", "2024-031", "2024-01-31"),
            ("%G-W%V-%u", "2024-W05-3", "2024-01-31"),
            ("%s", "1706688309", "2024-01-31T08:05:09"),
        ] {
            let parsed = TimeFormat::new(format).unwrap_or_else(|why| panic!("{format}: {why}")).parse(text);
            assert_eq!(parsed, parse_time(time), "{format} of {text}");
            let format = TimeFormat::new(format).unwrap();
            assert_eq!(parsed.and_then(|time| format.parse(&format.write(time))), parsed, "{text} is written and read");
        }
        assert_eq!(TimeFormat::new("%d/%m/%Y").unwrap().parse("01/31/2024"), None, "there is no month 31");
    }

    #[test]
    fn a_format_that_determines_no_time_is_refused() {
        for format in ["", "%H:%M", "%Y-%m", "%Y", "%d/%m", "%Q", "%", "%Y-%m-%d %M", "%Y-%m-%d %I:%M", "%Y-%m-%d %Z"] {
            assert!(TimeFormat::new(format).is_err(), "{format:?}");
        }
    }
}
