//! The lengths of windows, from the times of a sample.

use crate::time::{DAY_MS, EventTime};

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// Lengths that people think in.
const ROUND: [i64; 17] = [
    SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY_MS,
    7 * DAY_MS,
    30 * DAY_MS,
    90 * DAY_MS,
    365 * DAY_MS,
];

/// Training windows in the span of a sample, about, and the fewest examples in one.
const TRAINING_WINDOWS: i64 = 50;
const LEAST_EXAMPLES: i64 = 50;

/// Records of an entity in the shorter and in the longer window, about.
const SHORT_RECORDS: f64 = 3.0;
const LONG_RECORDS: f64 = 20.0;

/// Returns the least round length that is not shorter; 0 for 0.
pub fn round_up(ms: i64) -> i64 {
    match ms {
        ..=0 => 0,
        ms => ROUND.into_iter().find(|round| *round >= ms).unwrap_or(ROUND[ROUND.len() - 1].max(ms)),
    }
}

/// The span of a sample, and its records.
#[derive(Clone, Copy, Debug)]
pub struct SampledSpan {
    pub ms: i64,
    pub records: usize,
}

impl SampledSpan {
    /// Returns the span of times.
    pub fn of(times: &[Option<EventTime>]) -> Self {
        let known = || times.iter().flatten().copied();
        let ms = known().max().unwrap_or(0).saturating_sub(known().min().unwrap_or(0));
        SampledSpan { ms, records: known().count() }
    }

    /// Returns the length of a training window.
    pub fn training_window(self) -> i64 {
        let records = i64::try_from(self.records).unwrap_or(i64::MAX).max(1);
        let windows = TRAINING_WINDOWS.min(records / LEAST_EXAMPLES).max(1);
        if self.ms == 0 { DAY_MS } else { longest(round_up(self.ms / windows)) }
    }

    /// Returns the lengths of the windows of features of so many entities, the shortest first.
    pub fn feature_windows(self, entities: usize) -> Vec<i64> {
        if self.ms == 0 || self.records == 0 {
            return vec![HOUR, DAY_MS];
        }
        let gap = self.ms as f64 * entities.max(1) as f64 / self.records as f64;
        let window = |records: f64| longest(round_up(((gap * records) as i64).clamp(1, (self.ms / 3).max(1))));
        let mut windows = vec![window(SHORT_RECORDS), window(LONG_RECORDS)];
        windows.dedup();
        windows
    }
}

/// Returns a length that is no longer than a year.
fn longest(ms: i64) -> i64 {
    ms.clamp(SECOND, 365 * DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_round_and_follow_from_the_span_and_the_records() {
        assert_eq!(
            [0, 1, 1001, 7 * HOUR, 400 * DAY_MS].map(round_up),
            [0, SECOND, 5 * SECOND, 12 * HOUR, 400 * DAY_MS]
        );
        let year = SampledSpan { ms: 365 * DAY_MS, records: 100_000 };
        assert_eq!(year.training_window(), 30 * DAY_MS);
        assert_eq!(year.feature_windows(1000), [30 * DAY_MS, 90 * DAY_MS]);
        assert_eq!(SampledSpan::of(&[Some(5), None]).training_window(), DAY_MS);
        assert_eq!(SampledSpan::of(&[]).feature_windows(0), [HOUR, DAY_MS]);
    }
}
