//! Rates of operators, sources and tables over the last seconds, from their counts each time that somebody looks.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::metrics::OperatorCounts;

/// The time over which rates are taken, if somebody looked so long ago; else it is longer.
const SPAN: Duration = Duration::from_secs(10);

/// The least time between two samples that are kept.
const PERIOD: Duration = Duration::from_millis(500);

/// The rates of an operator, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OperatorRates {
    pub records_in: f64,
    pub records_out: f64,
    /// Seconds of running per second, all workers together.
    pub busy: f64,
}

/// The rates of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SampledRates {
    pub operators: BTreeMap<String, OperatorRates>,
    /// Records read per second, by source or table: those that the ledger counts, whatever becomes of them.
    pub reads: BTreeMap<String, f64>,
}

/// Counts of the last seconds.
#[derive(Debug)]
pub struct RateSampler(Mutex<VecDeque<RateSample>>);

#[derive(Debug)]
struct RateSample {
    at: Instant,
    counts: SampledCounts,
}

/// The counts of a job.
#[derive(Clone, Debug, Default)]
pub struct SampledCounts {
    pub operators: BTreeMap<String, OperatorCounts>,
    /// Records read, by source or table.
    pub reads: BTreeMap<String, u64>,
}

impl RateSampler {
    /// Returns a sampler for counts that are zero now.
    pub fn new(now: Instant) -> Self {
        RateSampler(Mutex::new([RateSample { at: now, counts: SampledCounts::default() }].into()))
    }

    /// Returns the rates up to now, given the counts.
    pub fn rates(&self, now: Instant, counts: &SampledCounts) -> SampledRates {
        let mut samples = self.0.lock();
        // The oldest sample that is kept is at least as old as the span, if there is one.
        while samples.get(1).is_some_and(|second| now.duration_since(second.at) >= SPAN) {
            samples.pop_front();
        }
        let oldest = &samples[0];
        let seconds = now.duration_since(oldest.at).as_secs_f64().max(1e-3);
        let rate = |(name, counts): (&String, &OperatorCounts)| {
            let before = oldest.counts.operators.get(name).cloned().unwrap_or_default();
            let rates = OperatorRates {
                records_in: counts.records_in.saturating_sub(before.records_in) as f64 / seconds,
                records_out: counts.records_out.saturating_sub(before.records_out) as f64 / seconds,
                busy: (counts.busy_seconds - before.busy_seconds).max(0.0) / seconds,
            };
            (name.clone(), rates)
        };
        let read = |(name, reads): (&String, &u64)| {
            let before = oldest.counts.reads.get(name).copied().unwrap_or_default();
            (name.clone(), reads.saturating_sub(before) as f64 / seconds)
        };
        let operators = counts.operators.iter().map(rate).collect();
        let rates = SampledRates { operators, reads: counts.reads.iter().map(read).collect() };
        if samples.back().is_none_or(|newest| now.duration_since(newest.at) >= PERIOD) {
            samples.push_back(RateSample { at: now, counts: counts.clone() });
        }
        rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_seconds() {
        let start = Instant::now();
        let sampler = RateSampler::new(start);
        let rate = |second: u64, records_in: u64| {
            let counts = OperatorCounts { records_in, records_out: 0, busy_seconds: records_in as f64 / 1024.0 };
            let counts = SampledCounts {
                operators: BTreeMap::from([("a".to_owned(), counts)]),
                reads: BTreeMap::from([("s".to_owned(), 2 * records_in)]),
            };
            let SampledRates { operators, reads } = sampler.rates(start + Duration::from_secs(second), &counts);
            assert_eq!(operators["a"].busy, operators["a"].records_in / 1024.0);
            assert_eq!(reads["s"], 2.0 * operators["a"].records_in);
            operators["a"].records_in
        };
        assert_eq!(rate(4, 400), 100.0);
        assert_eq!(rate(8, 800), 100.0);
        // From here on, the first seconds no longer count.
        assert_eq!(rate(14, 800), 40.0);
        assert_eq!(rate(30, 800), 0.0);
        assert_eq!(rate(30, 2400), 100.0);
    }
}
