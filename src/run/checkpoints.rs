//! Checkpoints of a live run: when to take one, and what to go on from.
//!
//! One is asked for at the time that no operator has passed; each operator saves when its own frontier is there, while
//! everything runs on. Once all have, what the graph told until then is seen to where it belongs (versions in the
//! registry, dead letters in their place), and only then is the checkpoint encoded, written and made current, by a
//! thread of its own.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::config::Config;
use super::inputs::{self, Inputs};
use super::job_events::JobEvents;
use super::{Failure, print_err};
use crate::checkpoint::{
    CheckpointCoordinator, CheckpointError, CheckpointStore, Fingerprint, JOB_EVENTS, Journal, Overtaken,
    PendingSnapshot, StoredCheckpoint, TOPIC_IDS, WrittenCheckpoint,
};
use crate::disk;
use crate::flow::{Job, Plan};
use crate::metrics::Metrics;
use crate::time::{EventTime, format_time};

/// Takes checkpoints of a job.
pub struct Checkpoints {
    store: Arc<CheckpointStore>,
    fingerprint: Fingerprint,
    interval: Option<Duration>,
    keep: usize,
    /// The event time of the newest.
    newest: EventTime,
    taken: Instant,
    under_way: Option<CheckpointInProgress>,
}

/// A checkpoint that is not current yet.
struct CheckpointInProgress {
    asked: Instant,
    stage: Stage,
}

/// How far it is.
enum Stage {
    /// Operators are saving.
    Triggered,
    /// All have saved; what the graph told until then is being seen to.
    Collected(EventTime, PendingSnapshot),
    /// It is being written.
    Writing(EventTime, JoinHandle<Result<WrittenCheckpoint, CheckpointError>>),
}

/// What a run starts from.
pub struct Start {
    pub coordinator: Arc<CheckpointCoordinator>,
    pub journal: Vec<Overtaken>,
    /// What [`Outputs::restore`] takes.
    pub job_events: Option<Vec<u8>>,
    /// What was found, for the terminal.
    pub said: Option<String>,
}

impl Checkpoints {
    /// Opens the checkpoints of a dataflow and finds what to start from.
    ///
    /// # Errors
    /// If they cannot be read, or belong to another dataflow file or version of tidemill.
    pub fn open(plan: &Plan, config: &Config, fresh: bool) -> Result<(Self, Start), Failure> {
        let spec = &plan.spec;
        let home = config.home(&spec.name).join("checkpoints");
        let url = config.checkpoint.url.clone().unwrap_or_else(|| home.to_string_lossy().into_owned());
        let store =
            CheckpointStore::open(&url).map_err(|error| Failure::Usage(format!("error: [checkpoint] url: {error}")))?;
        store.remove_orphans()?;
        let fingerprint = fingerprint(plan, config);
        let newest = if fresh { Ok((None, Vec::new())) } else { store.newest() };
        let (snapshot, damaged) = newest.map_err(|error| match error {
            CheckpointError::Format { .. } => Failure::Usage(format!("error: {error}; --fresh starts without it")),
            other => Failure::from(other),
        })?;
        for error in damaged {
            print_err(format_args!("warning: passed over: {error}"));
        }
        let start = match snapshot {
            None => {
                Start { coordinator: CheckpointCoordinator::fresh(), journal: Vec::new(), job_events: None, said: None }
            }
            Some(snapshot) => {
                accept(&snapshot, &fingerprint, &url)?;
                let StoredCheckpoint { number, time, mut parts, .. } = snapshot;
                let job_events = parts.remove(JOB_EVENTS).and_then(|parts| parts.into_iter().next());
                let said = format!("going on from checkpoint {number}, as of {}", format_time(time));
                let coordinator = CheckpointCoordinator::restoring(time, parts);
                Start { coordinator, journal: store.journal().read()?, job_events, said: Some(said) }
            }
        };
        let checkpoints = Checkpoints {
            store: Arc::new(store),
            fingerprint,
            interval: config.checkpoint.interval,
            keep: config.checkpoint.keep,
            newest: start.coordinator.restored_time().unwrap_or(EventTime::MIN),
            taken: Instant::now(),
            under_way: None,
        };
        Ok((checkpoints, start))
    }

    /// Begins anew: what there is of an earlier run is moved aside.
    ///
    /// # Errors
    /// If it cannot be moved.
    pub fn start_over(&mut self) -> anyhow::Result<()> {
        let url = self.store.url().to_owned();
        if let Some(kept) = disk::archive_previous(Path::new(&CheckpointStore::folder(&url)?))? {
            print_err(format_args!("the checkpoints of an earlier run are kept in {}", kept.display()));
            self.store = Arc::new(CheckpointStore::open(&url)?);
        }
        Ok(())
    }

    /// Where records that come below the frontier are taken down.
    pub fn journal(&self) -> Journal {
        self.store.journal()
    }

    /// Whether checkpoints are taken.
    pub fn are_taken(&self) -> bool {
        self.interval.is_some()
    }

    /// Whether one is under way.
    pub fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Asks for one if it is time.
    pub fn ask_if_due(&mut self, job: &Job) {
        if self.interval.is_some_and(|interval| self.taken.elapsed() >= interval) && !self.is_under_way() {
            self.ask(job);
        }
    }

    /// Asks for one, unless one is under way or nothing has closed since the newest.
    pub fn ask(&mut self, job: &Job) {
        if !self.are_taken() || self.is_under_way() {
            return;
        }
        self.taken = Instant::now();
        let newest = self.newest;
        let mut asked = false;
        job.board.cut(|time| {
            if time > newest {
                job.coordinator.trigger(time);
                asked = true;
            }
        });
        self.under_way = asked.then(|| CheckpointInProgress { asked: Instant::now(), stage: Stage::Triggered });
    }

    /// Gathers the snapshot's parts; says once that all are there. What the graph told until then is to be followed and
    /// marked in the outputs before [`Checkpoints::write`].
    pub fn gather(&mut self, job: &Job) -> bool {
        let Some(CheckpointInProgress { stage: stage @ Stage::Triggered, .. }) = &mut self.under_way else {
            return false;
        };
        let Some((time, snapshot)) = job.coordinator.collect() else { return false };
        *stage = Stage::Collected(time, snapshot);
        true
    }

    /// Has the snapshot that was gathered written, once the outputs are settled.
    ///
    /// # Errors
    /// If the outputs cannot be, or the system cannot start a thread.
    pub fn write(&mut self, job_events: &JobEvents, inputs: &Inputs) -> anyhow::Result<()> {
        let are_durable = job_events.are_durable()?;
        let is_ready =
            |under_way: &mut CheckpointInProgress| matches!(under_way.stage, Stage::Collected(..)) && are_durable;
        let Some(CheckpointInProgress { asked, stage: Stage::Collected(time, mut snapshot) }) =
            self.under_way.take_if(is_ready)
        else {
            return Ok(());
        };
        snapshot.add(JOB_EVENTS, job_events.save());
        if let Some(kafka) = inputs.kafka() {
            snapshot.add(TOPIC_IDS, postcard::to_stdvec(&kafka.topic_ids())?);
        }
        let (store, fingerprint, keep) = (self.store.clone(), self.fingerprint.clone(), self.keep);
        let thread = std::thread::Builder::new().name("checkpoint".to_owned());
        let writer = thread.spawn(move || store.write(&fingerprint, time, snapshot.encode(), keep))?;
        self.under_way = Some(CheckpointInProgress { asked, stage: Stage::Writing(time, writer) });
        Ok(())
    }

    /// Takes note of one that has been written. One that could not be is given up: the one before it stays current.
    pub fn settle(&mut self, metrics: &Metrics) {
        let is_over = |under_way: &mut CheckpointInProgress| matches!(&under_way.stage, Stage::Writing(_, writer) if writer.is_finished());
        let Some(CheckpointInProgress { asked, stage: Stage::Writing(time, writer) }) = self.under_way.take_if(is_over)
        else {
            return;
        };
        match writer.join().expect("writing does not panic") {
            Ok(WrittenCheckpoint { number, bytes, .. }) => {
                self.newest = time;
                metrics.checkpoint_written(asked.elapsed());
                let is_operator = |(name, _): &(&String, &u64)| ![JOB_EVENTS, TOPIC_IDS].contains(&name.as_str());
                for (operator, bytes) in bytes.iter().filter(is_operator) {
                    let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
                    metrics.state_bytes.with_label_values(&[operator.as_str()]).set(bytes);
                }
                tracing::info!(number, time = format_time(time), "checkpoint");
            }
            Err(error) => {
                metrics.checkpoint_failed();
                tracing::error!("no checkpoint as of {}: {:#}", format_time(time), anyhow::Error::from(error));
            }
        }
    }
}

/// What a plan's checkpoints belong to.
pub fn fingerprint(plan: &Plan, config: &Config) -> Fingerprint {
    let topics = plan.readers().map(|reader| {
        let transport = if inputs::is_file(reader, config) { "files" } else { "kafka" };
        (reader.topic.clone(), transport.to_owned())
    });
    let spec = &plan.spec;
    Fingerprint { dataflow: spec.name.clone(), definition: spec.definition(), topics: topics.collect() }
}

fn accept(snapshot: &StoredCheckpoint, fingerprint: &Fingerprint, url: &str) -> Result<(), Failure> {
    mismatch(snapshot, fingerprint, url).map_or(Ok(()), |what| {
        Err(Failure::Usage(format!("error: {what}; expected one of this file and config; --fresh starts without it")))
    })
}

/// Why a checkpoint is not of this dataflow, or its offsets are not those of these topics.
pub fn mismatch(snapshot: &StoredCheckpoint, fingerprint: &Fingerprint, url: &str) -> Option<String> {
    if snapshot.fingerprint.dataflow != fingerprint.dataflow {
        return Some(format!("{url} has a checkpoint of dataflow {:?}", snapshot.fingerprint.dataflow));
    }
    if snapshot.fingerprint.definition != fingerprint.definition {
        return Some(format!("checkpoint {} in {url} is of another version of the dataflow file", snapshot.number));
    }
    if let Some((topic, transport)) =
        snapshot.fingerprint.topics.iter().find(|(topic, of)| fingerprint.topics.get(*topic) != Some(of))
    {
        let number = snapshot.number;
        return Some(format!("checkpoint {number} in {url} is of a run that read topic {topic:?} from {transport}"));
    }
    None
}
