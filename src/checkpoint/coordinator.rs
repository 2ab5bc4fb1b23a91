//! The parts of a snapshot, as operators save and load them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use super::CheckpointError;
use crate::time::EventTime;

/// Saved bytes by operator, one part for each worker that saved.
pub type SnapshotParts = BTreeMap<String, Vec<Vec<u8>>>;

/// What one worker saved of an operator, encoded when it is wanted.
pub type LazyPart = Box<dyn FnOnce() -> Vec<u8> + Send>;

/// A whole snapshot that is not encoded yet.
#[derive(Default)]
pub struct PendingSnapshot {
    parts: BTreeMap<String, Vec<LazyPart>>,
}

impl PendingSnapshot {
    /// Adds a part that is no operator's.
    pub fn add(&mut self, name: &str, part: Vec<u8>) {
        self.parts.entry(name.to_owned()).or_default().push(Box::new(|| part));
    }

    /// Encodes operator by operator, as far as it is asked for.
    pub fn encode(self) -> impl Iterator<Item = (String, Vec<Vec<u8>>)> {
        let encode = |part: LazyPart| part();
        self.parts.into_iter().map(move |(operator, parts)| (operator, parts.into_iter().map(encode).collect()))
    }
}

/// Has an operator look at what is wanted.
pub type TriggerWaker = Box<dyn Fn() + Send>;

/// Where operators put and find their state. One a job, shared by its workers.
pub struct CheckpointCoordinator {
    /// How often a snapshot has been asked for, and the time of the newest; the minimum once it is gathered.
    triggers: AtomicU64,
    barrier: AtomicI64,
    /// Operator instances that take part.
    members: AtomicUsize,
    saved: Mutex<PartialSnapshot>,
    wakers: Mutex<Vec<TriggerWaker>>,
    start: Option<(EventTime, SnapshotParts)>,
}

#[derive(Default)]
struct PartialSnapshot {
    time: Option<EventTime>,
    count: usize,
    parts: PendingSnapshot,
}

impl CheckpointCoordinator {
    /// A vault for a graph that starts from nothing.
    pub fn fresh() -> Arc<Self> {
        CheckpointCoordinator::new(None)
    }

    /// A vault for a graph that starts from these parts, which hold all before `time`.
    pub fn restoring(time: EventTime, parts: SnapshotParts) -> Arc<Self> {
        CheckpointCoordinator::new(Some((time, parts)))
    }

    fn new(start: Option<(EventTime, SnapshotParts)>) -> Arc<Self> {
        Arc::new(CheckpointCoordinator {
            triggers: AtomicU64::new(0),
            barrier: AtomicI64::new(EventTime::MIN),
            members: AtomicUsize::new(0),
            saved: Mutex::default(),
            wakers: Mutex::default(),
            start,
        })
    }

    /// The time before which everything is in the loaded state.
    pub fn restored_time(&self) -> Option<EventTime> {
        self.start.as_ref().map(|(time, _)| *time)
    }

    /// What an operator's instances saved, decoded part by part; none in a fresh start.
    ///
    /// # Errors
    /// If a part is not what the operator writes.
    pub fn load<S: serde::de::DeserializeOwned>(&self, operator: &str) -> Result<Vec<S>, CheckpointError> {
        let parts = self.start.as_ref().and_then(|(_, parts)| parts.get(operator));
        let decode = |part: &Vec<u8>| {
            postcard::from_bytes(part)
                .map_err(|source| CheckpointError::Undecodable { operator: operator.to_owned(), source })
        };
        parts.into_iter().flatten().map(decode).collect()
    }

    /// Asks for a snapshot as of a time that no operator has passed; it may have been asked for before.
    pub fn trigger(&self, time: EventTime) {
        *self.saved.lock().expect("no holder panics") =
            PartialSnapshot { time: Some(time), ..PartialSnapshot::default() };
        self.triggers.fetch_add(1, SeqCst);
        self.barrier.store(time, SeqCst);
        self.wakers.lock().expect("no holder panics").iter().for_each(|wake| wake());
    }

    /// How often a snapshot has been asked for.
    pub(super) fn triggers(&self) -> u64 {
        self.triggers.load(SeqCst)
    }

    /// The time asked for.
    pub fn barrier(&self) -> Option<EventTime> {
        Some(self.barrier.load(SeqCst)).filter(|time| *time != EventTime::MIN)
    }

    /// The snapshot, once every member has saved.
    pub fn collect(&self) -> Option<(EventTime, PendingSnapshot)> {
        let mut saved = self.saved.lock().expect("no holder panics");
        if saved.time.is_none() || saved.count < self.members.load(SeqCst) {
            return None;
        }
        self.barrier.store(EventTime::MIN, SeqCst);
        let saved = std::mem::take(&mut *saved);
        saved.time.map(|time| (time, saved.parts))
    }

    pub(super) fn on_trigger(&self, waker: TriggerWaker) {
        self.wakers.lock().expect("no holder panics").push(waker);
    }

    pub(super) fn register(&self) {
        self.members.fetch_add(1, SeqCst);
    }

    pub(super) fn ack(&self, operator: &str, time: EventTime, part: LazyPart) {
        let mut saved = self.saved.lock().expect("no holder panics");
        if saved.time == Some(time) {
            saved.count += 1;
            saved.parts.parts.entry(operator.to_owned()).or_default().push(part);
        }
    }
}
