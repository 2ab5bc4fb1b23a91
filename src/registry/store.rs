//! The registry as objects: reading and writing, blocking.

use std::collections::BTreeMap;
use std::fmt;

use super::history::{AliasHistory, AliasMove, CHAMPION, MoveRequest, NewestMove, When};
use super::objects::{manifest_path, read, read_json, weights_path};
use super::{Manifest, Publication, RegistryError, artifact};
use crate::blob::{BlobPath, Blobs, Durability};
use crate::hash::{seal, sha256};
use crate::model::Predictor;
use crate::time::EventTime;

/// Versions and aliases of the models of one dataflow. Cloning shares the store.
///
/// All methods block. They must not be called from an async task; a blocking task is fine.
#[derive(Clone)]
pub struct Registry {
    blobs: Blobs,
    history: AliasHistory,
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
        let blobs = Blobs::open(url, durability)?;
        Ok(Registry { history: AliasHistory::new(blobs.clone()), blobs })
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
        let path = manifest_path(model, version);
        let found: Option<Manifest> = read_json(&self.blobs, &path)?;
        let found = found.ok_or_else(|| RegistryError::NoVersion { model: model.to_owned(), version })?;
        if found.name != model || found.version != version {
            let detail = format!("it is that of version {} of model `{}`", found.version, found.name);
            return Err(RegistryError::Damaged { path: path.to_string(), detail });
        }
        Ok(found)
    }

    /// Writes a version again if it is not whole; `known` is its manifest, for want of a whole one. Returns whether the
    /// version is whole now.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) fn mend(
        &self,
        model: &str,
        version: u64,
        predictor: &Predictor,
        known: Option<&Manifest>,
    ) -> Result<bool, RegistryError> {
        if self.load(model, version).is_ok() {
            return Ok(true);
        }
        let weights = artifact::encode(predictor);
        let hash = sha256(&weights);
        let stored = self.manifest(model, version).ok();
        let is_its = |manifest: &&Manifest| manifest.sha256 == hash && manifest.version == version;
        let Some(manifest) = stored.as_ref().filter(is_its).or(known.filter(is_its)) else { return Ok(false) };
        self.blobs.put(&weights_path(model, version), weights)?;
        self.blobs.put(&manifest_path(model, version), seal(manifest))?;
        Ok(true)
    }

    /// Returns the newest alias move of a model that can be read.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) fn newest_move(&self, model: &str) -> Result<NewestMove, RegistryError> {
        self.history.newest_whole(model)
    }

    /// Loads a version, ready to predict.
    ///
    /// # Errors
    /// If there is no such version, or it is damaged.
    pub fn load(&self, model: &str, version: u64) -> Result<(Manifest, Predictor), RegistryError> {
        let manifest = self.manifest(model, version)?;
        let path = weights_path(model, version);
        let none = || RegistryError::NoVersion { model: model.to_owned(), version };
        let bytes = read(&self.blobs, &path)?.ok_or_else(none)?;
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

    /// Writes a version and, if it was accepted, makes it champion from its window's end on. Publishing it again changes
    /// nothing.
    ///
    /// # Errors
    /// If the store fails; calling it again completes what was written so far.
    pub fn publish(&self, publication: &Publication) -> Result<Manifest, RegistryError> {
        publication.write(&self.blobs, &self.history)
    }

    /// Returns all alias moves with their numbers, ascending. Empty for an unknown model.
    ///
    /// # Errors
    /// If a move cannot be read.
    pub fn history(&self, model: &str) -> Result<Vec<(u64, AliasMove)>, RegistryError> {
        self.history.moves(model)
    }

    /// Returns the version that each alias points to now.
    ///
    /// # Errors
    /// If the newest move cannot be read.
    pub fn aliases(&self, model: &str) -> Result<BTreeMap<String, u64>, RegistryError> {
        self.history.aliases(model)
    }

    /// Returns the champion at event time `t`, `None` before the first.
    ///
    /// # Errors
    /// If the history cannot be read.
    pub fn champion_at(&self, model: &str, t: EventTime) -> Result<Option<u64>, RegistryError> {
        self.history.champion_at(model, t)
    }

    /// Appends a move to the history of a model.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) fn append_move(&self, model: &str, request: &MoveRequest<'_>) -> Result<AliasMove, RegistryError> {
        self.history.append(model, request)
    }

    /// Points an alias at a version by hand, from event time `when.event` on.
    ///
    /// # Errors
    /// If there is no such version, or the store fails.
    pub fn promote(
        &self,
        model: &str,
        alias: &str,
        version: u64,
        when: When,
        reason: &str,
        by: &str,
    ) -> Result<AliasMove, RegistryError> {
        self.manifest(model, version)?;
        self.history.append(model, &MoveRequest { alias, version, when, reason, by })
    }

    /// Points the champion alias at the newest earlier champion that is still kept.
    ///
    /// # Errors
    /// If there is no such version, or the store fails.
    pub fn rollback(&self, model: &str, when: When, reason: &str, by: &str) -> Result<AliasMove, RegistryError> {
        let history = self.history(model)?;
        let champions: Vec<u64> = history.iter().filter_map(|(_, made)| made.aliases.get(CHAMPION).copied()).collect();
        let kept = self.versions(model)?;
        let present = champions.last().copied();
        let earlier = champions.iter().rev().find(|version| Some(**version) != present && kept.contains(version));
        let earlier = earlier.ok_or_else(|| RegistryError::NoEarlierChampion { model: model.to_owned() })?;
        self.promote(model, CHAMPION, *earlier, when, reason, by)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.url()).finish()
    }
}
