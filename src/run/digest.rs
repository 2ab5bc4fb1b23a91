//! The digest of a finished run: what was read, and hashes of all that came of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::source::Tally;
use crate::store::offline::Content;
use crate::time::EventTime;

/// `digest.json`.
#[derive(Debug, Serialize)]
pub struct Digest {
    pub dataflow: String,
    #[serde(serialize_with = "time")]
    pub from: Option<EventTime>,
    #[serde(serialize_with = "time")]
    pub to: Option<EventTime>,
    pub sources: BTreeMap<String, Tally>,
    pub features: BTreeMap<String, Content>,
    pub examples: BTreeMap<String, Content>,
    pub models: BTreeMap<String, Vec<VersionDigest>>,
}

/// One version of a model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VersionDigest {
    pub version: u64,
    #[serde(with = "rfc3339")]
    pub window_end: EventTime,
    pub sha256: String,
    /// Whether it became champion.
    pub champion: bool,
}

fn time<S: serde::Serializer>(time: &Option<EventTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339::serialize(time, serializer),
        None => serializer.serialize_none(),
    }
}

/// Times as RFC 3339.
mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::time::{EventTime, format_time, parse_time};

    pub fn serialize<S: Serializer>(time: &EventTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_time(*time))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EventTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_time(&text).ok_or_else(|| de::Error::custom("expected RFC 3339"))
    }
}
