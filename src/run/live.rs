//! `run`: a dataflow as a job that serves until it is told to stop.

use std::fs::{File, TryLockError};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::args::CommonArgs;
use super::checkpoints::Checkpoints;
use super::config::Config;
use super::dead_letters::DeadLetterSink;
use super::inputs::Inputs;
use super::job::{self, Control, JobOptions, OfflineLayout};
use super::job_events::JobEvents;
use super::status::TerminalStatus;
use super::{Failure, finish, inspect, print_err, redis};
use crate::disk;
use crate::flow::{Job, Plan};
use crate::metrics::Metrics;
use crate::registry::{LiveModels, Registry};
use crate::serve::{self, Readiness, Service, ServiceConfig, StartError};
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
pub fn run(file: &Path, common: &CommonArgs, how: Start) -> Result<(), Failure> {
    let config = common.load()?;
    let plan = Arc::new(Plan::new(Arc::new(inspect::load(file)?)));
    let signals = Signals::install()?;
    let home = config.home(&plan.spec.name);
    let metrics = Metrics::new(&plan.spec.name);
    let online = job::online_store(&plan);

    let live = Arc::new(LiveModels::new(plan.models.iter().map(|model| model.name.clone()), LIVE_VERSIONS));
    let url = registry_url(&config, &plan.spec.name);
    let offline = home.join("offline");
    let _alone = lock_data_dir(&home)?;
    let (mut checkpoints, start) = Checkpoints::open(&plan, &config, how.fresh)?;
    let goes_on = start.said.is_some();
    let readiness = Arc::new(Readiness::default());
    let service = Service::new(ServiceConfig {
        spec: &plan.spec,
        plans: (0..plan.models.len()).map(|model| plan.serving(model)).collect(),
        online: online.clone(),
        live: live.clone(),
        registry: Some(Registry::open(&url)?),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
    });
    let server = serve::start(&config.http.endpoint(), &service).map_err(|error| match error {
        StartError::Address(_) => Failure::Usage(format!("error: [http] listen: {error}")),
        other => Failure::from(other),
    })?;
    let writing = if checkpoints.are_taken() { OfflineLayout::Segments } else { OfflineLayout::SingleFile };
    let wanted = JobOptions {
        pace: config.play.speed,
        bounded: how.until_end,
        from: None,
        until: None,
        since: None,
        online: Some(online.clone()),
        journal: start.journal,
        offline: config.offline.enabled.then_some((offline.as_path(), writing)),
    };
    redis::measure(&plan, &config, &online, &metrics);
    let (job, events, inputs) = job::prepare(&plan, &config, start.coordinator, wanted)?;
    let redis = redis::start(&config, &job, &metrics)?;
    // What an earlier run left is moved aside only once everything that can be refused has been accepted.
    if !goes_on {
        checkpoints.start_over()?;
        let registry = config.registry.url.is_none().then(|| home.join("registry"));
        if let Some(kept) = registry.map(|registry| disk::archive_previous(&registry)).transpose()?.flatten() {
            print_err(format_args!("starting over: the models of an earlier run are kept in {}", kept.display()));
        }
    }
    start.said.iter().for_each(print_err);
    let registry = Registry::open(&url)?;
    if goes_on {
        live.restore(&registry).iter().for_each(|error| print_err(format_args!("warning: {error}")));
    }
    let letters = DeadLetterSink::from(letters(&home.join("dead_letters.jsonl"), &job)?);
    let letters = match inputs.kafka() {
        None => letters,
        Some(kafka) => letters.with_topic(kafka.cluster(), config.topics.keys().cloned(), &config.dead_letters)?,
    };
    // Whoever started it may not listen any more.
    let _ = writeln!(std::io::stdout(), "listening on http://{}", server.addr());

    let is_away = || inputs.kafka().is_some_and(|kafka| kafka.trouble().is_some());
    let control = Arc::new(Control::default());
    let mut job_events = JobEvents::new(&job, &metrics, (registry, config.registry.keep), &live, letters)?;
    job_events.journal = checkpoints.are_taken().then(|| checkpoints.journal());
    if let Some(bytes) = start.job_events {
        job_events.restore(&bytes)?;
    }
    let graph = job::start(&job, config.workers, &metrics, &control);
    readiness.started();
    let mut status = TerminalStatus::new(&plan, server.addr(), common.quiet, std::io::stderr().is_terminal());

    job::update_gauges(&job, &metrics);
    let mut refreshed = Instant::now();
    let mut ending: Option<Shutdown> = None;
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
                    if let Some((model, version)) = job_events.handle(event)? {
                        status.version(&job, model, &version);
                    }
                }
                Err(_) if control.is_finished() => return Ok(()),
                Err(_) => {}
            }
            checkpoints.ask_if_due(&job);
            if checkpoints.gather(&job) {
                for event in events.try_iter() {
                    if let Some((model, version)) = job_events.handle(event)? {
                        status.version(&job, model, &version);
                    }
                }
                job_events.mark_checkpoint()?;
            }
            checkpoints.write(&job_events, &inputs)?;
            checkpoints.settle(&metrics);
            let at_end = how.until_end && control.has_ended(config.workers);
            if ending.is_none() && (at_end || signals.asked()) {
                // One that is under way is of an earlier time: the last comes after it.
                ending = Some(Shutdown { since: Instant::now(), asked: false });
            }
            if let Some(ending) = &mut ending {
                if !ending.asked && !checkpoints.is_under_way() {
                    checkpoints.ask(&job);
                    ending.asked = true;
                }
                // With a registry or brokers that are away there may be none; the one before it still holds.
                let patience = if job_events.last_error().is_some() || is_away() { DRAIN } else { LAST_CHECKPOINT };
                if (ending.asked && !checkpoints.is_under_way()) || ending.since.elapsed() >= patience {
                    control.stop();
                }
            }
            if refreshed.elapsed() >= REFRESH {
                refreshed = Instant::now();
                job::update_gauges(&job, &metrics);
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
        job_events.handle(event)?;
    }
    job_events.flush_letters(if is_away() { DRAIN } else { LAST_LETTERS })?;
    redis.map(|redis| redis.finish(DRAIN));
    server.drain();
    status.end(&job);
    if how.until_end && !signals.asked() || !checkpoints.are_taken() {
        let digest = finish::digest(&job, job_events, None, None)?;
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
            print_err(what);
            readiness.block("kafka", what.clone());
        }
        None => {
            print_err("kafka: connected");
            readiness.clear("kafka");
        }
    }
    *shown = trouble;
}

/// A run that is about to end.
struct Shutdown {
    since: Instant,
    /// Whether its last checkpoint was asked for.
    asked: bool,
}

/// The file of dead letters: gone on with where the job goes on, else begun anew.
fn letters(path: &Path, job: &Job) -> anyhow::Result<DeadLetterFile> {
    if job.coordinator.restored_time().is_none() {
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
fn lock_data_dir(home: &Path) -> Result<File, Failure> {
    let path = home.join("run.lock");
    let opened = std::fs::create_dir_all(home).and_then(|()| File::create(&path));
    let file = opened.with_context(|| format!("{} cannot be written", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let home = home.display();
            Err(Failure::Usage(format!("error: another run is using {home}; expected another data_dir, or to stop it")))
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
