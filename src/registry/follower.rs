//! Following the registry: alias moves and splits that are made while a job runs, by hand or by another process, take
//! effect in it.
//!
//! A [`Follower`] looks for new moves once everything that the job has made is written, so the newest move is the newest
//! decision. It costs two requests to the store for each model. A version that cannot be read leaves the champion as it is,
//! and is tried again with each poll.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::history::{AliasMove, CHAMPION};
use super::live::LiveModels;
use super::servable::Servable;
use super::split::SplitEntry;
use super::{Registry, RegistryError};
use crate::error::chain;

/// The moves of live models, as far as they have taken effect.
#[derive(Debug)]
pub struct Follower {
    live: Arc<LiveModels>,
    /// By model, the number of the newest move that was looked at.
    seen: BTreeMap<String, u64>,
    /// By model, the champion that cannot be served, and the reason.
    unserved_champions: BTreeMap<String, UnservedChampion>,
    /// Versions whose manifests cannot be read, by model.
    damaged: BTreeSet<(String, u64)>,
}

/// A champion that cannot be served.
#[derive(Clone, Debug)]
pub struct UnservedChampion {
    pub version: u64,
    pub reason: String,
}

impl Follower {
    /// Follows all live models: those that were restored from where the histories were then, others from the first move
    /// after those that [`Follower::poll`] finds first.
    pub fn new(live: Arc<LiveModels>) -> Self {
        let seen = live.models().filter_map(|model| Some((model.to_owned(), live.moves_seen(model)?))).collect();
        Follower { live, seen, unserved_champions: BTreeMap::new(), damaged: BTreeSet::new() }
    }

    /// Follows all live models of a process that does not make them: champions that could not be restored are tried again.
    pub fn retrying(live: Arc<LiveModels>) -> Self {
        let mut follower = Follower::new(live.clone());
        for model in live.models() {
            let served = live.champion(model).map(|champion| champion.version);
            if let Some(version) = live.named_champion(model).filter(|named| served != Some(*named)) {
                let unserved = UnservedChampion { version, reason: "it is damaged".to_owned() };
                follower.unserved_champions.insert(model.to_owned(), unserved);
            }
        }
        follower
    }

    /// Looks for new moves. The champion of the newest one answers from now on; `moved` is called with the model and the
    /// move. Errors are logged.
    pub fn poll(&mut self, registry: &Registry, mut moved: impl FnMut(&str, &AliasMove)) {
        let live = self.live.clone();
        for model in live.models() {
            let (number, newest) = match registry.newest_entry(model) {
                Ok(newest) => newest,
                Err(error) => {
                    tracing::debug!(model, "the history cannot be read: {}", chain(&error));
                    continue;
                }
            };
            let seen = self.seen.insert(model.to_owned(), number);
            if seen == Some(number)
                && let Some(version) = self.unserved_champions.get(model).map(|unserved| unserved.version)
            {
                self.install_champion(registry, model, version);
            }
            if seen == Some(number) || seen.is_none() && self.live.champion(model).is_none() {
                continue;
            }
            let Some(newest) = newest else { continue };
            if let Some(champion) = newest.aliases.get(CHAMPION) {
                self.install_champion(registry, model, *champion);
            }
            live.moved(model, &newest);
            moved(model, &newest);
        }
    }

    /// Looks for new splits, which are in force from now on, and for the versions that their arms name; `changed` is called
    /// with the model and its newest split. Errors are logged.
    pub fn poll_splits(&self, registry: &Registry, mut changed: impl FnMut(&str, &SplitEntry)) {
        for model in self.live.models() {
            match self.live.refresh_splits(registry, model) {
                Err(error) => tracing::debug!(model, "the splits cannot be read: {}", chain(&error)),
                Ok(false) => {}
                Ok(true) => self.live.splits().newest(model).iter().for_each(|entry| changed(model, entry)),
            }
        }
    }

    /// Looks for versions that others have written or deleted, so that they are listed. One that cannot be read is logged
    /// once, and skipped until it can be.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn poll_versions(&mut self, registry: &Registry) -> Result<(), RegistryError> {
        let live = self.live.clone();
        for model in live.models() {
            let (versions, known) = (registry.versions(model)?, live.stored_versions(model));
            let gone: Vec<u64> = known.iter().filter(|version| !versions.contains(version)).copied().collect();
            live.forget(model, &gone);
            for version in versions.into_iter().filter(|version| !known.contains(version)) {
                let place = (model.to_owned(), version);
                match registry.manifest(model, version) {
                    Ok(manifest) => {
                        self.damaged.remove(&place);
                        live.stored(&manifest, &[]);
                    }
                    // It is being written.
                    Err(RegistryError::NoVersion { .. }) => {}
                    Err(error) => {
                        if self.damaged.insert(place) {
                            tracing::warn!(model, version, "a version cannot be read: {}", chain(&error));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the champions that cannot be served, by model.
    pub fn unserved_champions(&self) -> &BTreeMap<String, UnservedChampion> {
        &self.unserved_champions
    }

    /// Makes a version champion, unless it is. The reason why it cannot be is logged once.
    fn install_champion(&mut self, registry: &Registry, model: &str, version: u64) {
        let Err(error) = self.try_install_champion(registry, model, version) else {
            self.unserved_champions.remove(model);
            return;
        };
        let reason = chain(&error);
        let known =
            self.unserved_champions.insert(model.to_owned(), UnservedChampion { version, reason: reason.clone() });
        if known.is_none_or(|known| (known.version, &known.reason) != (version, &reason)) {
            tracing::warn!(model, version, "the champion cannot be served: {reason}");
        }
    }

    fn try_install_champion(&self, registry: &Registry, model: &str, version: u64) -> Result<(), RegistryError> {
        if self.live.champion(model).is_some_and(|champion| champion.version == version)
            || self.live.promote(model, version)
        {
            return Ok(());
        }
        let (manifest, predictor) = registry.load(model, version)?;
        self.live.install_champion(model, Arc::new(Servable::new(manifest, Arc::new(predictor))));
        Ok(())
    }
}
