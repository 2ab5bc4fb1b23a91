//! How often a feature group shows what has changed, and for how long at a time.
//!
//! Showing at every activation would write an entity that changes all the time over and over. So after showing for some
//! time, it waits for a multiple of that: a fifth of a worker goes into showing as long as little has changed, never more
//! than half; a busy group shows each entity once a while, and a quiet one shows at once. A round of showing that is long
//! is cut into slices, so that the other operators of the worker get their turn. (What a round begins with is not: records
//! that have come to open entities, and entities that have left.)

use std::time::{Duration, Instant};

use crate::time::EventTime;

/// The longest slice.
const SLICE: Duration = Duration::from_millis(2);

/// The pause after a slice, in times of what it took, as long as its round is short; after that, it is as long.
const REST: u32 = 4;
const SHORT: Duration = Duration::from_millis(5);

/// When a group has shown and may show again.
pub struct Showing {
    next: Instant,
    /// The round under way: what was closed when it began, and what it has taken.
    round: Option<(EventTime, Duration)>,
}

impl Default for Showing {
    fn default() -> Self {
        Showing { next: Instant::now(), round: None }
    }
}

impl Showing {
    /// Shows a slice, unless it is too soon and there is more to come after `done`; gives the time up to which all is
    /// shown once a round is over. `show` goes on for some time, if one is given, and says whether its round is over.
    pub fn show(&mut self, done: EventTime, mut show: impl FnMut(Option<Duration>) -> bool) -> Option<EventTime> {
        let begun = Instant::now();
        if done == EventTime::MAX {
            // What has begun before may lack what has closed since.
            while !show(None) || self.round.take().is_some() {}
            return Some(done);
        }
        if begun < self.next {
            return None;
        }
        let (from, taken) = self.round.get_or_insert((done, Duration::ZERO));
        let over = show(Some(SLICE));
        let took = begun.elapsed();
        *taken += took;
        self.next = begun + took + if *taken < SHORT { took * REST } else { took };
        let from = *from;
        over.then(|| {
            self.round = None;
            from
        })
    }

    /// How long it still is too soon.
    pub fn wait(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_of_when_it_began_and_the_end_is_shown_whole() {
        let mut showing = Showing::default();
        assert_eq!(showing.show(7, |_| false), None);
        showing.next = Instant::now();
        assert_eq!(showing.show(8, |_| true), Some(7));
        showing.next = Instant::now();
        assert_eq!(showing.show(9, |_| false), None);
        let mut rounds = 0;
        let end = showing.show(EventTime::MAX, |until| {
            assert_eq!(until, None);
            rounds += 1;
            true
        });
        assert_eq!((end, rounds), (Some(EventTime::MAX), 2), "the round under way, then one of all");
    }

    #[test]
    fn showing_again_at_once_is_too_soon() {
        let (mut showing, begun, took) = (Showing::default(), Instant::now(), Duration::from_millis(1));
        let slow = |_| {
            std::thread::sleep(took);
            true
        };
        assert_eq!(showing.show(1, slow), Some(1));
        assert!(showing.next >= begun + took + took * REST);
        showing.next = begun + Duration::from_secs(3600);
        assert!(showing.wait() > took);
        assert_eq!(showing.show(2, |_| panic!("it is too soon")), None);
    }
}
