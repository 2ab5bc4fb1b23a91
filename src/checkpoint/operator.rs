//! One operator's side of a snapshot: where to stop on the way to its frontier, and save.

use std::sync::Arc;

use serde::Serialize;

use super::CheckpointCoordinator;
use super::coordinator::LazyPart;
use crate::time::EventTime;

/// One stretch of an operator's way to its frontier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Work off everything before this time,
    pub until: EventTime,
    /// and then save, if so.
    pub save_after: bool,
}

/// An operator instance's part in snapshots.
pub struct OperatorCheckpoint {
    coordinator: Arc<CheckpointCoordinator>,
    operator: String,
    /// The newest request for a snapshot that this instance has saved for.
    saved: u64,
}

impl OperatorCheckpoint {
    /// Enters an operator instance; from now on no snapshot is whole without it.
    pub fn new(coordinator: &Arc<CheckpointCoordinator>, operator: impl Into<String>) -> Self {
        coordinator.register();
        OperatorCheckpoint { coordinator: coordinator.clone(), operator: operator.into(), saved: 0 }
    }

    /// Says how the instance is had to look, where nothing comes that would have it look by itself.
    pub fn on_trigger(&self, wake: impl Fn() + Send + 'static) {
        self.coordinator.on_trigger(Box::new(wake));
    }

    /// The time of a snapshot that this instance has not saved for.
    pub fn barrier(&self) -> Option<EventTime> {
        // In this order: a time that is seen is that of the request, or of a later one.
        let triggers = self.coordinator.triggers();
        self.coordinator.barrier().filter(|_| triggers != self.saved)
    }

    pub fn coordinator(&self) -> &Arc<CheckpointCoordinator> {
        &self.coordinator
    }

    pub fn operator(&self) -> &str {
        &self.operator
    }

    /// The stretches to a frontier: one, or two where a snapshot is wanted on the way.
    pub fn stretches(&self, frontier: EventTime) -> impl Iterator<Item = Stretch> + use<> {
        let barrier = self.barrier().filter(|time| *time <= frontier);
        let first = barrier.map(|until| Stretch { until, save_after: true });
        first.into_iter().chain([Stretch { until: frontier, save_after: false }])
    }

    /// Saves this instance's part as of `time`.
    pub fn save(&mut self, time: EventTime, state: &impl Serialize) {
        let part = encoded(state);
        self.put(time, Box::new(|| part));
    }

    /// The same of state that does not change any more: it is encoded when the snapshot is written, by whoever writes it.
    pub fn save_lazily<S: Serialize>(&mut self, time: EventTime, state: impl FnOnce() -> S + Send + 'static) {
        self.put(time, Box::new(|| encoded(&state())));
    }

    fn put(&mut self, time: EventTime, part: LazyPart) {
        self.saved = self.coordinator.triggers();
        self.coordinator.ack(&self.operator, time, part);
    }
}

fn encoded(state: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(state).expect("an operator's state always encodes")
}
