//! Where a replay begins, and with what: the earliest records, those that its bounds need, or a checkpoint; and the
//! records that time had passed in a live run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Failure;
use super::checkpoints::{fingerprint, mismatch};
use super::config::Config;
use crate::checkpoint::{CheckpointCoordinator, CheckpointError, CheckpointStore, JOB_EVENTS, Journal, Overtaken};
use crate::flow::Plan;
use crate::flow::build::positions;
use crate::source::Position;
use crate::time::{EventTime, format_time};

/// What a replay is to give.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The folder for it.
    pub out: PathBuf,
    /// The bounds of what is given out.
    pub from: Option<EventTime>,
    pub to: Option<EventTime>,
    /// Read sources from `from` less the longest window on.
    pub cold: bool,
    /// Start from this checkpoint.
    pub checkpoint: Option<PathBuf>,
    /// The overtaken records of a live run, to be repeated.
    pub journal: Option<PathBuf>,
    /// A folder to compare with.
    pub verify: Option<PathBuf>,
}

/// What a replay starts from.
pub struct ReplayStart {
    pub coordinator: Arc<CheckpointCoordinator>,
    /// Where sources begin, if not with their first records.
    pub since: Option<EventTime>,
    /// Where outputs begin.
    pub from: Option<EventTime>,
    pub journal: Vec<Overtaken>,
}

impl ReplayStart {
    /// Finds what was asked for.
    ///
    /// # Errors
    /// If a path has nothing that can be started from, or the bounds do not fit a checkpoint.
    pub fn find(plan: &Plan, config: &Config, asked: &ReplayOptions) -> Result<Self, Failure> {
        let journal = asked.journal.as_deref().map_or(Ok(Vec::new()), |path| Journal::at(path).must_read());
        let journal = journal.map_err(|error| wrong("--journal", &error))?;
        match &asked.checkpoint {
            Some(path) => ReplayStart::checkpoint(plan, config, asked, path, journal),
            None => {
                let since = asked.from.filter(|_| asked.cold).map(|from| from.saturating_sub(plan.reach_ms()));
                Ok(ReplayStart { coordinator: CheckpointCoordinator::fresh(), since, from: asked.from, journal })
            }
        }
    }

    fn checkpoint(
        plan: &Plan,
        config: &Config,
        asked: &ReplayOptions,
        path: &Path,
        mut journal: Vec<Overtaken>,
    ) -> Result<Self, Failure> {
        let refused = |what: String| Err(Failure::Usage(format!("error: --checkpoint: {what}")));
        let (snapshot, damaged, beside) =
            CheckpointStore::open_path(path).map_err(|error| wrong("--checkpoint", &error))?;
        damaged.iter().for_each(|error| eprintln!("warning: passed over: {error}"));
        let Some(mut snapshot) = snapshot else {
            return refused(format!("{}: has no checkpoint that is whole", path.display()));
        };
        if let Some(what) = mismatch(&snapshot, &fingerprint(plan, config), &path.display().to_string()) {
            return refused(format!("{what}; expected one of this file and config"));
        }
        // What the run had given out is its own; the replay begins with what is known from the checkpoint's time on.
        snapshot.parts.remove(JOB_EVENTS);
        plan.groups.iter().for_each(|group| _ = snapshot.parts.remove(&format!("features.{}.offline", group.name)));
        plan.models.iter().for_each(|model| _ = snapshot.parts.remove(&format!("model.{}.offline", model.name)));
        let (time, coordinator) = (snapshot.time, CheckpointCoordinator::restoring(snapshot.time, snapshot.parts));
        let read = positions(plan, &coordinator)?;
        // The ledger has all that was read, so the end must lie behind that.
        let newest = read.values().map(|position| position.newest_effective).fold(time, EventTime::max);
        if let Some(to) = asked.to.filter(|to| *to <= newest) {
            let (to, newest) = (format_time(to), format_time(newest));
            return refused(format!("its run had read up to {newest}; expected --to after that, found {to}"));
        }
        let known = beside.read().map_err(|error| wrong("--checkpoint", &error))?;
        journal.extend(known.into_iter().filter(|record| is_read(&read, record)));
        let from = asked.from.map_or(time, |from| from.max(time));
        Ok(ReplayStart { coordinator, since: None, from: Some(from), journal })
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
    Failure::Usage(format!("error: {flag}: {error}{cause}"))
}
