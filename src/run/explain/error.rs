//! Errors of an explanation, for the terminal and for requests.

use anyhow::anyhow;

use crate::run::Failure;
use crate::serve::explainer::ExplanationFailure;

/// An error of an explanation.
#[derive(Debug)]
pub enum ExplainError {
    /// A topic cannot be read.
    Topic(Failure),
    Unexplained(ExplanationFailure),
}

impl From<Failure> for ExplainError {
    fn from(failure: Failure) -> Self {
        ExplainError::Topic(failure)
    }
}

impl From<ExplanationFailure> for ExplainError {
    fn from(failure: ExplanationFailure) -> Self {
        ExplainError::Unexplained(failure)
    }
}

impl ExplainError {
    /// The error as it ends a verb.
    pub fn into_failure(self) -> Failure {
        match self {
            ExplainError::Topic(failure) => failure,
            ExplainError::Unexplained(ExplanationFailure::Refused(text)) => Failure::Usage(format!("error: {text}")),
            ExplainError::Unexplained(failure) => Failure::Runtime(anyhow!(failure)),
        }
    }

    /// The error as a request is answered with it.
    pub fn into_answer(self) -> ExplanationFailure {
        match self {
            ExplainError::Topic(Failure::Usage(text)) => {
                ExplanationFailure::Source(text.trim_start_matches("error: ").to_owned())
            }
            ExplainError::Topic(Failure::Runtime(error)) => ExplanationFailure::Source(format!("{error:#}")),
            ExplainError::Unexplained(failure) => failure,
        }
    }
}
