//! A job: a plan with its inputs and outputs opened, and the workers that step its graph.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use arrow_schema::Fields;
use crossbeam_channel::{Receiver, unbounded};
use timely::worker::Worker;

use super::Failure;
use super::config::{Clock, Config};
use super::inputs::{self, Inputs};
use super::resume::ResumePoints;
use crate::checkpoint::{CheckpointCoordinator, Overtaken};
use crate::flow::build::{JobEvent, OfflineFiles};
use crate::flow::op::{Assignments, SliceLength};
use crate::flow::{Job, Plan, build, telemetry};
use crate::metrics::Metrics;
use crate::registry::{LiveModels, Offsets};
use crate::source::{
    IdlenessPolicy, InputFrontier, Outcome, PartitionStats, Partitions, PlaybackClock, PlaybackSpeed, RecordCounts,
    TumblingWindow,
};
use crate::store::offline::OrderedFile;
use crate::store::{Online, Tap};
use crate::threads::{self, Thread};
use crate::time::EventTime;
use crate::value::{Scalar, Schema};

/// The interval at which a worker publishes its operators' counts.
const PUBLISH: Duration = Duration::from_millis(200);

/// The longest time that an idle worker sleeps.
const IDLE: Duration = Duration::from_millis(5);

/// The bounds, the inputs' start and the outputs of a job.
pub struct JobOptions<'a> {
    /// The speed at which files are played.
    pub pace: PlaybackSpeed,
    /// True if topics are read only up to their present ends.
    pub bounded: bool,
    /// The event time from which on outputs are written; `None` for all.
    pub from: Option<EventTime>,
    /// The event time at which inputs and outputs end; `None` for never.
    pub until: Option<EventTime>,
    /// The event time from which on sources are read; `None` for their first records. Tables are always read from there.
    pub since: Option<EventTime>,
    /// The online store to write, if the job serves.
    pub online: Option<Arc<Online>>,
    /// The versions in service; none of a job that does not serve.
    pub live: Arc<LiveModels>,
    /// The overtaken records of an earlier run, which take effect as they did then.
    pub journal: Vec<Overtaken>,
    /// The folder for Parquet files and their layout; `None` to write none.
    pub offline: Option<(&'a Path, OfflineLayout)>,
    /// True if examples without a label are written too.
    pub keep_unlabelled: bool,
}

impl JobOptions<'_> {
    /// Returns the options of a job over all records that writes no outputs but models.
    pub fn new(pace: PlaybackSpeed, bounded: bool) -> Self {
        JobOptions {
            pace,
            bounded,
            from: None,
            until: None,
            since: None,
            online: None,
            live: Arc::default(),
            journal: Vec::new(),
            offline: None,
            keep_unlabelled: false,
        }
    }
}

/// A job whose inputs and outputs are open; its graph is not started.
pub struct PreparedJob {
    pub job: Arc<Job>,
    /// The events that the graph will send.
    pub events: Receiver<JobEvent>,
    /// Inputs, kept as long as the job runs: dropping them ends the thread that supervises Kafka.
    pub inputs: Inputs,
}

/// The layout of offline files while they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfflineLayout {
    /// One file, complete only at the end: a run that is interrupted leaves nothing usable.
    SingleFile,
    /// Segments that each checkpoint completes, so that a restart continues.
    Segments,
}

/// Opens a plan's inputs and creates its outputs.
///
/// # Errors
/// If a topic has no input or cannot be opened, or an output cannot be created.
pub fn prepare(
    plan: &Arc<Plan>,
    config: &Config,
    coordinator: Arc<CheckpointCoordinator>,
    options: JobOptions<'_>,
) -> Result<PreparedJob, Failure> {
    let idle = inputs::uses_kafka(plan, config).then(|| IdlenessPolicy {
        after_ms: i64::try_from(config.idle_after.as_millis()).unwrap_or(i64::MAX),
        wall: config.clock == Clock::Wall,
    });
    let partitions = Arc::new(Partitions::default());
    let frontier = InputFrontier::new(&partitions, options.until, idle.filter(|_| !options.bounded));
    let clock = PlaybackClock::new(&partitions, options.pace);
    if let Some(start) = coordinator.restored_time() {
        frontier.start_from(start);
    }
    let assignments = Arc::new(Assignments::default());
    let resume = ResumePoints::load(plan, &coordinator, options.journal, options.since)?;
    let inputs = inputs::open(plan, config, &partitions, &assignments, resume, options.bounded)?;
    let open = |(folder, layout): (&Path, OfflineLayout)| offline_files(plan, folder, options.from, layout);
    let offline = options.offline.map(open).transpose()?;
    let (events, received) = unbounded();
    let job = Job {
        plan: plan.clone(),
        partitions,
        frontier,
        clock,
        from: options.from,
        coordinator,
        assignments,
        online: options.online,
        offline,
        events,
        max_in_flight: config.in_flight(),
        nulls: Arc::default(),
        live: options.live,
        dropped: Arc::default(),
        keep_unlabelled: options.keep_unlabelled,
        slice: SliceLength::default(),
    };
    Ok(PreparedJob { job: Arc::new(job), events: received, inputs })
}

/// Returns an empty online store for a plan's groups and tables.
pub fn online_store(plan: &Plan) -> Arc<Online> {
    let groups = plan.groups.iter().map(|group| (group.name.clone(), group.codec.types().to_vec()));
    let tables = plan.tables.iter().map(|table| (table.name.clone(), table.key_codec.types().to_vec()));
    let online = Online::new(groups, tables);
    let streams = plan.spec.relations.iter().filter_map(|(_, node)| Some((node.name.clone()?, node)));
    let tap = |schema: &Schema| Arc::new(Tap::new(schema.names().map(str::to_owned).collect()));
    online.set_taps(streams.map(|(name, node)| (name, tap(&node.schema))).collect());
    online
}

/// Creates the offline files of a plan in a folder, for rows from a time on.
///
/// # Errors
/// If a file cannot be created.
pub fn offline_files(
    plan: &Plan,
    folder: &Path,
    from: Option<EventTime>,
    layout: OfflineLayout,
) -> Result<OfflineFiles, Failure> {
    let shared = |path: std::path::PathBuf, columns: Fields| -> Result<_, Failure> {
        let file = match layout {
            OfflineLayout::SingleFile => OrderedFile::create(&path, &columns, from)?,
            OfflineLayout::Segments => OrderedFile::in_parts(&path, &columns, from),
        };
        Ok(Arc::new(Mutex::new(Some(file))))
    };
    let mut files = OfflineFiles::default();
    for group in &plan.groups {
        let path = folder.join(format!("features/{}.parquet", group.name));
        files.features.push(shared(path, group.offline_fields())?);
    }
    for model in &plan.models {
        let path = folder.join(format!("examples/{}.parquet", model.name));
        files.examples.push(shared(path, model.kept_columns())?);
    }
    Ok(files)
}

/// The shared state by which the workers of a job are stopped, and report that they have ended.
#[derive(Debug, Default)]
pub struct Control {
    /// Set to stop the workers where they are.
    pub stop: AtomicBool,
    /// Set if the job ends with its inputs.
    pub until_end: AtomicBool,
    /// The number of workers that have reached the end of the inputs.
    ended: AtomicUsize,
    /// Set once all workers have ended.
    finished: AtomicBool,
}

impl Control {
    /// Returns whether all workers have ended.
    pub fn is_finished(&self) -> bool {
        self.finished.load(SeqCst)
    }

    /// Returns whether this many workers have reached the end of the inputs.
    pub fn has_ended(&self, workers: usize) -> bool {
        self.ended.load(SeqCst) == workers
    }

    /// Stops the workers where they are.
    pub fn stop(&self) {
        self.stop.store(true, SeqCst);
    }
}

/// Starts a job's workers on threads of their own; the handle returns why they failed, if they did.
pub fn start(
    job: &Arc<Job>,
    workers: usize,
    metrics: &Arc<Metrics>,
    control: &Arc<Control>,
) -> Thread<anyhow::Result<()>> {
    let (job, metrics, control) = (job.clone(), metrics.clone(), control.clone());
    let run = move || {
        let (inner, shared) = (job.clone(), control.clone());
        let guards = timely::execute(timely::Config::process(workers), move |worker| {
            let name = format!("worker-{}", worker.index());
            let run = || threads::watch(name, || step(worker, &inner, &metrics, &shared));
            // A worker that panics stops the others: they would wait for its progress forever.
            catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
                shared.stop();
                resume_unwind(panic)
            })
        });
        let ended = guards.map_err(|error| anyhow!(error)).and_then(|guards| {
            guards.join().into_iter().try_for_each(|ended| ended.map_err(|error| anyhow!(error))?)
        });
        control.finished.store(true, SeqCst);
        ended.context("a worker of the graph failed")
    };
    threads::spawn_finite("graph", run).expect("the system can start a thread")
}

/// Runs one worker: builds its part of the graph and steps it until the job ends.
fn step(worker: &mut Worker, job: &Arc<Job>, metrics: &Arc<Metrics>, control: &Control) -> anyhow::Result<()> {
    telemetry::listen(worker, metrics);
    let dataflow = worker.next_dataflow_index();
    let built = worker.dataflow::<EventTime, _, _>(|scope| build(scope, job));
    let probe = match built {
        Ok(probe) => probe,
        Err(error) => {
            control.stop();
            worker.drop_dataflow(dataflow);
            return Err(error.into());
        }
    };
    let mut published = Instant::now();
    let mut at_end = false;
    loop {
        worker.step_or_park(Some(IDLE));
        let reached = probe.with_frontier(|frontier| frontier.first().copied().unwrap_or(EventTime::MAX));
        if let Some(online) = &job.online {
            online.advance(reached);
            online.note(job.partitions.max_emitted_time());
        }
        if published.elapsed() >= PUBLISH {
            telemetry::flush(worker);
            published = Instant::now();
        }
        let ends = !at_end && job.partitions.all_ended() && reached >= job.frontier.watermark();
        if ends {
            at_end = true;
            control.ended.fetch_add(1, SeqCst);
        }
        let over = control.until_end.load(SeqCst) && control.ended.load(SeqCst) == worker.peers();
        if over || control.stop.load(SeqCst) {
            break;
        }
    }
    telemetry::flush(worker);
    worker.drop_dataflow(dataflow);
    Ok(())
}

/// Returns the record counts by source, summed over partitions, for the digest.
pub fn tallies(job: &Job) -> BTreeMap<String, RecordCounts> {
    let names = job.plan.readers().map(|reader| reader.source.clone());
    let mut tallies: BTreeMap<String, RecordCounts> = names.map(|name| (name, RecordCounts::default())).collect();
    for partition in job.partitions.list() {
        tallies.entry(partition.id.source.clone()).or_default().add(&partition.stats().counts);
    }
    tallies
}

/// A record that can be sent to the endpoint as an instance.
#[derive(Clone, Debug)]
pub struct Sample {
    /// A JSON object with the columns from which the model's inputs are made, but the event time.
    pub json: String,
}

/// Returns the first record of the source that drives a model's examples, of the lowest partition that has one.
pub fn sample_instance(job: &Job, model: usize) -> Option<Sample> {
    let plan = &job.plan;
    let source = plan.driving_source(model);
    let (name, reader) = (&plan.spec.sources[source].topic.name, &plan.sources[source]);
    let list = job.partitions.list();
    let mine = list.iter().filter(|partition| partition.id.source == *name && partition.first().is_some());
    let batch = mine.min_by_key(|partition| partition.id.partition)?.first()?;
    let program = plan.program(model);
    let values = program.needed_columns().map(|at| (&reader.schema.columns[at], Scalar::of(&batch.columns[at], 0)));
    let fields = values.filter(|(_, value)| !value.is_null());
    let fields = fields.map(|(column, value)| (column.name.clone(), column.json_of(&value)));
    Some(Sample { json: serde_json::Value::Object(fields.collect()).to_string() })
}

/// Returns the entities that groups with a bound have dropped, by group.
pub fn dropped(job: &Job) -> BTreeMap<String, u64> {
    let bounded = job.plan.groups.iter().filter(|group| group.bound.is_some());
    bounded.map(|group| (group.name.clone(), job.dropped.of(&group.name))).collect()
}

/// Updates the gauges of sources and stores.
pub fn update_gauges(job: &Job, metrics: &Metrics) {
    // The partitions.
    let mut overtaken_by_source: BTreeMap<String, u64> = BTreeMap::new();
    let mut watermarks: BTreeMap<String, EventTime> = BTreeMap::new();
    for progress in job.partitions.list() {
        let PartitionStats { counts, in_flight, lag, overtaken, .. } = progress.stats();
        let (source, partition) = (progress.id.source.as_str(), progress.id.partition.to_string());
        let count = |outcome: &str, now: u64| {
            let counter = metrics.source_records.with_label_values(&[source, &partition, outcome]);
            counter.inc_by(now.saturating_sub(counter.get()));
        };
        count("read", counts.read);
        Outcome::ALL.into_iter().for_each(|outcome| count(outcome.name(), counts.of(outcome)));
        let in_flight = i64::try_from(in_flight).unwrap_or(i64::MAX);
        metrics.source_in_flight.with_label_values(&[source, &partition]).set(in_flight);
        if let Some(lag) = lag {
            metrics.source_lag.with_label_values(&[source, &partition]).set(i64::try_from(lag).unwrap_or(i64::MAX));
        }
        *overtaken_by_source.entry(source.to_owned()).or_insert(0) += overtaken;
        let watermark = if progress.has_ended() { job.frontier.watermark() } else { progress.watermark() };
        let least = watermarks.entry(source.to_owned()).or_insert(watermark);
        *least = watermark.min(*least);
    }
    // The sources, over all of their partitions.
    for (source, watermark) in watermarks.into_iter().filter(|(_, watermark)| *watermark != EventTime::MIN) {
        metrics.watermark.with_label_values(&[source.as_str()]).set(watermark as f64 / 1e3);
    }
    let ahead: [&str; 0] = [];
    metrics.event_time_ahead.with_label_values(&ahead).set(job.frontier.ahead_ms() as f64 / 1e3);
    overtaken_by_source.iter().for_each(|(source, count)| metrics.overtaken_so_far(source, *count));
    // The operators, their state, and what they could not compute.
    for (operator, counts) in job.nulls.counts() {
        for (reason, count) in counts {
            let counter = metrics.nulls.with_label_values(&[operator.as_str(), reason.as_str()]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }
    for (group, dropped) in dropped(job) {
        metrics.dropped_so_far(&group, dropped);
    }
    for (operator, bytes) in job.coordinator.state_bytes() {
        metrics.state_bytes.with_label_values(&[operator.as_str()]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
    if let Some(online) = &job.online {
        for group in &job.plan.groups {
            let entities = online.group(&group.name).map_or(0, |table| table.len());
            metrics.online_entities.with_label_values(&[group.name.as_str()]).set(entities as i64);
        }
    }
}

/// Returns, by topic and partition, the least offset that is not in a window with this end, over all sources that read it.
pub fn offsets_at(job: &Job, window: TumblingWindow, end: EventTime) -> Offsets {
    let mut offsets = Offsets::new();
    for progress in job.partitions.list() {
        let partition = i32::try_from(progress.id.partition).unwrap_or(i32::MAX);
        let offset = progress.offset_at(window, end);
        let least = offsets.entry(progress.topic.clone()).or_default().entry(partition).or_insert(offset);
        *least = offset.min(*least);
    }
    offsets
}
