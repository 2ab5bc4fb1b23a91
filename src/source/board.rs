//! What partitions know of each other: how far each has come, which have ended, and the clock that files are played by.
//!
//! One board a process, shared by all workers. A partition writes its own lane and reads the least of all.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::ledger::Tally;
use crate::time::EventTime;

/// How fast files are played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as they can be read.
    Max,
    /// Event seconds per second.
    Times(f64),
    /// As far as [`Board::step_to`] says.
    Stepped,
}

/// One partition, as the others see it.
#[derive(Debug)]
pub struct Lane {
    pub source: String,
    pub partition: u32,
    /// No record to come takes effect before this.
    watermark: AtomicI64,
    newest: AtomicI64,
    /// The newest effective time that the graph was given.
    given: AtomicI64,
    ended: AtomicBool,
    started: AtomicBool,
    ledger: Mutex<(Tally, u64)>,
}

impl Lane {
    /// Says how far the partition has come.
    pub fn advance(&self, watermark: EventTime) {
        self.watermark.fetch_max(watermark, SeqCst);
    }

    /// Says that a record takes effect at this time.
    pub fn note(&self, time: EventTime) {
        self.newest.fetch_max(time, SeqCst);
    }

    /// Says that the graph was given a record of this time.
    pub fn give(&self, time: EventTime) {
        self.given.fetch_max(time, SeqCst);
    }

    /// Says that nothing will come any more.
    pub fn end(&self) {
        self.started.store(true, SeqCst);
        self.ended.store(true, SeqCst);
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    pub fn watermark(&self) -> EventTime {
        self.watermark.load(SeqCst)
    }

    /// Publishes the ledger and what is in flight.
    pub fn report(&self, tally: Tally, in_flight: u64) {
        *self.ledger.lock().expect("no holder panics") = (tally, in_flight);
    }

    /// The ledger as last published, and the records in flight.
    pub fn ledger(&self) -> (Tally, u64) {
        *self.ledger.lock().expect("no holder panics")
    }
}

#[derive(Debug)]
struct Play {
    started: Instant,
    event_start: EventTime,
}

/// All partitions of a job.
#[derive(Debug)]
pub struct Board {
    lanes: Mutex<Vec<Arc<Lane>>>,
    pace: Pace,
    /// Where outputs begin, if not with the first record.
    from: Option<EventTime>,
    /// Where outputs stop, if not at the newest event.
    until: Option<EventTime>,
    play: Mutex<Option<Play>>,
    stepped: AtomicI64,
    expected: usize,
}

impl Board {
    /// A board for `expected` partitions; nothing moves before all have joined.
    pub fn new(expected: usize, pace: Pace, from: Option<EventTime>, until: Option<EventTime>) -> Arc<Self> {
        Arc::new(Board {
            lanes: Mutex::default(),
            pace,
            from,
            until,
            play: Mutex::default(),
            stepped: AtomicI64::new(i64::MIN),
            expected,
        })
    }

    /// A lane for a partition.
    pub fn join(&self, source: &str, partition: u32) -> Arc<Lane> {
        let lane = Arc::new(Lane {
            source: source.to_owned(),
            partition,
            watermark: AtomicI64::new(i64::MIN),
            newest: AtomicI64::new(i64::MIN),
            given: AtomicI64::new(i64::MIN),
            ended: AtomicBool::new(false),
            started: AtomicBool::new(false),
            ledger: Mutex::default(),
        });
        self.lanes.lock().expect("no holder panics").push(lane.clone());
        lane
    }

    pub fn lanes(&self) -> Vec<Arc<Lane>> {
        self.lanes.lock().expect("no holder panics").clone()
    }

    /// The input frontier: the least watermark of the partitions that have not ended; once all have, the end of the
    /// job, which is `until` or just after the newest event.
    pub fn frontier(&self) -> EventTime {
        let lanes = self.lanes.lock().expect("no holder panics");
        if lanes.len() < self.expected {
            return i64::MIN;
        }
        let open = lanes.iter().filter(|lane| !lane.has_ended()).map(|lane| lane.watermark()).min();
        let newest = lanes.iter().map(|lane| lane.newest.load(SeqCst)).max().unwrap_or(i64::MIN);
        let end = self.until.unwrap_or(newest.saturating_add(1));
        open.unwrap_or(end).min(self.until.unwrap_or(i64::MAX))
    }

    /// Whether every partition has ended.
    pub fn all_ended(&self) -> bool {
        let lanes = self.lanes.lock().expect("no holder panics");
        lanes.len() >= self.expected && lanes.iter().all(|lane| lane.has_ended())
    }

    /// Where outputs begin, if that was asked for.
    pub fn from(&self) -> Option<EventTime> {
        self.from
    }

    /// Where outputs stop, if that was asked for.
    pub fn until(&self) -> Option<EventTime> {
        self.until
    }

    /// Says that a partition has read its first record, at this event time. Play begins with the last to say so.
    pub fn begin(&self, lane: &Lane, time: EventTime) {
        if lane.started.swap(true, SeqCst) {
            return;
        }
        let mut play = self.play.lock().expect("no holder panics");
        let start = play.as_ref().map_or(time, |play| play.event_start.min(time));
        *play = Some(Play { started: Instant::now(), event_start: start });
    }

    /// How far in event time play has come; everything where the pace is `max`.
    pub fn now(&self) -> EventTime {
        let speed = match self.pace {
            Pace::Max => return EventTime::MAX,
            Pace::Stepped => return self.stepped.load(SeqCst),
            Pace::Times(speed) => speed,
        };
        let lanes = self.lanes.lock().expect("no holder panics");
        if lanes.len() < self.expected || lanes.iter().any(|lane| !lane.started.load(SeqCst)) {
            return i64::MIN;
        }
        match &*self.play.lock().expect("no holder panics") {
            None => i64::MIN,
            Some(play) => play.event_start.saturating_add((play.started.elapsed().as_secs_f64() * 1e3 * speed) as i64),
        }
    }

    /// Lets a stepped board play on, up to this time.
    pub fn step_to(&self, time: EventTime) {
        self.stepped.fetch_max(time, SeqCst);
    }

    /// The newest effective time that the graph was given.
    pub fn given(&self) -> EventTime {
        let lanes = self.lanes.lock().expect("no holder panics");
        lanes.iter().map(|lane| lane.given.load(SeqCst)).max().unwrap_or(EventTime::MIN)
    }
}
