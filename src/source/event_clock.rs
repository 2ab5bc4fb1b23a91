//! The clock that event time follows while Kafka has no new records.
//!
//! Event time never moves back, so a wall clock that is wrong for a moment would close times for which records are still
//! to come. This clock is the wall clock without its jumps:
//!
//! - Forward, it runs at most [`CATCH_UP`] faster than the monotonic clock. A clock that is an hour ahead for 10 s moves it
//!   by 0.1 s. After the machine was suspended, it is behind the wall clock until a message confirms the new time.
//! - A message of a broker is evidence that it is at least as late as the message's timestamp; the clock follows, up to the
//!   wall clock.
//! - A broker's own timestamp on a message that has just arrived (`message.timestamp.type = LogAppendTime`) is evidence
//!   that it is no later, either: a wall clock that is ahead of the brokers is not followed.
//! - Backward, it follows the wall clock at once.
//!
//! ```
//! use std::time::Duration;
//! use tidemill::source::{Evidence, EventClock};
//! let clock = EventClock::starting_at(1_000_000);
//! let at = |seconds| Duration::from_secs(seconds);
//! assert_eq!(clock.read(8_200_000, at(10)), 1_010_100, "two hours ahead");
//! assert_eq!(clock.read(1_020_000, at(20)), 1_020_000);
//! ```

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::time::EventTime;

/// The share by which the clock may be faster than the monotonic clock.
const CATCH_UP: f64 = 0.01;

/// The time by which a broker's clock may be behind the wall clock, in ms.
const SKEW_MS: i64 = 1_000;

/// A piece of evidence of the brokers' clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The brokers' clock is at this time or later.
    AtLeast(EventTime),
    /// The brokers' clock has just been at this time.
    Now(EventTime),
}

/// The wall clock without its jumps, shared by all partitions of a job.
#[derive(Debug)]
pub struct EventClock {
    origin: Instant,
    state: Mutex<ClockState>,
}

#[derive(Clone, Copy, Debug)]
struct ClockState {
    /// Time in ms; a fraction is kept, however often the clock is read.
    time: f64,
    /// The wall clock when it was last read.
    wall: EventTime,
    /// The monotonic clock then.
    monotonic: Duration,
}

impl Default for EventClock {
    /// Returns a clock that starts at the wall clock's time.
    fn default() -> Self {
        EventClock::starting_at(wall_clock())
    }
}

impl EventClock {
    /// Returns a clock that starts now, with the wall clock at this time in ms.
    pub fn starting_at(wall: EventTime) -> Self {
        let state = ClockState { time: wall as f64, wall, monotonic: Duration::ZERO };
        EventClock { origin: Instant::now(), state: Mutex::new(state) }
    }

    /// Returns the time, in ms.
    pub fn now(&self) -> EventTime {
        self.read(wall_clock(), self.origin.elapsed())
    }

    /// Returns the time when the wall clock is at this time, in ms, and the monotonic clock so long after the start.
    pub fn read(&self, wall: EventTime, monotonic: Duration) -> EventTime {
        let mut state = self.state.lock().expect("no holder panics");
        let elapsed = monotonic.saturating_sub(state.monotonic).as_secs_f64() * 1e3;
        let time = (wall as f64).min(state.time + elapsed * (1.0 + CATCH_UP));
        *state = ClockState { time, wall, monotonic };
        time.round() as EventTime
    }

    /// Takes evidence of the brokers' clock into account.
    pub fn observe_broker_time(&self, evidence: Evidence) {
        self.now();
        let mut state = self.state.lock().expect("no holder panics");
        let (Evidence::AtLeast(at) | Evidence::Now(at)) = evidence;
        state.time = state.time.max(at.min(state.wall) as f64);
        if let Evidence::Now(now) = evidence {
            state.time = state.time.min(now.saturating_add(SKEW_MS) as f64);
        }
    }
}

fn wall_clock() -> EventTime {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn jumps_of_the_wall_clock_are_not_followed_forward() {
        let clock = EventClock::starting_at(0);
        let read = |seconds: u64, wall: i64| clock.read(wall, Duration::from_secs(seconds));
        // Two hours ahead for eight seconds, read every second.
        let times: Vec<i64> = (1..=8).map(|second| read(second, second as i64 * 1000 + 2 * HOUR)).collect();
        assert_eq!(times.last(), Some(&8_080));
        assert_eq!(read(9, 9_000), 9_000);
        // However often it is read.
        let often: Vec<i64> =
            (1..=10_000).map(|at| clock.read(2 * HOUR, Duration::from_micros(9_000_000 + at * 100))).collect();
        assert_eq!(often.last(), Some(&10_010));
        // Behind, and forward again.
        assert_eq!(read(10, 10_000 - HOUR), 10_000 - HOUR);
        assert_eq!(read(11, 11_000), 11_010 - HOUR);
    }

    #[test]
    fn messages_confirm_the_wall_clock_and_brokers_correct_it() {
        let clock = EventClock::default();
        let wall = clock.now();
        let offset = |clock: &EventClock| {
            let state = clock.state.lock().unwrap();
            state.time as i64 - state.wall
        };
        // The machine was suspended for an hour.
        clock.state.lock().unwrap().time -= HOUR as f64;
        clock.observe_broker_time(Evidence::AtLeast(wall - 2 * HOUR));
        assert!(offset(&clock) < -HOUR / 2);
        clock.observe_broker_time(Evidence::AtLeast(wall));
        assert!(offset(&clock) > -HOUR / 2);
        clock.observe_broker_time(Evidence::AtLeast(wall + 10 * HOUR));
        assert!(offset(&clock) <= 0, "no message moves it beyond the wall clock");
        // The wall clock has been ahead of the brokers since the start.
        clock.observe_broker_time(Evidence::Now(wall - HOUR));
        assert!(offset(&clock) <= SKEW_MS - HOUR);
    }
}
