//! Persistence: the prediction that nothing changes, which is the last known label of the same key.
//!
//! As a version does, it knows at an example's time what became known before it. Labels are kept for as long as an example
//! can still ask for them, and no more than [`MOST_KEYS`] keys are: those that came first. An example of another key, or
//! whose key has no label yet, is predicted without skill, so that all examples are scored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::EventTime;

/// Keys whose labels are kept.
const MOST_KEYS: usize = 100_000;

/// A label, and when it became known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct KnownLabel {
    known: EventTime,
    label: f64,
}

/// The newest labels by key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LastLabels {
    by_key: BTreeMap<u64, Vec<KnownLabel>>,
}

impl LastLabels {
    /// Returns the last label of a key that was known before `t`.
    pub fn before(&self, key: u64, t: EventTime) -> Option<f64> {
        let labels = self.by_key.get(&key)?;
        let after = labels.partition_point(|label| label.known < t);
        after.checked_sub(1).map(|last| labels[last].label)
    }

    /// Adds a label that became known at `known`, no earlier than those before. Examples ask as of `known` less `within` or
    /// later from then on.
    pub fn add(&mut self, key: u64, known: EventTime, label: f64, within: EventTime) {
        let has_room = self.by_key.len() < MOST_KEYS;
        let labels = match self.by_key.get_mut(&key) {
            Some(labels) => labels,
            None if has_room => self.by_key.entry(key).or_default(),
            None => return,
        };
        labels.push(KnownLabel { known, label });
        let asked = known.saturating_sub(within);
        let needed = labels.partition_point(|label| label.known < asked).saturating_sub(1);
        labels.drain(..needed);
    }

    /// Returns whether all labels are in order, and are ones that `is_label` admits.
    pub fn fits(&self, is_label: impl Fn(f64) -> bool) -> bool {
        let is_sorted = |labels: &Vec<KnownLabel>| labels.is_sorted_by(|one, other| one.known <= other.known);
        self.by_key.len() <= MOST_KEYS
            && self.by_key.values().all(is_sorted)
            && self.by_key.values().flatten().all(|label| is_label(label.label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_label_is_the_one_that_was_known_before_the_example() {
        let mut last = LastLabels::default();
        for known in [10, 20, 20, 30] {
            last.add(7, known, known as f64, 15);
        }
        assert_eq!([15, 20, 21, 30, 31].map(|t| last.before(7, t)), [10.0, 10.0, 20.0, 20.0, 30.0].map(Some));
        assert_eq!((last.before(7, 10), last.before(8, 31)), (None, None));
        last.add(7, 100, 1.0, 15);
        assert_eq!(last.by_key[&7].len(), 2, "what can no longer be looked up is dropped");
        assert_eq!(last.before(7, 90), Some(30.0));
    }
}
