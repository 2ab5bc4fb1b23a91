//! `replay`: a dataflow over a bounded range, as fast as it goes, into a folder.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};

use super::args::CommonArgs;
use super::digest::Digest;
use super::job::{self, Control, JobOptions, OfflineLayout};
use super::job_events::JobEvents;
use super::replay_start::{ReplayOptions, ReplayStart};
use super::verify::Baseline;
use super::{Failure, finish, inspect};
use crate::flow::{Job, Plan};
use crate::metrics::Metrics;
use crate::registry::{LiveModels, Registry};
use crate::source::{DeadLetterFile, Pace};
use crate::time::{EventTime, format_time};

/// Replays a dataflow into a folder.
///
/// # Errors
/// If the file or config is wrong, an input cannot be read or an output written.
pub fn run(file: &Path, common: &CommonArgs, asked: &ReplayOptions) -> Result<(), Failure> {
    let (out, to) = (asked.out.as_path(), asked.to);
    let config = common.load()?;
    let plan = Arc::new(Plan::new(Arc::new(inspect::load(file)?)));
    if let (Some(from), Some(to)) = (asked.from, to)
        && from >= to
    {
        return Err(Failure::Usage("error: --from is not before --to".to_owned()));
    }
    let ReplayStart { coordinator, since, from, journal } = ReplayStart::find(&plan, &config, asked)?;
    let other = asked.verify.as_deref().map(|folder| Baseline::open(folder, out)).transpose()?;
    let metrics = Metrics::new(&plan.spec.name);
    std::fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let offline = Some((out, OfflineLayout::SingleFile));
    let wanted = JobOptions { pace: Pace::Max, bounded: true, from, until: to, since, online: None, journal, offline };
    let (job, events, inputs) = job::prepare(&plan, &config, coordinator, wanted)?;
    let registry = out.join("registry");
    if registry.exists() {
        std::fs::remove_dir_all(&registry).with_context(|| format!("{} cannot be emptied", registry.display()))?;
    }
    let registry = Registry::scratch(&registry.to_string_lossy())?;
    let live = Arc::new(LiveModels::new(plan.models.iter().map(|model| model.name.clone()), 1));
    let letters = DeadLetterFile::open(&out.join("dead_letters.jsonl"), true)?;
    let mut job_events = JobEvents::new(&job, &metrics, (registry, usize::MAX), &live, letters)?;

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
                Ok(event) => _ = job_events.handle(event)?,
                Err(_) if control.is_finished() => break,
                Err(_) => {}
            }
            show(&bar, &job, &job_events);
            match inputs.kafka().and_then(|kafka| kafka.trouble()) {
                Some(trouble) if !common.quiet => bar.set_message(trouble),
                Some(_) | None => {}
            }
        }
        events.try_iter().try_for_each(|event| job_events.handle(event).map(|_| ()))
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

    let digest = finish::digest(&job, job_events, from, to)?;
    digest.write(out)?;
    if !common.quiet {
        summarise(&digest, out);
    }
    other.map_or(Ok(()), |other| compare(&other, &plan, out, &digest, common.quiet))
}

/// Compares what was replayed with another folder.
fn compare(other: &Baseline, plan: &Plan, out: &Path, digest: &Digest, quiet: bool) -> Result<(), Failure> {
    let (here, there) = (out.display(), other.folder().display());
    let differences = other.differences(plan, out, digest)?;
    if !differences.is_empty() {
        let list = differences.join("\n  ");
        return Err(Failure::Runtime(anyhow!("{here} (here) and {there} (there) differ:\n  {list}")));
    }
    if !quiet {
        println!("the same as {there}");
    }
    Ok(())
}

fn progress(quiet: bool) -> ProgressBar {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}").expect("the template is valid");
    bar.with_style(style)
}

fn show(bar: &ProgressBar, job: &Job, job_events: &JobEvents) {
    let read: u64 = job.board.lanes().iter().map(|lane| lane.standing().tally.read).sum();
    let versions = job_events.versions;
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
