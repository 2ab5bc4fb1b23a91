//! The start of a replay: the earliest records, those that its bounds need, or a checkpoint; and the journal of overtaken
//! records that it repeats.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoints::{fault, fingerprint, mismatch};
use super::config::Config;
use super::resume::is_read;
use super::{Failure, print_err};
use crate::checkpoint::{CheckpointCoordinator, CheckpointError, CheckpointStore, JOB_EVENTS, Journal, Overtaken};
use crate::error::chain;
use crate::flow::Plan;
use crate::flow::build::positions;
use crate::time::{EventTime, format_time};

/// The flags of `replay`.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The folder for the outputs.
    pub out: PathBuf,
    /// The event time from which on outputs are written.
    pub from: Option<EventTime>,
    /// The event time before which outputs are written.
    pub to: Option<EventTime>,
    /// Read sources from `from` less the longest window on.
    pub cold: bool,
    /// The checkpoint to start from.
    pub checkpoint: Option<PathBuf>,
    /// The journal of a live run, whose overtaken records are repeated.
    pub journal: Option<PathBuf>,
    /// Write examples without a label, too.
    pub unlabelled: bool,
    /// The folder to compare with.
    pub verify: Option<PathBuf>,
}

/// The state, the bounds and the journal that a replay starts from.
pub struct ReplayStart {
    pub coordinator: Arc<CheckpointCoordinator>,
    /// The event time from which on sources are read; `None` for their first records.
    pub since: Option<EventTime>,
    /// The event time from which on outputs are written.
    pub from: Option<EventTime>,
    /// Overtaken records, which take effect as they did in the live run.
    pub journal: Vec<Overtaken>,
}

impl ReplayStart {
    /// Returns the start that the flags ask for.
    ///
    /// # Errors
    /// If a path has no checkpoint or journal, or the bounds do not fit the checkpoint.
    pub fn find(plan: &Plan, config: &Config, options: &ReplayOptions) -> Result<Self, Failure> {
        let journal = options.journal.as_deref().map_or(Ok(Vec::new()), Journal::read_path);
        let journal = journal.map_err(|error| wrong("--journal", &error))?;
        match &options.checkpoint {
            Some(path) => ReplayStart::checkpoint(plan, config, options, path, journal),
            None => {
                let cold = options.from.filter(|_| options.cold);
                let since = cold.and_then(|from| Some(from.saturating_sub(plan.history_ms()?)));
                Ok(ReplayStart { coordinator: CheckpointCoordinator::fresh(), since, from: options.from, journal })
            }
        }
    }

    fn checkpoint(
        plan: &Plan,
        config: &Config,
        options: &ReplayOptions,
        path: &Path,
        mut journal: Vec<Overtaken>,
    ) -> Result<Self, Failure> {
        let refused = |what: String| Err(Failure::Usage(format!("error: --checkpoint: {what}")));
        let own = fingerprint(plan, config);
        let read = CheckpointStore::read_path(path, |found| fault(found, &own, plan));
        let (newest, beside) = read.map_err(|error| wrong("--checkpoint", &error))?;
        newest.skipped.iter().for_each(|error| print_err(format_args!("warning: skipped: {}", chain(error))));
        let Some(mut snapshot) = newest.checkpoint else {
            return refused(format!("{} has no complete checkpoint", path.display()));
        };
        if let Some(what) = mismatch(&snapshot, &own, &path.display().to_string()) {
            return refused(format!("{what}; expected one of this file and config"));
        }
        // The outputs of the run are not those of the replay, which writes what becomes known from the checkpoint on.
        snapshot.parts.remove(JOB_EVENTS);
        plan.groups.iter().for_each(|group| _ = snapshot.parts.remove(&format!("features.{}.offline", group.name)));
        plan.models.iter().for_each(|model| _ = snapshot.parts.remove(&format!("model.{}.offline", model.name)));
        let (time, coordinator) = (snapshot.time, CheckpointCoordinator::restoring(snapshot.time, snapshot.parts));
        let read = positions(plan, &coordinator)?;
        // The restored counts include everything that was read, so the end must lie after it.
        let newest = read.values().map(|position| position.newest_effective).fold(time, EventTime::max);
        if let Some(to) = options.to.filter(|to| *to <= newest) {
            let (to, newest) = (format_time(to), format_time(newest));
            return refused(format!("its run had read up to {newest}; expected --to after that, found {to}"));
        }
        journal.extend(beside.into_iter().filter(|record| is_read(&read, record)));
        let from = options.from.map_or(time, |from| from.max(time));
        Ok(ReplayStart { coordinator, since: None, from: Some(from), journal })
    }
}

/// Returns the failure for a flag whose file cannot be used.
fn wrong(flag: &str, error: &CheckpointError) -> Failure {
    Failure::Usage(format!("error: {flag}: {}", chain(error)))
}
