//! Sliding windows: the records of some time before the asking time, the oldest edge moving in hops.
//!
//! As of `a`, a window of W and hop h has the records with event time >= floor((a - W) / h) · h that took effect before
//! `a`: the newest edge is exact, the oldest at most one hop early. A pane is a hop's records of one entity; panes exist
//! where records are.

use super::WindowKind;
use super::merging::Merging;
use super::subtracting::Subtracting;
use crate::aggregate::algebra::{Aggregate, Invertible};
use crate::time::{DAY_MS, EventTime, format_duration, parse_duration};

const HOUR_MS: i64 = 3_600_000;

/// A sliding window of `size_ms` whose oldest edge moves in steps of `hop_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sliding {
    pub size_ms: i64,
    pub hop_ms: i64,
}

impl Sliding {
    /// The window of a size with the usual hop.
    pub fn new(size_ms: i64) -> Self {
        let hop_ms = match size_ms {
            _ if size_ms > 12 * DAY_MS => DAY_MS,
            _ if size_ms > 12 * HOUR_MS => HOUR_MS,
            _ if size_ms > HOUR_MS => 300_000,
            _ => (size_ms / 60).max(1),
        };
        Sliding { size_ms, hop_ms }
    }

    /// The pane of an event time: hops since the epoch, floored toward −∞.
    pub fn pane(self, event_time: EventTime) -> i64 {
        event_time.div_euclid(self.hop_ms)
    }

    /// The first asking time at which the records of a pane no longer count.
    ///
    /// The window as of `a` begins at floor((a − size) / hop) · hop, so pane p is out once that is (p + 1) · hop.
    pub fn expires_at(self, pane: i64) -> EventTime {
        (pane + 1) * self.hop_ms + self.size_ms
    }

    /// Whether a record of this event time still counts when it takes effect at `time`.
    pub fn admits(self, event_time: EventTime, time: EventTime) -> bool {
        self.expires_at(self.pane(event_time)) > time
    }
}

impl WindowKind for Sliding {
    type Subtracting<A: Invertible> = Subtracting<A>;
    type Merging<A: Aggregate> = Merging<A>;

    fn parse(text: &str) -> Option<Self> {
        parse_duration(text).filter(|size_ms| *size_ms > 0).map(Sliding::new)
    }

    /// As it was written; names hold no dots.
    fn suffix(self, written: &str) -> String {
        if written.contains('.') { format_duration(self.size_ms) } else { written.to_owned() }
    }

    fn describe(self) -> String {
        format!("the last {}", format_duration(self.size_ms))
    }

    fn size(self) -> String {
        format_duration(self.size_ms)
    }

    fn details(self) -> Option<String> {
        Some(format!("hop {}", format_duration(self.hop_ms)))
    }

    fn properties(self) -> Vec<(&'static str, serde_json::Value)> {
        vec![("size_ms", self.size_ms.into()), ("hop_ms", self.hop_ms.into())]
    }

    fn canonical(self) -> String {
        format!("({}, {})", self.size_ms, self.hop_ms)
    }

    fn reach_ms(self) -> Option<i64> {
        Some(self.size_ms + self.hop_ms)
    }

    fn panes(self) -> Option<i64> {
        Some(self.size_ms.div_euclid(self.hop_ms) + 2)
    }

    fn subtracting<A: Invertible>(self, aggregate: A) -> Subtracting<A> {
        Subtracting::new(self, aggregate)
    }

    fn merging<A: Aggregate>(self, aggregate: A) -> Merging<A> {
        Merging::new(self, aggregate)
    }
}
