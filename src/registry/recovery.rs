//! The start from a registry that may be damaged: which version of a model is served, and what is written again.
//!
//! The champion is served if its move and its files are whole. Else the champion of the checkpoint is served and written
//! again, or, for want of a checkpoint, the newest version that is whole. The history gets a move to the version that is
//! served, unless the run will make the missing version again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::history::{CHAMPION, MoveRequest, NewestMove, RECOVERY, When};
use super::live::LiveModels;
use super::servable::Servable;
use super::{Manifest, Offsets, Registry, RegistryError, TimeRange};
use crate::error::chain;
use crate::model::{Decision, Predictor};
use crate::time::EventTime;

/// A model's champion in a checkpoint.
#[derive(Clone, Debug)]
pub struct SavedChampion {
    pub version: u64,
    pub window_end: EventTime,
    pub predictor: Arc<Predictor>,
    /// Its manifest, if that is known.
    pub manifest: Option<Manifest>,
}

impl SavedChampion {
    /// Returns its manifest; of one that is not known, as much as the checkpoint has.
    fn manifest_of(&self, model: &str) -> Manifest {
        self.manifest.clone().unwrap_or_else(|| Manifest {
            name: model.to_owned(),
            kind: self.predictor.kind().name.to_owned(),
            version: self.version,
            parent: None,
            window: TimeRange { start: self.window_end, end: self.window_end },
            examples: 0,
            offsets: Offsets::default(),
            scores: BTreeMap::new(),
            decision: Decision::Published.name().to_owned(),
            reason: "in a checkpoint".to_owned(),
            definition: String::new(),
            sha256: String::new(),
        })
    }
}

/// The result of a start from a registry.
#[derive(Debug, Default)]
pub struct Restoration {
    /// Errors of versions and moves that cannot be read.
    pub errors: Vec<RegistryError>,
    /// By model, the version that is served in place of a champion that cannot be, and the reason, in words.
    pub substitutes: BTreeMap<String, String>,
}

/// The versions of a model that are whole.
#[derive(Default)]
struct WholeVersions {
    newest: Option<Arc<Servable>>,
    newest_published: Option<Arc<Servable>>,
    champion: Option<Arc<Servable>>,
    /// The reason why the champion is not among them.
    fault: Option<String>,
}

impl LiveModels {
    /// Installs the champions and the newest versions of a registry, so that a restart answers at once. Damaged versions are
    /// skipped. `saved` returns a model's champion in the checkpoint that the run starts from, and is asked only where the
    /// registry's champion cannot be served; `when` is the time of moves that mend a history.
    pub fn restore(
        &self,
        registry: &Registry,
        saved: impl Fn(&str) -> Option<SavedChampion>,
        when: When,
    ) -> Restoration {
        let mut result = Restoration::default();
        for name in self.models() {
            let restored = restore_model(self, registry, name, &saved, when, &mut result);
            result.errors.extend(restored.err());
            result.errors.extend(self.refresh_splits(registry, name).err());
        }
        result
    }
}

fn restore_model(
    live: &LiveModels,
    registry: &Registry,
    name: &str,
    saved: &impl Fn(&str) -> Option<SavedChampion>,
    when: When,
    result: &mut Restoration,
) -> Result<(), RegistryError> {
    // Later moves, and versions that are made again, are found by what the history has now.
    live.continue_from(name, registry.newest_entry(name)?.0, registry.newest_by_trainer(name)?);
    // The champion that the history names.
    let NewestMove { made, damaged } = registry.newest_move(name)?;
    made.iter().for_each(|made| live.moved(name, made));
    let named = made.and_then(|made| made.aliases.get(CHAMPION).copied());
    let history = damaged.last().map(|error| chain(error));
    result.errors.extend(damaged);
    let whole = load_versions(live, registry, name, named, &mut result.errors)?;
    if let (Some(champion), None) = (&whole.champion, &history) {
        live.install_champion(name, Arc::clone(champion));
        return Ok(());
    }
    // The champion of the checkpoint, else the newest version that is whole.
    let saved = saved(name);
    let from_registry = whole.newest_published.or(whole.newest);
    let why = history.or(whole.fault);
    let (served, what) = match &saved {
        Some(saved) => {
            let servable = Servable::new(saved.manifest_of(name), Arc::clone(&saved.predictor));
            (Some(Arc::new(servable)), "of the checkpoint")
        }
        None => (from_registry, "of the registry"),
    };
    let Some(served) = served else { return Ok(()) };
    live.add(name, &served);
    live.install_champion(name, Arc::clone(&served));
    let why = why.unwrap_or_else(|| "its history names no champion".to_owned());
    let mut text = format!("version {} {what} is served: {why}", served.version);
    if let Some(saved) = saved {
        match mend(registry, name, named, &saved, when, &why) {
            Ok(true) => {
                text.push_str("; the registry has been mended");
                live.stored(&registry.manifest(name, saved.version)?, &[]);
            }
            Ok(false) => {}
            Err(error) => result.errors.push(error),
        }
    }
    result.substitutes.insert(name.to_owned(), text);
    Ok(())
}

/// Installs the newest versions of a model that are whole, and its champion.
fn load_versions(
    live: &LiveModels,
    registry: &Registry,
    name: &str,
    named: Option<u64>,
    errors: &mut Vec<RegistryError>,
) -> Result<WholeVersions, RegistryError> {
    let mut whole = WholeVersions::default();
    let versions = registry.versions(name)?;
    if let Some(named) = named.filter(|named| !versions.contains(named)) {
        let missing = RegistryError::NoVersion { model: name.to_owned(), version: named };
        whole.fault = Some(chain(&missing));
        errors.push(missing);
    }
    // The newest ones, and the champion however old.
    let oldest = versions.len().saturating_sub(live.keep());
    for (at, version) in versions.into_iter().enumerate() {
        // Others are read once they are asked for.
        if at < oldest && Some(version) != named {
            match registry.manifest(name, version) {
                Ok(manifest) => live.stored(&manifest, &[]),
                Err(error) => errors.push(error),
            }
            continue;
        }
        match registry.load(name, version) {
            Err(error) => {
                if Some(version) == named {
                    whole.fault = Some(chain(&error));
                }
                errors.push(error);
            }
            Ok((manifest, predictor)) => {
                live.stored(&manifest, &[]);
                let is_published = manifest.decision == Decision::Published.name();
                let servable = Arc::new(Servable::new(manifest, Arc::new(predictor)));
                if is_published {
                    whole.newest_published = Some(Arc::clone(&servable));
                }
                live.add(name, &servable);
                if Some(version) == named {
                    whole.champion = Some(Arc::clone(&servable));
                }
                whole.newest = Some(servable);
            }
        }
    }
    Ok(whole)
}

/// Writes the checkpoint's champion again if it is not whole, and moves the alias to it if the history names another that
/// the run will not make again. Returns whether the registry is whole for it.
fn mend(
    registry: &Registry,
    name: &str,
    named: Option<u64>,
    saved: &SavedChampion,
    when: When,
    why: &str,
) -> Result<bool, RegistryError> {
    if !registry.mend(name, saved.version, &saved.predictor, saved.manifest.as_ref())? {
        return Ok(false);
    }
    let is_made_again = named.is_some_and(|named| named > saved.version);
    let is_named = named == Some(saved.version) && registry.newest_move(name)?.damaged.is_empty();
    if is_made_again || is_named {
        return Ok(is_named);
    }
    let request =
        MoveRequest { alias: CHAMPION, version: Some(saved.version), when, reason: why, by: RECOVERY, reverts: None };
    registry.append_move(name, &request)?;
    Ok(true)
}
