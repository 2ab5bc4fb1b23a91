//! The registry as objects: reading and writing, blocking.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::{Manifest, RegistryError, artifact};
use crate::blob::{BlobPath, Blobs, Durability};
use crate::hash::sha256;
use crate::model::Predictor;

/// Versions and aliases of the models of one dataflow. Cloning shares the store.
///
/// All methods block. They must not be called from an async task; a blocking task is fine.
#[derive(Clone)]
pub struct Registry {
    blobs: Blobs,
    /// By model, the number of the newest move seen: where the search for the next one starts.
    pub(super) newest_moves: Arc<Mutex<HashMap<String, u64>>>,
}

impl Registry {
    /// Opens the registry at a path or `file://` url. The folder is created if it does not exist. Writes survive a power
    /// failure, which costs some 10 ms each.
    ///
    /// # Errors
    /// If the url has another scheme, or the folder cannot be created.
    pub fn open(url: &str) -> Result<Self, RegistryError> {
        Self::open_with(url, Durability::PowerFailure)
    }

    /// Opens a registry whose content can be made again, as that of a replay: writes survive the end of the process, but
    /// not a power failure.
    ///
    /// # Errors
    /// If the url has another scheme, or the folder cannot be created.
    pub fn scratch(url: &str) -> Result<Self, RegistryError> {
        Self::open_with(url, Durability::Process)
    }

    fn open_with(url: &str, durability: Durability) -> Result<Self, RegistryError> {
        Ok(Registry { blobs: Blobs::open(url, durability)?, newest_moves: Arc::default() })
    }

    /// Returns the url of the registry, as it was given.
    pub fn url(&self) -> &str {
        self.blobs.url()
    }

    /// Returns the models that have a version or a history, by name.
    ///
    /// # Errors
    /// If the store fails.
    pub fn models(&self) -> Result<Vec<String>, RegistryError> {
        Ok(self.blobs.list(&BlobPath::default())?.folders)
    }

    /// Returns the versions of a model, ascending. Empty for an unknown model.
    ///
    /// # Errors
    /// If the store fails.
    pub fn versions(&self, model: &str) -> Result<Vec<u64>, RegistryError> {
        let folders = self.blobs.list(&BlobPath::from_iter([model]))?.folders;
        let mut versions: Vec<u64> = folders.iter().filter_map(|folder| folder.parse().ok()).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// Returns the manifest of a version.
    ///
    /// # Errors
    /// If there is no such version, or it cannot be read.
    pub fn manifest(&self, model: &str, version: u64) -> Result<Manifest, RegistryError> {
        let found = self.json(&manifest_path(model, version))?;
        found.ok_or_else(|| RegistryError::NoVersion { model: model.to_owned(), version })
    }

    /// Loads a version, ready to predict.
    ///
    /// # Errors
    /// If there is no such version, or it is damaged.
    pub fn load(&self, model: &str, version: u64) -> Result<(Manifest, Predictor), RegistryError> {
        let manifest = self.manifest(model, version)?;
        let path = weights_path(model, version);
        let none = || RegistryError::NoVersion { model: model.to_owned(), version };
        let bytes = self.get(&path)?.ok_or_else(none)?;
        let found = sha256(&bytes);
        if found != manifest.sha256 {
            return Err(RegistryError::HashMismatch { path: path.to_string(), expected: manifest.sha256, found });
        }
        let predictor = artifact::decode(&bytes, path.as_ref())?;
        Ok((manifest, predictor))
    }

    /// Deletes versions until `keep` are left: the oldest first, never one that an alias points to. Returns those that were
    /// deleted.
    ///
    /// # Errors
    /// If the store fails.
    pub fn retain(&self, model: &str, keep: usize) -> Result<Vec<u64>, RegistryError> {
        if keep == usize::MAX {
            return Ok(Vec::new());
        }
        let aliases: BTreeMap<String, u64> = self.aliases(model)?;
        let versions = self.versions(model)?;
        let old = &versions[..versions.len().saturating_sub(keep.max(1))];
        let old: Vec<u64> = old.iter().copied().filter(|old| !aliases.values().any(|kept| kept == old)).collect();
        for version in &old {
            self.blobs.delete(&manifest_path(model, *version))?;
            self.blobs.delete(&weights_path(model, *version))?;
        }
        Ok(old)
    }

    pub(super) fn get(&self, path: &BlobPath) -> Result<Option<Bytes>, RegistryError> {
        Ok(self.blobs.get(path)?)
    }

    pub(super) fn json<T: DeserializeOwned>(&self, path: &BlobPath) -> Result<Option<T>, RegistryError> {
        let Some(bytes) = self.get(path)? else { return Ok(None) };
        let damaged = |source| RegistryError::DamagedJson { path: path.to_string(), source };
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    /// Writes an object, in place of one that exists.
    pub(super) fn put(&self, path: &BlobPath, bytes: Vec<u8>) -> Result<(), RegistryError> {
        Ok(self.blobs.put(path, bytes)?)
    }

    /// Writes an object unless one exists. Returns whether it did.
    pub(super) fn create(&self, path: &BlobPath, bytes: Vec<u8>) -> Result<bool, RegistryError> {
        Ok(self.blobs.create(path, bytes)?)
    }

    /// Returns the names of the objects of a folder.
    pub(super) fn objects(&self, folder: &BlobPath) -> Result<Vec<String>, RegistryError> {
        Ok(self.blobs.list(folder)?.objects)
    }
}

pub(super) fn manifest_path(model: &str, version: u64) -> BlobPath {
    BlobPath::from_iter([model, &version.to_string(), "model.json"])
}

pub(super) fn weights_path(model: &str, version: u64) -> BlobPath {
    BlobPath::from_iter([model, &version.to_string(), "weights.safetensors"])
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.url()).finish()
    }
}
