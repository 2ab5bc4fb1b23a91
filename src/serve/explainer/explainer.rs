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
use crate::serve::RequestError;
use crate::serve::reply::Reply;
use crate::threads;
use crate::time::EventTime;
use crate::value::Scalar;

/// The most explanations at a time.
const AT_ONCE: usize = 2;

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
    /// Ascending.
    pub features: Vec<usize>,
    pub moment: ExplainedMoment,
    /// The most records of a window that are listed.
    pub most_listed: usize,
}

/// The moment as of which features are explained.
#[derive(Clone, Debug)]
pub enum ExplainedMoment {
    AsOf(EventTime),
    /// That at which a vector was served, with which they are compared.
    Served(ServedVector),
    /// That just after a replay has written a vector, with which they are compared.
    Written(ServedVector),
}

/// A vector with the time that belongs to it.
#[derive(Clone, Debug)]
pub struct ServedVector {
    /// By position in the group's vectors.
    pub features: Vec<Value>,
    /// Of a job, the time up to which everything is closed; of a replay, the time of the vector's last records.
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

    /// Takes a place and returns the explanation as a task; `write` makes an answer of it.
    ///
    /// # Errors
    /// If there are too many explanations.
    pub fn task(
        &self,
        request: ExplanationRequest,
        write: impl FnOnce(FeatureExplanation) -> Reply + Send + 'static,
    ) -> Result<ExplanationTask, RequestError> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| RequestError::TooManyExplanations(AT_ONCE))?;
        Ok(ExplanationTask { explainer: self.clone(), request, place, write: Box::new(write) })
    }
}

/// An explanation that has a place and has not begun.
pub struct ExplanationTask {
    explainer: FeatureExplainer,
    request: ExplanationRequest,
    place: OwnedSemaphorePermit,
    write: Box<dyn FnOnce(FeatureExplanation) -> Reply + Send>,
}

impl fmt::Debug for ExplanationTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExplanationTask").field("request", &self.request).finish_non_exhaustive()
    }
}

/// Cancels an explanation when it is dropped: nobody waits for it any more.
struct CancelOnDrop(ExplanationLimits);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl ExplanationTask {
    /// Explains on another thread, which gives the place back when it ends, though nobody waits for it.
    ///
    /// # Errors
    /// Those of the explanation.
    pub async fn done(self) -> Result<Reply, RequestError> {
        let ExplanationTask { explainer, request, place, write } = self;
        let limits = ExplanationLimits::new(explainer.time, MOST_RECORDS);
        let _guard = CancelOnDrop(limits.clone());
        let (send, explained) = oneshot::channel();
        let explain = move || {
            // A panic, which is a bug, is reported by the hook. It fails the request and not the job.
            let found = catch_unwind(AssertUnwindSafe(|| (explainer.explain)(&request, &limits)));
            let found = found.unwrap_or(Err(ExplanationFailure::Internal));
            drop(place);
            // An error means that nobody waits.
            let _ = send.send(found);
        };
        let thread = threads::spawn_finite("explain", explain);
        thread.map_err(|error| ExplanationFailure::Source(format!("no thread can be started: {error}")))?;
        let found = explained.await.unwrap_or(Err(ExplanationFailure::Internal));
        Ok(write(found?))
    }
}
