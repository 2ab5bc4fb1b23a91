//! Options on reports beside the scores of a model.

use serde::{Deserialize, Serialize};

/// Reports on a model beside its scores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportOptions {
    /// Columns of the examples by whose values scores are split.
    pub segments: Vec<String>,
    /// Columns of the examples that tell keys apart, for the scores of the last known label of a key.
    pub persistence: Vec<String>,
}

impl ReportOptions {
    pub(super) fn is_default(&self) -> bool {
        *self == ReportOptions::default()
    }
}
