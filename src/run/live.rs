//! `run`: a dataflow as a job that serves until it is told to stop.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::cli::Common;
use super::config::Config;
use super::job::{self, Control, Wanted};
use super::outputs::Outputs;
use super::status::Status;
use super::{Failure, inspect, mirror, replay};
use crate::checkpoint::Vault;
use crate::flow::Plan;
use crate::metrics::Metrics;
use crate::registry::{Live, Registry};
use crate::serve::{self, Endpoint, Parts, Readiness, Service, StartError};
use crate::source::DeadLetterFile;

/// How often the terminal and the gauges are brought up to date.
const REFRESH: Duration = Duration::from_secs(1);

/// Versions of a model that can be asked for without the registry.
const LIVE_VERSIONS: usize = 16;

/// How long what Redis is owed may still be written at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs a dataflow until it is told to stop or, if so asked, until its inputs are used up.
///
/// # Errors
/// If the file or config is wrong, or the job fails.
pub fn run(file: &Path, common: &Common, until_end: bool) -> Result<(), Failure> {
    let config = common.load()?;
    let plan = Arc::new(Plan::new(Arc::new(inspect::load(file)?)));
    let home = config.home(&plan.spec.name);
    let metrics = Metrics::new(&plan.spec.name);
    let online = job::online_store(&plan);

    let live = Arc::new(Live::new(plan.models.iter().map(|model| model.name.clone()), LIVE_VERSIONS));
    let url = registry_url(&config, &plan.spec.name);
    let offline = home.join("offline");
    let wanted = Wanted {
        pace: config.play.speed,
        from: None,
        until: None,
        online: Some(online.clone()),
        offline: config.offline.enabled.then_some(offline.as_path()),
    };
    mirror::measure(&plan, &config, &online, &metrics);
    let (job, events) = job::prepare(&plan, &config, Vault::empty(), wanted)?;
    let redis = mirror::start(&config, &job, &metrics)?;
    let readiness = Arc::new(Readiness::default());
    let service = Service::new(Parts {
        spec: &plan.spec,
        plans: (0..plan.models.len()).map(|model| plan.serving(model)).collect(),
        online,
        live: live.clone(),
        registry: Some(Registry::open(&url)?),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
    });
    let server = serve::start(&endpoint(&config), &service).map_err(|error| match error {
        StartError::Address(_) => Failure::Wrong(format!("error: [http] listen: {error}")),
        other => Failure::from(other),
    })?;
    // Nothing of an earlier run is touched before everything that can be refused has been accepted.
    if let Some(kept) = start_over(&home, config.registry.url.is_some())? {
        eprintln!("starting over: the models of an earlier run are kept in {}", kept.display());
    }
    let registry = Registry::open(&url)?;
    let letters = DeadLetterFile::open(&home.join("dead_letters.jsonl"), true)?;
    println!("listening on http://{}", server.addr());

    let signals = Signals::install()?;
    let control = Arc::new(Control::default());
    control.until_end.store(until_end, SeqCst);
    let graph = job::start(&job, config.workers, &metrics, &control);
    readiness.started();
    let mut outputs = Outputs::new(&job, &metrics, (registry, config.registry.keep), &live, letters)?;
    let sample = job::sample(&plan, &config);
    let mut status = Status::new(&plan, server.addr(), sample, common.quiet, std::io::stderr().is_terminal());

    job::gauge(&job, &metrics);
    let mut refreshed = Instant::now();
    let followed: anyhow::Result<()> = (|| {
        loop {
            match events.recv_timeout(Duration::from_millis(50)) {
                Ok(event) => {
                    if let Some((model, version)) = outputs.follow(event)? {
                        status.version(model, &version);
                    }
                }
                Err(_) if control.is_finished() => return Ok(()),
                Err(_) => {}
            }
            if signals.asked() {
                control.stop();
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
    for event in events.try_iter() {
        outputs.follow(event)?;
    }
    redis.map(|redis| redis.finish(DRAIN));
    server.drain();
    status.end(&job);
    let digest = replay::digest(&job, outputs, None, None)?;
    if job.offline.is_some() {
        let path = offline.join("digest.json");
        let mut text = serde_json::to_string_pretty(&digest)?;
        text.push('\n');
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// Where the config has the registry.
fn registry_url(config: &Config, dataflow: &str) -> String {
    let home = || config.home(dataflow).join("registry").to_string_lossy().into_owned();
    config.registry.url.clone().unwrap_or_else(home)
}

/// Moves the registry of an earlier run aside, since its versions are not continued; gives where it is kept.
fn start_over(home: &Path, elsewhere: bool) -> anyhow::Result<Option<PathBuf>> {
    let registry = home.join("registry");
    let empty = std::fs::read_dir(&registry).map_or(true, |mut entries| entries.next().is_none());
    if elsewhere || empty {
        return Ok(None);
    }
    let free = |number: &u32| !home.join(format!("registry.{number}")).exists();
    let number = (1..).find(free).expect("there is always a next number");
    let kept = home.join(format!("registry.{number}"));
    std::fs::rename(&registry, &kept).with_context(|| format!("{} cannot be moved aside", registry.display()))?;
    Ok(Some(kept))
}

fn endpoint(config: &Config) -> Endpoint {
    Endpoint {
        listen: config.http.listen.clone(),
        threads: config.http.threads,
        max_body_bytes: config.http.max_body_bytes,
        request_timeout: config.http.request_timeout,
        max_connections: config.http.max_connections,
    }
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
