//! Outliers: records of a file whose times run ahead of the records around them.
//!
//! A record with a wrong clock would move its partition's watermark, and the records after it would all be late. A
//! message of Kafka has a time of its own to compare with; a record of a file only has its neighbours. A gap in the data,
//! such as a night, a weekend or a week between two records, looks like a wrong clock until the next records are known.
//! So the verdict waits for them.
//!
//! - Notation: N is the newest event time accepted before a record (none before the first), t its event time, and A the
//!   larger of `max_ahead` and the source's lateness.
//! - Definition: the record is *ahead* if t > N + A, or if it is the first. Of the up to [`FOLLOWERS`] decodable records
//!   after it, those before t − A that make up the longest sequence in order *go on without it*: each is at or after its
//!   predecessor in the sequence less A, and the first at or after N − A. A record that is ahead is an *outlier* if there
//!   are at least [`FEWEST`] followers and three quarters of them go on without it.
//! - Property: the verdict is a function of the log alone. It does not depend on batches, other partitions or the clock.
//!   Whatever follows a gap is accepted, since the records after it do not go back. So is the last record of a file, and
//!   so are records in no order at all, such as the rows of a table sorted by key: of 32 in random order, some 11 make a
//!   sequence.
//!
//! ```
//! use tidemill::source::OutlierRule;
//! let rule = OutlierRule::new(60, 0);
//! let outlier = |newest, time, after: &[i64]| rule.is_outlier(newest, time, after.iter().copied());
//! assert!(outlier(1_000, 9_000, &[1_010, 1_020, 1_030, 1_040]), "the others go on where they were");
//! assert!(!outlier(1_000, 9_000, &[9_010, 9_020, 9_030, 9_040]), "a gap");
//! ```

use crate::time::EventTime;

/// The number of records after one that its verdict depends on.
pub const FOLLOWERS: usize = 32;

/// The fewest records after one by which it can be told from a gap.
pub const FEWEST: usize = 3;

/// The rule by which records that run ahead are told from gaps in the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlierRule {
    /// The most that a record may be ahead, in ms.
    tolerance_ms: i64,
}

impl OutlierRule {
    /// Returns the rule for a source of this lateness, both in ms.
    pub fn new(max_ahead_ms: i64, lateness_ms: i64) -> Self {
        OutlierRule { tolerance_ms: max_ahead_ms.max(lateness_ms) }
    }

    /// Returns the most that a record may be ahead of the others, in ms.
    pub fn tolerance_ms(&self) -> i64 {
        self.tolerance_ms
    }

    /// Returns whether a record's verdict depends on the records after it. `newest` is the newest time before it; the
    /// minimum if it is the first.
    pub fn is_ahead(&self, newest: EventTime, time: EventTime) -> bool {
        self.tolerance_ms < i64::MAX && (newest == EventTime::MIN || time > newest.saturating_add(self.tolerance_ms))
    }

    /// Returns whether followers suffice to accept a record that is ahead, whatever comes after them.
    pub fn is_confirmed(&self, time: EventTime, followers: impl Iterator<Item = EventTime>) -> bool {
        let limit = time.saturating_sub(self.tolerance_ms);
        followers.filter(|follower| *follower >= limit).count() > FOLLOWERS / 4
    }

    /// Returns whether a record that is ahead is an outlier among all its followers.
    pub fn is_outlier(&self, newest: EventTime, time: EventTime, followers: impl Iterator<Item = EventTime>) -> bool {
        let tolerance = self.tolerance_ms;
        let limit = time.saturating_sub(tolerance);
        let mut count = 0;
        // The longest sequence in order that ends with each follower before the limit.
        let mut sequences: Vec<(EventTime, usize)> = Vec::with_capacity(FOLLOWERS);
        for follower in followers {
            count += 1;
            if follower >= limit {
                continue;
            }
            let before = sequences.iter().filter(|(time, _)| follower >= time.saturating_sub(tolerance));
            let longest = before.map(|(_, length)| *length).max();
            let goes_on = newest == EventTime::MIN || follower >= newest.saturating_sub(tolerance);
            if let Some(length) = longest.or(goes_on.then_some(0)) {
                sequences.push((follower, length + 1));
            }
        }
        let longest = sequences.iter().map(|(_, length)| *length).max().unwrap_or(0);
        count >= FEWEST && 4 * longest >= 3 * count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;
    const RULE: OutlierRule = OutlierRule { tolerance_ms: HOUR };

    /// The positions of the outliers in a log, by the definition.
    fn outliers(times: &[i64]) -> Vec<usize> {
        let (mut newest, mut found) = (EventTime::MIN, Vec::new());
        for (index, time) in times.iter().enumerate() {
            let after = times[index + 1..].iter().copied().take(FOLLOWERS);
            if RULE.is_ahead(newest, *time) && RULE.is_outlier(newest, *time, after) {
                found.push(index);
            } else {
                newest = newest.max(*time);
            }
        }
        found
    }

    /// A record a minute.
    fn minutes(count: i64) -> Vec<i64> {
        (0..count).map(|minute| minute * 60_000).collect()
    }

    #[test]
    fn wrong_clocks_are_outliers_at_the_start_in_the_middle_and_in_bursts() {
        for ahead in [2 * HOUR, DAY, 3650 * DAY] {
            for wrong in [vec![0], vec![1], vec![99], vec![100, 101, 102, 103, 104, 105, 106, 107], vec![5, 9, 20, 40]]
            {
                let mut times = minutes(600);
                wrong.iter().for_each(|index| times[*index] += ahead);
                assert_eq!(outliers(&times), wrong, "{ahead} ms ahead");
            }
        }
        // A device in ten, whose clock is wrong for good.
        let times: Vec<i64> = (0..600).map(|at| at * 60_000 + if at % 10 == 7 { DAY } else { 0 }).collect();
        assert_eq!(outliers(&times), (0..596).filter(|at| at % 10 == 7).collect::<Vec<_>>());
    }

    #[test]
    fn gaps_are_no_outliers() {
        let nights = (0..20).flat_map(|day| (0..40).map(move |minute| day * DAY + minute * 60_000));
        assert_eq!(outliers(&nights.collect::<Vec<_>>()), [0; 0]);
        let weekly: Vec<i64> = (0..200).map(|week| week * 7 * DAY).collect();
        assert_eq!(outliers(&weekly), [0; 0]);
        assert_eq!(outliers(&[0, 365 * DAY]), [0; 0], "the last record may follow a gap");
        let after_a_gap: Vec<i64> = minutes(50).into_iter().chain([400 * DAY, 400 * DAY + 1, 800 * DAY]).collect();
        assert_eq!(outliers(&after_a_gap), [0; 0]);
    }

    #[test]
    fn records_in_no_order_are_no_outliers() {
        let descending: Vec<i64> = (0..300).map(|day| -day * DAY).collect();
        assert_eq!(outliers(&descending), [0; 0]);
        let by_key: Vec<i64> = (0..50).flat_map(|_| (0..40).map(|day| day * DAY)).collect();
        assert_eq!(outliers(&by_key), [0; 0]);
        // Pseudo-random times over ten years, as of a table sorted by key.
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as i64 % (3650 * DAY)
        };
        for _ in 0..100 {
            let times: Vec<i64> = (0..500).map(|_| random()).collect();
            assert_eq!(outliers(&times), [0; 0]);
        }
    }

    #[test]
    fn a_record_that_is_confirmed_early_is_not_an_outlier() {
        let confirming = std::iter::repeat_n(DAY, FOLLOWERS / 4 + 1);
        assert!(RULE.is_confirmed(DAY, confirming.clone()));
        let most = confirming.chain((0..).map(|minute| minute * 60_000).take(FOLLOWERS - FOLLOWERS / 4 - 1));
        assert!(!RULE.is_outlier(0, DAY, most));
        assert!(!RULE.is_confirmed(DAY, std::iter::repeat_n(DAY, FOLLOWERS / 4)));
    }
}
