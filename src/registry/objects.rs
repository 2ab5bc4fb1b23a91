//! The objects of a registry: their paths and their JSON.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::RegistryError;
use crate::blob::{BlobPath, Blobs};

pub(super) fn manifest_path(model: &str, version: u64) -> BlobPath {
    BlobPath::from_iter([model, &version.to_string(), "model.json"])
}

pub(super) fn weights_path(model: &str, version: u64) -> BlobPath {
    BlobPath::from_iter([model, &version.to_string(), "weights.safetensors"])
}

pub(super) fn history_path(model: &str) -> BlobPath {
    BlobPath::from_iter([model, "history"])
}

pub(super) fn move_path(model: &str, number: u64) -> BlobPath {
    BlobPath::from_iter([model, "history", &format!("{number}.json")])
}

/// Reads an object. None if it does not exist.
///
/// # Errors
/// If the store fails.
pub(super) fn read(blobs: &Blobs, path: &BlobPath) -> Result<Option<Bytes>, RegistryError> {
    Ok(blobs.get(path)?)
}

/// Reads an object that holds JSON. None if it does not exist.
///
/// # Errors
/// If the store fails, or the object is damaged.
pub(super) fn read_json<T: DeserializeOwned>(blobs: &Blobs, path: &BlobPath) -> Result<Option<T>, RegistryError> {
    let Some(bytes) = read(blobs, path)? else { return Ok(None) };
    let damaged = |source| RegistryError::DamagedJson { path: path.to_string(), source };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Returns a plain value as JSON.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("plain values have a JSON form")
}
