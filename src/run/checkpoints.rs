//! Checkpoints of a live run: when to take one, and what to go on from.
//!
//! One is asked for at the time that no operator has passed; each operator saves when its own frontier is there, while
//! everything runs on. Once all have, what the graph told until then is seen to where it belongs (versions in the
//! registry, dead letters in their place), and only then does the checkpoint become current.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::config::Config;
use super::live::move_aside;
use super::outputs::Outputs;
use super::{Failure, inputs};
use crate::checkpoint::{Archive, Overtaken, Owner, Parts, Snapshot, Vault};
use crate::flow::{Job, Plan};
use crate::metrics::Metrics;
use crate::time::{EventTime, format_time};

/// The part of a snapshot that is not an operator's.
pub const OUTPUTS: &str = "outputs";

/// Takes checkpoints of a job.
pub struct Checkpoints {
    archive: Arc<Mutex<Archive>>,
    owner: Owner,
    interval: Option<Duration>,
    keep: usize,
    /// The event time of the newest.
    newest: EventTime,
    taken: Instant,
    /// When the one being taken was asked for.
    asked: Option<Instant>,
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
    /// If they cannot be read, or belong to another dataflow file.
    pub fn open(plan: &Plan, config: &Config, fresh: bool) -> Result<(Self, Start), Failure> {
        let spec = &plan.spec;
        let home = config.home(&spec.name).join("checkpoints");
        let url = config.checkpoint.url.clone().unwrap_or_else(|| home.to_string_lossy().into_owned());
        let archive =
            Archive::open(&url).map_err(|error| Failure::Wrong(format!("error: [checkpoint] url: {error}")))?;
        let owner = owner(plan, config);
        let (snapshot, damaged) = if fresh { (None, Vec::new()) } else { archive.newest()? };
        for error in damaged {
            eprintln!("warning: passed over: {error}");
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
            archive: Arc::new(Mutex::new(archive)),
            owner,
            interval: config.checkpoint.interval,
            keep: config.checkpoint.keep,
            newest: start.vault.start().unwrap_or(EventTime::MIN),
            taken: Instant::now(),
            asked: None,
        };
        Ok((checkpoints, start))
    }

    /// Begins anew: what there is of an earlier run is moved aside.
    ///
    /// # Errors
    /// If it cannot be moved.
    pub fn start_over(&self) -> anyhow::Result<()> {
        let mut archive = self.archive.lock().expect("no holder panics");
        let url = archive.url().to_owned();
        if let Some(kept) = move_aside(Path::new(&Archive::folder(&url)?))? {
            eprintln!("the checkpoints of an earlier run are kept in {}", kept.display());
            *archive = Archive::open(&url)?;
        }
        Ok(())
    }

    /// Where records that come below the frontier are taken down.
    pub fn journal(&self) -> Arc<Mutex<Archive>> {
        self.archive.clone()
    }

    /// Whether checkpoints are taken.
    pub fn are_taken(&self) -> bool {
        self.interval.is_some()
    }

    /// Whether one is under way.
    pub fn is_under_way(&self) -> bool {
        self.asked.is_some()
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
        self.asked = asked.then(Instant::now);
    }

    /// Takes the snapshot's parts once all are there; what the graph told until then is to be followed before
    /// [`Checkpoints::write`].
    pub fn take(&self, job: &Job) -> Option<(EventTime, Parts)> {
        self.asked.and_then(|_| job.vault.take())
    }

    /// Writes a snapshot. One that cannot be written is given up: the one before it stays current.
    pub fn write(&mut self, (time, mut parts): (EventTime, Parts), outputs: &Outputs, metrics: &Metrics) {
        let asked = self.asked.take().unwrap_or_else(Instant::now);
        for (operator, parts) in &parts {
            let bytes: usize = parts.iter().map(Vec::len).sum();
            metrics.state_bytes.with_label_values(&[operator.as_str()]).set(bytes as i64);
        }
        parts.insert(OUTPUTS.to_owned(), vec![outputs.save()]);
        let mut archive = self.archive.lock().expect("no holder panics");
        match archive.write(&self.owner, time, &parts, self.keep) {
            Ok(number) => {
                self.newest = time;
                metrics.checkpoint_written(asked.elapsed());
                tracing::info!(number, time = format_time(time), "checkpoint");
            }
            Err(error) => {
                metrics.checkpoint_failed();
                let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
                tracing::error!("no checkpoint as of {}: {error}{cause}", format_time(time));
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
