//! The coordinator of checkpoints: it triggers them, and gathers the states that operators save.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;

use super::{CheckpointError, SavedPart};
use crate::time::EventTime;

/// The encoded parts of a snapshot by operator, one for each worker that saved.
pub type SnapshotParts = BTreeMap<String, Vec<Vec<u8>>>;

/// A complete snapshot that is not encoded yet.
#[derive(Default)]
pub struct PendingSnapshot {
    parts: BTreeMap<String, Vec<SavedPart>>,
}

impl PendingSnapshot {
    /// Adds a part that belongs to no operator.
    pub fn add(&mut self, name: &str, part: Vec<u8>) {
        self.parts.entry(name.to_owned()).or_default().push(SavedPart::of_bytes(part));
    }

    /// Encodes the snapshot operator by operator, as the iterator is driven: only one is in memory twice.
    pub fn encode(self) -> impl Iterator<Item = (String, Vec<Vec<u8>>)> {
        let encode = |parts: Vec<SavedPart>| parts.into_iter().map(SavedPart::into_bytes).collect();
        self.parts.into_iter().map(move |(operator, parts)| (operator, encode(parts)))
    }
}

/// A function that schedules an operator, so that it sees a barrier.
pub type TriggerWaker = Box<dyn Fn() + Send>;

/// Triggers checkpoints and gathers the states of all operators. One a job, shared by its workers.
pub struct CheckpointCoordinator {
    /// The number of checkpoints triggered so far.
    triggers: AtomicU64,
    /// The barrier of the checkpoint in progress; the minimum if there is none.
    barrier: AtomicI64,
    /// The number of operator instances that are registered.
    members: AtomicUsize,
    saved: Mutex<PartialSnapshot>,
    wakers: Mutex<Vec<TriggerWaker>>,
    /// The memory that the states of an operator's instances hold, in bytes, of those that measure it.
    state_bytes: Mutex<BTreeMap<String, Vec<Arc<AtomicU64>>>>,
    /// The state that the graph starts from, and the time before which everything is in it.
    restored: Option<(EventTime, SnapshotParts)>,
}

/// The parts that have been saved for the checkpoint in progress.
#[derive(Default)]
struct PartialSnapshot {
    time: Option<EventTime>,
    acks: usize,
    snapshot: PendingSnapshot,
}

impl CheckpointCoordinator {
    /// Returns a coordinator for a graph that starts without state.
    pub fn fresh() -> Arc<Self> {
        CheckpointCoordinator::new(None)
    }

    /// Returns a coordinator for a graph that starts from these parts, which contain everything before `time`.
    pub fn restoring(time: EventTime, parts: SnapshotParts) -> Arc<Self> {
        CheckpointCoordinator::new(Some((time, parts)))
    }

    fn new(restored: Option<(EventTime, SnapshotParts)>) -> Arc<Self> {
        Arc::new(CheckpointCoordinator {
            triggers: AtomicU64::new(0),
            barrier: AtomicI64::new(EventTime::MIN),
            members: AtomicUsize::new(0),
            saved: Mutex::default(),
            wakers: Mutex::default(),
            state_bytes: Mutex::default(),
            restored,
        })
    }

    /// Returns the time before which everything is in the restored state, or `None` for a fresh start.
    pub fn restored_time(&self) -> Option<EventTime> {
        self.restored.as_ref().map(|(time, _)| *time)
    }

    /// Returns the restored parts of an operator, decoded; empty for a fresh start.
    ///
    /// # Errors
    /// If a part cannot be decoded.
    pub fn load<S: DeserializeOwned>(&self, operator: &str) -> Result<Vec<S>, CheckpointError> {
        let parts = self.restored.as_ref().and_then(|(_, parts)| parts.get(operator));
        let decode = |part: &Vec<u8>| {
            postcard::from_bytes(part)
                .map_err(|source| CheckpointError::Undecodable { operator: operator.to_owned(), source: source.into() })
        };
        parts.into_iter().flatten().map(decode).collect()
    }

    /// Triggers a checkpoint with a barrier at `time`, which no operator may have passed. Replaces one in progress.
    pub fn trigger(&self, time: EventTime) {
        *self.saved.lock().expect("no holder panics") = PartialSnapshot { time: Some(time), ..Default::default() };
        self.triggers.fetch_add(1, SeqCst);
        self.barrier.store(time, SeqCst);
        self.wakers.lock().expect("no holder panics").iter().for_each(|wake| wake());
    }

    /// Returns the number of checkpoints triggered so far.
    pub(super) fn triggers(&self) -> u64 {
        self.triggers.load(SeqCst)
    }

    /// Returns the barrier of the checkpoint in progress.
    pub fn barrier(&self) -> Option<EventTime> {
        Some(self.barrier.load(SeqCst)).filter(|time| *time != EventTime::MIN)
    }

    /// Returns the snapshot and its time once every registered operator instance has saved, and ends the checkpoint.
    pub fn collect(&self) -> Option<(EventTime, PendingSnapshot)> {
        let mut saved = self.saved.lock().expect("no holder panics");
        if saved.time.is_none() || saved.acks < self.members.load(SeqCst) {
            return None;
        }
        self.barrier.store(EventTime::MIN, SeqCst);
        let saved = std::mem::take(&mut *saved);
        saved.time.map(|time| (time, saved.snapshot))
    }

    pub(super) fn on_trigger(&self, waker: TriggerWaker) {
        self.wakers.lock().expect("no holder panics").push(waker);
    }

    /// Returns the memory that the state of each operator holds, in bytes, of those that measure it.
    pub fn state_bytes(&self) -> BTreeMap<String, u64> {
        let measured = self.state_bytes.lock().expect("no holder panics");
        let sum = |instances: &Vec<Arc<AtomicU64>>| instances.iter().map(|bytes| bytes.load(Relaxed)).sum();
        measured.iter().map(|(operator, instances)| (operator.clone(), sum(instances))).collect()
    }

    /// Registers an instance of an operator that measures its state; returns where it stores the bytes.
    pub(super) fn register_state(&self, operator: &str) -> Arc<AtomicU64> {
        let bytes = Arc::new(AtomicU64::new(0));
        let mut measured = self.state_bytes.lock().expect("no holder panics");
        measured.entry(operator.to_owned()).or_default().push(bytes.clone());
        bytes
    }

    pub(super) fn register(&self) {
        self.members.fetch_add(1, SeqCst);
    }

    /// Adds the state of one operator instance; ignored unless `time` is the barrier of the checkpoint in progress.
    pub(super) fn ack(&self, operator: &str, time: EventTime, part: SavedPart) {
        let mut saved = self.saved.lock().expect("no holder panics");
        if saved.time == Some(time) {
            saved.acks += 1;
            saved.snapshot.parts.entry(operator.to_owned()).or_default().push(part);
        }
    }
}
