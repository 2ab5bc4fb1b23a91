//! Errors of Kafka, by what the caller can do about them.

/// The reason why Kafka does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// A key or value under `[kafka]` is wrong. The text has no values, as they may be secret.
    #[error("[kafka] {}{what}", key.as_ref().map_or_else(String::new, |key| format!("{key}: ")))]
    Config {
        /// `None` if the client does not say which.
        key: Option<String>,
        what: String,
    },
    /// The brokers do not answer. A retry may succeed.
    #[error("{servers}: {what}")]
    Unavailable { servers: String, what: String },
    /// The brokers reject the credentials.
    #[error("{servers}: {what}")]
    Unauthorized { servers: String, what: String },
    /// The brokers answer, but cannot do what was asked. A retry is pointless.
    #[error("{0}")]
    Rejected(String),
    /// Records that were to be read no longer exist.
    #[error("{0}")]
    DataLoss(String),
}
