//! An explanation of features of one entity, as it is sent and printed.
//!
//! ```
//! use tidemill::serve::explainer::FeatureExplanation;
//! let text = r#"{"group":"user","entity":{"user":"u1"},"as_of":"2024-01-01T00:00:00.000Z",
//!     "windows":[{"of":null,"where":null,"window":"the last 1h","features":{"count_1h":{"value":1}},
//!     "records":[{"source":"clicks","partition":0,"offset":7,
//!     "time":"2023-12-31T23:30:00.000Z","effective":"2023-12-31T23:30:00.000Z"}]}],"derived":{}}"#;
//! let explanation: FeatureExplanation = serde_json::from_str(text).unwrap();
//! assert_eq!(explanation.windows[0].records[0].offset, 7);
//! assert_eq!(serde_json::to_value(&explanation).unwrap(), serde_json::from_str::<serde_json::Value>(text).unwrap());
//! ```

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::named::NamedValues;

/// An explanation of features of one entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureExplanation {
    pub group: String,
    /// The columns of the entity.
    pub entity: NamedValues<Value>,
    /// The time up to which everything is closed, in RFC 3339.
    pub as_of: String,
    /// The features by the records that they are of.
    pub windows: Vec<ExplainedWindow>,
    /// The features that are derived from others.
    pub derived: NamedValues<ExplainedFeature>,
}

/// The records that some features count in one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainedWindow {
    /// The expression that is aggregated; `None` for records as such.
    pub of: Option<String>,
    /// The condition on records.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// The window in words.
    pub window: String,
    pub features: NamedValues<ExplainedFeature>,
    /// In the total order; of too many, the newest.
    pub records: Vec<ExplainedRecord>,
    /// Records that count but are not listed, all of which are older.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_listed: usize,
}

/// A feature, recomputed from its records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainedFeature {
    pub value: Value,
    /// The value that it is compared with, if it is compared.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub served: Option<Value>,
    /// True if both are equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equal: Option<bool>,
    /// The expression of a derived feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expr: Option<String>,
}

/// A record that counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainedRecord {
    pub source: String,
    pub partition: u32,
    pub offset: u64,
    /// Its event time, in RFC 3339.
    pub time: String,
    /// The time at which it takes effect: its event time unless it is late.
    pub effective: String,
    /// The value that is aggregated; `None` for records as such.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

impl FeatureExplanation {
    /// All features.
    pub fn features(&self) -> impl Iterator<Item = (&str, &ExplainedFeature)> {
        let of_windows = self.windows.iter().flat_map(|window| window.features.iter());
        of_windows.chain(self.derived.iter()).map(|of| (of.name.as_str(), &of.value))
    }
}

/// Reads a value that is there, null too.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
