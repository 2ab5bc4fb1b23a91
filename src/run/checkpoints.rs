//! Checkpoints of a live run: when one is taken, and which one a run starts from.
//!
//! A checkpoint is triggered with a barrier that no operator has passed. Each operator saves when its own frontier
//! reaches the barrier, while everything runs on. Once all have saved, what the graph has sent before is made durable
//! (versions in the registry, dead letters in their sink). Only then is the checkpoint encoded, written and made current,
//! by a thread of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::args::RunOptions;
use super::config::Config;
use super::inputs::{self, Inputs};
use super::job_events::JobEvents;
use super::resume::is_read;
use super::{Failure, print_err};
use crate::checkpoint::{
    CheckpointCoordinator, CheckpointError, CheckpointStore, Fingerprint, JOB_EVENTS, Journal, NewestCheckpoint,
    Overtaken, PendingSnapshot, StoredCheckpoint, TOPIC_IDS, WrittenCheckpoint,
};
use crate::disk;
use crate::error::chain;
use crate::flow::build::positions;
use crate::flow::{Job, Plan, saved_state};
use crate::metrics::Metrics;
use crate::threads::{self, Thread};
use crate::time::{EventTime, format_time};

/// The transport of topics that are read from brokers, in a checkpoint's fingerprint.
const KAFKA: &str = "kafka";

/// Triggers and writes the checkpoints of a job, one at a time.
pub struct Checkpoints {
    store: Arc<CheckpointStore>,
    fingerprint: Fingerprint,
    interval: Option<Duration>,
    keep: usize,
    /// The event time of the newest checkpoint.
    newest: EventTime,
    /// Its number; `None` if there is none.
    number: Option<u64>,
    /// The reason that the last checkpoint could not be written; `None` if it was.
    failed: Option<String>,
    /// The time of the last trigger.
    triggered: Instant,
    /// True if none is triggered for now.
    paused: bool,
    /// The number of the checkpoint that the run was told to start from.
    chosen: Option<u64>,
    in_progress: Option<CheckpointInProgress>,
}

/// A checkpoint that is not current yet, and when it was triggered.
struct CheckpointInProgress {
    triggered: Instant,
    stage: Stage,
}

/// The stage of a checkpoint in progress.
enum Stage {
    /// Operators are saving their states.
    Triggered,
    /// All operators have saved; the graph's events of before are being made durable.
    Collected(EventTime, PendingSnapshot),
    /// The checkpoint is being written.
    Writing(EventTime, Thread<Result<WrittenCheckpoint, CheckpointError>>),
}

/// The state that a run starts from.
pub struct RestoredState {
    pub coordinator: Arc<CheckpointCoordinator>,
    /// The overtaken records of earlier runs.
    pub journal: Vec<Overtaken>,
    /// The argument of [`JobEvents::restore`].
    pub job_events: Option<Vec<u8>>,
    /// The checkpoint that the run resumes from, in words; `None` for a fresh start.
    pub message: Option<String>,
}

impl Checkpoints {
    /// Opens the checkpoints of a dataflow and returns the state to start from: the newest complete one, or that or none if
    /// the options say so.
    ///
    /// # Errors
    /// If they cannot be read, or belong to another dataflow file or version of tidemill.
    pub fn open(plan: &Plan, config: &Config, options: &RunOptions) -> Result<(Self, RestoredState), Failure> {
        // Open the store.
        let url = checkpoint_url(plan, config);
        let store = CheckpointStore::open(&url)
            .map_err(|error| Failure::Usage(format!("error: [checkpoint] url: {}", chain(&error))))?;
        store.remove_orphans()?;
        let fingerprint = fingerprint(plan, config);

        // Find the checkpoint to start from.
        let fault = |found: &StoredCheckpoint| fault(found, &fingerprint, plan);
        let checkpoint = find(&store, options, fault)?;
        let chosen = options.checkpoint.as_ref().and_then(|_| Some(checkpoint.as_ref()?.number));

        let number = checkpoint.as_ref().map(|checkpoint| checkpoint.number);

        // Take its state apart.
        let restored = match checkpoint {
            None => {
                let coordinator = CheckpointCoordinator::fresh();
                RestoredState { coordinator, journal: Vec::new(), job_events: None, message: None }
            }
            Some(snapshot) => {
                accept(&snapshot, &fingerprint, &url)?;
                let StoredCheckpoint { number, time, mut parts, .. } = snapshot;
                let job_events = parts.remove(JOB_EVENTS).and_then(|parts| parts.into_iter().next());
                let message = format!("resuming from checkpoint {number}, as of {}", format_time(time));
                let coordinator = CheckpointCoordinator::restoring(time, parts);
                let mut journal = store.overtaken()?;
                if chosen.is_some() {
                    let read = positions(plan, &coordinator)?;
                    journal.retain(|record| is_read(&read, record));
                }
                RestoredState { coordinator, journal, job_events, message: Some(message) }
            }
        };
        let checkpoints = Checkpoints {
            store: Arc::new(store),
            fingerprint,
            interval: config.checkpoint.interval,
            keep: config.checkpoint.keep,
            newest: restored.coordinator.restored_time().unwrap_or(EventTime::MIN),
            number,
            failed: None,
            triggered: Instant::now(),
            paused: false,
            chosen,
            in_progress: None,
        };
        Ok((checkpoints, restored))
    }

    /// Moves the checkpoints of an earlier run aside.
    ///
    /// # Errors
    /// If their folder cannot be renamed.
    pub fn start_over(&mut self) -> anyhow::Result<()> {
        let url = self.store.url().to_owned();
        if let Some(kept) = disk::archive_previous(self.store.folder())? {
            print_err(format_args!("the checkpoints of an earlier run are kept in {}", kept.display()));
            self.store = Arc::new(CheckpointStore::open(&url)?);
        }
        Ok(())
    }

    /// Sets the checkpoints after the chosen one aside, and the records of the journal that it had not read.
    ///
    /// # Errors
    /// If a checkpoint or the journal cannot be written.
    pub fn reopen(&self, job: &Job) -> anyhow::Result<()> {
        let Some(chosen) = self.chosen else { return Ok(()) };
        let read = job.positions()?;
        self.store.keep_overtaken(|record| is_read(&read, record))?;
        for number in self.store.set_aside_after(chosen)? {
            print_err(format_args!("checkpoint {number} is set aside, as {number:08}.json.set_aside"));
        }
        Ok(())
    }

    /// Sets whether no checkpoint is triggered for now.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Returns whether no checkpoint is triggered for now.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Opens the journal to add overtaken records to it.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub fn journal(&self) -> Result<Journal, CheckpointError> {
        self.store.journal()
    }

    /// Returns whether checkpoints are taken.
    pub fn is_enabled(&self) -> bool {
        self.interval.is_some()
    }

    /// Returns whether a checkpoint is in progress.
    pub fn is_in_progress(&self) -> bool {
        self.in_progress.is_some()
    }

    /// Returns why the last checkpoint could not be written, and what a run that starts now goes on from; `None` if it was
    /// written.
    pub fn failure(&self) -> Option<String> {
        let why = self.failed.as_ref()?;
        Some(match self.number {
            Some(number) => {
                let time = format_time(self.newest);
                format!("{why}; the next run goes on from checkpoint {number}, as of {time}")
            }
            None => format!("{why}; there is none before it, so the next run starts over"),
        })
    }

    /// Triggers a checkpoint if the interval has passed.
    pub fn trigger_if_due(&mut self, job: &Job) {
        if self.interval.is_some_and(|interval| self.triggered.elapsed() >= interval) && !self.is_in_progress() {
            self.trigger(job);
        }
    }

    /// Triggers a checkpoint, unless checkpoints are paused, one is in progress or nothing has closed since the newest.
    pub fn trigger(&mut self, job: &Job) {
        if !self.is_enabled() || self.paused || self.is_in_progress() {
            return;
        }
        self.triggered = Instant::now();
        let newest = self.newest;
        let mut is_triggered = false;
        job.frontier.inject_barrier(|time| {
            if time > newest {
                job.coordinator.trigger(time);
                is_triggered = true;
            }
        });
        let in_progress = || CheckpointInProgress { triggered: Instant::now(), stage: Stage::Triggered };
        self.in_progress = is_triggered.then(in_progress);
    }

    /// Collects the operators' states, and returns true once when all have saved. The caller must then handle the graph's
    /// events up to now and call [`JobEvents::mark_checkpoint`], before [`Checkpoints::write`].
    pub fn collect(&mut self, job: &Job) -> bool {
        let Some(CheckpointInProgress { stage: stage @ Stage::Triggered, .. }) = &mut self.in_progress else {
            return false;
        };
        let Some((time, snapshot)) = job.coordinator.collect() else { return false };
        *stage = Stage::Collected(time, snapshot);
        true
    }

    /// Starts to write the snapshot that was collected, once the events of before are durable.
    ///
    /// # Errors
    /// If an event cannot be made durable, or the system cannot start a thread.
    pub fn write(&mut self, job_events: &JobEvents, inputs: &Inputs) -> anyhow::Result<()> {
        let are_durable = job_events.are_durable()?;
        let is_ready =
            |current: &mut CheckpointInProgress| matches!(current.stage, Stage::Collected(..)) && are_durable;
        let Some(CheckpointInProgress { triggered, stage: Stage::Collected(time, mut snapshot) }) =
            self.in_progress.take_if(is_ready)
        else {
            return Ok(());
        };
        snapshot.add(JOB_EVENTS, job_events.save(time));
        if let Some(kafka) = inputs.kafka() {
            snapshot.add(TOPIC_IDS, postcard::to_stdvec(&kafka.topic_ids())?);
        }
        let (store, fingerprint, keep) = (self.store.clone(), self.fingerprint.clone(), self.keep);
        let write = move || store.write(&fingerprint, time, snapshot.encode(), keep);
        let writer = threads::spawn_finite("checkpoint", write)?;
        self.in_progress = Some(CheckpointInProgress { triggered, stage: Stage::Writing(time, writer) });
        Ok(())
    }

    /// Completes a checkpoint that has been written. One that failed is abandoned: the one before it stays current.
    pub fn complete(&mut self, job: &Job, metrics: &Metrics) {
        let measured = job.coordinator.state_bytes();
        let is_written = |current: &mut CheckpointInProgress| matches!(&current.stage, Stage::Writing(_, writer) if writer.is_finished());
        let Some(CheckpointInProgress { triggered, stage: Stage::Writing(time, writer) }) =
            self.in_progress.take_if(is_written)
        else {
            return;
        };
        match writer.join().expect("writing does not panic") {
            Ok(WrittenCheckpoint { number, bytes, .. }) => {
                (self.newest, self.number, self.failed) = (time, Some(number), None);
                metrics.checkpoint_written(triggered.elapsed());
                // Operators that measure their state report it while they run.
                let is_measured = |name: &String| measured.contains_key(name);
                let is_operator = |name: &str| ![JOB_EVENTS, TOPIC_IDS].contains(&name);
                for (operator, bytes) in bytes.iter().filter(|(name, _)| is_operator(name) && !is_measured(name)) {
                    let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
                    metrics.state_bytes.with_label_values(&[operator.as_str()]).set(bytes);
                }
                tracing::info!(number, time = format_time(time), "checkpoint written");
            }
            Err(error) => {
                metrics.checkpoint_failed();
                let why = format!("no checkpoint as of {}: {}", format_time(time), chain(&error));
                tracing::error!("{why}");
                self.failed = Some(why);
            }
        }
    }
}

/// Returns the url of a dataflow's checkpoints: that of the config, or a folder of the dataflow.
pub fn checkpoint_url(plan: &Plan, config: &Config) -> String {
    let own = || config.home(&plan.spec.name).join("checkpoints").to_string_lossy().into_owned();
    config.checkpoint.url.clone().unwrap_or_else(own)
}

/// Returns what a checkpoint must agree with, to be one of this plan and config.
pub fn fingerprint(plan: &Plan, config: &Config) -> Fingerprint {
    let topics = plan.readers().map(|reader| {
        let transport = if inputs::is_file(reader, config) { "files" } else { KAFKA };
        (reader.topic.clone(), transport.to_owned())
    });
    let spec = &plan.spec;
    Fingerprint { dataflow: spec.name.clone(), definition: spec.definition(), topics: topics.collect() }
}

fn accept(snapshot: &StoredCheckpoint, fingerprint: &Fingerprint, url: &str) -> Result<(), Failure> {
    mismatch(snapshot, fingerprint, url).map_or(Ok(()), |what| {
        Err(Failure::Usage(format!(
            "error: {what}; expected a checkpoint of this file and config; use --fresh to start without it"
        )))
    })
}

/// Returns the checkpoint that a run starts from, if there is one; reports those that are skipped. `fault` finds what
/// is wrong with one.
///
/// # Errors
/// If the checkpoints cannot be read, or there are some and none of them can be used.
fn find(
    store: &CheckpointStore,
    options: &RunOptions,
    fault: impl Fn(&StoredCheckpoint) -> Option<String>,
) -> Result<Option<StoredCheckpoint>, Failure> {
    let newest = match &options.checkpoint {
        _ if options.fresh => Ok(NewestCheckpoint::default()),
        Some(path) => {
            let chosen = store.checkpoint_at(path, fault);
            chosen.map(|chosen| NewestCheckpoint { checkpoint: Some(chosen), skipped: Vec::new() })
        }
        None => store.newest(fault),
    };
    let NewestCheckpoint { checkpoint, skipped } = newest.map_err(|error| match error {
        CheckpointError::Format { .. } => Failure::Usage(format!("error: {error}; use --fresh to start without it")),
        other if options.checkpoint.is_some() => Failure::Usage(format!("error: --checkpoint: {}", chain(&other))),
        other => Failure::from(other),
    })?;
    for error in &skipped {
        print_err(format_args!("warning: skipped: {}", chain(error)));
    }
    if checkpoint.is_none() && !skipped.is_empty() {
        let url = store.url();
        return Err(Failure::Runtime(anyhow!(
            "no checkpoint in {url} can be used; to start from nothing, use --fresh, which keeps the checkpoints and models of the earlier run"
        )));
    }
    Ok(checkpoint)
}

/// Returns what is wrong with a checkpoint of this plan and config. One of another is refused as a whole, by [`mismatch`].
pub fn fault(found: &StoredCheckpoint, fingerprint: &Fingerprint, plan: &Plan) -> Option<String> {
    let is_own = found.fingerprint == *fingerprint;
    let is_kafka = fingerprint.topics.values().any(|transport| transport == KAFKA);
    let has_ids = found.parts.contains_key(TOPIC_IDS);
    match saved_state::fault(plan, &found.parts).filter(|_| is_own) {
        None if is_own && is_kafka && !has_ids => Some("the ids of its topics are missing".to_owned()),
        fault => fault,
    }
}

/// Returns why a checkpoint does not belong to a dataflow, or its offsets to the dataflow's topics.
pub fn mismatch(snapshot: &StoredCheckpoint, fingerprint: &Fingerprint, url: &str) -> Option<String> {
    if snapshot.fingerprint.dataflow != fingerprint.dataflow {
        return Some(format!("{url} has a checkpoint of dataflow {:?}", snapshot.fingerprint.dataflow));
    }
    if snapshot.fingerprint.definition != fingerprint.definition {
        return Some(format!(
            "checkpoint {} in {url} was taken with another version of the dataflow file",
            snapshot.number
        ));
    }
    if let Some((topic, transport)) =
        snapshot.fingerprint.topics.iter().find(|(topic, of)| fingerprint.topics.get(*topic) != Some(of))
    {
        let number = snapshot.number;
        return Some(format!(
            "checkpoint {number} in {url} was taken by a run that read topic {topic:?} from {transport}"
        ));
    }
    None
}
