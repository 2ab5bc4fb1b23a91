//! A registry on an object store, reading and writing, blocking.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use super::{Manifest, RegistryError, artifact};
use crate::model::Predictor;

/// Versions and aliases of the models of one dataflow. Cloning shares it.
///
/// Its methods block, and must not be called from an async task (a blocking task is fine).
#[derive(Clone)]
pub struct Registry {
    url: Arc<str>,
    store: Arc<dyn ObjectStore>,
    runtime: Arc<Runtime>,
    /// By model, the number of the newest move seen: where the search for the next one starts.
    pub(super) newest_moves: Arc<Mutex<HashMap<String, u64>>>,
}

impl Registry {
    /// The registry at a path or `file://` url; the folder is made if it is not there. What was written survives a
    /// power failure: that costs some 10 ms a write.
    ///
    /// # Errors
    /// If the url has another scheme or the folder cannot be made.
    pub fn open(url: &str) -> Result<Self, RegistryError> {
        Self::open_with(url, true)
    }

    /// As [`Registry::open`], for what can be made again, as by a replay: it survives a kill, not a power failure.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn scratch(url: &str) -> Result<Self, RegistryError> {
        Self::open_with(url, false)
    }

    fn open_with(url: &str, durable: bool) -> Result<Self, RegistryError> {
        let path = match url.strip_prefix("file://") {
            Some(path) => percent_decode_str(path).decode_utf8_lossy().into_owned(),
            None if url.contains("://") || url.is_empty() => return Err(RegistryError::Url(url.to_owned())),
            None => url.to_owned(),
        };
        let folder = |source| RegistryError::Folder { path: path.clone(), source };
        std::fs::create_dir_all(&path).map_err(folder)?;
        let store = LocalFileSystem::new_with_prefix(&path).map_err(failed("opening", &path))?;
        let store = Arc::new(store.with_fsync(durable).with_automatic_cleanup(true));
        Self::on(store, url).map_err(folder)
    }

    fn on(store: Arc<dyn ObjectStore>, url: &str) -> Result<Self, std::io::Error> {
        let runtime = Arc::new(tokio::runtime::Builder::new_current_thread().build()?);
        Ok(Registry { url: url.into(), store, runtime, newest_moves: Arc::default() })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The models that have a version or a history, by name.
    ///
    /// # Errors
    /// If the store fails.
    pub fn models(&self) -> Result<Vec<String>, RegistryError> {
        self.folders(&Path::default())
    }

    /// The versions of a model, ascending. Empty for an unknown model.
    ///
    /// # Errors
    /// If the store fails.
    pub fn versions(&self, model: &str) -> Result<Vec<u64>, RegistryError> {
        let folders = self.folders(&Path::from_iter([model]))?;
        let mut versions: Vec<u64> = folders.iter().filter_map(|folder| folder.parse().ok()).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// What a version is.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn manifest(&self, model: &str, version: u64) -> Result<Manifest, RegistryError> {
        let found = self.json(&manifest_path(model, version))?;
        found.ok_or_else(|| RegistryError::NoVersion { model: model.to_owned(), version })
    }

    /// A version, ready to predict.
    ///
    /// # Errors
    /// If there is none, or it is damaged.
    pub fn load(&self, model: &str, version: u64) -> Result<(Manifest, Predictor), RegistryError> {
        let manifest = self.manifest(model, version)?;
        let path = weights_path(model, version);
        let none = || RegistryError::NoVersion { model: model.to_owned(), version };
        let bytes = self.get(&path)?.ok_or_else(none)?;
        let found = artifact::sha256(&bytes);
        if found != manifest.sha256 {
            return Err(RegistryError::HashMismatch { path: path.to_string(), expected: manifest.sha256, found });
        }
        let predictor = artifact::decode(&bytes, path.as_ref())?;
        Ok((manifest, predictor))
    }

    /// Deletes versions until `keep` are left: the oldest first, never one that an alias points to.
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
            self.delete(&manifest_path(model, *version))?;
            self.delete(&weights_path(model, *version))?;
        }
        Ok(old)
    }

    pub(super) fn get(&self, path: &Path) -> Result<Option<Bytes>, RegistryError> {
        let read = async { self.store.get(path).await?.bytes().await };
        match self.runtime.block_on(read) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("reading", path.as_ref())(error)),
        }
    }

    pub(super) fn json<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, RegistryError> {
        let Some(bytes) = self.get(path)? else { return Ok(None) };
        let damaged = |source| RegistryError::DamagedJson { path: path.to_string(), source };
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    /// Writes a whole object, in place of one that is there.
    pub(super) fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<(), RegistryError> {
        let written = self.runtime.block_on(self.store.put(path, bytes.into()));
        written.map(drop).map_err(failed("writing", path.as_ref()))
    }

    /// Writes a whole object unless one is there; tells whether it did.
    pub(super) fn create(&self, path: &Path, bytes: Vec<u8>) -> Result<bool, RegistryError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.runtime.block_on(self.store.put_opts(path, bytes.into(), options)) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(failed("writing", path.as_ref())(error)),
        }
    }

    fn delete(&self, path: &Path) -> Result<(), RegistryError> {
        match self.runtime.block_on(self.store.delete(path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("deleting", path.as_ref())(error)),
        }
    }

    fn folders(&self, path: &Path) -> Result<Vec<String>, RegistryError> {
        let listed = self.runtime.block_on(self.store.list_with_delimiter(Some(path)));
        let listed = listed.map_err(failed("listing", path.as_ref()))?;
        let mut names: Vec<String> = listed
            .common_prefixes
            .iter()
            .filter_map(|path| path.parts().next_back().map(|p| p.as_ref().to_owned()))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The names of the objects of a folder.
    pub(super) fn objects(&self, path: &Path) -> Result<Vec<String>, RegistryError> {
        let listed = self.runtime.block_on(self.store.list_with_delimiter(Some(path)));
        let listed = listed.map_err(failed("listing", path.as_ref()))?;
        Ok(listed.objects.iter().filter_map(|object| object.location.filename().map(str::to_owned)).collect())
    }
}

pub(super) fn manifest_path(model: &str, version: u64) -> Path {
    Path::from_iter([model, &version.to_string(), "model.json"])
}

pub(super) fn weights_path(model: &str, version: u64) -> Path {
    Path::from_iter([model, &version.to_string(), "weights.safetensors"])
}

fn failed(action: &'static str, path: &str) -> impl FnOnce(object_store::Error) -> RegistryError {
    let path = path.to_owned();
    move |why| RegistryError::Store { action, path, why }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.url).finish()
    }
}
