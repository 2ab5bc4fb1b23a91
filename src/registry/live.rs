//! The versions in service: those that requests predict with, which are read without a lock, and those that they list.
//!
//! The dataflow installs a version the moment its window ends; the registry's thread reports what it has written and
//! deleted. A request takes one reference and predicts with it, whatever is swapped in meanwhile. The versions that are
//! listed are those that can be asked for: the ones in memory, which the registry may not have yet or no longer, and those
//! in the registry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::RwLock;

use super::history::{AliasMove, CHAMPION, TrainerMove};
use super::servable::Servable;
use super::split_board::SplitBoard;
use super::{Manifest, Publication, Registry, RegistryError};

/// The models of a dataflow, by name.
#[derive(Debug, Default)]
pub struct LiveModels {
    models: BTreeMap<String, LiveModel>,
    splits: Arc<SplitBoard>,
    keep: usize,
}

/// One model's champion, newest versions and manifests.
#[derive(Debug, Default)]
struct LiveModel {
    champion: ArcSwapOption<Servable>,
    /// The versions that aliases point to, as far as they are known.
    aliases: RwLock<BTreeMap<String, u64>>,
    /// The newest versions, champions or not, ascending.
    recent: ArcSwap<Vec<Arc<Servable>>>,
    /// Manifests of the versions in the registry.
    stored: RwLock<BTreeMap<u64, Arc<Manifest>>>,
    /// The state of the registry that the model was restored from.
    restored: RwLock<Option<RestoredHistory>>,
}

/// The history of a model at a start.
#[derive(Debug)]
struct RestoredHistory {
    /// The number of the newest move.
    number: u64,
    /// The newest move of the trainer.
    by_trainer: Option<TrainerMove>,
}

impl LiveModels {
    /// Models without a version yet. The newest `keep` versions of each are kept in memory.
    pub fn new(models: impl IntoIterator<Item = String>, keep: usize) -> Self {
        let models: BTreeMap<_, _> = models.into_iter().map(|name| (name, LiveModel::default())).collect();
        LiveModels { splits: Arc::new(SplitBoard::new(models.keys().cloned())), models, keep }
    }

    /// Returns the splits of the models.
    pub fn splits(&self) -> &Arc<SplitBoard> {
        &self.splits
    }

    /// Returns the names of the models, ascending.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// Returns the champion of a model, once it has one.
    pub fn champion(&self, model: &str) -> Option<Arc<Servable>> {
        self.models.get(model)?.champion.load_full()
    }

    /// Returns the versions that the aliases of a model point to, but the champion.
    pub fn aliases(&self, model: &str) -> BTreeMap<String, u64> {
        let aliases = self.models.get(model).map(|model| model.aliases.read().clone());
        aliases.unwrap_or_default().into_iter().filter(|(alias, _)| alias != CHAMPION).collect()
    }

    /// Returns the version that the newest move that is known names as champion, whether it is served or not.
    pub(super) fn named_champion(&self, model: &str) -> Option<u64> {
        self.models.get(model)?.aliases.read().get(CHAMPION).copied()
    }

    /// Sets the versions that aliases point to after a move.
    pub fn moved(&self, name: &str, made: &AliasMove) {
        if let Some(model) = self.models.get(name) {
            model.aliases.write().clone_from(&made.aliases);
            self.splits.note(name, made);
        }
    }

    /// Reads the splits of a model that were made since, and the versions that they name. Returns whether anything has
    /// changed.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn refresh_splits(&self, registry: &Registry, name: &str) -> Result<bool, RegistryError> {
        self.splits.refresh(registry, name, |version| self.version(name, version))
    }

    /// Returns a version of a model, if it is kept in memory.
    pub fn version(&self, name: &str, version: u64) -> Option<Arc<Servable>> {
        let model = self.models.get(name)?;
        let champion = model.champion.load_full().filter(|champion| champion.version == version);
        let recent = || model.recent.load().iter().find(|kept| kept.version == version).cloned();
        champion.or_else(recent).or_else(|| self.splits.pinned(name, version))
    }

    /// Returns the manifests of the versions that can be asked for, ascending. Empty for an unknown model.
    pub fn manifests(&self, model: &str) -> Vec<Arc<Manifest>> {
        let Some(model) = self.models.get(model) else { return Vec::new() };
        let mut all = model.stored.read().clone();
        let champion = model.champion.load_full();
        for servable in model.recent.load().iter().chain(&champion) {
            all.entry(servable.version).or_insert_with(|| servable.manifest.clone());
        }
        all.into_values().collect()
    }

    /// Installs a version that was just made; a published one becomes champion. Ignores an unknown model.
    pub fn install(&self, made: &Publication) {
        let Some(model) = self.models.get(&made.model) else { return };
        let version = &made.version;
        let servable = Arc::new(Servable::new(made.manifest(), Arc::clone(&version.predictor)));
        model.add(Arc::clone(&servable), self.keep);
        // After a restart versions are made again; one that was champion before must not undo a later move.
        if model.has_moved(made) {
            return;
        }
        let newer = model.champion.load().as_ref().is_some_and(|champion| champion.version > version.number);
        if version.champion == version.number && !newer {
            model.champion.store(Some(servable));
        } else if version.rolled_back.is_some() {
            // One that is no longer in memory is loaded once the move is written.
            self.promote(&made.model, version.champion);
        }
    }

    /// Sets the number of the newest move that is in effect, and the newest move of the trainer.
    pub(super) fn continue_from(&self, model: &str, number: u64, by_trainer: Option<TrainerMove>) {
        if let Some(model) = self.models.get(model) {
            *model.restored.write() = Some(RestoredHistory { number, by_trainer });
        }
    }

    /// Returns the number of the newest move that was in effect when a model was restored; `None` if it was not.
    pub(super) fn moves_seen(&self, model: &str) -> Option<u64> {
        self.models.get(model)?.restored.read().as_ref().map(|restored| restored.number)
    }

    /// Makes a version champion by hand. Returns false if it is not kept in memory.
    pub fn promote(&self, model: &str, version: u64) -> bool {
        let found = self.version(model, version);
        if let (Some(model), Some(servable)) = (self.models.get(model), &found) {
            model.champion.store(Some(Arc::clone(servable)));
        }
        found.is_some()
    }

    /// Adds a version that was written to the registry, and removes those that were deleted from it.
    pub fn stored(&self, manifest: &Manifest, deleted: &[u64]) {
        let Some(model) = self.models.get(&manifest.name) else { return };
        let mut stored = model.stored.write();
        stored.insert(manifest.version, Arc::new(manifest.clone()));
        deleted.iter().for_each(|version| drop(stored.remove(version)));
    }

    /// Returns the versions of a model that the registry is known to have.
    pub(super) fn stored_versions(&self, name: &str) -> BTreeSet<u64> {
        self.models.get(name).map(|model| model.stored.read().keys().copied().collect()).unwrap_or_default()
    }

    /// Removes versions that were deleted from the registry.
    pub(super) fn forget(&self, name: &str, deleted: &[u64]) {
        if let Some(model) = self.models.get(name) {
            let mut stored = model.stored.write();
            deleted.iter().for_each(|version| drop(stored.remove(version)));
        }
    }

    /// Forgets all versions, aliases and splits, as the registry is another one.
    pub fn clear(&self) {
        for model in self.models.values() {
            model.champion.store(None);
            model.recent.store(Arc::default());
            model.aliases.write().clear();
            model.stored.write().clear();
            *model.restored.write() = None;
        }
        self.splits.clear();
    }

    /// Adds a version that was read.
    pub(super) fn add(&self, name: &str, servable: &Arc<Servable>) {
        if let Some(model) = self.models.get(name) {
            model.add(Arc::clone(servable), self.keep);
        }
    }

    /// Makes a version that was read champion.
    pub fn install_champion(&self, name: &str, servable: Arc<Servable>) {
        if let Some(model) = self.models.get(name) {
            model.champion.store(Some(servable));
        }
    }

    /// Returns the number of versions of a model that are kept.
    pub(super) fn keep(&self) -> usize {
        self.keep
    }
}

impl LiveModel {
    /// Returns whether the trainer had moved the alias at a version's window end, or later, for the same definition before
    /// the model was restored.
    fn has_moved(&self, made: &Publication) -> bool {
        let restored = self.restored.read();
        let by_trainer = restored.as_ref().and_then(|restored| restored.by_trainer.as_ref());
        by_trainer.is_some_and(|known| known.time >= made.version.window_end && known.definition == made.definition)
    }

    fn add(&self, servable: Arc<Servable>, keep: usize) {
        self.recent.rcu(|recent| {
            let others = recent.iter().filter(|other| other.version != servable.version);
            let mut all: Vec<_> = others.cloned().chain([Arc::clone(&servable)]).collect();
            all.sort_by_key(|kept| kept.version);
            all.drain(..all.len().saturating_sub(keep));
            all
        });
    }
}
