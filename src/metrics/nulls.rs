//! Counts of values that are null because they could not be computed, by place and reason.
//!
//! A place is an operator of the graph. Counters are created once and shared by all workers; a value is counted once, in
//! the place that made it null, and counts begin with the process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use prometheus::IntCounterVec;

/// The reason why a value is null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullReason {
    /// The result of an expression is infinite or not a number.
    NonFinite,
    /// The result of an expression is an int that does not fit 64 bits.
    Overflow,
    /// A cast cannot read its text.
    Unreadable,
    /// A value beyond ±1e18 is null for the aggregates that sum.
    Unsummable,
    /// A sum of ints in a window does not fit 64 bits.
    SumOverflow,
    /// A number beyond ±1e18 is null for a model.
    OutOfRange,
    /// The `at` of a view has no value, or no time that an event may have: its record is dropped.
    NoTime,
    /// The `at` of a view lies before the event time of its record, which stands instead.
    EarlyTime,
}

impl NullReason {
    pub const ALL: [NullReason; 8] = [
        NullReason::NonFinite,
        NullReason::Overflow,
        NullReason::Unreadable,
        NullReason::Unsummable,
        NullReason::SumOverflow,
        NullReason::OutOfRange,
        NullReason::NoTime,
        NullReason::EarlyTime,
    ];

    /// The value of the label `reason`.
    pub fn name(self) -> &'static str {
        match self {
            NullReason::NonFinite => "non_finite",
            NullReason::Overflow => "overflow",
            NullReason::Unreadable => "unreadable",
            NullReason::Unsummable => "unsummable",
            NullReason::SumOverflow => "sum_overflow",
            NullReason::OutOfRange => "out_of_range",
            NullReason::NoTime => "no_time",
            NullReason::EarlyTime => "early_time",
        }
    }
}

/// The counts of one place.
#[derive(Debug, Default)]
pub struct NullCounter([AtomicU64; NullReason::ALL.len()]);

impl NullCounter {
    /// Counts values.
    pub fn add(&self, reason: NullReason, values: u64) {
        if values > 0 {
            self.0[reason as usize].fetch_add(values, Relaxed);
        }
    }

    /// Returns the number of values counted so far.
    pub fn get(&self, reason: NullReason) -> u64 {
        self.0[reason as usize].load(Relaxed)
    }
}

/// Counts of a place that are kept by its metric alone, outside the graph.
#[derive(Clone, Debug)]
pub struct NullMetric {
    pub(super) counters: IntCounterVec,
    pub(super) place: String,
}

impl NullMetric {
    /// Counts values.
    pub fn add(&self, reason: NullReason, values: u64) {
        if values > 0 {
            self.counters.with_label_values(&[self.place.as_str(), reason.name()]).inc_by(values);
        }
    }
}

/// The counts of all places.
#[derive(Debug, Default)]
pub struct NullCounts(Mutex<BTreeMap<String, Arc<NullCounter>>>);

impl NullCounts {
    /// Returns the counter of a place, the same one at every call.
    pub fn place(&self, name: &str) -> Arc<NullCounter> {
        self.0.lock().expect("no holder panics").entry(name.to_owned()).or_default().clone()
    }

    /// Returns the counts that are not 0, by place and reason.
    pub fn counts(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        let places = self.0.lock().expect("no holder panics");
        let counts = |counter: &NullCounter| -> BTreeMap<String, u64> {
            let named = NullReason::ALL.map(|reason| (reason.name().to_owned(), counter.get(reason)));
            named.into_iter().filter(|(_, count)| *count > 0).collect()
        };
        let places = places.iter().map(|(place, counter)| (place.clone(), counts(counter)));
        places.filter(|(_, counts)| !counts.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_counter_and_only_counts_that_are_not_zero_are_listed() {
        let nulls = NullCounts::default();
        nulls.place("view.a").add(NullReason::NonFinite, 2);
        nulls.place("view.a").add(NullReason::NonFinite, 3);
        nulls.place("view.b").add(NullReason::Overflow, 0);
        let counts = nulls.counts();
        assert_eq!(
            counts.into_iter().collect::<Vec<_>>(),
            [("view.a".to_owned(), [("non_finite".to_owned(), 5)].into())]
        );
    }

    #[test]
    fn reasons_are_listed_in_the_order_of_their_numbers() {
        assert!(NullReason::ALL.iter().enumerate().all(|(at, reason)| at == *reason as usize));
    }
}
