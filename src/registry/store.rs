//! The registry as objects: reading and writing, blocking.

use std::collections::BTreeMap;
use std::fmt;

use super::by_hand::check_origin;
use super::history::{
    AliasHistory, AliasMove, CHAMPION, EarlierChampion, HistoryEntry, MoveRequest, NewestMove, TRAINER, TrainerMove,
    When, earlier_champion, version_at,
};
use super::objects::{manifest_path, read, read_json, weights_path};
use super::split::{ArmTarget, Split, SplitEntry};
use super::split_log::{LogTail, RAMP, SplitLog, SplitRequest};
use super::{Manifest, MoveByHand, Publication, RegistryError, ScorePoint, SplitByHand, artifact, scores};
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
    pub(super) history: AliasHistory,
    splits: SplitLog,
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
        let (history, splits) = (AliasHistory::new(blobs.clone()), SplitLog::new(blobs.clone()));
        Ok(Registry { history, splits, blobs })
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

    /// Deletes versions until `keep` are left: the oldest first, never one that an alias points to or the newest split
    /// names, nor the champion before the present one, nor the trainer's champion and the one before it, so that there
    /// is one to roll back to. Returns those that were deleted.
    ///
    /// # Errors
    /// If the store fails.
    pub fn retain(&self, model: &str, keep: usize) -> Result<Vec<u64>, RegistryError> {
        if keep == usize::MAX {
            return Ok(Vec::new());
        }
        let versions = self.versions(model)?;
        let old = &versions[..versions.len().saturating_sub(keep.max(1))];
        if old.is_empty() {
            return Ok(Vec::new());
        }
        let aliases: BTreeMap<String, u64> = self.aliases(model)?;
        let champions = self.history.newest_champions(model)?;
        let split = self.splits.newest(model)?.and_then(|entry| entry.split);
        let is_arm = |version: u64| {
            split.iter().flat_map(Split::targets).any(|(_, target)| *target == ArmTarget::Version(version))
        };
        let is_kept = |version: &u64| {
            aliases.values().any(|kept| kept == version) || champions.contains(version) || is_arm(*version)
        };
        let old: Vec<u64> = old.iter().copied().filter(|version| !is_kept(version)).collect();
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

    /// Returns the scores of a model's windows, ascending, those whose versions were deleted included. Empty for an unknown
    /// model.
    ///
    /// # Errors
    /// If the store fails.
    pub fn scores(&self, model: &str) -> Result<Vec<ScorePoint>, RegistryError> {
        scores::read(&self.blobs, model)
    }

    /// Returns the scores of a model's newest windows, `most` at most, ascending. It costs a few
    /// requests to the store, however many windows there are.
    ///
    /// # Errors
    /// If the store fails.
    pub fn newest_scores(&self, model: &str, most: usize) -> Result<Vec<ScorePoint>, RegistryError> {
        scores::read_newest(&self.blobs, model, most)
    }

    /// Returns all alias moves with their numbers, ascending. Empty for an unknown model.
    ///
    /// # Errors
    /// If a move cannot be read.
    pub fn history(&self, model: &str) -> Result<Vec<HistoryEntry>, RegistryError> {
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
        Ok(version_at(&self.history(model)?, CHAMPION, t))
    }

    /// Appends a move to the history of a model.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) fn append_move(&self, model: &str, request: &MoveRequest<'_>) -> Result<HistoryEntry, RegistryError> {
        self.history.append(model, request)
    }

    /// Returns the number of the newest move of a model, 0 if there is none, and the move unless it is damaged.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) fn newest_entry(&self, model: &str) -> Result<(u64, Option<AliasMove>), RegistryError> {
        self.history.newest_entry(model)
    }

    /// Returns the newest move of the trainer, if the version that it made champion can be read.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) fn newest_by_trainer(&self, model: &str) -> Result<Option<TrainerMove>, RegistryError> {
        let Some(made) = self.history.newest_by(model, TRAINER)? else { return Ok(None) };
        let manifest = made.aliases.get(CHAMPION).and_then(|champion| self.manifest(model, *champion).ok());
        Ok(manifest.map(|manifest| TrainerMove { time: made.time, definition: manifest.definition }))
    }

    /// Points an alias at a version by hand, from event time `when.event` on.
    ///
    /// # Errors
    /// If there is no such version or its artifacts are damaged, the alias or the author has no valid name, or the store
    /// fails.
    pub fn promote(&self, model: &str, version: u64, by_hand: &MoveByHand<'_>) -> Result<HistoryEntry, RegistryError> {
        by_hand.check()?;
        // Its artifacts are read as well: a version that cannot predict must not answer.
        self.load(model, version)?;
        self.move_alias(model, version, by_hand)
    }

    /// Points an alias at a version that was there a moment ago. If it is there no longer, the move is undone: the alias
    /// points to what it did before, or is removed.
    fn move_alias(&self, model: &str, version: u64, by_hand: &MoveByHand<'_>) -> Result<HistoryEntry, RegistryError> {
        let MoveByHand { alias, when, reason, by, reverts } = *by_hand;
        let before = self.aliases(model)?.get(alias).copied();
        let request = MoveRequest { alias, version: Some(version), when, reason, by, reverts };
        let entry = self.history.append(model, &request)?;
        // A running job may have deleted the version as an old one before it saw the alias.
        if let Err(error @ RegistryError::NoVersion { .. }) = self.manifest(model, version) {
            let reason = "the version was deleted meanwhile";
            self.history.append(model, &MoveRequest { version: before, reason, reverts: None, ..request })?;
            return Err(error);
        }
        Ok(entry)
    }

    /// Points the champion alias at the version that [`Registry::earlier_champion`] returns.
    ///
    /// # Errors
    /// If there is no such version, or the store fails.
    pub fn rollback(&self, model: &str, by_hand: &MoveByHand<'_>) -> Result<HistoryEntry, RegistryError> {
        let none = || RegistryError::NoEarlierChampion { model: model.to_owned() };
        let EarlierChampion { version, reverts } = self.earlier_champion(model)?.ok_or_else(none)?;
        self.promote(model, version, &MoveByHand { alias: CHAMPION, reverts: Some(reverts), ..*by_hand })
    }

    /// Returns all splits of a model, ascending. Empty for an unknown model.
    ///
    /// # Errors
    /// If the store fails.
    pub fn splits(&self, model: &str) -> Result<Vec<SplitEntry>, RegistryError> {
        Ok(self.splits.after(model, 0)?.entries)
    }

    /// Returns the splits of a model after a number.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) fn splits_after(&self, model: &str, number: u64) -> Result<LogTail, RegistryError> {
        self.splits.after(model, number)
    }

    /// Splits the entities of a model from event time `when.event` on, or clears its split.
    ///
    /// # Errors
    /// If there is no split to clear, an arm names a version, an alias or a model that there is not, the author has no valid name, the reason is too long, or the store
    /// fails.
    pub fn split(
        &self,
        model: &str,
        split: Option<&Split>,
        by_hand: &SplitByHand<'_>,
    ) -> Result<SplitEntry, RegistryError> {
        let SplitByHand { when, reason, by } = *by_hand;
        check_origin(by, reason)?;
        if split.is_none() && self.splits.newest(model)?.is_none_or(|entry| entry.split.is_none()) {
            return Err(RegistryError::Split { detail: format!("model `{model}` has no split that could be cleared") });
        }
        split.map_or(Ok(()), |split| self.check_targets(model, split))?;
        let append = |split, reason| {
            let entry = self.splits.append(model, &SplitRequest { split, when, reason, by, reverts: None })?;
            Ok::<_, RegistryError>(entry.expect("an entry that takes back no other is always appended"))
        };
        let entry = append(split, reason)?;
        // A running job may have deleted a version as an old one before it saw the split.
        if let Some(error) = split.and_then(|split| self.check_targets(model, split).err()) {
            append(None, "a version was deleted meanwhile")?;
            return Err(error);
        }
        Ok(entry)
    }

    /// Checks that there is what the arms of a split name.
    fn check_targets(&self, model: &str, split: &Split) -> Result<(), RegistryError> {
        for (name, target) in split.targets() {
            let missing = |what: &str| RegistryError::Split { detail: format!("arm {name}: {what}") };
            match target {
                ArmTarget::Champion => {}
                ArmTarget::Version(version) => drop(self.manifest(model, *version)?),
                ArmTarget::Alias(alias) => {
                    let aliases = self.aliases(model)?;
                    if !aliases.contains_key(alias) {
                        let known = aliases.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                        return Err(missing(&format!("model {model} has no alias {alias}; it has {known}")));
                    }
                }
                ArmTarget::Model(other) if other == model => return Err(missing("it is the model itself")),
                ArmTarget::Model(other) => {
                    if self.aliases(other)?.is_empty() {
                        return Err(missing(&format!("there is no model {other} with a champion")));
                    }
                }
            }
        }
        Ok(())
    }

    /// Clears a split whose ramp has gone back, from an event time on. `None` if it is not the newest any more.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) fn revert_split(
        &self,
        model: &str,
        number: u64,
        when: When,
        reason: &str,
    ) -> Result<Option<SplitEntry>, RegistryError> {
        self.splits.append(model, &SplitRequest { split: None, when, reason, by: RAMP, reverts: Some(number) })
    }

    /// Returns the newest champion before the present one, of the versions that are kept.
    ///
    /// # Errors
    /// If the history cannot be read.
    pub fn earlier_champion(&self, model: &str) -> Result<Option<EarlierChampion>, RegistryError> {
        let (history, kept) = (self.history(model)?, self.versions(model)?);
        Ok(earlier_champion(&history, |version| kept.contains(&version)))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.url()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::When;

    #[test]
    fn a_move_that_is_missing_is_named_and_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(&folder.path().display().to_string()).unwrap();
        for event in 0..4 {
            let when = When { event, wall: 0 };
            let request = MoveRequest { alias: "canary", version: Some(1), when, reason: "", by: "ann", reverts: None };
            registry.append_move("late", &request).unwrap();
        }
        assert_eq!(registry.history("late").unwrap().len(), 4);
        std::fs::remove_file(folder.path().join("late/history/3.json")).unwrap();
        let error = registry.history("late").unwrap_err().to_string();
        assert!(error.contains("late/history` is damaged: move 3 is missing"), "{error}");
    }

    /// A move to a version that was deleted after it was looked for.
    #[test]
    fn a_move_to_a_version_that_is_deleted_meanwhile_is_undone_for_a_new_alias_too() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(&folder.path().display().to_string()).unwrap();
        let when = When { event: 0, wall: 0 };
        let by_hand = |alias| MoveByHand { alias, when, reason: "to compare", by: "ann", reverts: None };
        let known = MoveRequest { alias: "canary", version: Some(1), when, reason: "", by: "ann", reverts: None };
        registry.append_move("late", &known).unwrap();
        for (alias, after) in [("canary", Some(1)), ("shadow", None)] {
            let undone = registry.move_alias("late", 7, &by_hand(alias));
            assert!(matches!(undone, Err(RegistryError::NoVersion { version: 7, .. })), "{undone:?}");
            assert_eq!(registry.aliases("late").unwrap().get(alias).copied(), after, "{alias}");
        }
        let history = registry.history("late").unwrap();
        assert_eq!(history.len(), 5, "the moves and their reversals stay in the history");
        assert_eq!(history[4].made.reason, "the version was deleted meanwhile");
    }
}
