//! The live models: what requests read, without a lock.
//!
//! The dataflow puts a version here the moment its window ends; the registry's thread adds its manifest once it is
//! written. A request takes one reference and keeps predicting with it, whatever is swapped in meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::{Manifest, Registry, RegistryError};
use crate::model::{Predictor, Version};
use crate::time::EventTime;

/// A version that can answer.
#[derive(Clone, Debug)]
pub struct Servable {
    pub version: u64,
    pub window_end: EventTime,
    pub predictor: Arc<Predictor>,
}

/// The models of a dataflow, by name.
#[derive(Debug)]
pub struct Live {
    slots: BTreeMap<String, Slot>,
    keep: usize,
}

#[derive(Debug, Default)]
struct Slot {
    champion: ArcSwapOption<Servable>,
    /// The newest versions, champions or not, ascending.
    recent: ArcSwap<Vec<Arc<Servable>>>,
    manifests: ArcSwap<Vec<Arc<Manifest>>>,
}

impl Live {
    /// Models that have no version yet. Of each, `keep` versions can be asked for.
    pub fn new(models: impl IntoIterator<Item = String>, keep: usize) -> Self {
        Live { slots: models.into_iter().map(|name| (name, Slot::default())).collect(), keep }
    }

    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.slots.keys().map(String::as_str)
    }

    /// The champion of a model, once it has one.
    pub fn champion(&self, model: &str) -> Option<Arc<Servable>> {
        self.slots.get(model)?.champion.load_full()
    }

    /// A version of a model, if it is among those kept.
    pub fn version(&self, model: &str, version: u64) -> Option<Arc<Servable>> {
        let slot = self.slots.get(model)?;
        let champion = slot.champion.load_full().filter(|champion| champion.version == version);
        champion.or_else(|| slot.recent.load().iter().find(|kept| kept.version == version).cloned())
    }

    /// What has been written of a model, ascending.
    pub fn manifests(&self, model: &str) -> Arc<Vec<Arc<Manifest>>> {
        self.slots.get(model).map(|slot| slot.manifests.load_full()).unwrap_or_default()
    }

    /// Shows a version that was just made; one that was published becomes champion. An unknown model is ignored.
    pub fn show(&self, model: &str, version: &Version) {
        let Some(slot) = self.slots.get(model) else { return };
        let servable = Arc::new(Servable {
            version: version.number,
            window_end: version.window_end,
            predictor: Arc::clone(&version.predictor),
        });
        slot.add(Arc::clone(&servable), self.keep);
        // After a restart versions come again; one that was followed by another does not take over from it.
        let newer = slot.champion.load().as_ref().is_some_and(|champion| champion.version > version.number);
        if version.champion == version.number && !newer {
            slot.champion.store(Some(servable));
        }
    }

    /// Points the champion at a version that is kept, by hand. False if it is not.
    pub fn promote(&self, model: &str, version: u64) -> bool {
        let found = self.version(model, version);
        if let (Some(slot), Some(servable)) = (self.slots.get(model), &found) {
            slot.champion.store(Some(Arc::clone(servable)));
        }
        found.is_some()
    }

    /// Adds what was written to the registry.
    pub fn record(&self, manifest: Manifest) {
        let Some(slot) = self.slots.get(&manifest.name) else { return };
        let manifest = Arc::new(manifest);
        slot.manifests.rcu(|manifests| {
            let others = manifests.iter().filter(|other| other.version != manifest.version);
            let mut all: Vec<_> = others.cloned().chain([Arc::clone(&manifest)]).collect();
            all.sort_by_key(|manifest| manifest.version);
            all.drain(..all.len().saturating_sub(self.keep));
            all
        });
    }

    /// Shows what a registry holds: champions and the newest versions, so that a restart answers at once. A version
    /// that is damaged is left out; the errors are given back.
    pub fn restore(&self, registry: &Registry) -> Vec<RegistryError> {
        let mut errors = Vec::new();
        for (name, slot) in &self.slots {
            if let Err(error) = self.restore_one(registry, name, slot, &mut errors) {
                errors.push(error);
            }
        }
        errors
    }

    fn restore_one(
        &self,
        registry: &Registry,
        name: &str,
        slot: &Slot,
        errors: &mut Vec<RegistryError>,
    ) -> Result<(), RegistryError> {
        let champion = registry.aliases(name)?.get(super::CHAMPION).copied();
        let versions = registry.versions(name)?;
        let newest = versions.len().saturating_sub(self.keep);
        for (at, version) in versions.into_iter().enumerate() {
            if at < newest && Some(version) != champion {
                continue;
            }
            match registry.load(name, version) {
                Err(error) => errors.push(error),
                Ok((manifest, predictor)) => {
                    let window_end = manifest.window.end;
                    let servable = Arc::new(Servable { version, window_end, predictor: Arc::new(predictor) });
                    self.record(manifest);
                    slot.add(Arc::clone(&servable), self.keep);
                    if Some(version) == champion {
                        slot.champion.store(Some(servable));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Slot {
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
