//! A job: a plan with its inputs opened and its outputs made, and the workers that step it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use crossbeam_channel::{Receiver, unbounded};
use timely::worker::Worker;

use super::Failure;
use super::config::{Clock, Config};
use super::inputs::{self, Inputs, Opening, Saved};
use crate::checkpoint::{CheckpointCoordinator, Overtaken, TOPIC_IDS};
use crate::flow::build::{JobEvent, OfflineFiles, positions};
use crate::flow::op::Feeds;
use crate::flow::{Job, Plan, build, telemetry};
use crate::metrics::Metrics;
use crate::registry::Offsets;
use crate::source::{Board, Grid, IdleRule, Outcome, Pace, Standing, Tally};
use crate::store::Online;
use crate::store::offline::OrderedFile;
use crate::time::EventTime;
use crate::value::{Column, Scalar, Schema};

/// How often the graph's counts are published, and how long an idle worker sleeps.
const PUBLISH: Duration = Duration::from_millis(200);
const IDLE: Duration = Duration::from_millis(5);

/// What a job is asked to give, beside models.
pub struct JobOptions<'a> {
    pub pace: Pace,
    /// Whether topics are read only up to where they end now.
    pub bounded: bool,
    /// The bounds of what is given out.
    pub from: Option<EventTime>,
    pub until: Option<EventTime>,
    /// Where sources begin, if not with their first records; tables always do.
    pub since: Option<EventTime>,
    pub online: Option<Arc<Online>>,
    /// Records that came below the frontier before, to be taken as then.
    pub journal: Vec<Overtaken>,
    /// The folder for Parquet files, and how they are written.
    pub offline: Option<(&'a Path, OfflineLayout)>,
}

/// How offline files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfflineLayout {
    /// Each at once: a run that is cut short leaves nothing.
    SingleFile,
    /// In parts that a restart goes on from.
    Segments,
}

/// Opens a plan's inputs and makes its outputs.
///
/// # Errors
/// If a topic is bound to nothing or cannot be opened, or an output cannot be made.
pub fn prepare(
    plan: &Arc<Plan>,
    config: &Config,
    coordinator: Arc<CheckpointCoordinator>,
    wanted: JobOptions<'_>,
) -> Result<(Arc<Job>, Receiver<JobEvent>, Inputs), Failure> {
    let idle = inputs::uses_kafka(plan, config).then(|| IdleRule {
        after_ms: i64::try_from(config.idle_after.as_millis()).unwrap_or(i64::MAX),
        wall: config.clock == Clock::Wall,
    });
    let board = Board::new(wanted.pace, wanted.from, wanted.until, idle.filter(|_| !wanted.bounded));
    if let Some(start) = coordinator.restored_time() {
        board.start_from(start);
    }
    let feeds = Arc::new(Feeds::default());
    let topic_ids = coordinator.load(TOPIC_IDS)?.into_iter().next().unwrap_or_default();
    let inputs = inputs::open(Opening {
        plan,
        config,
        board: &board,
        feeds: &feeds,
        saved: Saved::new(positions(plan, &coordinator)?, topic_ids, wanted.journal, wanted.since),
        bounded: wanted.bounded,
    })?;
    let offline = wanted.offline.map(|(folder, how)| offline_files(plan, folder, wanted.from, how)).transpose()?;
    let (events, received) = unbounded();
    let job = Job {
        plan: plan.clone(),
        board,
        coordinator,
        feeds,
        online: wanted.online,
        offline,
        events,
        max_in_flight: config.max_in_flight,
    };
    Ok((Arc::new(job), received, inputs))
}

/// The online store that a plan's endpoint reads.
pub fn online_store(plan: &Plan) -> Arc<Online> {
    let groups = plan.groups.iter().map(|group| (group.name.clone(), group.codec.types().to_vec()));
    let tables = plan.tables.iter().map(|table| (table.name.clone(), table.key_codec.types().to_vec()));
    Online::new(groups, tables)
}

/// The offline files of a plan, in a folder, for rows from a time on.
///
/// # Errors
/// If they cannot be made.
pub fn offline_files(
    plan: &Plan,
    folder: &Path,
    from: Option<EventTime>,
    how: OfflineLayout,
) -> Result<OfflineFiles, Failure> {
    let shared = |path: std::path::PathBuf, columns: Schema| -> Result<_, Failure> {
        let file = match how {
            OfflineLayout::SingleFile => OrderedFile::create(&path, &columns, from)?,
            OfflineLayout::Segments => OrderedFile::in_parts(&path, &columns, from),
        };
        Ok(Arc::new(Mutex::new(Some(file))))
    };
    let mut files = OfflineFiles::default();
    for group in &plan.groups {
        let entity = group.entity_names.iter().zip(group.codec.types());
        let features = group.names.iter().zip(&group.types);
        let columns = entity.chain(features).map(|(name, ty)| Column::new(name.clone(), *ty, true)).collect();
        files.features.push(shared(folder.join(format!("features/{}.parquet", group.name)), Schema::new(columns))?);
    }
    for model in &plan.models {
        files.examples.push(shared(folder.join(format!("examples/{}.parquet", model.name)), model.kept_columns())?);
    }
    Ok(files)
}

/// How the workers of a job are told, and tell, to end.
#[derive(Debug, Default)]
pub struct Control {
    /// Set to have the workers stop where they are.
    pub stop: AtomicBool,
    /// Set where the job ends with its inputs.
    pub until_end: AtomicBool,
    /// Workers that have come to the end.
    ended: AtomicUsize,
    /// Set once no worker runs any more.
    finished: AtomicBool,
}

impl Control {
    /// Whether no worker runs any more.
    pub fn is_finished(&self) -> bool {
        self.finished.load(SeqCst)
    }

    /// Whether all of so many workers have come to the end of the inputs.
    pub fn has_ended(&self, workers: usize) -> bool {
        self.ended.load(SeqCst) == workers
    }

    /// Asks the workers to stop where they are.
    pub fn stop(&self) {
        self.stop.store(true, SeqCst);
    }
}

/// Runs a job's workers on threads of their own; the handle gives how they ended.
pub fn start(
    job: &Arc<Job>,
    workers: usize,
    metrics: &Arc<Metrics>,
    control: &Arc<Control>,
) -> std::thread::JoinHandle<anyhow::Result<()>> {
    let (job, metrics, control) = (job.clone(), metrics.clone(), control.clone());
    std::thread::Builder::new()
        .name("graph".to_owned())
        .spawn(move || {
            let (inner, shared) = (job.clone(), control.clone());
            let guards = timely::execute(timely::Config::process(workers), move |worker| {
                // A worker that panics takes the others with it: none waits for one that is gone.
                let ended = catch_unwind(AssertUnwindSafe(|| step(worker, &inner, &metrics, &shared)));
                ended.unwrap_or_else(|panic| {
                    shared.stop();
                    resume_unwind(panic)
                })
            });
            let ended = guards.map_err(|error| anyhow!(error)).and_then(|guards| {
                guards.join().into_iter().try_for_each(|ended| ended.map_err(|error| anyhow!(error))?)
            });
            control.finished.store(true, SeqCst);
            ended.context("a worker of the graph failed")
        })
        .expect("the system can start a thread")
}

/// One worker: builds its part of the graph and steps it to the end.
fn step(worker: &mut Worker, job: &Arc<Job>, metrics: &Arc<Metrics>, control: &Control) -> anyhow::Result<()> {
    telemetry::listen(worker, metrics);
    let processed_frontier = Rc::new(Cell::new(EventTime::MIN));
    let dataflow = worker.next_dataflow_index();
    let built = worker.dataflow::<EventTime, _, _>(|scope| build(scope, job, &processed_frontier));
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
        processed_frontier.set(reached);
        if let Some(online) = &job.online {
            online.advance(reached);
            online.note(job.board.given());
        }
        if published.elapsed() >= PUBLISH {
            telemetry::flush(worker);
            published = Instant::now();
        }
        let ends = !at_end && job.board.all_ended() && reached >= job.board.frontier();
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

/// The ledgers of all partitions, added up by source, for the digest.
pub fn tallies(job: &Job) -> BTreeMap<String, Tally> {
    let names = job.plan.readers().map(|reader| reader.source.clone());
    let mut tallies: BTreeMap<String, Tally> = names.map(|name| (name, Tally::default())).collect();
    for lane in job.board.lanes() {
        tallies.entry(lane.source.clone()).or_default().add(&lane.standing().tally);
    }
    tallies
}

/// A record that can be asked about.
#[derive(Clone, Debug)]
pub struct Sample {
    /// An instance: a JSON object with every column but the event time.
    pub json: String,
}

/// The first record of the stream that drives the first model's examples, of the first partition that has had one.
pub fn sample_instance(job: &Job) -> Option<Sample> {
    let plan = &job.plan;
    let source = plan.driver(plan.models.first()?.examples);
    let (name, reader) = (&plan.spec.sources[source].topic.name, &plan.sources[source]);
    let lanes = job.board.lanes();
    let mine = lanes.iter().filter(|lane| lane.source == *name && lane.first().is_some());
    let batch = mine.min_by_key(|lane| lane.partition)?.first()?;
    let columns = reader.schema.columns.iter().zip(&batch.columns).enumerate();
    let fields = columns.filter(|(index, _)| *index != reader.time);
    let object = fields.map(|(_, (column, values))| (column.name.clone(), Scalar::of(values, 0).to_json()));
    Some(Sample { json: serde_json::Value::Object(object.collect()).to_string() })
}

/// Brings the gauges of sources and stores up to date.
pub fn update_gauges(job: &Job, metrics: &Metrics) {
    let mut overtaken_by_source: BTreeMap<String, u64> = BTreeMap::new();
    let mut watermarks: BTreeMap<String, EventTime> = BTreeMap::new();
    for lane in job.board.lanes() {
        let Standing { tally, in_flight, lag, overtaken, .. } = lane.standing();
        let (source, partition) = (lane.source.as_str(), lane.partition.to_string());
        let count = |outcome: &str, now: u64| {
            let counter = metrics.source_records.with_label_values(&[source, &partition, outcome]);
            counter.inc_by(now.saturating_sub(counter.get()));
        };
        count("read", tally.read);
        Outcome::ALL.into_iter().for_each(|outcome| count(outcome.name(), tally.of(outcome)));
        let in_flight = i64::try_from(in_flight).unwrap_or(i64::MAX);
        metrics.source_in_flight.with_label_values(&[source, &partition]).set(in_flight);
        if let Some(lag) = lag {
            metrics.source_lag.with_label_values(&[source, &partition]).set(i64::try_from(lag).unwrap_or(i64::MAX));
        }
        *overtaken_by_source.entry(source.to_owned()).or_insert(0) += overtaken;
        let watermark = if lane.has_ended() { job.board.frontier() } else { lane.watermark() };
        let least = watermarks.entry(source.to_owned()).or_insert(watermark);
        *least = watermark.min(*least);
    }
    for (source, watermark) in watermarks.into_iter().filter(|(_, watermark)| *watermark != EventTime::MIN) {
        metrics.watermark.with_label_values(&[source.as_str()]).set(watermark as f64 / 1e3);
    }
    overtaken_by_source.iter().for_each(|(source, count)| metrics.overtaken_so_far(source, *count));
    if let Some(online) = &job.online {
        for group in &job.plan.groups {
            let entities = online.group(&group.name).map_or(0, |shelf| shelf.len());
            metrics.online_entities.with_label_values(&[group.name.as_str()]).set(entities as i64);
        }
    }
}

/// By topic and partition, the least offset that a window of this end does not have in it, whichever source reads it.
pub fn offsets_at(job: &Job, grid: Grid, end: EventTime) -> Offsets {
    let mut offsets = Offsets::new();
    for lane in job.board.lanes() {
        let partition = i32::try_from(lane.partition).unwrap_or(i32::MAX);
        let offset = lane.offset_at(grid, end);
        let least = offsets.entry(lane.topic.clone()).or_default().entry(partition).or_insert(offset);
        *least = offset.min(*least);
    }
    offsets
}
