//! The splits of all models, as numbered objects that are never changed.

use super::RegistryError;
use super::history::When;
use super::objects::{read_json, split_path, splits_path};
use super::split::{Split, SplitEntry};
use crate::blob::Blobs;
use crate::error::chain;
use crate::hash::seal;

/// The author of splits that a ramp has cleared.
pub(super) const RAMP: &str = "ramp";

/// A split to be appended.
#[derive(Clone, Debug)]
pub(super) struct SplitRequest<'a> {
    /// `None` to clear it.
    pub split: Option<&'a Split>,
    pub when: When,
    pub reason: &'a str,
    pub by: &'a str,
    /// The number of the split that it takes back; it is then appended only after that one.
    pub reverts: Option<u64>,
}

/// The logs. Cloning shares them.
#[derive(Clone)]
pub(super) struct SplitLog {
    blobs: Blobs,
}

/// A part of a log.
#[derive(Debug, Default)]
pub(super) struct LogTail {
    /// Entries, ascending; damaged ones are left out.
    pub entries: Vec<SplitEntry>,
    /// The number of the newest, damaged or not; that from which on was read less 1 if there is none.
    pub newest: u64,
}

impl SplitLog {
    pub fn new(blobs: Blobs) -> Self {
        SplitLog { blobs }
    }

    /// Returns the entries of a model after a number. A damaged one is left out, with a warning.
    ///
    /// # Errors
    /// If the store fails.
    pub fn after(&self, model: &str, number: u64) -> Result<LogTail, RegistryError> {
        let mut tail = LogTail { entries: Vec::new(), newest: number };
        // A missing entry is looked for in a log that is read whole, as listing it takes longer than asking for the next.
        let newest = if number == 0 { self.newest_number(model)? } else { number };
        loop {
            match read_json(&self.blobs, &split_path(model, tail.newest + 1)) {
                Err(error) if error.is_damage() => {
                    tracing::warn!(model, "a split is left out: {}", chain(&error));
                }
                Ok(None) if tail.newest < newest => {
                    tracing::warn!(model, "split {} is missing, and later ones are there", tail.newest + 1);
                }
                Ok(None) => return Ok(tail),
                entry => tail.entries.extend(entry?),
            }
            tail.newest += 1;
        }
    }

    /// Returns the newest entry of a model that can be read.
    ///
    /// # Errors
    /// If the store fails.
    pub fn newest(&self, model: &str) -> Result<Option<SplitEntry>, RegistryError> {
        for number in (1..=self.newest_number(model)?).rev() {
            match read_json(&self.blobs, &split_path(model, number)) {
                Err(error) if error.is_damage() => {}
                entry => return entry,
            }
        }
        Ok(None)
    }

    /// Appends an entry under the next free number; another writer may take numbers meanwhile. Returns `None` if it takes
    /// back an entry that is not the newest.
    ///
    /// # Errors
    /// If the store fails.
    pub fn append(&self, model: &str, request: &SplitRequest<'_>) -> Result<Option<SplitEntry>, RegistryError> {
        let SplitRequest { split, when, reason, by, reverts } = *request;
        loop {
            let newest = self.newest_number(model)?;
            if reverts.is_some_and(|number| number != newest) {
                return Ok(None);
            }
            let entry = SplitEntry {
                number: newest + 1,
                time: when.event,
                wall_time: when.wall,
                split: split.cloned(),
                reverts,
                reason: reason.to_owned(),
                by: by.to_owned(),
            };
            if self.blobs.create(&split_path(model, entry.number), seal(&entry))? {
                return Ok(Some(entry));
            }
        }
    }

    fn newest_number(&self, model: &str) -> Result<u64, RegistryError> {
        let names = self.blobs.list(&splits_path(model))?.objects;
        Ok(names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).max().unwrap_or(0))
    }
}
