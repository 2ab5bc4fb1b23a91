//! Layouts of times in text, and units of times in numbers.

use std::ops::RangeInclusive;

use crate::time::{EventTime, TimeFormat, in_range};
use crate::value::{TimeRules, TimeUnit};

/// Dates that programs write beside ISO 8601; where two read the same text, both are tried.
const DATES: [&str; 18] = [
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y.%m.%d",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d.%m.%y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%a %b %d %Y",
];

/// Times of day behind them.
const TIMES: [&str; 7] = ["", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S %z"];

/// Layouts of other parts.
const OTHERS: [&str; 5] = [
    "%d/%b/%Y:%H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%a, %d %b %Y %H:%M:%S %z",
    "%a %b %d %H:%M:%S %Y",
    "%Y-%m-%d-%H.%M.%S",
];

/// Layouts of digits only, by their number.
const DIGITS: [(usize, &str); 3] = [(8, "%Y%m%d"), (12, "%Y%m%d%H%M"), (14, "%Y%m%d%H%M%S")];

/// Times from 1990 to 2099: numbers outside are taken for something else.
const NEAR: RangeInclusive<EventTime> = 631_152_000_000..=4_102_444_800_000;

/// A layout of times in text.
#[derive(Clone, Debug)]
pub struct TimeLayout {
    /// By strftime's directives.
    pub text: String,
    pub format: TimeFormat,
}

impl TimeLayout {
    fn new(text: String) -> Option<Self> {
        let format = TimeFormat::new(&text).ok()?;
        Some(TimeLayout { text, format })
    }

    /// Returns the layouts that all texts have, none of them ISO 8601. If a day may be a month, there are two.
    pub fn of_texts<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Self> {
        let with_times = |date: &'static str| TIMES.map(|time| format!("{date}{time}"));
        let all = DATES.into_iter().flat_map(with_times).chain(OTHERS.map(str::to_owned));
        let mut left: Option<Vec<TimeLayout>> = None;
        for text in texts {
            let fits = |layout: &TimeLayout| layout.format.parse(text).is_some_and(in_range);
            match &mut left {
                // Most layouts do not fit the first text.
                None if !text.starts_with(|first: char| first.is_ascii_alphanumeric()) => return Vec::new(),
                None => left = Some(all.clone().filter_map(TimeLayout::new).filter(fits).collect()),
                Some(left) => left.retain(fits),
            }
            if left.as_ref().is_some_and(Vec::is_empty) {
                return Vec::new();
            }
        }
        left.unwrap_or_default()
    }

    /// Returns the layout of numbers whose digits are dates.
    pub fn of_digits(numbers: &[i64]) -> Option<Self> {
        let length = numbers.first()?.to_string().len();
        let (_, text) = DIGITS.into_iter().find(|(digits, _)| *digits == length)?;
        let layout = TimeLayout::new(text.to_owned())?;
        let is_near = |number: &i64| layout.format.parse(&number.to_string()).is_some_and(|time| NEAR.contains(&time));
        numbers.iter().all(is_near).then_some(layout)
    }
}

/// Returns the unit in which all numbers are times near today, and its spelling.
pub fn unit_of(numbers: impl Iterator<Item = f64> + Clone) -> Option<(&'static str, TimeUnit)> {
    let is_near = |unit: TimeUnit| {
        let rules = TimeRules { unit: Some(unit), format: None };
        let mut any = false;
        numbers.clone().all(|number| {
            any = true;
            rules.of_float(number).is_some_and(|time| NEAR.contains(&time))
        }) && any
    };
    TimeUnit::ALL.into_iter().find(|(_, unit)| is_near(*unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layouts(texts: &[&str]) -> Vec<String> {
        TimeLayout::of_texts(texts.iter().copied()).into_iter().map(|layout| layout.text).collect()
    }

    #[test]
    fn layouts_are_those_that_all_texts_have() {
        assert_eq!(layouts(&["31/01/2024 08:30"]), ["%d/%m/%Y %H:%M"]);
        assert_eq!(layouts(&["01/02/2024", "01/31/2024"]), ["%m/%d/%Y"]);
        assert_eq!(layouts(&["01/02/2024"]), ["%d/%m/%Y", "%m/%d/%Y"]);
        assert_eq!(layouts(&["31/Jan/2024:09:05:09 +0100"]), ["%d/%b/%Y:%H:%M:%S %z"]);
        assert_eq!(layouts(&["1/31/2024 8:05:09 PM"]), ["%m/%d/%Y %I:%M:%S %p"]);
        assert_eq!(layouts(&["31.01.2024 08:05:09.5"]), ["%d.%m.%Y %H:%M:%S%.f"]);
        assert!(layouts(&["31/01/2024", "soon"]).is_empty());
        assert!(layouts(&["u1"]).is_empty());
    }

    #[test]
    fn a_unit_is_that_in_which_all_numbers_are_near_today() {
        for (unit, factor) in [("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)] {
            let numbers = [1_706_688_000.0, 1_700_000_000.0].map(|seconds| seconds * factor);
            assert_eq!(unit_of(numbers.into_iter()).map(|(name, _)| name), Some(unit));
        }
        assert!(unit_of([1.0, 2.0].into_iter()).is_none());
        assert!(unit_of([1_706_688_000.0, 5.0].into_iter()).is_none());
        assert!(unit_of(std::iter::empty()).is_none());
        assert_eq!(TimeLayout::of_digits(&[20_240_131]).unwrap().text, "%Y%m%d");
        assert!(TimeLayout::of_digits(&[20_241_399]).is_none());
    }
}
