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
use super::live::move_aside;
use super::outputs::Outputs;
use super::{Failure, say};
use crate::checkpoint::{Archive, CheckpointError, Journal, Overtaken, Owner, Snapshot, Unwritten, Vault, Written};
use crate::flow::{Job, Plan};
use crate::metrics::Metrics;
use crate::time::{EventTime, format_time};

/// The parts of a snapshot that are not an operator's: what has been published, and the ids of Kafka's topics.
pub const OUTPUTS: &str = "outputs";
pub const TOPIC_IDS: &str = "topic_ids";

/// Takes checkpoints of a job.
pub struct Checkpoints {
    archive: Arc<Archive>,
    owner: Owner,
    interval: Option<Duration>,
    keep: usize,
    /// The event time of the newest.
    newest: EventTime,
    taken: Instant,
    under_way: Option<UnderWay>,
}

/// A checkpoint that is not current yet.
struct UnderWay {
    asked: Instant,
    stage: Stage,
}

/// How far it is.
enum Stage {
    /// Operators are saving.
    Asked,
    /// All have saved; what the graph told until then is being seen to.
    Gathered(EventTime, Unwritten),
    /// It is being written.
    Writing(EventTime, JoinHandle<Result<Written, CheckpointError>>),
}

/// What a run starts from.
pub struct Start {
    pub vault: Arc<Vault>,
    pub journal: Vec<Overtaken>,
    /// What [`Outputs::restore`] takes.
    pub outputs: Option<Vec<u8>>,
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
        let archive =
            Archive::open(&url).map_err(|error| Failure::Wrong(format!("error: [checkpoint] url: {error}")))?;
        archive.sweep()?;
        let owner = owner(plan, config);
        let newest = if fresh { Ok((None, Vec::new())) } else { archive.newest() };
        let (snapshot, damaged) = newest.map_err(|error| match error {
            CheckpointError::Format { .. } => Failure::Wrong(format!("error: {error}; --fresh starts without it")),
            other => Failure::from(other),
        })?;
        for error in damaged {
            say(format_args!("warning: passed over: {error}"));
        }
        let start = match snapshot {
            None => Start { vault: Vault::empty(), journal: Vec::new(), outputs: None, said: None },
            Some(snapshot) => {
                accept(&snapshot, &owner, &url)?;
                let Snapshot { number, time, mut parts, .. } = snapshot;
                let outputs = parts.remove(OUTPUTS).and_then(|parts| parts.into_iter().next());
                let said = format!("going on from checkpoint {number}, as of {}", format_time(time));
                let vault = Vault::starting_from(time, parts);
                Start { vault, journal: archive.journal().read()?, outputs, said: Some(said) }
            }
        };
        let checkpoints = Checkpoints {
            archive: Arc::new(archive),
            owner,
            interval: config.checkpoint.interval,
            keep: config.checkpoint.keep,
            newest: start.vault.start().unwrap_or(EventTime::MIN),
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
        let url = self.archive.url().to_owned();
        if let Some(kept) = move_aside(Path::new(&Archive::folder(&url)?))? {
            say(format_args!("the checkpoints of an earlier run are kept in {}", kept.display()));
            self.archive = Arc::new(Archive::open(&url)?);
        }
        Ok(())
    }

    /// Where records that come below the frontier are taken down.
    pub fn journal(&self) -> Journal {
        self.archive.journal()
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
                job.vault.ask(time);
                asked = true;
            }
        });
        self.under_way = asked.then(|| UnderWay { asked: Instant::now(), stage: Stage::Asked });
    }

    /// Gathers the snapshot's parts; says once that all are there. What the graph told until then is to be followed and
    /// marked in the outputs before [`Checkpoints::write`].
    pub fn gather(&mut self, job: &Job) -> bool {
        let Some(UnderWay { stage: stage @ Stage::Asked, .. }) = &mut self.under_way else { return false };
        let Some((time, snapshot)) = job.vault.take() else { return false };
        *stage = Stage::Gathered(time, snapshot);
        true
    }

    /// Has the snapshot that was gathered written, once the outputs are settled.
    ///
    /// # Errors
    /// If the outputs cannot be, or the system cannot start a thread.
    pub fn write(&mut self, outputs: &Outputs, inputs: &Inputs) -> anyhow::Result<()> {
        let are_settled = outputs.are_settled()?;
        let is_ready = |under_way: &mut UnderWay| matches!(under_way.stage, Stage::Gathered(..)) && are_settled;
        let Some(UnderWay { asked, stage: Stage::Gathered(time, mut snapshot) }) = self.under_way.take_if(is_ready)
        else {
            return Ok(());
        };
        snapshot.add(OUTPUTS, outputs.save());
        if let Some(kafka) = inputs.kafka() {
            snapshot.add(TOPIC_IDS, postcard::to_stdvec(&kafka.topic_ids())?);
        }
        let (archive, owner, keep) = (self.archive.clone(), self.owner.clone(), self.keep);
        let thread = std::thread::Builder::new().name("checkpoint".to_owned());
        let writer = thread.spawn(move || archive.write(&owner, time, snapshot.encode(), keep))?;
        self.under_way = Some(UnderWay { asked, stage: Stage::Writing(time, writer) });
        Ok(())
    }

    /// Takes note of one that has been written. One that could not be is given up: the one before it stays current.
    pub fn settle(&mut self, metrics: &Metrics) {
        let is_over =
            |under_way: &mut UnderWay| matches!(&under_way.stage, Stage::Writing(_, writer) if writer.is_finished());
        let Some(UnderWay { asked, stage: Stage::Writing(time, writer) }) = self.under_way.take_if(is_over) else {
            return;
        };
        match writer.join().expect("writing does not panic") {
            Ok(Written { number, bytes, .. }) => {
                self.newest = time;
                metrics.checkpoint_written(asked.elapsed());
                let is_operator = |(name, _): &(&String, &u64)| ![OUTPUTS, TOPIC_IDS].contains(&name.as_str());
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
pub fn owner(plan: &Plan, config: &Config) -> Owner {
    let topics = plan.readers().map(|reader| {
        let transport = if inputs::is_file(reader, config) { "files" } else { "kafka" };
        (reader.topic.clone(), transport.to_owned())
    });
    let spec = &plan.spec;
    Owner { dataflow: spec.name.clone(), definition: spec.definition(), topics: topics.collect() }
}

fn accept(snapshot: &Snapshot, owner: &Owner, url: &str) -> Result<(), Failure> {
    unfit(snapshot, owner, url).map_or(Ok(()), |what| {
        Err(Failure::Wrong(format!("error: {what}; expected one of this file and config; --fresh starts without it")))
    })
}

/// Why a checkpoint is not of this dataflow, or its offsets are not those of these topics.
pub fn unfit(snapshot: &Snapshot, owner: &Owner, url: &str) -> Option<String> {
    if snapshot.owner.dataflow != owner.dataflow {
        return Some(format!("{url} has a checkpoint of dataflow {:?}", snapshot.owner.dataflow));
    }
    if snapshot.owner.definition != owner.definition {
        return Some(format!("checkpoint {} in {url} is of another version of the dataflow file", snapshot.number));
    }
    if let Some((topic, transport)) =
        snapshot.owner.topics.iter().find(|(topic, of)| owner.topics.get(*topic) != Some(of))
    {
        let number = snapshot.number;
        return Some(format!("checkpoint {number} in {url} is of a run that read topic {topic:?} from {transport}"));
    }
    None
}
