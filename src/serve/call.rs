//! A request to predict, on its way from its family's reader to its writer.

use std::cell::RefCell;
use std::fmt;

use super::RequestError;
use super::answer_moment::AnswerMoment;
use super::explainer::{AT_ONCE, ExplanationRequest, FeatureExplainer, FeatureExplanation, ReservedExplanation};
use super::reply::Reply;
use crate::example::{Frame, InstanceError};
use crate::model::{PredictionMemory, Predictions};
use crate::time::{EventTime, format_time};

/// A request to predict for the instances in a [`Scratch`].
#[derive(Debug)]
pub struct Call {
    /// Position of the model.
    pub model: usize,
    pub version: VersionRef,
    /// The predictions are to be explained.
    pub explain: bool,
    /// The first mistake in an instance. It is reported once the version is known to exist.
    pub fault: Option<InstanceError>,
}

/// The version that is to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionRef {
    /// The request names none: the arm of each instance, or the champion without a split.
    Unnamed,
    Champion,
    Number(u64),
}

impl From<Option<u64>> for VersionRef {
    fn from(named: Option<u64>) -> Self {
        named.map_or(VersionRef::Unnamed, VersionRef::Number)
    }
}

/// Reads the instances of a request again, for the model at a position. Returns the first mistake in an instance, if any.
pub type ReadFor<'a> = &'a dyn Fn(usize, &mut Frame) -> Result<Option<InstanceError>, RequestError>;

/// A request for a model that has a split.
#[derive(Clone, Copy)]
pub struct SplitCall<'a> {
    /// Position of the model.
    pub model: usize,
    pub moment: AnswerMoment<'a>,
    pub explain: bool,
    pub read: ReadFor<'a>,
}

/// The reason why a handler returned no answer.
#[derive(Debug)]
pub enum Unanswered {
    Refused(RequestError),
    /// Something that was looked up must be fetched first.
    NotFetched,
    /// The request names a version that must be read from the registry first.
    VersionNotLoaded {
        model: usize,
        version: u64,
    },
    /// The answer takes work that blocks, such as reading or writing the registry.
    Blocking(BlockingWork),
    /// The answer takes an explanation of features, for which the client must stay.
    Explaining(Box<ExplanationTask>),
}

/// An explanation of features that has a place, and the answer that is made of it.
pub struct ExplanationTask {
    reserved: ReservedExplanation,
    write: Box<dyn FnOnce(FeatureExplanation) -> Reply + Send>,
}

impl ExplanationTask {
    /// Explains on another thread, for as long as this is waited for.
    ///
    /// # Errors
    /// Those of the explanation.
    pub async fn done(self) -> Result<Reply, RequestError> {
        Ok((self.write)(self.reserved.explained().await?))
    }
}

impl fmt::Debug for ExplanationTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExplanationTask").field(&self.reserved).finish()
    }
}

/// Work that blocks, for a thread on which it may.
pub struct BlockingWork(Box<dyn FnOnce() -> Result<Reply, RequestError> + Send>);

impl BlockingWork {
    /// Does it on another thread.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn done(self) -> Result<Reply, RequestError> {
        let done = tokio::task::spawn_blocking(self.0).await;
        done.expect("work for a request returns errors and does not panic")
    }
}

impl fmt::Debug for BlockingWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockingWork")
    }
}

impl Unanswered {
    /// Checks that nothing that was looked up is missing, before anything is counted that the next call would count again.
    ///
    /// # Errors
    /// If something must be fetched first.
    pub fn check_fetched(moment: AnswerMoment<'_>) -> Result<(), Self> {
        if moment.lookups.is_complete() { Ok(()) } else { Err(Unanswered::NotFetched) }
    }

    /// An answer that takes an explanation of features, of which `write` makes it; a refusal if too many are being made.
    pub fn explaining(
        explainer: &FeatureExplainer,
        request: ExplanationRequest,
        write: impl FnOnce(FeatureExplanation) -> Reply + Send + 'static,
    ) -> Self {
        match explainer.reserve(request) {
            Some(reserved) => Unanswered::Explaining(Box::new(ExplanationTask { reserved, write: Box::new(write) })),
            None => Unanswered::Refused(RequestError::TooManyExplanations(AT_ONCE)),
        }
    }

    /// An answer that takes work that blocks.
    pub fn blocking(work: impl FnOnce() -> Result<Reply, RequestError> + Send + 'static) -> Self {
        Unanswered::Blocking(BlockingWork(Box::new(work)))
    }
}

impl From<RequestError> for Unanswered {
    fn from(error: RequestError) -> Self {
        Unanswered::Refused(error)
    }
}

/// Memory of a serving thread, reused request after request.
#[derive(Default)]
pub struct Scratch {
    /// The instances: as read, then with every looked-up and computed value.
    pub frame: Frame,
    pub memory: PredictionMemory,
    /// One for each instance.
    pub predictions: Predictions,
    /// The instances as another model reads them, which an arm or a shadow may be.
    pub other: Frame,
    /// The watermark of the previous answer and its text.
    watermark: Option<(EventTime, String)>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Cells beyond which the memory is released after a request.
const KEPT_CELLS: usize = 1 << 16;

impl Scratch {
    /// Runs `work` with the memory of the current thread.
    ///
    /// # Panics
    /// If `work` calls this again.
    pub fn with<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
        SCRATCH.with_borrow_mut(|scratch| {
            let result = work(scratch);
            if scratch.frame.cells() > KEPT_CELLS {
                *scratch = Scratch::default();
            }
            result
        })
    }

    /// The text of a watermark. The watermark advances less often than requests arrive, so the text is kept.
    pub fn watermark_text(&mut self, time: Option<EventTime>) -> Option<&str> {
        if self.watermark.as_ref().map(|(known, _)| *known) != time {
            self.watermark = time.map(|time| (time, format_time(time)));
        }
        self.watermark.as_ref().map(|(_, text)| text.as_str())
    }
}
