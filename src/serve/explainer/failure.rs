//! The reasons why features are not explained.

use std::time::Duration;

use hyper::StatusCode;

/// The reason why features are not explained. Clients read its `Display`.
#[derive(Debug, thiserror::Error)]
pub enum ExplanationFailure {
    /// The group cannot be explained at all.
    #[error("{0}")]
    Refused(String),
    /// The entity has no record that could count.
    #[error("{0}")]
    UnknownEntity(String),
    #[error(
        "more than {0} records would have to be kept in memory: those of the entity in its windows, and of the tables \
         that they look up; `tidemill features explain --dataflow FILE` has no such limit"
    )]
    TooManyRecords(usize),
    #[error(
        "the sources could not be read within {} s; `tidemill features explain --dataflow FILE` has no such limit",
        .0.as_secs()
    )]
    TooLate(Duration),
    /// The client did not wait for the answer.
    #[error("the request was cancelled")]
    Cancelled,
    /// A source cannot be read.
    #[error("the sources cannot be read: {0}")]
    Source(String),
    /// A bug, which has been reported on stderr.
    #[error("internal error while the features were explained; the log has more")]
    Internal,
}

impl ExplanationFailure {
    /// The status of its answer. That of a client that has left is only counted.
    pub fn status(&self) -> StatusCode {
        match self {
            ExplanationFailure::Refused(_) => StatusCode::BAD_REQUEST,
            ExplanationFailure::UnknownEntity(_) => StatusCode::NOT_FOUND,
            ExplanationFailure::TooManyRecords(_) => StatusCode::PAYLOAD_TOO_LARGE,
            ExplanationFailure::Cancelled => StatusCode::REQUEST_TIMEOUT,
            ExplanationFailure::TooLate(_) | ExplanationFailure::Source(_) => StatusCode::SERVICE_UNAVAILABLE,
            ExplanationFailure::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
