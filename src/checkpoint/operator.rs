//! One operator's side of checkpoints: where it stops on the way to its frontier, and what it saves there.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::{CheckpointCoordinator, CheckpointError, SavedPart};
use crate::time::EventTime;

/// The shortest time between two measurements of an operator's state.
const MEASURE_INTERVAL: Duration = Duration::from_millis(500);

/// A part of an operator's way to its frontier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The operator processes everything before this time.
    pub until: EventTime,
    /// True if the operator saves its state afterwards.
    pub save_after: bool,
}

/// The part that one operator instance takes in checkpoints.
pub struct OperatorCheckpoint {
    coordinator: Arc<CheckpointCoordinator>,
    operator: String,
    /// The number of the newest trigger that this instance has saved for.
    saved: u64,
    /// The memory that its state holds, and when it was measured last; `None` before the first time.
    measured: Option<(Arc<AtomicU64>, Instant)>,
}

impl OperatorCheckpoint {
    /// Registers an operator instance; no checkpoint is complete without it from now on.
    pub fn new(coordinator: &Arc<CheckpointCoordinator>, operator: impl Into<String>) -> Self {
        coordinator.register();
        OperatorCheckpoint { coordinator: coordinator.clone(), operator: operator.into(), saved: 0, measured: None }
    }

    /// Registers the waker that schedules this operator when a checkpoint is triggered while it has no input.
    pub fn on_trigger(&self, wake: impl Fn() + Send + 'static) {
        self.coordinator.on_trigger(Box::new(wake));
    }

    /// Returns the barrier of the checkpoint in progress, unless this instance has saved for it.
    pub fn barrier(&self) -> Option<EventTime> {
        // In this order: a barrier that is seen belongs to the trigger that was counted, or to a later one.
        let triggers = self.coordinator.triggers();
        self.coordinator.barrier().filter(|_| triggers != self.saved)
    }

    /// Returns the coordinator that the instance is registered with.
    pub fn coordinator(&self) -> &Arc<CheckpointCoordinator> {
        &self.coordinator
    }

    /// Returns what all instances of this operator saved in the checkpoint that the graph starts from.
    ///
    /// # Errors
    /// If a part cannot be decoded.
    pub fn load<S: DeserializeOwned>(&self) -> Result<Vec<S>, CheckpointError> {
        self.coordinator.load(&self.operator)
    }

    /// Returns the error for a part of this operator that cannot be used.
    pub fn undecodable(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> CheckpointError {
        CheckpointError::Undecodable { operator: self.operator.clone(), source: source.into() }
    }

    /// Returns the stretches to a frontier: one, or two if a barrier lies on the way.
    pub fn stretches(&self, frontier: EventTime) -> impl Iterator<Item = Stretch> + use<> {
        let barrier = self.barrier().filter(|time| *time <= frontier);
        let first = barrier.map(|until| Stretch { until, save_after: true });
        first.into_iter().chain([Stretch { until: frontier, save_after: false }])
    }

    /// Measures the memory that the state of this instance holds, in bytes, unless it was measured a short while ago.
    pub fn measure_state(&mut self, bytes: impl FnOnce() -> usize) {
        if self.measures_in().is_zero() {
            self.set_state_bytes(bytes());
        }
    }

    /// Returns the time after which the state is to be measured again.
    pub fn measures_in(&self) -> Duration {
        let wait = |(_, last): &(_, Instant)| MEASURE_INTERVAL.saturating_sub(last.elapsed());
        self.measured.as_ref().map_or(Duration::ZERO, wait)
    }

    /// Sets the memory that the state of this instance holds, in bytes, which was measured just now.
    pub fn set_state_bytes(&mut self, bytes: usize) {
        let known = self.measured.take().map(|(known, _)| known);
        let measured = known.unwrap_or_else(|| self.coordinator.register_state(&self.operator));
        measured.store(bytes as u64, Relaxed);
        self.measured = Some((measured, Instant::now()));
    }

    /// Saves the state of this instance as of `time`, the barrier.
    pub fn save(&mut self, time: EventTime, part: SavedPart) {
        self.saved = self.coordinator.triggers();
        self.coordinator.ack(&self.operator, time, part);
    }
}
