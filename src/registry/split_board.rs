//! The splits in service: what requests and learning read of them.
//!
//! A [`SplitBoard`] has the entries of each model's log that this process has read, and the versions that they name, kept in
//! memory as long as they are named. Requests read it without a lock. Learning asks which arms to score in a window; the
//! answer is that of the window's start, so a run that learns the window again after a crash scores the same arms.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::history::{AliasMove, CHAMPION};
use super::servable::Servable;
use super::split::{ArmTarget, SplitEntry, arm_seed};
use super::{Registry, RegistryError};
use crate::error::chain;
use crate::model::{ScoredArm, ScoredVersion};
use crate::time::EventTime;

/// Moves of aliases that are remembered.
const MOST_MOVES: usize = 64;

/// The entries of which one may be in force: the newest, and the one before while the newest is yet to come.
const SERVING: usize = 2;

/// The splits of live models, by name.
#[derive(Debug, Default)]
pub struct SplitBoard {
    models: BTreeMap<String, BoardModel>,
}

#[derive(Debug, Default)]
struct BoardModel {
    known: Mutex<KnownSplits>,
    /// Splits in force, ascending by number.
    serving: ArcSwap<Vec<Arc<ServingSplit>>>,
}

/// The splits of a model, as far as they have been read.
#[derive(Debug, Default)]
struct KnownSplits {
    /// Entries, ascending by number.
    entries: Vec<SplitEntry>,
    /// The number up to which the log was read.
    newest: u64,
    /// Moves of aliases but the champion, in their order.
    moves: Vec<TargetMove>,
    /// Versions that the newest entries name.
    pinned: BTreeMap<u64, Arc<Servable>>,
    /// Set if `serving` is to be made again.
    is_stale: bool,
    /// The start of the newest window in which arms were asked for.
    opened: Option<EventTime>,
}

/// A move of an alias that an arm may name.
#[derive(Debug)]
struct TargetMove {
    time: EventTime,
    alias: String,
    version: u64,
}

/// A split as requests read it. Without arms once it is cleared.
#[derive(Debug)]
pub struct ServingSplit {
    pub entry: SplitEntry,
    /// Arms, in the order of the split's.
    pub arms: Vec<ServingArm>,
    pub shadows: Vec<ServingArm>,
}

/// An arm or shadow with its version.
#[derive(Clone, Debug)]
pub struct ServingArm {
    pub name: String,
    pub target: ArmTarget,
    /// The seed with which it draws: see [`super::draw`].
    pub seed: u64,
    /// `None` if the target is a champion, which changes with each window, or if the version cannot be read.
    pub servable: Option<Arc<Servable>>,
}

impl SplitBoard {
    /// A board without splits for models of these names.
    pub(super) fn new(models: impl IntoIterator<Item = String>) -> Self {
        SplitBoard { models: models.into_iter().map(|name| (name, BoardModel::default())).collect() }
    }

    /// Forgets all splits.
    pub(super) fn clear(&self) {
        for model in self.models.values() {
            *model.known.lock() = KnownSplits::default();
            model.serving.store(Arc::default());
        }
    }

    /// Returns the split of a model in force at event time `t`, or the newest if no time is known yet.
    pub fn serving(&self, model: &str, t: Option<EventTime>) -> Option<Arc<ServingSplit>> {
        let serving = self.models.get(model)?.serving.load();
        let is_in_force = |split: &&Arc<ServingSplit>| t.is_none_or(|t| split.entry.time <= t);
        serving.iter().rev().find(is_in_force).filter(|split| split.entry.split.is_some()).cloned()
    }

    /// Returns the newest entry of a model.
    pub fn newest(&self, model: &str) -> Option<SplitEntry> {
        self.models.get(model)?.known.lock().entries.last().cloned()
    }

    /// Returns the arms and shadows that are scored in a window of a model that starts at `start`: those of the split in
    /// force before it, with the versions that their aliases had then. Other models' are scored by themselves, and a version
    /// that cannot be read is not.
    pub fn scored(&self, model: &str, start: EventTime) -> Vec<ScoredArm> {
        let Some(model) = self.models.get(model) else { return Vec::new() };
        let mut known = model.known.lock();
        known.opened = known.opened.max(Some(start));
        let entry = known.entries.iter().rev().find(|entry| entry.time < start);
        let Some(split) = entry.and_then(|entry| entry.split.as_ref()) else { return Vec::new() };
        let target = |(name, target): (&str, &ArmTarget)| {
            let number = match target {
                ArmTarget::Champion => return Some(ScoredArm { name: name.to_owned(), version: None }),
                ArmTarget::Model(_) => return None,
                ArmTarget::Version(number) => *number,
                ArmTarget::Alias(alias) => known.version_before(alias, start)?,
            };
            let predictor = known.pinned.get(&number)?.predictor.clone();
            Some(ScoredArm { name: name.to_owned(), version: Some(ScoredVersion { number, predictor }) })
        };
        split.targets().filter_map(target).collect()
    }

    /// Returns a version that a split of a model names, if it is in memory.
    pub fn pinned(&self, model: &str, version: u64) -> Option<Arc<Servable>> {
        self.models.get(model)?.known.lock().pinned.get(&version).cloned()
    }

    /// Returns the start of the newest window of a model that is being learnt: a split that is made now cannot be scored
    /// in it.
    pub fn opened(&self, model: &str) -> Option<EventTime> {
        self.models.get(model)?.known.lock().opened
    }

    /// Remembers a move of an alias that has been read.
    pub(super) fn note(&self, model: &str, made: &AliasMove) {
        let Some(model) = self.models.get(model) else { return };
        let mut known = model.known.lock();
        for (alias, version) in made.aliases.iter().filter(|(alias, _)| *alias != CHAMPION) {
            let before = known.moves.iter().rev().find(|earlier| earlier.alias == *alias);
            if before.is_none_or(|before| before.version != *version) {
                known.moves.push(TargetMove { time: made.time, alias: alias.clone(), version: *version });
                known.is_stale = true;
            }
        }
        let least = known.moves.len().saturating_sub(MOST_MOVES);
        known.moves.drain(..least);
    }

    /// Reads the splits that were made since, and the versions that they name. `in_memory` returns a version that need
    /// not be read. Returns whether anything has changed.
    ///
    /// # Errors
    /// If the log cannot be read. A version that cannot be is logged, and its arm is left out.
    pub(super) fn refresh(
        &self,
        registry: &Registry,
        name: &str,
        in_memory: impl Fn(u64) -> Option<Arc<Servable>>,
    ) -> Result<bool, RegistryError> {
        let Some(model) = self.models.get(name) else { return Ok(false) };
        let (newest, is_first) = {
            let known = model.known.lock();
            (known.newest, known.entries.is_empty())
        };
        let tail = registry.splits_after(name, newest)?;
        if is_first && !tail.entries.is_empty() {
            // Moves from before the first split, some of which aliases may still stand where they left them.
            registry.history(name)?.iter().for_each(|entry| self.note(name, &entry.made));
        }
        let mut known = model.known.lock();
        known.is_stale |= !tail.entries.is_empty();
        known.newest = tail.newest;
        known.entries.extend(tail.entries);
        if !std::mem::take(&mut known.is_stale) {
            return Ok(false);
        }
        let (wanted, pinned) = (known.wanted(), known.pinned.clone());
        drop(known);
        // Versions are read without the lock, for which learning must not wait.
        let load = |version: u64| {
            if let Some(servable) = pinned.get(&version).cloned().or_else(|| in_memory(version)) {
                return Some((version, servable));
            }
            match registry.load(name, version) {
                Ok((manifest, predictor)) => Some((version, Arc::new(Servable::new(manifest, Arc::new(predictor))))),
                Err(error) => {
                    tracing::warn!(model = name, version, "an arm cannot be served: {}", chain(&error));
                    None
                }
            }
        };
        let found: BTreeMap<u64, Arc<Servable>> = wanted.into_iter().filter_map(load).collect();
        let mut known = model.known.lock();
        known.pinned = found;
        model.serving.store(Arc::new(known.serving()));
        Ok(true)
    }
}

impl KnownSplits {
    /// The entries of which one may be in force.
    fn newest_entries(&self) -> &[SplitEntry] {
        &self.entries[self.entries.len().saturating_sub(SERVING)..]
    }

    /// The versions that the newest entries name, by the newest positions of their aliases and the ones before.
    fn wanted(&self) -> BTreeSet<u64> {
        let splits = self.newest_entries().iter().filter_map(|entry| entry.split.as_ref());
        let mut wanted = BTreeSet::new();
        for (_, target) in splits.flat_map(|split| split.targets()) {
            match target {
                ArmTarget::Champion | ArmTarget::Model(_) => {}
                ArmTarget::Version(version) => _ = wanted.insert(*version),
                ArmTarget::Alias(alias) => {
                    let moves = self.moves.iter().rev().filter(|made| made.alias == *alias);
                    wanted.extend(moves.take(2).map(|made| made.version));
                }
            }
        }
        wanted
    }

    /// The version that an alias points to now.
    fn version_of(&self, alias: &str) -> Option<u64> {
        self.moves.iter().rev().find(|made| made.alias == alias).map(|made| made.version)
    }

    /// The version that an alias pointed to just before `t`.
    fn version_before(&self, alias: &str, t: EventTime) -> Option<u64> {
        self.moves.iter().rev().find(|made| made.alias == alias && made.time < t).map(|made| made.version)
    }

    fn serving(&self) -> Vec<Arc<ServingSplit>> {
        let arm = |name: &str, target: &ArmTarget| {
            let version = match target {
                ArmTarget::Champion | ArmTarget::Model(_) => None,
                ArmTarget::Version(version) => Some(*version),
                ArmTarget::Alias(alias) => self.version_of(alias),
            };
            let servable = version.and_then(|version| self.pinned.get(&version).cloned());
            ServingArm { name: name.to_owned(), target: target.clone(), seed: arm_seed(name), servable }
        };
        let serving = |entry: &SplitEntry| {
            let split = entry.split.as_ref();
            let arms = split.iter().flat_map(|split| &split.arms).map(|of| arm(&of.name, &of.target));
            let shadows = split.iter().flat_map(|split| &split.shadows).map(|of| arm(&of.name, &of.target));
            Arc::new(ServingSplit { entry: entry.clone(), arms: arms.collect(), shadows: shadows.collect() })
        };
        self.newest_entries().iter().map(serving).collect()
    }
}
