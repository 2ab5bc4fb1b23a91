//! The rhythm in which a feature group publishes.
//!
//! Publishing at every activation would rewrite hot entities. After publishing for t the operator pauses 4t (20 % of a
//! worker's time), and t once a round has taken 5 ms (50 %): a busy group publishes each entity once in a while, and a quiet
//! one at once. Rounds are cut into slices of 2 ms so that other operators can run.

use std::time::{Duration, Instant};

use super::work_slice::SliceLength;
use crate::time::EventTime;

/// The pause after a slice, as a multiple of its duration, while the round has taken less than `SHORT_ROUND`; 1x after
/// that.
const PAUSE_FACTOR: u32 = 4;
const SHORT_ROUND: Duration = Duration::from_millis(5);

/// The schedule of a group's rounds of publishing.
pub struct PublishThrottle {
    length: SliceLength,
    /// No slice begins before this.
    next: Instant,
    round: Option<ThrottledRound>,
}

/// A round under way.
struct ThrottledRound {
    /// All times before this were closed when it began.
    closed: EventTime,
    /// The time that its slices have taken.
    taken: Duration,
}

impl PublishThrottle {
    /// A throttle of slices of this length.
    pub fn new(length: SliceLength) -> Self {
        PublishThrottle { length, next: Instant::now(), round: None }
    }

    /// Publishes a slice, unless it is too soon; `done` is the time before which everything is closed. Returns the time
    /// before which everything is published, once a round is over. `publish` publishes for a slice, if its length is given,
    /// and returns whether its round is over. At the end of time all is published at once.
    pub fn run(&mut self, done: EventTime, mut publish: impl FnMut(Option<SliceLength>) -> bool) -> Option<EventTime> {
        let begun = Instant::now();
        if done == EventTime::MAX {
            // A round that began before may lack what has closed since.
            while !publish(None) || self.round.take().is_some() {}
            return Some(done);
        }
        if begun < self.next {
            return None;
        }
        let round = self.round.get_or_insert(ThrottledRound { closed: done, taken: Duration::ZERO });
        let over = publish(Some(self.length));
        let took = begun.elapsed();
        round.taken += took;
        self.next = begun + took + if round.taken < SHORT_ROUND { took * PAUSE_FACTOR } else { took };
        let closed = round.closed;
        over.then(|| {
            self.round = None;
            closed
        })
    }

    /// The time until the next slice may begin.
    pub fn wait(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_covers_what_had_closed_when_it_began_and_the_last_covers_everything() {
        let mut throttle = PublishThrottle::new(SliceLength::default());
        assert_eq!(throttle.run(7, |_| false), None);
        throttle.next = Instant::now();
        assert_eq!(throttle.run(8, |_| true), Some(7));
        throttle.next = Instant::now();
        assert_eq!(throttle.run(9, |_| false), None);
        let mut rounds = 0;
        let end = throttle.run(EventTime::MAX, |until| {
            assert_eq!(until, None);
            rounds += 1;
            true
        });
        assert_eq!((end, rounds), (Some(EventTime::MAX), 2), "the round under way, then one of all");
    }

    #[test]
    fn publishing_again_at_once_is_too_soon() {
        let mut throttle = PublishThrottle::new(SliceLength::default());
        let (begun, took) = (Instant::now(), Duration::from_millis(1));
        let slow = |_| {
            std::thread::sleep(took);
            true
        };
        assert_eq!(throttle.run(1, slow), Some(1));
        assert!(throttle.next >= begun + took + took * PAUSE_FACTOR);
        throttle.next = begun + Duration::from_secs(3600);
        assert!(throttle.wait() > took);
        assert_eq!(throttle.run(2, |_| panic!("it is too soon")), None);
    }
}
