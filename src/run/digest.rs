//! The digest of a finished run: the counts of records read, and hashes of all outputs.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::training::TrainingDigest;
use crate::registry::rfc3339;
use crate::source::RecordCounts;
use crate::store::offline::Content;
use crate::time::EventTime;

/// The name of the file.
pub const DIGEST: &str = "digest.json";

/// The contents of `digest.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Digest {
    pub dataflow: String,
    #[serde(with = "time")]
    pub from: Option<EventTime>,
    #[serde(with = "time")]
    pub to: Option<EventTime>,
    pub sources: BTreeMap<String, RecordCounts>,
    pub features: BTreeMap<String, Content>,
    /// Entities that groups with a bound have dropped, by group. Left out if no group has a bound.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub entities_dropped: BTreeMap<String, u64>,
    pub examples: BTreeMap<String, Content>,
    pub models: BTreeMap<String, Vec<VersionDigest>>,
    /// Examples and scores by model.
    #[serde(default)]
    pub training: BTreeMap<String, TrainingDigest>,
    /// Values that are null because they could not be computed, by operator and reason. Left out if there are none, and
    /// by a job that began from a checkpoint: what was counted before it is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nulls: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Digest {
    /// Returns the text of the file.
    ///
    /// # Errors
    /// If a number has no JSON form.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }
}

/// A version of a model in a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionDigest {
    pub version: u64,
    #[serde(with = "rfc3339")]
    pub window_end: EventTime,
    pub sha256: String,
    /// True if the version became champion.
    pub champion: bool,
}

/// Times as RFC 3339 text or null.
mod time {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::registry::rfc3339;
    use crate::time::EventTime;

    pub fn serialize<S: Serializer>(time: &Option<EventTime>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => rfc3339::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<EventTime>, D::Error> {
        #[derive(Deserialize)]
        struct At(#[serde(with = "rfc3339")] EventTime);
        Ok(Option::<At>::deserialize(deserializer)?.map(|At(time)| time))
    }
}
