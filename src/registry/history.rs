//! The history of a model's aliases, which tells the champion at any event time.
//!
//! Each move is one object, numbered from 1 and never changed; it lists all aliases as they stand after it. A move
//! holds from its event time on, so the champion at T is that of the highest-numbered move whose time is not after T.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::manifest::rfc3339;
use super::{Registry, RegistryError};
use crate::blob::BlobPath;
use crate::time::EventTime;

/// The alias of the version that answers requests.
pub const CHAMPION: &str = "champion";

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
    /// The alias that moved.
    pub moved: String,
    pub reason: String,
    /// `trainer`, or the person who moved the alias by hand.
    pub by: String,
}

/// The two times of an alias move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// Event time from which the move holds.
    pub event: EventTime,
    /// Wall-clock time at which the move is made.
    pub wall: EventTime,
}

/// A move to be appended to the history.
#[derive(Clone, Debug)]
pub(super) struct MoveRequest<'a> {
    pub alias: &'a str,
    pub version: u64,
    pub when: When,
    pub reason: &'a str,
    pub by: &'a str,
}

impl Registry {
    /// Returns all moves with their numbers, ascending. Empty for an unknown model.
    ///
    /// # Errors
    /// If a move cannot be read.
    pub fn history(&self, model: &str) -> Result<Vec<(u64, AliasMove)>, RegistryError> {
        let mut moves = Vec::new();
        for number in self.move_numbers(model)? {
            moves.extend(self.json(&move_path(model, number))?.map(|made| (number, made)));
        }
        Ok(moves)
    }

    /// Returns the version that each alias points to now.
    ///
    /// # Errors
    /// If the newest move cannot be read.
    pub fn aliases(&self, model: &str) -> Result<BTreeMap<String, u64>, RegistryError> {
        self.aliases_after(model, self.newest_move(model)?)
    }

    fn aliases_after(&self, model: &str, number: u64) -> Result<BTreeMap<String, u64>, RegistryError> {
        let made: Option<AliasMove> = self.json(&move_path(model, number))?;
        Ok(made.map(|made| made.aliases).unwrap_or_default())
    }

    /// Returns the champion at event time `t`, `None` before the first.
    ///
    /// # Errors
    /// If the history cannot be read.
    pub fn champion_at(&self, model: &str, t: EventTime) -> Result<Option<u64>, RegistryError> {
        let held = self.history(model)?.into_iter().rev().find(|(_, made)| made.time <= t);
        Ok(held.and_then(|(_, made)| made.aliases.get(CHAMPION).copied()))
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
        self.add_move(model, &MoveRequest { alias, version, when, reason, by })
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

    /// Appends a move under the next free number; another writer may take numbers meanwhile.
    pub(super) fn add_move(&self, model: &str, request: &MoveRequest<'_>) -> Result<AliasMove, RegistryError> {
        loop {
            // Moves are numbered without gaps and never deleted, so the search can start at the newest one seen.
            let newest = self.newest_seen(model)?;
            let mut aliases = self.aliases_after(model, newest)?;
            aliases.insert(request.alias.to_owned(), request.version);
            let made = AliasMove {
                time: request.when.event,
                wall_time: request.when.wall,
                aliases,
                moved: request.alias.to_owned(),
                reason: request.reason.to_owned(),
                by: request.by.to_owned(),
            };
            let json = serde_json::to_vec_pretty(&made).expect("a move is plain values");
            let number = newest + 1;
            if self.create(&move_path(model, number), json)? {
                self.newest_moves.lock().insert(model.to_owned(), number);
                return Ok(made);
            }
            self.newest_moves.lock().remove(model);
        }
    }

    /// Returns the number of the newest move, 0 if there is none.
    fn newest_move(&self, model: &str) -> Result<u64, RegistryError> {
        Ok(self.move_numbers(model)?.last().copied().unwrap_or(0))
    }

    /// Returns the newest move that this process has seen; another writer may have made more.
    fn newest_seen(&self, model: &str) -> Result<u64, RegistryError> {
        let seen = self.newest_moves.lock().get(model).copied();
        seen.map_or_else(|| self.newest_move(model), Ok)
    }

    /// Returns the newest move made by `by`.
    pub(super) fn newest_move_by(&self, model: &str, by: &str) -> Result<Option<AliasMove>, RegistryError> {
        for number in (1..=self.newest_seen(model)?).rev() {
            let made: Option<AliasMove> = self.json(&move_path(model, number))?;
            if let Some(made) = made.filter(|made| made.by == by) {
                return Ok(Some(made));
            }
        }
        Ok(None)
    }

    fn move_numbers(&self, model: &str) -> Result<Vec<u64>, RegistryError> {
        let names = self.objects(&BlobPath::from_iter([model, "history"]))?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

fn move_path(model: &str, number: u64) -> BlobPath {
    BlobPath::from_iter([model, "history", &format!("{number}.json")])
}
