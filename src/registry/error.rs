//! Errors of the registry.

use crate::blob::BlobError;
use crate::model::ModelError;

/// A failure to read or write the registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("the registry cannot be used")]
    Store {
        #[from]
        source: BlobError,
    },
    #[error("version {version} of model `{model}` is not in the registry at {url}")]
    Unwritten {
        model: String,
        version: u64,
        url: String,
        #[source]
        source: Box<RegistryError>,
    },
    #[error("model `{model}` has no version {version}")]
    NoVersion { model: String, version: u64 },
    #[error("model `{model}` has no earlier champion to go back to")]
    NoEarlierChampion { model: String },
    #[error("`{alias}` is not a valid alias; expected 1 to 64 letters, digits, `_`, `-` and `.`, and not digits alone")]
    Alias { alias: String },
    #[error("`{by}` is not a valid author; expected 1 to 64 bytes, other than `trainer`, `recovery` and `ramp`")]
    Author { by: String },
    #[error("the reason has {length} characters; expected {longest} at most")]
    Reason { length: usize, longest: usize },
    #[error("the author and the reason must have no control characters, such as line breaks")]
    ControlCharacter,
    /// A split that cannot be made.
    #[error("{detail}")]
    Split { detail: String },
    #[error("`{path}` is damaged: it is not the JSON that was written")]
    DamagedJson {
        path: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("`{path}` is damaged: {detail}")]
    Damaged { path: String, detail: String },
    #[error("`{path}` is damaged: its sha256 is {found}, model.json says {expected}")]
    HashMismatch { path: String, expected: String, found: String },
    #[error("`{path}` is damaged: it is not a whole safetensors file")]
    DamagedTensors {
        path: String,
        #[source]
        source: safetensors::SafeTensorError,
    },
    #[error("`{path}` does not hold a model: {detail}")]
    NotAModel { path: String, detail: String },
    #[error("`{path}` does not hold a model that this program can run")]
    Model {
        path: String,
        #[source]
        source: ModelError,
    },
}

impl RegistryError {
    /// Returns whether an object is not the one that was written. Other objects may be whole.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, RegistryError::DamagedJson { .. } | RegistryError::Damaged { .. })
    }
}
