//! The panes of sliding windows.
//!
//! As of `a`, a window of W and hop h has the records with event time >= floor((a - W) / h) · h that took effect before
//! `a`: the newest edge is exact, the oldest at most one hop early. A pane is a hop's records of one entity; panes exist
//! where records are.

use crate::time::{DAY_MS, EventTime};

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

    /// The most panes that an entity can have.
    pub fn most_panes(self) -> i64 {
        self.size_ms.div_euclid(self.hop_ms) + 2
    }

    /// Returns whether a pane can hold records: its times are none that arithmetic on times could overflow with.
    pub fn has_pane(self, pane: i64) -> bool {
        const FARTHEST: i64 = 1 << 60;
        pane.checked_mul(self.hop_ms).is_some_and(|start| (-FARTHEST..=FARTHEST).contains(&start))
    }

    /// Returns whether a record of this event time still counts when it takes effect at `time`.
    pub fn admits(self, event_time: EventTime, time: EventTime) -> bool {
        self.expires_at(self.pane(event_time)) > time
    }
}
