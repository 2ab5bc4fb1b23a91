//! Following the registry: alias moves and splits that are made while a job runs, by hand or by another process, take
//! effect in it.
//!
//! A [`Follower`] looks for new moves once everything that the job has made is written, so the newest move is the newest
//! decision. It costs two requests to the store for each model. A version that cannot be read leaves the champion as it is.

use std::collections::BTreeMap;
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
}

impl Follower {
    /// Follows all live models: those that were restored from where the histories were then, others from the first move
    /// after those that [`Follower::poll`] finds first.
    pub fn new(live: Arc<LiveModels>) -> Self {
        let seen = live.models().filter_map(|model| Some((model.to_owned(), live.moves_seen(model)?))).collect();
        Follower { live, seen }
    }

    /// Looks for new moves. The champion of the newest one answers from now on; `moved` is called with the model and the
    /// move. Errors are logged.
    pub fn poll(&mut self, registry: &Registry, mut moved: impl FnMut(&str, &AliasMove)) {
        for model in self.live.models() {
            let (number, newest) = match registry.newest_entry(model) {
                Ok(newest) => newest,
                Err(error) => {
                    tracing::debug!(model, "the history cannot be read: {}", chain(&error));
                    continue;
                }
            };
            let seen = self.seen.insert(model.to_owned(), number);
            if seen == Some(number) || seen.is_none() && self.live.champion(model).is_none() {
                continue;
            }
            let Some(newest) = newest else { continue };
            if let Some(champion) = newest.aliases.get(CHAMPION)
                && let Err(error) = self.crown(registry, model, *champion)
            {
                tracing::warn!(model, version = champion, "the champion cannot be served: {}", chain(&error));
            }
            self.live.moved(model, &newest);
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

    /// Makes a version champion, unless it is.
    fn crown(&self, registry: &Registry, model: &str, version: u64) -> Result<(), RegistryError> {
        if self.live.champion(model).is_some_and(|champion| champion.version == version)
            || self.live.promote(model, version)
        {
            return Ok(());
        }
        let (manifest, predictor) = registry.load(model, version)?;
        self.live.crown(model, Arc::new(Servable::new(manifest, Arc::new(predictor))));
        Ok(())
    }
}
