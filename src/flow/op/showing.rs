//! How often a feature group shows what has changed.
//!
//! Showing at every activation would write an entity that changes all the time over and over. So after a showing that
//! took some time, the next waits for a multiple of that: a fifth of a worker goes into showing as long as the wait is
//! short, never more than half; a busy group shows each entity once a while, and a quiet one shows at once.

use std::time::{Duration, Instant};

use crate::time::EventTime;

/// The pause after a showing, in times of what it took, and up to where it is that many; after that, it is as long.
const REST: u32 = 4;
const SHORT: Duration = Duration::from_millis(20);

/// When a group has shown and may show again.
pub struct Showing {
    next: Instant,
}

impl Default for Showing {
    fn default() -> Self {
        Showing { next: Instant::now() }
    }
}

impl Showing {
    /// Shows, unless it is too soon and there is more to come after `done`; says whether it did.
    pub fn show(&mut self, done: EventTime, show: impl FnOnce()) -> bool {
        let begun = Instant::now();
        if begun < self.next && done < EventTime::MAX {
            return false;
        }
        show();
        let took = begun.elapsed();
        self.next = begun + took + (took * REST).min(SHORT).max(took);
        true
    }

    /// How long it still is too soon.
    pub fn wait(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }
}
