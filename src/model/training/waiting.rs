//! Waiting for the first version: windows that are waited out.
//!
//! A first window may be tiny, because a job has begun just before its end, or of one class, because true is rare. A model
//! made from it would know nothing, and would be served. So until the first version its examples are kept, and those of
//! the next windows join them, until there are `min_examples` and two classes. No more than [`MOST`] examples wait for a
//! second class: from that many, one class is the answer.

use super::setup::TrainingSetup;
use super::window::OpenWindow;
use crate::model::{LabelUse, Task};

/// Examples that wait for a second class, at most.
const MOST: u64 = 10_000;

/// The examples of windows that have made no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingWindow {
    pub examples: u64,
    /// The examples that the first version needs.
    pub least: u64,
    /// True if there are enough, but all of one class.
    pub is_of_one_class: bool,
}

impl WaitingWindow {
    /// Returns the examples of the open window, which is the first, if they have to wait.
    pub(super) fn of(setup: &TrainingSetup, window: &OpenWindow) -> Option<Self> {
        let (examples, least) = (window.examples(), setup.config.options.min_examples);
        let has_classes =
            setup.kind.label == LabelUse::Required && matches!(setup.task(), Task::Binary | Task::Multiclass);
        let is_of_one_class = has_classes && examples < MOST && window.statistics.labels.is_of_one_class();
        let waits = examples < least || is_of_one_class;
        waits.then_some(WaitingWindow { examples, least, is_of_one_class: is_of_one_class && examples >= least })
    }
}
