//! The explainer: a few explanations at a time, each on a thread of its own.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::explanation::FeatureExplanation;
use super::failure::ExplanationFailure;
use super::limits::ExplanationLimits;
use crate::threads;
use crate::time::EventTime;
use crate::value::Scalar;

/// The most explanations at a time.
pub const AT_ONCE: usize = 2;

/// The longest time that one may take.
const TIME: Duration = Duration::from_secs(60);

/// The most records that one may keep in memory.
const MOST_RECORDS: usize = 1_000_000;

/// Features of an entity that are to be explained. Groups and features are those of the dataflow, by position.
#[derive(Clone, Debug)]
pub struct ExplanationRequest {
    pub group: usize,
    /// A value for each column of the entity.
    pub key: Vec<Scalar>,
    /// Positions, ascending.
    pub features: Vec<usize>,
    pub moment: ExplainedMoment,
    /// The most records of a window that are listed.
    pub most_listed: usize,
}

/// The moment as of which features are explained.
#[derive(Clone, Debug)]
pub enum ExplainedMoment {
    AsOf(EventTime),
    /// The moment at which a vector was served, with which they are compared.
    Served(ServedVector),
    /// The moment just after a replay has written a vector, with which they are compared.
    Written(ServedVector),
}

/// A vector with the time that belongs to it.
#[derive(Clone, Debug)]
pub struct ServedVector {
    /// By position in the group's vectors.
    pub features: Vec<Value>,
    /// The time up to which everything is closed in a job; in a replay, the time of the vector's last records.
    pub time: EventTime,
}

/// Explains features from the sources, within limits.
type Explain =
    dyn Fn(&ExplanationRequest, &ExplanationLimits) -> Result<FeatureExplanation, ExplanationFailure> + Send + Sync;

/// Explains the features of a dataflow.
#[derive(Clone)]
pub struct FeatureExplainer {
    explain: Arc<Explain>,
    /// A permit for each explanation.
    places: Arc<Semaphore>,
    time: Duration,
}

impl fmt::Debug for FeatureExplainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeatureExplainer").field("time", &self.time).finish_non_exhaustive()
    }
}

impl FeatureExplainer {
    /// An explainer by a function, which runs on threads of its own and checks its limits often.
    pub fn new(
        explain: impl Fn(&ExplanationRequest, &ExplanationLimits) -> Result<FeatureExplanation, ExplanationFailure>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        FeatureExplainer { explain: Arc::new(explain), places: Arc::new(Semaphore::new(AT_ONCE)), time: TIME }
    }

    /// The same explainer with another time for each explanation.
    pub fn within(self, time: Duration) -> Self {
        FeatureExplainer { time, ..self }
    }

    /// Takes a place for an explanation; `None` if there are as many as there may be.
    pub fn reserve(&self, request: ExplanationRequest) -> Option<ReservedExplanation> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        Some(ReservedExplanation { explainer: self.clone(), request, place })
    }
}

/// An explanation that has a place and has not begun.
#[derive(Debug)]
pub struct ReservedExplanation {
    explainer: FeatureExplainer,
    request: ExplanationRequest,
    place: OwnedSemaphorePermit,
}

/// Cancels an explanation when it is dropped, as its request then no longer waits for it.
struct CancelOnDrop(ExplanationLimits);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl ReservedExplanation {
    /// Explains on another thread, which gives the place back when it ends, even if its request no longer waits for it.
    ///
    /// # Errors
    /// Those of the explanation.
    pub async fn explained(self) -> Result<FeatureExplanation, ExplanationFailure> {
        let ReservedExplanation { explainer, request, place } = self;
        let limits = ExplanationLimits::new(explainer.time, MOST_RECORDS);
        let _guard = CancelOnDrop(limits.clone());
        let (send, explained) = oneshot::channel();
        let explain = move || {
            // A panic, which is a bug, is reported by the hook. It fails the request and not the job.
            let found = catch_unwind(AssertUnwindSafe(|| (explainer.explain)(&request, &limits)));
            let found = found.unwrap_or(Err(ExplanationFailure::Internal));
            drop(place);
            // An error means that the request no longer waits.
            let _ = send.send(found);
        };
        let thread = threads::spawn_finite("explain", explain);
        thread.map_err(|error| ExplanationFailure::Source(format!("no thread can be started: {error}")))?;
        explained.await.unwrap_or(Err(ExplanationFailure::Internal))
    }
}
