//! `run`: a dataflow as a job that serves until it is told to stop.

use std::fs::{File, TryLockError};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::checkpoints::Checkpoints;
use super::cli::Common;
use super::config::Config;
use super::inputs::Inputs;
use super::job::{self, Control, Wanted, Writing};
use super::letters::Letters;
use super::outputs::Outputs;
use super::status::Status;
use super::{Failure, inspect, mirror, replay, say};
use crate::flow::{Job, Plan};
use crate::metrics::Metrics;
use crate::registry::{Live, Registry};
use crate::serve::{self, Parts, Readiness, Service, StartError};
use crate::source::DeadLetterFile;

/// How often the terminal and the gauges are brought up to date.
const REFRESH: Duration = Duration::from_secs(1);

/// How long a run that is told to end waits for its last checkpoint, and for the brokers to take its dead letters.
const LAST_CHECKPOINT: Duration = Duration::from_secs(60);
const LAST_LETTERS: Duration = Duration::from_secs(30);

/// Versions of a model that can be asked for without the registry.
const LIVE_VERSIONS: usize = 16;

/// How a run starts, and when it ends.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// End once every bounded input is used up.
    pub until_end: bool,
    /// Pass checkpoints over.
    pub fresh: bool,
}

/// How long what Redis is owed may still be written at the end, and a registry or brokers that are away are waited for.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs a dataflow until it is told to stop or, if so asked, until its inputs are used up.
///
/// # Errors
/// If the file or config is wrong, or the job fails.
pub fn run(file: &Path, common: &Common, how: Start) -> Result<(), Failure> {
    let config = common.load()?;
    let plan = Arc::new(Plan::new(Arc::new(inspect::load(file)?)));
    let signals = Signals::install()?;
    let home = config.home(&plan.spec.name);
    let metrics = Metrics::new(&plan.spec.name);
    let online = job::online_store(&plan);

    let live = Arc::new(Live::new(plan.models.iter().map(|model| model.name.clone()), LIVE_VERSIONS));
    let url = registry_url(&config, &plan.spec.name);
    let offline = home.join("offline");
    let _alone = alone(&home)?;
    let (mut checkpoints, start) = Checkpoints::open(&plan, &config, how.fresh)?;
    let goes_on = start.said.is_some();
    let readiness = Arc::new(Readiness::default());
    let service = Service::new(Parts {
        spec: &plan.spec,
        plans: (0..plan.models.len()).map(|model| plan.serving(model)).collect(),
        online: online.clone(),
        live: live.clone(),
        registry: Some(Registry::open(&url)?),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
    });
    let server = serve::start(&config.http.endpoint(), &service).map_err(|error| match error {
        StartError::Address(_) => Failure::Wrong(format!("error: [http] listen: {error}")),
        other => Failure::from(other),
    })?;
    let writing = if checkpoints.are_taken() { Writing::Parts } else { Writing::Whole };
    let wanted = Wanted {
        pace: config.play.speed,
        bounded: how.until_end,
        from: None,
        until: None,
        since: None,
        online: Some(online.clone()),
        journal: start.journal,
        offline: config.offline.enabled.then_some((offline.as_path(), writing)),
    };
    mirror::measure(&plan, &config, &online, &metrics);
    let (job, events, inputs) = job::prepare(&plan, &config, start.vault, wanted)?;
    let redis = mirror::start(&config, &job, &metrics)?;
    // What an earlier run left is moved aside only once everything that can be refused has been accepted.
    if !goes_on {
        checkpoints.start_over()?;
        let registry = config.registry.url.is_none().then(|| home.join("registry"));
        if let Some(kept) = registry.map(|registry| move_aside(&registry)).transpose()?.flatten() {
            say(format_args!("starting over: the models of an earlier run are kept in {}", kept.display()));
        }
    }
    start.said.iter().for_each(say);
    let registry = Registry::open(&url)?;
    if goes_on {
        live.restore(&registry).iter().for_each(|error| say(format_args!("warning: {error}")));
    }
    let letters = Letters::from(letters(&home.join("dead_letters.jsonl"), &job)?);
    let letters = match inputs.kafka() {
        None => letters,
        Some(kafka) => letters.with_topic(kafka.cluster(), config.topics.keys().cloned(), &config.dead_letters)?,
    };
    // Whoever started it may not listen any more.
    let _ = writeln!(std::io::stdout(), "listening on http://{}", server.addr());

    let is_away = || inputs.kafka().is_some_and(|kafka| kafka.trouble().is_some());
    let control = Arc::new(Control::default());
    let mut outputs = Outputs::new(&job, &metrics, (registry, config.registry.keep), &live, letters)?;
    outputs.journal = checkpoints.are_taken().then(|| checkpoints.journal());
    if let Some(bytes) = start.outputs {
        outputs.restore(&bytes)?;
    }
    let graph = job::start(&job, config.workers, &metrics, &control);
    readiness.started();
    let mut status = Status::new(&plan, server.addr(), common.quiet, std::io::stderr().is_terminal());

    job::gauge(&job, &metrics);
    let mut refreshed = Instant::now();
    let mut ending: Option<Ending> = None;
    let mut refused = None;
    let mut trouble = None;
    let followed: anyhow::Result<()> = (|| {
        loop {
            refused = refused.take().or_else(|| inputs.kafka()?.failed());
            if refused.is_some() {
                control.stop();
            }
            show_trouble(&inputs, &readiness, &mut trouble);
            match events.recv_timeout(Duration::from_millis(20)) {
                Ok(event) => {
                    if let Some((model, version)) = outputs.follow(event)? {
                        status.version(&job, model, &version);
                    }
                }
                Err(_) if control.is_finished() => return Ok(()),
                Err(_) => {}
            }
            checkpoints.ask_if_due(&job);
            if checkpoints.gather(&job) {
                for event in events.try_iter() {
                    if let Some((model, version)) = outputs.follow(event)? {
                        status.version(&job, model, &version);
                    }
                }
                outputs.mark()?;
            }
            checkpoints.write(&outputs, &inputs)?;
            checkpoints.settle(&metrics);
            let at_end = how.until_end && control.has_ended(config.workers);
            if ending.is_none() && (at_end || signals.asked()) {
                // One that is under way is of an earlier time: the last comes after it.
                ending = Some(Ending { since: Instant::now(), asked: false });
            }
            if let Some(ending) = &mut ending {
                if !ending.asked && !checkpoints.is_under_way() {
                    checkpoints.ask(&job);
                    ending.asked = true;
                }
                // With a registry or brokers that are away there may be none; the one before it still holds.
                let patience = if outputs.trouble().is_some() || is_away() { DRAIN } else { LAST_CHECKPOINT };
                if (ending.asked && !checkpoints.is_under_way()) || ending.since.elapsed() >= patience {
                    control.stop();
                }
            }
            if refreshed.elapsed() >= REFRESH {
                refreshed = Instant::now();
                job::gauge(&job, &metrics);
                status.refresh(&job);
            }
        }
    })();
    control.stop();
    graph.join().expect("the graph's thread reports failures itself")?;
    followed?;
    if let Some(refused) = refused {
        return Err(refused);
    }
    for event in events.try_iter() {
        outputs.follow(event)?;
    }
    outputs.flush_letters(if is_away() { DRAIN } else { LAST_LETTERS })?;
    redis.map(|redis| redis.finish(DRAIN));
    server.drain();
    status.end(&job);
    if how.until_end && !signals.asked() || !checkpoints.are_taken() {
        let digest = replay::digest(&job, outputs, None, None)?;
        if job.offline.is_some() {
            digest.write(&offline)?;
        }
    }
    Ok(())
}

/// Says what stands between the job and its inputs, where it is news: on stderr and to who asks whether it is ready.
fn show_trouble(inputs: &Inputs, readiness: &Readiness, shown: &mut Option<String>) {
    let trouble = inputs.kafka().and_then(|kafka| kafka.trouble());
    if trouble == *shown {
        return;
    }
    match &trouble {
        Some(what) => {
            say(what);
            readiness.block("kafka", what.clone());
        }
        None => {
            say("kafka: connected");
            readiness.clear("kafka");
        }
    }
    *shown = trouble;
}

/// A run that is about to end.
struct Ending {
    since: Instant,
    /// Whether its last checkpoint was asked for.
    asked: bool,
}

/// The file of dead letters: gone on with where the job goes on, else begun anew.
fn letters(path: &Path, job: &Job) -> anyhow::Result<DeadLetterFile> {
    if job.vault.start().is_none() {
        return Ok(DeadLetterFile::open(path, true)?);
    }
    let read = job.positions()?;
    let known = |source: &str, partition: u32, offset| {
        read.get(&(source.to_owned(), partition)).is_some_and(|position| offset < position.next)
    };
    Ok(DeadLetterFile::resume(path, known)?)
}

/// Keeps other runs out of a dataflow's folder as long as the file is open; the system lets go of it however this
/// process ends.
fn alone(home: &Path) -> Result<File, Failure> {
    let path = home.join("run.lock");
    let opened = std::fs::create_dir_all(home).and_then(|()| File::create(&path));
    let file = opened.with_context(|| format!("{} cannot be written", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let home = home.display();
            Err(Failure::Wrong(format!("error: another run is using {home}; expected another data_dir, or to stop it")))
        }
        // Not every file system has locks.
        Err(TryLockError::Error(error)) => {
            tracing::warn!("{} cannot be locked, so another run is not kept out: {error}", path.display());
            Ok(file)
        }
    }
}

/// Where the config has the registry.
fn registry_url(config: &Config, dataflow: &str) -> String {
    let home = || config.home(dataflow).join("registry").to_string_lossy().into_owned();
    config.registry.url.clone().unwrap_or_else(home)
}

/// Moves a folder of an earlier run aside, if there is something in it; gives where it is kept.
pub fn move_aside(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    if std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none()) {
        return Ok(None);
    }
    let kept = |number: u32| {
        let mut kept = folder.as_os_str().to_owned();
        kept.push(format!(".{number}"));
        PathBuf::from(kept)
    };
    let free = (1..).map(kept).find(|kept| !kept.exists()).expect("there is always a next number");
    std::fs::rename(folder, &free).with_context(|| format!("{} cannot be moved aside", folder.display()))?;
    Ok(Some(free))
}

/// SIGINT and SIGTERM: the first asks to stop, the second ends the process at once.
struct Signals {
    asked: Arc<std::sync::atomic::AtomicBool>,
}

impl Signals {
    fn install() -> anyhow::Result<Self> {
        let asked = Arc::default();
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&asked))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&asked)))
                .context("signals cannot be handled")?;
        }
        Ok(Signals { asked })
    }

    fn asked(&self) -> bool {
        self.asked.load(SeqCst)
    }
}
