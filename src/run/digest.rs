//! The digest of a finished run: what was read, and hashes of all that came of it.

use std::collections::BTreeMap;

use serde::Serialize;

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
#[derive(Clone, Debug, Serialize)]
pub struct VersionDigest {
    pub version: u64,
    #[serde(serialize_with = "some_time")]
    pub window_end: EventTime,
    pub sha256: String,
    /// Whether it became champion.
    pub champion: bool,
}

fn time<S: serde::Serializer>(time: &Option<EventTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => some_time(time, serializer),
        None => serializer.serialize_none(),
    }
}

fn some_time<S: serde::Serializer>(time: &EventTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::time::format_time(*time))
}
