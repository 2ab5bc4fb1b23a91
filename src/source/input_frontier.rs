//! Input frontier: the event time below which the graph gets no more records.
//!
//! It is the least watermark of all partitions of all sources, so an operator that follows it is never past a record
//! still to come. Invariants: it never moves back, and it moves under a lock ([`InputFrontier::advance`]) that a
//! checkpoint's barrier takes, too ([`InputFrontier::inject_barrier`]): at that moment no operator has passed it.

use std::sync::{Arc, Mutex};

use super::{PartitionProgress, Partitions};
use crate::time::EventTime;

/// The rule by which a partition with nothing to read stops holding the frontier back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdlenessPolicy {
    /// The time that a partition has nothing to read before it is idle.
    pub after_ms: i64,
    /// True if an idle partition follows the wall clock, as [`EventClock`](super::EventClock) reads it; else it follows the
    /// newest event.
    pub wall: bool,
}

/// The input frontier of a job.
#[derive(Debug)]
pub struct InputFrontier {
    partitions: Arc<Partitions>,
    /// The end of the outputs; the newest event if not given.
    until: Option<EventTime>,
    idleness: Option<IdlenessPolicy>,
    /// The newest frontier that was handed out.
    frontier: Mutex<EventTime>,
}

impl InputFrontier {
    /// Returns the frontier of these partitions. It ends at `until`, if given, else just after the newest event. Without
    /// a policy, an idle partition holds it back for as long as it takes.
    pub fn new(partitions: &Arc<Partitions>, until: Option<EventTime>, idleness: Option<IdlenessPolicy>) -> Arc<Self> {
        let partitions = partitions.clone();
        Arc::new(InputFrontier { partitions, until, idleness, frontier: Mutex::new(EventTime::MIN) })
    }

    /// Returns the end of the outputs, if one was given.
    pub fn until(&self) -> Option<EventTime> {
        self.until
    }

    pub fn idleness(&self) -> Option<IdlenessPolicy> {
        self.idleness
    }

    /// Returns the least watermark of the partitions that have not ended; once all have, the end of the job. An idle
    /// partition is no further back than the policy allows. The minimum before discovery is complete.
    pub fn watermark(&self) -> EventTime {
        if !self.partitions.is_discovery_complete() {
            return EventTime::MIN;
        }
        self.partitions.with(|list| {
            let newest = list.iter().map(|partition| partition.newest()).max().unwrap_or(EventTime::MIN);
            let active = list.iter().filter(|partition| !partition.has_ended());
            let least = active.map(|partition| self.watermark_of(partition, newest)).min();
            let end = self.until.unwrap_or(newest.saturating_add(1));
            least.unwrap_or(end).min(self.until.unwrap_or(EventTime::MAX))
        })
    }

    fn watermark_of(&self, partition: &PartitionProgress, newest: EventTime) -> EventTime {
        match self.idleness.filter(|_| partition.is_idle()) {
            None => partition.watermark(),
            Some(policy) => {
                let clock = if policy.wall { self.partitions.clock().now() } else { newest };
                let held_back_ms = partition.lateness_ms().max(policy.after_ms);
                partition.watermark().max(clock.saturating_sub(held_back_ms))
            }
        }
    }

    /// Returns by how much event time is ahead of both the wall clock and the newest record, in ms: 0 unless the wall clock
    /// was ahead before.
    pub fn ahead_ms(&self) -> i64 {
        if !self.idleness.is_some_and(|policy| policy.wall) || !self.partitions.is_discovery_complete() {
            return 0;
        }
        let frontier = *self.frontier.lock().expect("no holder panics");
        let right = self.partitions.clock().now().max(self.partitions.newest_event_time());
        frontier.saturating_sub(right).max(0)
    }

    /// Advances the frontier to the watermark and returns it, with what `trigger` returns at that moment: no barrier is
    /// injected between the two.
    pub fn advance<T>(&self, trigger: impl FnOnce() -> T) -> (EventTime, T) {
        let mut frontier = self.frontier.lock().expect("no holder panics");
        *frontier = self.watermark().max(*frontier);
        (*frontier, trigger())
    }

    /// Triggers a checkpoint as of the frontier, before any operator can pass it, and returns that time; `None` if
    /// nothing has been closed yet.
    pub fn inject_barrier(&self, trigger: impl FnOnce(EventTime)) -> Option<EventTime> {
        let frontier = self.frontier.lock().expect("no holder panics");
        let time = Some(*frontier).filter(|time| *time != EventTime::MIN)?;
        trigger(time);
        Some(time)
    }

    /// Starts from a state in which everything before `time` is closed.
    pub fn start_from(&self, time: EventTime) {
        let mut frontier = self.frontier.lock().expect("no holder panics");
        *frontier = time.max(*frontier);
    }
}
