//! `run`: a dataflow as a job that serves until it is told to stop.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::cli::Common;
use super::job::{self, Control, Wanted};
use super::outputs::Outputs;
use super::status::Status;
use super::{Failure, endpoint, inspect, replay};
use crate::checkpoint::Vault;
use crate::flow::Plan;
use crate::metrics::Metrics;
use crate::registry::Publisher;
use crate::source::DeadLetterFile;

/// How often the terminal and the gauges are brought up to date.
const REFRESH: Duration = Duration::from_secs(1);

/// Flags of `run`.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// End when every bounded input is used up.
    pub until_end: bool,
    /// Start without a checkpoint.
    pub fresh: bool,
}

/// Runs a dataflow until it is told to stop.
///
/// # Errors
/// If the file or config is wrong, or the job fails.
pub fn run(file: &Path, common: &Common, options: Options) -> Result<(), Failure> {
    let config = common.load()?;
    let plan = Arc::new(Plan::new(Arc::new(inspect::load(file)?)));
    let home = config.home(&plan.spec.name);
    let metrics = Metrics::new(&plan.spec.name);
    let online = job::online_store(&plan);

    let registry = config.registry.url.clone().unwrap_or_else(|| home.join("registry").to_string_lossy().into_owned());
    let publisher = Publisher::open(&registry, config.registry.keep)?;
    let begun = publisher.start_over()?;
    if begun > 0 && !common.quiet {
        eprintln!("starting over: {begun} versions of an earlier run in {registry} are replaced as they are made again");
    }
    let letters = DeadLetterFile::open(&home.join("dead_letters.jsonl"), true)?;
    let offline = home.join("offline");
    let wanted = Wanted {
        pace: config.play.speed,
        from: None,
        until: None,
        online: Some(online.clone()),
        offline: config.offline.enabled.then_some(offline.as_path()),
    };
    let (job, events) = job::prepare(&plan, &config, Vault::empty(), wanted)?;
    let server = endpoint::start(&plan, &config, &online, &metrics, publisher.live(), publisher.reader())?;
    println!("listening on http://{}", server.addr());

    let signals = Signals::install()?;
    let control = Arc::new(Control::default());
    control.until_end.store(options.until_end, SeqCst);
    let graph = job::start(&job, config.workers, &metrics, &control);
    let mut outputs = Outputs::new(plan.clone(), metrics.clone(), publisher, letters);
    let sample = job::sample(&plan, &config);
    let mut status = Status::new(&plan, server.addr(), sample, common.quiet, std::io::stderr().is_terminal());

    let mut refreshed = Instant::now();
    let followed: anyhow::Result<()> = (|| {
        loop {
            match events.recv_timeout(Duration::from_millis(50)) {
                Ok(event) => {
                    if let Some((model, version)) = outputs.follow(event)? {
                        server.note_version(&plan.models[model].name);
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
