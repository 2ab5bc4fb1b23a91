//! The versions in service: what requests predict with, read without a lock.
//!
//! The dataflow installs a version the moment its window ends; the registry's thread adds its manifest once it is
//! written. A request takes one reference and predicts with it, whatever is swapped in meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::{Manifest, Registry, RegistryError};
use crate::model::{Predictor, Version};
use crate::time::EventTime;

/// A version that can answer requests.
#[derive(Clone, Debug)]
pub struct Servable {
    pub version: u64,
    pub window_end: EventTime,
    pub predictor: Arc<Predictor>,
}

/// The models of a dataflow, by name.
#[derive(Debug)]
pub struct LiveModels {
    models: BTreeMap<String, LiveModel>,
    keep: usize,
}

/// One model's champion, newest versions and manifests.
#[derive(Debug, Default)]
struct LiveModel {
    champion: ArcSwapOption<Servable>,
    /// The newest versions, champions or not, ascending.
    recent: ArcSwap<Vec<Arc<Servable>>>,
    manifests: ArcSwap<Vec<Arc<Manifest>>>,
}

impl LiveModels {
    /// Models without a version yet. The newest `keep` versions of each are kept in memory.
    pub fn new(models: impl IntoIterator<Item = String>, keep: usize) -> Self {
        LiveModels { models: models.into_iter().map(|name| (name, LiveModel::default())).collect(), keep }
    }

    /// Returns the names of the models, ascending.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// Returns the champion of a model, once it has one.
    pub fn champion(&self, model: &str) -> Option<Arc<Servable>> {
        self.models.get(model)?.champion.load_full()
    }

    /// Returns a version of a model, if it is kept in memory.
    pub fn version(&self, model: &str, version: u64) -> Option<Arc<Servable>> {
        let model = self.models.get(model)?;
        let champion = model.champion.load_full().filter(|champion| champion.version == version);
        champion.or_else(|| model.recent.load().iter().find(|kept| kept.version == version).cloned())
    }

    /// Returns the manifests of the versions that the registry holds, ascending. Empty for an unknown model.
    pub fn manifests(&self, model: &str) -> Arc<Vec<Arc<Manifest>>> {
        self.models.get(model).map(|model| model.manifests.load_full()).unwrap_or_default()
    }

    /// Installs a version that was just made; a published one becomes champion. Ignores an unknown model.
    pub fn install(&self, model: &str, version: &Version) {
        let Some(model) = self.models.get(model) else { return };
        let servable = Arc::new(Servable {
            version: version.number,
            window_end: version.window_end,
            predictor: Arc::clone(&version.predictor),
        });
        model.add(Arc::clone(&servable), self.keep);
        // After a restart versions are made again; an older one must not replace the champion.
        let newer = model.champion.load().as_ref().is_some_and(|champion| champion.version > version.number);
        if version.champion == version.number && !newer {
            model.champion.store(Some(servable));
        }
    }

    /// Makes a version champion by hand. Returns false if it is not kept in memory.
    pub fn promote(&self, model: &str, version: u64) -> bool {
        let found = self.version(model, version);
        if let (Some(model), Some(servable)) = (self.models.get(model), &found) {
            model.champion.store(Some(Arc::clone(servable)));
        }
        found.is_some()
    }

    /// Adds the manifest of a version that was written to the registry.
    pub fn add_manifest(&self, manifest: Manifest) {
        let Some(model) = self.models.get(&manifest.name) else { return };
        let manifest = Arc::new(manifest);
        model.manifests.rcu(|manifests| {
            let others = manifests.iter().filter(|other| other.version != manifest.version);
            let mut all: Vec<_> = others.cloned().chain([Arc::clone(&manifest)]).collect();
            all.sort_by_key(|manifest| manifest.version);
            all.drain(..all.len().saturating_sub(self.keep));
            all
        });
    }

    /// Installs the champions and the newest versions of a registry, so that a restart answers at once. Skips damaged
    /// versions and returns their errors.
    pub fn restore(&self, registry: &Registry) -> Vec<RegistryError> {
        let mut errors = Vec::new();
        for (name, model) in &self.models {
            if let Err(error) = self.restore_model(registry, name, model, &mut errors) {
                errors.push(error);
            }
        }
        errors
    }

    fn restore_model(
        &self,
        registry: &Registry,
        name: &str,
        model: &LiveModel,
        errors: &mut Vec<RegistryError>,
    ) -> Result<(), RegistryError> {
        let champion = registry.aliases(name)?.get(super::CHAMPION).copied();
        let versions = registry.versions(name)?;
        let oldest = versions.len().saturating_sub(self.keep);
        for (at, version) in versions.into_iter().enumerate() {
            if at < oldest && Some(version) != champion {
                continue;
            }
            match registry.load(name, version) {
                Err(error) => errors.push(error),
                Ok((manifest, predictor)) => {
                    let window_end = manifest.window.end;
                    let servable = Arc::new(Servable { version, window_end, predictor: Arc::new(predictor) });
                    self.add_manifest(manifest);
                    model.add(Arc::clone(&servable), self.keep);
                    if Some(version) == champion {
                        model.champion.store(Some(servable));
                    }
                }
            }
        }
        Ok(())
    }
}

impl LiveModel {
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
