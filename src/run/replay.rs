//! `replay`: a dataflow over a bounded range, as fast as possible, into a folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use anyhow::anyhow;
use crossbeam_channel::Receiver;
use indicatif::{ProgressBar, ProgressStyle};

use super::args::CommonArgs;
use super::digest::Digest;
use super::job::{self, Control, JobOptions, OfflineLayout, PreparedJob};
use super::job_events::{JobEvents, VersionSink};
use super::letter_limit::DeadLetterLimit;
use super::replay_start::{ReplayOptions, ReplayStart};
use super::shortfall::ReplayOutcome;
use super::verify::Baseline;
use super::{Failure, finish, inspect, late_records, logging, output, print_err, replay_folder, watchdog};
use crate::flow::build::JobEvent;
use crate::flow::{Job, Plan};
use crate::metrics::Metrics;
use crate::registry::LiveModels;
use crate::source::{DeadLetterFile, PlaybackSpeed};
use crate::time::{EventTime, format_time};

/// The longest time that the loop waits for an event of the graph.
const TICK: Duration = Duration::from_millis(100);

/// Replays a dataflow into a folder.
///
/// # Errors
/// If the file or config is wrong, an input cannot be read or an output written.
pub fn run(file: &Path, common: &CommonArgs, options: &ReplayOptions) -> Result<(), Failure> {
    let (out, to) = (options.out.as_path(), options.to);
    watchdog::start(None)?;
    let config = common.load()?;
    logging::open_file(&config)?;
    let plan = Arc::new(Plan::new(Arc::new(inspect::load(file)?)));
    if let (Some(from), Some(to)) = (options.from, to)
        && from >= to
    {
        return Err(Failure::Usage("error: --from must be before --to".to_owned()));
    }
    // Everything that can be refused comes before the folder is touched.
    let ReplayStart { coordinator, since, from, journal } = ReplayStart::find(&plan, &config, options)?;
    let baseline = options.verify.as_deref().map(|folder| Baseline::open(folder, out)).transpose()?;
    let metrics = Metrics::new(&plan.spec.name);
    let _locks = replay_folder::lock(out, &plan.spec.name)?;
    replay_folder::invalidate(out)?;
    let offline = Some((out, OfflineLayout::SingleFile));
    let job_options = JobOptions {
        from,
        until: to,
        since,
        journal,
        offline,
        keep_unlabelled: options.unlabelled,
        ..JobOptions::new(PlaybackSpeed::Unlimited, true)
    };
    let prepared = job::prepare(&plan, &config, coordinator, job_options)?;
    // Brokers that go away later are waited for.
    if let Some(failure) = prepared.inputs.kafka().and_then(|kafka| kafka.unanswered()) {
        return Err(failure);
    }
    let versions = VersionSink { registry: replay_folder::empty_registry(out)?, keep: usize::MAX };
    // Nothing is served.
    let live = Arc::new(LiveModels::new([], 0));
    let letters = DeadLetterFile::open(&out.join("dead_letters.jsonl"), true)?;
    let limit = DeadLetterLimit::new(config.max_dead_letters);
    let mut job_events = JobEvents::new(&prepared.job, &metrics, versions, &live, letters, limit)?;

    process(&prepared, &mut job_events, config.workers, &metrics, common.quiet)?;

    job_events.letter_warnings().iter().for_each(print_err);
    late_records::warnings(&job::tallies(&prepared.job)).iter().for_each(print_err);
    let (unlabelled, waiting) = (job_events.unlabelled(), job_events.waiting_windows());
    let digest = finish::outputs(&prepared.job, job_events, from, to)?.write(out)?;
    if !common.quiet {
        output::print(&summary(&digest, &prepared.job.nulls.counts(), out))?;
        let end = prepared.job.frontier.watermark();
        let outcome =
            ReplayOutcome { spec: &plan.spec, digest: &digest, unlabelled: &unlabelled, waiting: &waiting, end };
        outcome.shortfalls().iter().for_each(print_err);
    }
    baseline.map_or(Ok(()), |baseline| compare(&baseline, &plan, out, &digest, common.quiet))
}

/// Runs the graph to the end of its inputs, and handles its events.
fn process(
    prepared: &PreparedJob,
    job_events: &mut JobEvents,
    workers: usize,
    metrics: &Arc<Metrics>,
    quiet: bool,
) -> Result<(), Failure> {
    let PreparedJob { job, events, inputs } = prepared;
    let control = Arc::new(Control::default());
    control.until_end.store(true, SeqCst);
    let graph = job::start(job, workers, metrics, &control);
    let bar = progress(quiet);
    let mut refused = None;
    let mut handle_all = || -> anyhow::Result<()> {
        loop {
            refused = refused.take().or_else(|| inputs.kafka()?.failed());
            if refused.is_some() {
                control.stop();
            }
            match events.recv_timeout(TICK) {
                Ok(event) => _ = job_events.handle(event)?,
                Err(_) if control.is_finished() => break,
                Err(_) => {}
            }
            job_events.check_letters().or_else(|_| drain(events, job_events))?;
            show(&bar, job, job_events);
            match inputs.kafka().and_then(|kafka| kafka.error()) {
                Some(error) if !quiet => bar.set_message(error),
                Some(_) | None => {}
            }
        }
        drain(events, job_events)
    };
    let handled = handle_all();
    if handled.is_err() {
        control.stop();
    }
    // A failure of the graph comes first: the others may follow from it.
    graph.join().expect("the graph's thread catches panics")?;
    handled?;
    bar.finish_and_clear();
    refused.map_or(Ok(()), Err)
}

/// Handles the events that have been sent, and ends the job if a source has too many dead letters.
fn drain(events: &Receiver<JobEvent>, job_events: &mut JobEvents) -> anyhow::Result<()> {
    events.try_iter().try_for_each(|event| job_events.handle(event).map(|_| ()))?;
    job_events.check_letters()
}

/// Compares the replay with another folder.
fn compare(baseline: &Baseline, plan: &Plan, out: &Path, digest: &Digest, quiet: bool) -> Result<(), Failure> {
    let (here, there) = (out.display(), baseline.folder().display());
    let differences = baseline.differences(plan, out, digest)?;
    if !differences.is_empty() {
        let list = differences.join("\n  ");
        return Err(Failure::Runtime(anyhow!("{here} (here) and {there} (there) differ:\n  {list}")));
    }
    if !quiet {
        output::print(&format!("the same as {there}\n"))?;
    }
    Ok(())
}

fn progress(quiet: bool) -> ProgressBar {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}").expect("the template is valid");
    bar.with_style(style)
}

fn show(bar: &ProgressBar, job: &Job, job_events: &JobEvents) {
    let read: u64 = job.partitions.list().iter().map(|partition| partition.stats().counts.read).sum();
    let versions = job_events.versions;
    let rate = read as f64 / bar.elapsed().as_secs_f64().max(1e-3);
    let time = job.frontier.watermark();
    let time = if time == EventTime::MIN { "starting".to_owned() } else { format_time(time) };
    bar.set_message(format!("{time}  {read} records  {rate:.0}/s  {versions} versions"));
    bar.tick();
}

/// Returns the counts and hashes of a replay as text. `nulls` are the values that could not be computed, by operator and
/// reason.
fn summary(digest: &Digest, nulls: &BTreeMap<String, BTreeMap<String, u64>>, out: &Path) -> String {
    let mut lines = Vec::new();
    for (source, tally) in &digest.sources {
        lines.push(format!(
            "{source}: {} read, {} applied, {} filtered, {} late, {} dead letters",
            tally.read, tally.applied, tally.filtered, tally.late, tally.dead_letter
        ));
    }
    for (group, content) in &digest.features {
        lines.push(format!("features {group}: {} rows, sha256 {}", content.rows, content.sha256));
    }
    for (group, dropped) in &digest.entities_dropped {
        lines.push(format!("features {group}: {dropped} entities dropped at the bound"));
    }
    for (model, content) in &digest.examples {
        lines.push(format!("examples {model}: {} rows, sha256 {}", content.rows, content.sha256));
    }
    for (model, versions) in &digest.models {
        let newest = versions.last().map_or_else(String::new, |version| format!(", newest sha256 {}", version.sha256));
        lines.push(format!("model {model}: {} versions{newest}", versions.len()));
    }
    for (model, training) in &digest.training {
        lines.extend(training.lines(model));
    }
    for (operator, counts) in nulls {
        let counts: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        lines.push(format!("nulls {operator}: {}", counts.join(", ")));
    }
    lines.push(format!("{}\n", out.join("digest.json").display()));
    lines.join("\n")
}
