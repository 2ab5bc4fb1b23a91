//! The objects of a registry: their paths and their JSON.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::RegistryError;
use crate::blob::{BlobPath, Blobs};
use crate::hash::{Seal, seal_of};

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

pub(super) fn splits_path(model: &str) -> BlobPath {
    BlobPath::from_iter([model, "splits"])
}

pub(super) fn split_path(model: &str, number: u64) -> BlobPath {
    BlobPath::from_iter([model, "splits", &format!("{number}.json")])
}

pub(super) fn scores_folder(model: &str) -> BlobPath {
    BlobPath::from_iter([model, "scores"])
}

/// The path of the object with the scores of a hundred versions, from `first` on.
pub(super) fn scores_path(model: &str, first: u64) -> BlobPath {
    BlobPath::from_iter([model, "scores", &format!("{first}.json")])
}

/// Reads an object. None if it does not exist.
///
/// # Errors
/// If the store fails.
pub(super) fn read(blobs: &Blobs, path: &BlobPath) -> Result<Option<Bytes>, RegistryError> {
    Ok(blobs.get(path)?)
}

/// Reads an object that holds JSON. None if it does not exist. A checksum is compared where there is one.
///
/// # Errors
/// If the store fails, or the object is damaged.
pub(super) fn read_json<T: DeserializeOwned>(blobs: &Blobs, path: &BlobPath) -> Result<Option<T>, RegistryError> {
    let Some(bytes) = read(blobs, path)? else { return Ok(None) };
    if seal_of(&bytes) == Seal::Broken {
        let detail = "its checksum is not that of its content".to_owned();
        return Err(RegistryError::Damaged { path: path.to_string(), detail });
    }
    let damaged = |source| RegistryError::DamagedJson { path: path.to_string(), source };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}
