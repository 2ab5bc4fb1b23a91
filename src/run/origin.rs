//! Where a replay begins, and with what: the earliest records, those that its bounds need, or a checkpoint; and the
//! records that time had passed in a live run.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::Failure;
use super::checkpoints::{OUTPUTS, owner, unfit};
use super::config::Config;
use super::replay::Asked;
use crate::checkpoint::{Archive, CheckpointError, Journal, Overtaken, Vault};
use crate::flow::Plan;
use crate::flow::build::positions;
use crate::source::Position;
use crate::time::{EventTime, format_time};

/// What a replay starts from.
pub struct Origin {
    pub vault: Arc<Vault>,
    /// Where sources begin, if not with their first records.
    pub since: Option<EventTime>,
    /// Where outputs begin.
    pub from: Option<EventTime>,
    pub journal: Vec<Overtaken>,
}

impl Origin {
    /// Finds what was asked for.
    ///
    /// # Errors
    /// If a path has nothing that can be started from, or the bounds do not fit a checkpoint.
    pub fn find(plan: &Plan, config: &Config, asked: &Asked) -> Result<Self, Failure> {
        let journal = asked.journal.as_deref().map_or(Ok(Vec::new()), |path| Journal::at(path).must_read());
        let journal = journal.map_err(|error| wrong("--journal", &error))?;
        match &asked.checkpoint {
            Some(path) => Origin::checkpoint(plan, config, asked, path, journal),
            None => {
                let since = asked.from.filter(|_| asked.cold).map(|from| from.saturating_sub(plan.reach_ms()));
                Ok(Origin { vault: Vault::empty(), since, from: asked.from, journal })
            }
        }
    }

    fn checkpoint(
        plan: &Plan,
        config: &Config,
        asked: &Asked,
        path: &Path,
        mut journal: Vec<Overtaken>,
    ) -> Result<Self, Failure> {
        let refused = |what: String| Err(Failure::Wrong(format!("error: --checkpoint: {what}")));
        let (snapshot, damaged, beside) = Archive::named(path).map_err(|error| wrong("--checkpoint", &error))?;
        damaged.iter().for_each(|error| eprintln!("warning: passed over: {error}"));
        let Some(mut snapshot) = snapshot else {
            return refused(format!("{}: has no checkpoint that is whole", path.display()));
        };
        if let Some(what) = unfit(&snapshot, &owner(plan, config), &path.display().to_string()) {
            return refused(format!("{what}; expected one of this file and config"));
        }
        // What the run had given out is its own; the replay begins with what is known from the checkpoint's time on.
        snapshot.parts.remove(OUTPUTS);
        plan.groups.iter().for_each(|group| _ = snapshot.parts.remove(&format!("features.{}.offline", group.name)));
        plan.models.iter().for_each(|model| _ = snapshot.parts.remove(&format!("model.{}.offline", model.name)));
        let (time, vault) = (snapshot.time, Vault::starting_from(snapshot.time, snapshot.parts));
        let read = positions(plan, &vault)?;
        // The ledger has all that was read, so the end must lie behind that.
        let newest = read.values().map(|position| position.newest_effective).fold(time, EventTime::max);
        if let Some(to) = asked.to.filter(|to| *to <= newest) {
            let (to, newest) = (format_time(to), format_time(newest));
            return refused(format!("its run had read up to {newest}; expected --to after that, found {to}"));
        }
        let known = beside.read().map_err(|error| wrong("--checkpoint", &error))?;
        journal.extend(known.into_iter().filter(|record| is_read(&read, record)));
        let from = asked.from.map_or(time, |from| from.max(time));
        Ok(Origin { vault, since: None, from: Some(from), journal })
    }
}

/// Whether a checkpoint's run had read a record: then the state goes by when it took effect.
fn is_read(read: &HashMap<(String, u32), Position>, record: &Overtaken) -> bool {
    let position = read.get(&(record.source.clone(), record.partition));
    position.is_some_and(|position| record.offset < position.next)
}

/// A flag that names something that cannot be used.
fn wrong(flag: &str, error: &CheckpointError) -> Failure {
    let cause = std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
    Failure::Wrong(format!("error: {flag}: {error}{cause}"))
}
