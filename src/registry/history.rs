//! The history of a model's aliases, from which the champion at any event time follows.
//!
//! Each move is one object, numbered from 1 and never changed; it lists all aliases as they stand after it. A move
//! holds from its event time on, so the champion at T is that of the highest-numbered move whose time is not after T.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::RegistryError;
use super::manifest::rfc3339;
use super::objects::{history_path, move_path, read_json};
use crate::blob::Blobs;
use crate::hash::seal;
use crate::time::EventTime;

/// The alias of the version that answers requests.
pub const CHAMPION: &str = "champion";

/// The author of moves that follow from training.
pub(super) const TRAINER: &str = "trainer";

/// The author of moves that mend a history.
pub(super) const RECOVERY: &str = "recovery";

/// A move of one alias to another version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AliasMove {
    /// Event time from which the move holds.
    #[serde(with = "rfc3339")]
    pub time: EventTime,
    /// Wall-clock time at which the move was made.
    #[serde(with = "rfc3339")]
    pub wall_time: EventTime,
    /// All aliases after the move.
    pub aliases: BTreeMap<String, u64>,
    /// The alias that moved, or was removed.
    pub moved: String,
    pub reason: String,
    /// `trainer`, or the person who moved the alias by hand.
    pub by: String,
    /// The number of the move that this one takes back, with those after it: it is a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverts: Option<u64>,
}

impl AliasMove {
    /// Returns whether a person has made the move.
    pub fn is_by_hand(&self) -> bool {
        ![TRAINER, RECOVERY].contains(&self.by.as_str())
    }
}

/// A move with its number, by which a history is ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    pub number: u64,
    #[serde(flatten)]
    pub made: AliasMove,
}

/// Returns the version that an alias pointed to at event time `t`, `None` before its first move. `moves` are all moves of
/// a model, ascending.
pub fn version_at(moves: &[HistoryEntry], alias: &str, t: EventTime) -> Option<u64> {
    let held = moves.iter().rev().find(|entry| entry.made.time <= t)?;
    held.made.aliases.get(alias).copied()
}

/// A champion to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarlierChampion {
    pub version: u64,
    /// The number of the move after which it was champion no longer.
    pub reverts: u64,
}

/// Returns the newest champion before the present one that `is_kept`. A rollback takes back the move that it reverts, and
/// those after it, so that rolling back again and again leads to the first champion. `moves` are all moves of a model,
/// ascending.
pub fn earlier_champion(moves: &[HistoryEntry], is_kept: impl Fn(u64) -> bool) -> Option<EarlierChampion> {
    /// A champion, and the number of the move that made it so.
    struct ChampionTerm {
        version: u64,
        since: u64,
    }
    // Those that have not been taken back, the present one last.
    let mut terms: Vec<ChampionTerm> = Vec::new();
    for HistoryEntry { number, made } in moves {
        if let Some(reverts) = made.reverts {
            terms.retain(|term| term.since < reverts);
        }
        let Some(version) = made.aliases.get(CHAMPION).copied() else { continue };
        if terms.last().is_none_or(|term| term.version != version) {
            terms.push(ChampionTerm { version, since: *number });
        }
    }
    let present = terms.last()?.version;
    let mut pairs = terms.windows(2).rev();
    let found = pairs.find(|pair| pair[0].version != present && is_kept(pair[0].version))?;
    Some(EarlierChampion { version: found[0].version, reverts: found[1].since })
}

/// The two times of an alias move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// Event time from which the move holds.
    pub event: EventTime,
    /// Wall-clock time at which the move is made.
    pub wall: EventTime,
}

/// The trainer's newest move at a start.
#[derive(Clone, Debug)]
pub(super) struct TrainerMove {
    /// Event time from which it holds.
    pub time: EventTime,
    /// The definition of the version that it made champion.
    pub definition: String,
}

/// A move to be appended to the history.
#[derive(Clone, Debug)]
pub(super) struct MoveRequest<'a> {
    pub alias: &'a str,
    /// The version that the alias points to from then on; `None` removes the alias.
    pub version: Option<u64>,
    pub when: When,
    pub reason: &'a str,
    pub by: &'a str,
    /// The number of the move that this one takes back, if it is a rollback.
    pub reverts: Option<u64>,
}

/// The newest move of a model that can be read.
#[derive(Debug, Default)]
pub(super) struct NewestMove {
    pub made: Option<AliasMove>,
    /// Errors of the moves after it.
    pub damaged: Vec<RegistryError>,
}

/// The histories of all models. Cloning shares them.
#[derive(Clone)]
pub(super) struct AliasHistory {
    blobs: Blobs,
    /// By model, the number of the newest move seen: where the search for the next one starts.
    newest_seen: Arc<Mutex<HashMap<String, u64>>>,
}

impl AliasHistory {
    pub fn new(blobs: Blobs) -> Self {
        AliasHistory { blobs, newest_seen: Arc::default() }
    }

    /// Returns all moves with their numbers, ascending. Empty for an unknown model.
    ///
    /// # Errors
    /// If a move cannot be read, or one before the newest is missing: moves are numbered without gaps.
    pub fn moves(&self, model: &str) -> Result<Vec<HistoryEntry>, RegistryError> {
        let entry = |number| {
            let made = self.read(model, number)?.ok_or_else(|| RegistryError::Damaged {
                path: history_path(model).to_string(),
                detail: format!("move {number} is missing, and later ones are there"),
            })?;
            Ok(HistoryEntry { number, made })
        };
        (1..=self.newest(model)?).map(entry).collect()
    }

    /// Returns the version that each alias points to now.
    ///
    /// # Errors
    /// If the newest move cannot be read.
    pub fn aliases(&self, model: &str) -> Result<BTreeMap<String, u64>, RegistryError> {
        self.aliases_after(model, self.newest(model)?)
    }

    /// Returns the newest move that can be read.
    ///
    /// # Errors
    /// If the store fails.
    pub fn newest_whole(&self, model: &str) -> Result<NewestMove, RegistryError> {
        let mut newest = NewestMove::default();
        for number in self.numbers(model)?.into_iter().rev() {
            match self.read(model, number) {
                Err(error) if error.is_damage() => newest.damaged.push(error),
                Ok(None) => {}
                read => {
                    newest.made = read?;
                    break;
                }
            }
        }
        Ok(newest)
    }

    fn aliases_after(&self, model: &str, number: u64) -> Result<BTreeMap<String, u64>, RegistryError> {
        Ok(self.read(model, number)?.map(|made| made.aliases).unwrap_or_default())
    }

    /// Forgets which moves were seen, as those that follow are of another history.
    pub fn forget_seen(&self) {
        self.newest_seen.lock().clear();
    }

    /// Returns the first move, which never changes; `None` if there is none yet.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn first(&self, model: &str) -> Result<Option<AliasMove>, RegistryError> {
        self.read(model, 1)
    }

    /// Returns the number of the newest move, 0 if there is none, and the move unless it is damaged. Moves that other
    /// processes have made are found.
    ///
    /// # Errors
    /// If the store fails.
    pub fn newest_entry(&self, model: &str) -> Result<(u64, Option<AliasMove>), RegistryError> {
        let (mut number, mut newest) = (self.newest_seen(model)?, None);
        loop {
            match self.read(model, number + 1) {
                Err(error) if error.is_damage() => newest = None,
                Ok(None) => break,
                read => newest = read?,
            }
            number += 1;
            self.newest_seen.lock().insert(model.to_owned(), number);
        }
        if newest.is_none() {
            newest = match self.read(model, number) {
                Err(error) if error.is_damage() => None,
                read => read?,
            };
        }
        Ok((number, newest))
    }

    /// Appends a move under the next free number; another writer may take numbers meanwhile.
    ///
    /// # Errors
    /// If the store fails.
    pub fn append(&self, model: &str, request: &MoveRequest<'_>) -> Result<HistoryEntry, RegistryError> {
        loop {
            // Moves are numbered without gaps and never deleted, so the search can start at the newest one seen.
            let newest = self.newest_seen(model)?;
            let mut aliases = match self.aliases_after(model, newest) {
                Err(error) if error.is_damage() => self.newest_whole(model)?.made.map(|made| made.aliases),
                aliases => Some(aliases?),
            }
            .unwrap_or_default();
            match request.version {
                Some(version) => _ = aliases.insert(request.alias.to_owned(), version),
                None => _ = aliases.remove(request.alias),
            }
            let made = AliasMove {
                time: request.when.event,
                wall_time: request.when.wall,
                aliases,
                moved: request.alias.to_owned(),
                reason: request.reason.to_owned(),
                by: request.by.to_owned(),
                reverts: request.reverts,
            };
            let number = newest + 1;
            if self.blobs.create(&move_path(model, number), seal(&made))? {
                self.newest_seen.lock().insert(model.to_owned(), number);
                return Ok(HistoryEntry { number, made });
            }
            self.newest_seen.lock().remove(model);
        }
    }

    /// Returns the newest move made by `by`; damaged ones are skipped.
    ///
    /// # Errors
    /// If the store fails.
    pub fn newest_by(&self, model: &str, by: &str) -> Result<Option<AliasMove>, RegistryError> {
        for number in (1..=self.newest_seen(model)?).rev() {
            match self.read(model, number) {
                Err(error) if error.is_damage() => {}
                read => {
                    if let Some(made) = read?.filter(|made| made.by == by) {
                        return Ok(Some(made));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Returns the number of the trainer's newest move that made a version champion; damaged ones are skipped.
    ///
    /// # Errors
    /// If the store fails.
    pub fn newest_crowning(&self, model: &str, version: u64) -> Result<Option<u64>, RegistryError> {
        let mut newest = None;
        for number in (1..=self.newest_seen(model)?).rev() {
            let made = match self.read(model, number) {
                Err(error) if error.is_damage() => None,
                read => read?,
            };
            let Some(made) = made.filter(|made| made.by == TRAINER) else { continue };
            match made.aliases.get(CHAMPION) == Some(&version) {
                true => newest = Some(number),
                // The moves before made others champion.
                false if newest.is_some() => break,
                false => {}
            }
        }
        Ok(newest)
    }

    /// Returns the present champion and the one before it, and the newest two that the trainer has made champion: it
    /// compares with the one, and rolls back to the other, whatever has been moved by hand. Damaged moves are skipped.
    ///
    /// # Errors
    /// If the store fails.
    pub fn newest_champions(&self, model: &str) -> Result<BTreeSet<u64>, RegistryError> {
        let (mut all, mut by_trainer) = (BTreeSet::new(), BTreeSet::new());
        for number in (1..=self.newest_seen(model)?).rev() {
            let made = match self.read(model, number) {
                Err(error) if error.is_damage() => None,
                read => read?,
            };
            let Some(made) = made else { continue };
            let Some(champion) = made.aliases.get(CHAMPION) else { continue };
            for (champions, counts) in [(&mut all, true), (&mut by_trainer, made.by == TRAINER)] {
                if counts && champions.len() < 2 {
                    champions.insert(*champion);
                }
            }
            if all.len() == 2 && by_trainer.len() == 2 {
                break;
            }
        }
        all.append(&mut by_trainer);
        Ok(all)
    }

    /// Returns the number of the newest move, 0 if there is none.
    fn newest(&self, model: &str) -> Result<u64, RegistryError> {
        Ok(self.numbers(model)?.last().copied().unwrap_or(0))
    }

    /// Returns the newest move that this process has seen; another writer may have made more.
    fn newest_seen(&self, model: &str) -> Result<u64, RegistryError> {
        let seen = self.newest_seen.lock().get(model).copied();
        seen.map_or_else(|| self.newest(model), Ok)
    }

    fn numbers(&self, model: &str) -> Result<Vec<u64>, RegistryError> {
        let names = self.blobs.list(&history_path(model))?.objects;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn read(&self, model: &str, number: u64) -> Result<Option<AliasMove>, RegistryError> {
        read_json(&self.blobs, &move_path(model, number))
    }
}
