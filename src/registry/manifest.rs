//! `model.json`: the manifest of a version.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::{EventTime, Offset, format_time, parse_time};

/// By topic and partition, the first offset that the version has not seen.
pub type Offsets = BTreeMap<String, BTreeMap<i32, Offset>>;

/// A version's description. Unknown fields, which a later program may add, are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub name: String,
    pub kind: String,
    pub version: u64,
    /// The version that learning continued from.
    pub parent: Option<u64>,
    pub window: TimeRange,
    /// Examples learnt in the window.
    pub examples: u64,
    pub offsets: Offsets,
    /// Metrics by version: see [`crate::model::Version::scores`].
    pub scores: BTreeMap<u64, BTreeMap<String, f64>>,
    /// `published` or `refused`.
    pub decision: String,
    pub reason: String,
    /// Hash of everything that the version was made from.
    pub definition: String,
    /// SHA-256 of the weights file, in hexadecimal.
    pub sha256: String,
}

/// A range of event time that includes `start` and excludes `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    #[serde(with = "rfc3339")]
    pub start: EventTime,
    #[serde(with = "rfc3339")]
    pub end: EventTime,
}

/// Times as RFC 3339 text, UTC, in ms, for `serde(with)`.
pub mod rfc3339 {
    use super::{Deserialize, Deserializer, EventTime, Serialize, Serializer, format_time, parse_time};

    pub fn serialize<S: Serializer>(time: &EventTime, serializer: S) -> Result<S::Ok, S::Error> {
        format_time(*time).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EventTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_time(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a time")))
    }
}
