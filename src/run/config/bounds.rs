//! Bounds of the config's numbers and durations.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::Config;
use crate::source::MOST_RECORD_BYTES;
use crate::time::{format_duration, parse_duration};

const SECOND: i64 = 1000;
const DAY: i64 = 86_400 * SECOND;

/// The least and the greatest value of each number, and, in ms, of each duration.
const BOUNDS: &[(&str, RangeInclusive<i64>)] = &[
    ("workers", 1..=1024),
    ("max_in_flight", 1..=1 << 40),
    ("max_in_flight_bytes", 1..=1 << 40),
    ("max_record_bytes", 1..=MOST_RECORD_BYTES as i64),
    ("max_dead_letters", 0..=1),
    ("idle_after", 0..=365 * DAY),
    ("max_ahead", 0..=100 * 365 * DAY),
    ("topics.TOPIC.max_ahead", 0..=100 * 365 * DAY),
    ("shutdown_timeout", 1..=DAY),
    ("http.threads", 1..=1024),
    ("http.max_body_bytes", 1..=1 << 30),
    ("http.max_total_body_bytes", 1..=1 << 40),
    ("http.request_timeout", 1..=DAY),
    ("http.max_connections", 1..=1 << 20),
    ("http.max_connections_per_address", 1..=1 << 20),
    ("registry.keep", 0..=1 << 40),
    ("checkpoint.interval", 1..=365 * DAY),
    ("checkpoint.keep", 1..=1 << 40),
    ("log.max_bytes", 1000..=1 << 40),
    ("log.keep", 0..=1000),
    ("log.predictions", 0..=1),
    ("gateway.health_interval", 10..=DAY),
];

/// Returns the bounds of a key: of a duration in ms; `None` if it has none.
pub fn range_of(path: &str) -> Option<RangeInclusive<i64>> {
    BOUNDS.iter().find(|(key, _)| *key == path).map(|(_, range)| range.clone())
}

/// Returns the bounds of a key in words, `None` if it has none.
pub fn bounds_of(path: &str, is_duration: bool) -> Option<String> {
    let bounds = range_of(path)?;
    let (least, most) = (*bounds.start(), *bounds.end());
    Some(match is_duration {
        true => format!("{:?} to {:?}", format_duration(least), format_duration(most)),
        false => format!("{least} to {most}"),
    })
}

/// Returns whether a key is a number that need not be whole.
fn is_float(path: &str) -> bool {
    ["max_dead_letters", "log.predictions"].contains(&path)
}

impl Config {
    /// Returns an error for each value that is out of bounds.
    pub fn out_of_bounds(&self) -> Vec<String> {
        let values = serde_json::to_value(self).expect("a config is plain values");
        let mut errors = Vec::new();
        for (path, bounds) in BOUNDS {
            let is_of_topics = path.contains(".TOPIC.");
            let topics = self.topics.keys().map(String::as_str).filter(|_| is_of_topics);
            for topic in topics.chain((!is_of_topics).then_some("")) {
                let names: Vec<&str> = path.split('.').map(|name| if name == "TOPIC" { topic } else { name }).collect();
                let Some(value) = names.iter().try_fold(&values, |value, name| value.get(name)) else { continue };
                // JSON has no number for one that is not finite.
                let (number, is_duration) = match value {
                    Value::Null if is_float(path) => (Some(f64::NAN), false),
                    Value::String(text) => (parse_duration(text).map(|ms| ms as f64), true),
                    value => (value.as_f64(), false),
                };
                if number.is_some_and(|number| !(*bounds.start() as f64..=*bounds.end() as f64).contains(&number)) {
                    let (place, name) = (self.origin.place(&names), names.join("."));
                    let expected = bounds_of(path, is_duration).unwrap_or_default();
                    errors.push(format!("{place}: error: {name} is out of range; expected {expected}"));
                }
            }
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::config::keys;

    #[test]
    fn every_number_and_duration_has_bounds_that_its_default_keeps() {
        let numeric = |kind: &str| ["int", "duration", "number, 0"].iter().any(|start| kind.starts_with(start));
        let mut expected: Vec<&str> = keys().iter().filter(|key| numeric(&key.kind)).map(|key| key.path).collect();
        let mut bounded: Vec<&str> = BOUNDS.iter().map(|(path, _)| *path).collect();
        expected.sort_unstable();
        bounded.sort_unstable();
        assert_eq!(bounded, expected);
        assert_eq!(Config::default().out_of_bounds(), Vec::<String>::new());
        for key in keys().iter().filter(|key| key.kind.starts_with("number, 0")) {
            assert!(is_float(key.path), "{}", key.path);
        }
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let config = Config { max_dead_letters: number, ..Config::default() };
            let errors = config.out_of_bounds();
            assert!(errors.len() == 1 && errors[0].contains("max_dead_letters is out of range; expected 0 to 1"));
        }
    }
}
