//! `replay`: a dataflow over a bounded range, as fast as it goes, into a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};

use super::cli::Common;
use super::digest::Digest;
use super::job::{self, Control, Wanted, Writing};
use super::origin::Origin;
use super::outputs::Outputs;
use super::verify::Other;
use super::{Failure, inspect};
use crate::flow::{Job, Plan};
use crate::metrics::Metrics;
use crate::registry::{Live, Registry};
use crate::source::{DeadLetterFile, Pace};
use crate::time::{EventTime, format_time};

/// What a replay is to give.
#[derive(Clone, Debug)]
pub struct Asked {
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

/// Replays a dataflow into a folder.
///
/// # Errors
/// If the file or config is wrong, an input cannot be read or an output written.
pub fn run(file: &Path, common: &Common, asked: &Asked) -> Result<(), Failure> {
    let (out, to) = (asked.out.as_path(), asked.to);
    let config = common.load()?;
    let plan = Arc::new(Plan::new(Arc::new(inspect::load(file)?)));
    if let (Some(from), Some(to)) = (asked.from, to)
        && from >= to
    {
        return Err(Failure::Wrong("error: --from is not before --to".to_owned()));
    }
    let Origin { vault, since, from, journal } = Origin::find(&plan, &config, asked)?;
    let other = asked.verify.as_deref().map(|folder| Other::open(folder, out)).transpose()?;
    let metrics = Metrics::new(&plan.spec.name);
    std::fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let offline = Some((out, Writing::Whole));
    let wanted = Wanted { pace: Pace::Max, bounded: true, from, until: to, since, online: None, journal, offline };
    let (job, events, inputs) = job::prepare(&plan, &config, vault, wanted)?;
    let registry = out.join("registry");
    if registry.exists() {
        std::fs::remove_dir_all(&registry).with_context(|| format!("{} cannot be emptied", registry.display()))?;
    }
    let registry = Registry::scratch(&registry.to_string_lossy())?;
    let live = Arc::new(Live::new(plan.models.iter().map(|model| model.name.clone()), 1));
    let letters = DeadLetterFile::open(&out.join("dead_letters.jsonl"), true)?;
    let mut outputs = Outputs::new(&job, &metrics, (registry, usize::MAX), &live, letters)?;

    let control = Arc::new(Control::default());
    control.until_end.store(true, SeqCst);
    let graph = job::start(&job, config.workers, &metrics, &control);
    let bar = progress(common.quiet);
    let mut refused = None;
    let followed = (|| {
        loop {
            refused = refused.take().or_else(|| inputs.kafka()?.failed());
            if refused.is_some() {
                control.stop();
            }
            match events.recv_timeout(Duration::from_millis(100)) {
                Ok(event) => _ = outputs.follow(event)?,
                Err(_) if control.is_finished() => break,
                Err(_) => {}
            }
            show(&bar, &job, &outputs);
            match inputs.kafka().and_then(|kafka| kafka.trouble()) {
                Some(trouble) if !common.quiet => bar.set_message(trouble),
                Some(_) | None => {}
            }
        }
        events.try_iter().try_for_each(|event| outputs.follow(event).map(|_| ()))
    })();
    if followed.is_err() {
        control.stop();
    }
    graph.join().expect("the graph's thread reports failures itself")?;
    followed?;
    if let Some(refused) = refused {
        return Err(refused);
    }
    bar.finish_and_clear();

    let digest = digest(&job, outputs, from, to)?;
    digest.write(out)?;
    if !common.quiet {
        summarise(&digest, out);
    }
    other.map_or(Ok(()), |other| compare(&other, &plan, out, &digest, common.quiet))
}

/// Compares what was replayed with another folder.
fn compare(other: &Other, plan: &Plan, out: &Path, digest: &Digest, quiet: bool) -> Result<(), Failure> {
    let (here, there) = (out.display(), other.folder().display());
    let differences = other.differences(plan, out, digest)?;
    if !differences.is_empty() {
        let list = differences.join("\n  ");
        return Err(Failure::Failed(anyhow!("{here} (here) and {there} (there) differ:\n  {list}")));
    }
    if !quiet {
        println!("the same as {there}");
    }
    Ok(())
}

/// Sums a finished job up; closes its files.
///
/// # Errors
/// If something cannot be written.
pub fn digest(job: &Job, outputs: Outputs, from: Option<EventTime>, to: Option<EventTime>) -> Result<Digest, Failure> {
    let mut digest = Digest {
        dataflow: job.plan.spec.name.clone(),
        from,
        to,
        sources: job::tallies(job),
        features: Default::default(),
        examples: Default::default(),
        models: outputs.finish()?,
    };
    if let Some(files) = &job.offline {
        let take = |file: &crate::flow::op::sink::SharedFile| file.lock().expect("no holder panics").take();
        for (group, file) in job.plan.groups.iter().zip(&files.features) {
            if let Some(file) = take(file) {
                digest.features.insert(group.name.clone(), file.finish()?);
            }
        }
        for (model, file) in job.plan.models.iter().zip(&files.examples) {
            if let Some(file) = take(file) {
                digest.examples.insert(model.name.clone(), file.finish()?);
            }
        }
    }
    Ok(digest)
}

fn progress(quiet: bool) -> ProgressBar {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}").expect("the template is valid");
    bar.with_style(style)
}

fn show(bar: &ProgressBar, job: &Job, outputs: &Outputs) {
    let read: u64 = job.board.lanes().iter().map(|lane| lane.standing().tally.read).sum();
    let versions = outputs.versions;
    let rate = read as f64 / bar.elapsed().as_secs_f64().max(1e-3);
    let time = job.board.frontier();
    let time = if time == EventTime::MIN { "starting".to_owned() } else { format_time(time) };
    bar.set_message(format!("{time}  {read} records  {rate:.0}/s  {versions} versions"));
    bar.tick();
}

fn summarise(digest: &Digest, out: &Path) {
    for (source, tally) in &digest.sources {
        println!(
            "{source}: {} read, {} applied, {} filtered, {} late, {} dead letters",
            tally.read, tally.applied, tally.filtered, tally.late, tally.dead_letter
        );
    }
    for (group, content) in &digest.features {
        println!("features {group}: {} rows, sha256 {}", content.rows, content.sha256);
    }
    for (model, content) in &digest.examples {
        println!("examples {model}: {} rows, sha256 {}", content.rows, content.sha256);
    }
    for (model, versions) in &digest.models {
        let newest = versions.last().map_or_else(String::new, |version| format!(", newest sha256 {}", version.sha256));
        println!("model {model}: {} versions{newest}", versions.len());
    }
    println!("{}", out.join("digest.json").display());
}
