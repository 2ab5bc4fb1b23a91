//! Event time and places in a log.
//!
//! Event time is in milliseconds since the UTC epoch. Everything that tidemill computes is a function of it, so there is
//! one type for it, one parser and one formatter. Times without an offset are UTC; a bare date is its midnight.
//!
//! ```
//! use tidemill::time::{format_time, parse_time};
//! assert_eq!(parse_time("2013-01-01T05:15:00"), Some(1_357_017_300_000));
//! assert_eq!(parse_time("2013-01-01"), Some(1_356_998_400_000));
//! assert_eq!(format_time(1_357_017_300_000), "2013-01-01T05:15:00.000Z");
//! ```

mod format;
pub mod length;
mod text;

use std::fmt;

use chrono::{DateTime, SecondsFormat};

pub use format::TimeFormat;
pub use text::parse_time;

/// Milliseconds since 1970-01-01T00:00:00Z, in event time. Negative before the epoch.
pub type EventTime = i64;

/// The place of a record in its partition.
pub type Offset = u64;

/// A range of offsets: `start` is in it, `end` is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffsetRange {
    pub start: Offset,
    pub end: Offset,
}

/// One partition of one source. Two sources that read the same topic have partitions of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId {
    /// The source's or table's name in the dataflow file.
    pub source: String,
    /// The number that the topic gives the partition.
    pub partition: u32,
}

/// One day in ms.
pub const DAY_MS: i64 = 86_400_000;

/// The earliest event time that is accepted: 1900-01-01.
pub const EARLIEST: EventTime = -2_208_988_800_000;

/// The first event time that is no longer accepted: 2200-01-01.
pub const LATEST: EventTime = 7_258_118_400_000;

/// Formats a time as RFC 3339 UTC in ms; as its number if it is outside chrono's range.
pub fn format_time(time: EventTime) -> String {
    match DateTime::from_timestamp_millis(time) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::Millis, true),
        None => time.to_string(),
    }
}

/// Returns whether a record may have this event time at all.
pub fn in_range(time: EventTime) -> bool {
    (EARLIEST..LATEST).contains(&time)
}

/// Parses a duration such as `"90s"`, `"1.5h"`, `"7d"`, `"0s"`: a number and one of `ms s m h d w`. Returns ms.
///
/// ```
/// use tidemill::time::parse_duration;
/// assert_eq!(parse_duration("1h"), Some(3_600_000));
/// assert_eq!(parse_duration("2.3h"), Some(8_280_000));
/// assert_eq!(parse_duration("an hour"), None);
/// ```
pub fn parse_duration(text: &str) -> Option<i64> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let unit = match &text[split..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => DAY_MS,
        "w" => 7 * DAY_MS,
        _ => return None,
    };
    let ms = length::parse(&text[..split], unit).ok()?;
    (ms < 100_000_000_000_000).then_some(ms)
}

/// The reason why a text is not taken for a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationFault {
    Negative,
    TooLong,
    NoDuration,
}

/// In words, as the object of "is".
impl fmt::Display for DurationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DurationFault::Negative => "negative",
            DurationFault::TooLong => "too long",
            DurationFault::NoDuration => "not a duration",
        })
    }
}

/// Returns why [`parse_duration`] refuses a text.
///
/// ```
/// use tidemill::time::{DurationFault, duration_fault};
/// assert_eq!(duration_fault("-1h"), DurationFault::Negative);
/// assert_eq!(duration_fault("100000000000d"), DurationFault::TooLong);
/// assert_eq!(duration_fault("an hour"), DurationFault::NoDuration);
/// ```
pub fn duration_fault(text: &str) -> DurationFault {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let is_positive = digits.parse::<f64>().is_ok_and(|number| number >= 1.0);
    match text.strip_prefix('-').map(parse_duration) {
        Some(Some(_)) => DurationFault::Negative,
        None if is_positive && parse_duration(&format!("1{unit}")).is_some() => DurationFault::TooLong,
        _ => DurationFault::NoDuration,
    }
}

/// Formats a duration in ms by its shortest exact spelling: `3600000` is `1h`.
pub fn format_duration(ms: i64) -> String {
    for (unit, size) in [("d", DAY_MS), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if ms != 0 && ms % size == 0 {
            return format!("{}{unit}", ms / size);
        }
    }
    if ms == 0 { "0s".to_owned() } else { format!("{ms}ms") }
}
