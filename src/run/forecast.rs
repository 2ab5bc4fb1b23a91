//! The time of a run's first version, which is the end of a training window, and how long it takes to get there.

use std::collections::VecDeque;
use std::time::Instant;

use crate::source::TumblingWindow;
use crate::time::{EventTime, format_time};

/// Refreshes over which the pace of event time is measured.
const MEASURED: usize = 10;

/// The pace of event time, and the windows at whose ends versions are made.
pub struct Forecast {
    windows: Vec<TumblingWindow>,
    seen: VecDeque<Seen>,
}

/// Event time at a moment of the wall clock.
#[derive(Clone, Copy)]
struct Seen {
    at: Instant,
    time: EventTime,
}

impl Forecast {
    /// The forecast of models with these windows.
    pub fn new(windows: Vec<TumblingWindow>) -> Self {
        Forecast { windows, seen: VecDeque::new() }
    }

    /// Records event time at a moment.
    pub fn note(&mut self, at: Instant, time: EventTime) {
        if time != EventTime::MIN {
            self.seen.push_back(Seen { at, time });
        }
        if self.seen.len() > MEASURED {
            self.seen.pop_front();
        }
    }

    /// Returns what the first version waits for, in words.
    pub fn in_words(&self) -> String {
        let Some(now) = self.seen.back() else {
            return if self.windows.is_empty() { "no model".to_owned() } else { "no version yet".to_owned() };
        };
        let Some(end) = self.windows.iter().map(|window| end_after(*window, now.time)).min() else {
            return "no model".to_owned();
        };
        let at = format_time(end);
        let at = at.trim_end_matches("T00:00:00.000Z");
        let first = self.seen.front().unwrap_or(now);
        let passed = now.at.duration_since(first.at).as_secs_f64();
        let pace = now.time.saturating_sub(first.time) as f64 / passed.max(1e-3);
        let when = match self.seen.len() {
            1 => String::new(),
            _ if pace <= 0.0 => ", once event time goes on".to_owned(),
            _ => format!(", in {}", duration(end.saturating_sub(now.time) as f64 / pace)),
        };
        format!("no version yet; first at {at} at the earliest{when}")
    }
}

/// Returns the first end of a window after a time.
fn end_after(window: TumblingWindow, time: EventTime) -> EventTime {
    let TumblingWindow { window_ms, offset_ms } = window;
    let begun = time.saturating_sub(offset_ms).div_euclid(window_ms);
    begun.saturating_add(1).saturating_mul(window_ms).saturating_add(offset_ms)
}

/// Formats seconds in the unit that leaves a number of up to two digits.
fn duration(seconds: f64) -> String {
    let units = [("s", 1.0, 100.0), ("min", 60.0, 6000.0), ("h", 3600.0, 360_000.0), ("d", 86_400.0, f64::INFINITY)];
    let (unit, size, _) = units.into_iter().find(|(_, _, below)| seconds < *below).unwrap_or(("d", 86_400.0, 0.0));
    format!("{:.0} {unit}", (seconds / size).ceil())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::parse_time;

    const HOUR: i64 = 3_600_000;

    fn forecast(noted: &[(u64, &str)]) -> String {
        let window = |hours: i64, offset: i64| TumblingWindow { window_ms: hours * HOUR, offset_ms: offset * HOUR };
        let mut forecast = Forecast::new(vec![window(24, 0), window(48, 5)]);
        let start = Instant::now();
        for (second, time) in noted {
            forecast.note(start + Duration::from_secs(*second), parse_time(time).unwrap());
        }
        forecast.in_words()
    }

    #[test]
    fn the_first_version_is_forecast_from_the_pace_of_event_time() {
        assert_eq!(forecast(&[]), "no version yet");
        let first = forecast(&[(0, "2013-01-01T05:00:00Z")]);
        assert_eq!(first, "no version yet; first at 2013-01-02 at the earliest");
        let paced = forecast(&[(0, "2013-01-01T05:00:00Z"), (1, "2013-01-01T07:00:00Z"), (2, "2013-01-01T09:00:00Z")]);
        assert_eq!(paced, "no version yet; first at 2013-01-02 at the earliest, in 8 s");
        let live = forecast(&[(0, "2013-01-01T05:00:00Z"), (60, "2013-01-01T05:01:00Z")]);
        assert_eq!(live, "no version yet; first at 2013-01-02 at the earliest, in 19 h");
        let still = forecast(&[(0, "2013-01-01T05:00:00Z"), (60, "2013-01-01T05:00:00Z")]);
        assert_eq!(still, "no version yet; first at 2013-01-02 at the earliest, once event time goes on");
        let later = forecast(&[(0, "2013-01-03T00:00:00Z")]);
        assert_eq!(later, "no version yet; first at 2013-01-03T05:00:00.000Z at the earliest");
    }

    #[test]
    fn a_run_without_models_waits_for_none() {
        let mut forecast = Forecast::new(Vec::new());
        assert_eq!(forecast.in_words(), "no model");
        forecast.note(Instant::now(), 0);
        assert_eq!(forecast.in_words(), "no model");
    }
}
