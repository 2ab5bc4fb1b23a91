//! Playback clock: how far in event time the records of files may be emitted.
//!
//! Files are played at a multiple of the speed at which their events happened, beside each other and beside live topics.
//! Invariant: nothing is emitted before all partitions that are not live have had a record, so that the first event of
//! all is known when the clock starts.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::{PartitionProgress, Partitions};
use crate::time::EventTime;

/// The speed at which files are played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlaybackSpeed {
    /// No limit: records are emitted when they are read.
    Unlimited,
    /// Event seconds per second.
    Factor(f64),
    /// Up to the time that [`PlaybackClock::step_to`] was given.
    Manual,
}

/// The clock of a job, shared by all workers.
#[derive(Debug)]
pub struct PlaybackClock {
    partitions: Arc<Partitions>,
    speed: PlaybackSpeed,
    start: Mutex<Option<PlaybackStart>>,
    step: AtomicI64,
}

#[derive(Debug)]
struct PlaybackStart {
    at: Instant,
    event_time: EventTime,
    /// True if a live partition has started the clock: then the first that is not live restarts it.
    is_live: bool,
}

impl PlaybackClock {
    /// Returns a clock that has not been started.
    pub fn new(partitions: &Arc<Partitions>, speed: PlaybackSpeed) -> Arc<Self> {
        let (partitions, step) = (partitions.clone(), AtomicI64::new(EventTime::MIN));
        Arc::new(PlaybackClock { partitions, speed, start: Mutex::default(), step })
    }

    /// Starts the clock for a partition whose first record has this event time; later calls for it do nothing. The clock
    /// runs from the last start by a partition that is not live, or from the first start if all are live.
    pub fn start(&self, partition: &PartitionProgress, time: EventTime) {
        if partition.start() {
            return;
        }
        let mut start = self.start.lock().expect("no holder panics");
        let is_live = partition.is_live();
        let event_time = match &*start {
            Some(_) if is_live => return,
            Some(start) if !start.is_live => start.event_time.min(time),
            _ => time,
        };
        *start = Some(PlaybackStart { at: Instant::now(), event_time, is_live });
    }

    /// Returns the event time up to which records may be emitted: the minimum before the clock has started, the maximum
    /// if the speed is unlimited.
    pub fn now(&self) -> EventTime {
        let speed = match self.speed {
            PlaybackSpeed::Unlimited => return EventTime::MAX,
            PlaybackSpeed::Manual => return self.step.load(SeqCst),
            PlaybackSpeed::Factor(speed) => speed,
        };
        let is_awaited = |partition: &Arc<PartitionProgress>| !partition.has_started() && !partition.is_live();
        if !self.partitions.is_discovery_complete() || self.partitions.with(|list| list.iter().any(is_awaited)) {
            return EventTime::MIN;
        }
        match &*self.start.lock().expect("no holder panics") {
            None => EventTime::MIN,
            Some(start) => start.event_time.saturating_add((start.at.elapsed().as_secs_f64() * 1e3 * speed) as i64),
        }
    }

    /// Advances a manual clock to this time.
    pub fn step_to(&self, time: EventTime) {
        self.step.fetch_max(time, SeqCst);
    }
}
