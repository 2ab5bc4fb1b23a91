//! `model.json`: what a version is.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::{EventTime, Offset, format_time, parse_time};

/// By topic and partition, the next offset that the version has not seen.
pub type Offsets = BTreeMap<String, BTreeMap<i32, Offset>>;

/// One version. Fields that a later program adds are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub name: String,
    pub kind: String,
    pub version: u64,
    /// The version it continued from.
    pub parent: Option<u64>,
    pub window: Span,
    /// Examples learnt in the window.
    pub examples: u64,
    pub offsets: Offsets,
    /// Metrics by version: see [`crate::model::Version::scores`].
    pub scores: BTreeMap<u64, BTreeMap<String, f64>>,
    /// `published` or `refused`.
    pub decision: String,
    pub reason: String,
    /// Hash of what it was made from.
    pub definition: String,
    /// Of the weights file, in hexadecimal.
    pub sha256: String,
}

/// A window: start included, end not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    #[serde(with = "rfc3339")]
    pub start: EventTime,
    #[serde(with = "rfc3339")]
    pub end: EventTime,
}

/// Times as RFC 3339 text, UTC, in ms.
pub(super) mod rfc3339 {
    use super::{Deserialize, Deserializer, EventTime, Serialize, Serializer, format_time, parse_time};

    pub fn serialize<S: Serializer>(time: &EventTime, serializer: S) -> Result<S::Ok, S::Error> {
        format_time(*time).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EventTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_time(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a time")))
    }
}
