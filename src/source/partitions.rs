//! The partitions of a job.
//!
//! One registry a process, shared by all workers. Partitions are registered before they are read, at the start or when
//! they are discovered later, and are never removed. Invariant: until [`Partitions::complete_discovery`], partitions
//! that are known at the start may be missing, so no time may be closed.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use super::{EventClock, PartitionProgress, SourcePlan};
use crate::time::EventTime;

/// The positions of the slowest partitions; the maximum where there is none.
#[derive(Clone, Copy, Debug)]
pub struct SlowestPositions {
    /// Position of the slowest partition that is neither idle nor ended.
    pub active: EventTime,
    /// Position of the slowest of these that also has a backlog.
    pub behind: EventTime,
}

/// All partitions of a job, in the order of their registration.
#[derive(Debug, Default)]
pub struct Partitions {
    list: Mutex<Vec<Arc<PartitionProgress>>>,
    discovery_complete: AtomicBool,
    clock: Arc<EventClock>,
}

impl Partitions {
    /// Registers a partition and returns its progress, for its reader.
    pub fn register(&self, plan: &SourcePlan, partition: u32) -> Arc<PartitionProgress> {
        let progress = Arc::new(PartitionProgress::new(plan, partition, &self.clock));
        self.list.lock().expect("no holder panics").push(progress.clone());
        progress
    }

    /// Returns the clock that partitions without records follow.
    pub fn clock(&self) -> &EventClock {
        &self.clock
    }

    /// Returns the newest event time that was read, late and overtaken records included; the minimum before the first.
    pub fn newest_event_time(&self) -> EventTime {
        self.with(|list| list.iter().map(|partition| partition.position()).max()).unwrap_or(EventTime::MIN)
    }

    /// Declares that all partitions that are known at the start have been registered.
    pub fn complete_discovery(&self) {
        self.discovery_complete.store(true, SeqCst);
    }

    pub fn is_discovery_complete(&self) -> bool {
        self.discovery_complete.load(SeqCst)
    }

    /// Returns the partitions that are registered now.
    pub fn list(&self) -> Vec<Arc<PartitionProgress>> {
        self.list.lock().expect("no holder panics").clone()
    }

    /// Returns whether discovery is complete and every partition has ended.
    pub fn all_ended(&self) -> bool {
        self.is_discovery_complete() && self.with(|list| list.iter().all(|partition| partition.has_ended()))
    }

    /// Returns the positions of the slowest partitions.
    pub fn slowest_positions(&self) -> SlowestPositions {
        let mut slowest = SlowestPositions { active: EventTime::MAX, behind: EventTime::MAX };
        self.with(|list| {
            for partition in list.iter().filter(|partition| !partition.has_ended() && !partition.is_idle()) {
                let position = partition.position();
                slowest.active = slowest.active.min(position);
                if partition.is_behind() {
                    slowest.behind = slowest.behind.min(position);
                }
            }
        });
        slowest
    }

    /// Returns whether a partition has a backlog.
    pub fn has_backlog(&self) -> bool {
        self.with(|list| list.iter().any(|partition| partition.is_behind() && !partition.has_ended()))
    }

    /// Returns the newest effective time that was emitted into the graph; the minimum before the first record.
    pub fn max_emitted_time(&self) -> EventTime {
        self.with(|list| list.iter().map(|partition| partition.max_emitted_time()).max()).unwrap_or(EventTime::MIN)
    }

    /// Reads the list without copying it.
    pub(super) fn with<T>(&self, read: impl FnOnce(&[Arc<PartitionProgress>]) -> T) -> T {
        read(&self.list.lock().expect("no holder panics"))
    }
}
