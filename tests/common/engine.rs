//! Runs a dataflow on records in memory and reads back what it wrote.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::{Array, ArrayRef, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tidemill::aggregate::Feature;
use tidemill::checkpoint::{CheckpointCoordinator, SnapshotParts};
use tidemill::flow::build::{JobEvent, positions};
use tidemill::flow::op::label::{AttributionReport, ExampleCounts};
use tidemill::flow::op::learn::{LearningReport, LearningTotals};
use tidemill::flow::op::source::SourceEvent;
use tidemill::flow::op::{Assignments, RefusedInWindow, SliceLength};
use tidemill::flow::{Job, Plan};
use tidemill::metrics::Metrics;
use tidemill::run::job::{self, Control, OfflineLayout};
use tidemill::source::{
    AssignedPartition, DeadLetter, Ingest, InputFrontier, InputStatus, Partition, Partitions, PlaybackClock,
    PlaybackSpeed, RawMessage, RecordCounts, SourceError, SourcePlan, Volume,
};
use tidemill::store::{Online, Vector};
use tidemill::time::{Offset, PartitionId};
use tidemill::value::{JsonDecoder, Scalar, Schema};

use super::naive;

/// A record of any of the topics.
#[derive(Clone, Debug)]
pub struct Record {
    pub id: String,
    pub shop: Option<String>,
    pub item: i64,
    pub x: Option<f64>,
    pub step: i64,
    pub at: i64,
}

impl Record {
    /// The partition of a record: records of the same key share one.
    pub fn partition(&self, topic: &str, partitions: usize) -> usize {
        let key = if topic == "prices" { self.item.to_string() } else { self.id.clone() };
        key.bytes().map(usize::from).sum::<usize>() % partitions
    }
}

/// The records of each topic, in offset order.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    pub asks: Vec<Record>,
    pub sales: Vec<Record>,
    pub prices: Vec<Record>,
}

impl Inputs {
    /// The messages of a topic, by partition.
    pub fn dealt(&self, topic: &str, partitions: usize) -> Vec<Vec<String>> {
        let mut dealt = vec![Vec::new(); partitions];
        let records = match topic {
            "asks" => &self.asks,
            "sales" => &self.sales,
            _ => &self.prices,
        };
        for (record, message) in records.iter().zip(self.messages(topic)) {
            dealt[record.partition(topic, partitions)].push(message);
        }
        dealt
    }

    /// The messages of a topic.
    pub fn messages(&self, topic: &str) -> Vec<String> {
        let field = |value: &Option<f64>| value.map_or("null".to_owned(), |x| format!("{x:?}"));
        let text = |value: &Option<String>| value.as_ref().map_or("null".to_owned(), |text| format!("{text:?}"));
        let event = |r: &Record| {
            format!(
                r#"{{"id":"{}","shop":{},"item":{},"x":{},"at":{}}}"#,
                r.id,
                text(&r.shop),
                r.item,
                field(&r.x),
                r.at
            )
        };
        match topic {
            "asks" => self.asks.iter().map(event).collect(),
            "sales" => self.sales.iter().map(event).collect(),
            "prices" => self
                .prices
                .iter()
                .map(|r| {
                    format!(
                        r#"{{"item":{},"price":{},"at":{},"_deleted":{}}}"#,
                        r.item,
                        field(&r.x),
                        r.at,
                        r.shop.is_none()
                    )
                })
                .collect(),
            other => panic!("no topic {other}"),
        }
    }
}

/// The results of a run.
#[derive(Default)]
pub struct Found {
    pub tallies: BTreeMap<String, RecordCounts>,
    pub shop: Vec<Vec<Scalar>>,
    pub pair: Vec<Vec<Scalar>>,
    pub ever: Vec<Vec<Scalar>>,
    /// Lists and maps as JSON.
    pub collected: Vec<Vec<Scalar>>,
    pub defaulted: Vec<Vec<Scalar>>,
    pub own: Vec<Vec<Scalar>>,
    /// Maps as JSON.
    pub by_shop: Vec<Vec<Scalar>>,
    pub examples: Vec<Vec<Scalar>>,
    /// The vectors of the groups `shop` and `ever` in the online store at the end, by shop.
    pub shown: BTreeMap<String, Vec<Scalar>>,
    pub shown_ever: BTreeMap<String, Vec<Scalar>>,
    /// Hash of each version's weights.
    pub versions: Vec<(u64, String)>,
    pub letters: Vec<DeadLetter>,
    /// The rows of the table `prices` in the online store at the end, by item.
    pub prices: BTreeMap<i64, Vec<Scalar>>,
    /// Values that could not be computed, by operator and reason.
    pub nulls: BTreeMap<String, BTreeMap<String, u64>>,
    /// Entities that were dropped, by group with a bound.
    pub dropped: BTreeMap<String, u64>,
    /// Examples that were made to wait for a label, those for which none came, and those that wait at the end.
    pub made: u64,
    pub unlabelled: u64,
    pub waiting: u64,
    pub refused: Vec<RefusedInWindow>,
    pub totals: Option<LearningTotals>,
    /// The online store at the end.
    pub online: Option<Arc<Online>>,
    /// The snapshot that was asked for.
    pub snapshot: Option<(i64, SnapshotParts)>,
    /// The one that was asked for on the way.
    pub late_snapshot: Option<LateSnapshot>,
}

/// A partition of messages in memory.
pub struct Memory {
    pub messages: Vec<String>,
    pub next: usize,
    pub read: usize,
    pub decoder: JsonDecoder,
    /// True if the input ends; else there is nothing more for now.
    pub ends: bool,
}

impl Memory {
    pub fn new(messages: Vec<String>, read: usize, schema: &Schema) -> Self {
        Memory { messages, next: 0, read, decoder: JsonDecoder::new(schema), ends: true }
    }
}

impl Partition for Memory {
    fn read(&mut self, max: usize, ingest: &mut Ingest) -> Result<InputStatus, SourceError> {
        for _ in 0..max.min(self.read) {
            let Some(message) = self.messages.get(self.next) else {
                return Ok(if self.ends { InputStatus::EndOfInput } else { InputStatus::NothingAvailable });
            };
            let raw = || RawMessage::value(message.as_bytes());
            ingest.push(self.next as u64, None, raw, |columns, present| {
                self.decoder.decode(message.as_bytes(), columns, present)
            });
            self.next += 1;
        }
        Ok(InputStatus::MoreAvailable)
    }
}

/// A partition that is read a few records at a time.
struct Few {
    partition: Box<dyn Partition>,
    most: usize,
    trigger: Option<Arc<LateTrigger>>,
}

impl Partition for Few {
    fn read(&mut self, max: usize, ingest: &mut Ingest) -> Result<InputStatus, SourceError> {
        self.trigger.iter().for_each(|trigger| trigger.count_read());
        self.partition.read(max.min(self.most), ingest)
    }
}

/// Takes a checkpoint of a run that is under way, as of the frontier that it has then.
struct LateTrigger {
    /// The number of reads, of all partitions, after which it is triggered.
    after: usize,
    reads: AtomicUsize,
    frontier: Arc<InputFrontier>,
    coordinator: Arc<CheckpointCoordinator>,
    taken: Mutex<Option<LateSnapshot>>,
}

/// A snapshot of a run that was under way.
#[derive(Clone, Debug)]
pub struct LateSnapshot {
    pub time: i64,
    pub parts: SnapshotParts,
    /// The number of reads between its trigger and the last operator's save.
    pub reads: usize,
}

impl LateTrigger {
    fn count_read(&self) {
        let reads = self.reads.fetch_add(1, SeqCst);
        if reads == self.after {
            let _ = self.frontier.inject_barrier(|time| self.coordinator.trigger(time));
        } else if reads > self.after {
            self.collect(reads - self.after);
        }
    }

    fn collect(&self, reads: usize) {
        let mut taken = self.taken.lock().expect("no holder panics");
        if taken.is_none()
            && let Some((time, snapshot)) = self.coordinator.collect()
        {
            *taken = Some(LateSnapshot { time, parts: snapshot.encode().collect(), reads });
        }
    }

    /// The snapshot, once the run is over.
    fn finish(&self) -> Option<LateSnapshot> {
        self.collect(self.reads.load(SeqCst).saturating_sub(self.after));
        self.taken.lock().expect("no holder panics").take()
    }
}

/// The options of a run.
pub struct Run<'a> {
    pub spec: &'a str,
    /// Records read at a time.
    pub read: usize,
    pub workers: usize,
    /// The number of partitions over which the records of each topic are dealt, by key.
    pub partitions: usize,
    /// Start from a snapshot.
    pub start: Option<(i64, SnapshotParts)>,
    /// Ask for a snapshot as of this time.
    pub snapshot: Option<i64>,
    /// Ask for a snapshot after so many reads, of all partitions.
    pub snapshot_after: Option<usize>,
    /// The time at which outputs begin.
    pub from: Option<i64>,
    /// The time at which sources begin.
    pub since: Option<i64>,
    /// The time at which outputs stop.
    pub until: Option<i64>,
    /// False if nothing is written to files.
    pub offline: bool,
    /// The length of the slices in which feature groups work.
    pub slice: SliceLength,
}

/// Slices of one piece of so many steps.
pub fn slices(piece: usize) -> SliceLength {
    SliceLength { piece, lasts: Duration::ZERO }
}

impl Default for Run<'_> {
    fn default() -> Self {
        Run {
            spec: &super::spec::SPEC,
            read: 7,
            workers: 1,
            partitions: 1,
            start: None,
            snapshot: None,
            snapshot_after: None,
            from: None,
            since: None,
            until: None,
            offline: true,
            slice: SliceLength::default(),
        }
    }
}

/// Runs a spec on inputs, reading `read` messages at a time, on `workers` workers.
pub fn run(spec: &str, inputs: &Inputs, read: usize, workers: usize) -> Found {
    Run { spec, read, workers, ..Run::default() }.run(inputs)
}

impl Run<'_> {
    pub fn run(self, inputs: &Inputs) -> Found {
        let partitions = self.partitions;
        self.run_on(|reader, resume| {
            let memory = |(number, messages)| {
                let next = resume(number) as usize;
                let memory = Memory { next, ..Memory::new(messages, usize::MAX, &reader.schema) };
                Box::new(memory) as Box<dyn Partition>
            };
            (0..).zip(inputs.dealt(&reader.topic, partitions)).map(memory).collect()
        })
    }

    /// The same on the partitions of each topic that `open` gives, which is told where to begin in each.
    pub fn run_on(
        self,
        mut open: impl FnMut(&Arc<SourcePlan>, &dyn Fn(u32) -> Offset) -> Vec<Box<dyn Partition>>,
    ) -> Found {
        let plan = Arc::new(Plan::new(Arc::new(tidemill::spec::parse(self.spec, "spec.toml").expect("a right spec"))));
        let folder = tempfile::tempdir().expect("a folder");
        let readers: Vec<_> =
            plan.sources.iter().cloned().chain(plan.tables.iter().map(|table| table.reader.clone())).collect();
        let partitions = Arc::new(Partitions::default());
        let frontier = InputFrontier::new(&partitions, self.until, None);
        let clock = PlaybackClock::new(&partitions, PlaybackSpeed::Unlimited);
        let assignments = Arc::new(Assignments::default());
        let coordinator = match self.start {
            Some((time, parts)) => CheckpointCoordinator::restoring(time, parts),
            None => CheckpointCoordinator::fresh(),
        };
        let late = |after| LateTrigger {
            after,
            reads: AtomicUsize::new(0),
            frontier: frontier.clone(),
            coordinator: coordinator.clone(),
            taken: Mutex::default(),
        };
        let trigger = self.snapshot_after.map(|after| Arc::new(late(after)));
        let positions = positions(&plan, &coordinator).expect("what was saved can be loaded");
        for (topic, reader) in readers.iter().enumerate() {
            let position = |number| positions.get(&PartitionId { source: reader.source.clone(), partition: number });
            let resume = |number| position(number).map_or(0, |position| position.resume);
            for (number, partition) in (0..).zip(open(reader, &resume)) {
                let mut ingest = Ingest::new(reader.clone(), number);
                if let Some(since) = self.since.filter(|_| !reader.is_table) {
                    ingest.begin_at(since);
                }
                let progress = partitions.register(reader, number);
                let few = Few { partition, most: self.read, trigger: trigger.clone() };
                let assigned = AssignedPartition::new(Box::new(few), ingest, progress);
                assignments.add(
                    topic,
                    match position(number) {
                        Some(position) => assigned.resuming(position.clone()),
                        None => assigned,
                    },
                );
            }
        }
        partitions.complete_discovery();
        let (events, told) = crossbeam_channel::unbounded();
        let online = job::online_store(&plan);
        if let Some(time) = self.snapshot {
            coordinator.trigger(time);
        }
        let offline =
            job::offline_files(&plan, folder.path(), self.from, OfflineLayout::SingleFile).expect("files can be made");
        let job = Arc::new(Job {
            plan: plan.clone(),
            assignments,
            partitions,
            frontier,
            clock,
            from: None,
            coordinator: coordinator.clone(),
            online: Some(online.clone()),
            offline: self.offline.then(|| offline.clone()),
            events,
            max_in_flight: Volume { records: 64, bytes: u64::MAX },
            nulls: Arc::default(),
            live: Arc::default(),
            dropped: Arc::default(),
            keep_unlabelled: false,
            slice: self.slice,
        });
        let control = Arc::new(Control::default());
        control.until_end.store(true, SeqCst);
        let graph = job::start(&job, self.workers, &Metrics::new("test"), &control);
        let mut events = Vec::new();
        while !graph.is_finished() {
            events.extend(told.recv_timeout(Duration::from_millis(1)));
            if matches!(events.last(), Some(JobEvent::Source(SourceEvent::Failed(_)))) {
                control.stop();
            }
        }
        graph.join().unwrap().expect("the graph runs");
        for file in offline.features.iter().chain(&offline.examples) {
            file.lock().unwrap().take().unwrap().finish().expect("the file can be written");
        }
        let mut found = Found {
            tallies: job::tallies(&job),
            shop: rows(&folder.path().join("features/shop.parquet")),
            pair: rows(&folder.path().join("features/pair.parquet")),
            examples: rows(&folder.path().join("examples/sold.parquet")),
            ever: rows(&folder.path().join("features/ever.parquet")),
            collected: rows(&folder.path().join("features/collected.parquet")),
            defaulted: rows(&folder.path().join("features/defaulted.parquet")),
            own: rows(&folder.path().join("features/own.parquet")),
            by_shop: rows(&folder.path().join("features/by_shop.parquet")),
            shown: shown(&online, "shop"),
            shown_ever: shown(&online, "ever"),
            prices: prices(&online),
            online: Some(online.clone()),
            nulls: job.nulls.counts(),
            dropped: job::dropped(&job),
            late_snapshot: trigger.and_then(|trigger| trigger.finish()),
            snapshot: coordinator.collect().map(|(time, parts)| (time, parts.encode().collect())),
            ..Found::default()
        };
        for event in events.into_iter().chain(told.try_iter()) {
            match event {
                JobEvent::Learning(_, LearningReport::Version { version, .. }) => {
                    let weights = tidemill::registry::encode(&version.predictor);
                    found.versions.push((version.number, format!("{:x}", tidemill::value::Key::hash_of(&weights))));
                }
                JobEvent::Source(SourceEvent::DeadLetters(letters)) => found.letters.extend(letters),
                JobEvent::Source(SourceEvent::Failed(error)) => panic!("{error}"),
                JobEvent::Source(SourceEvent::Overtaken(_) | SourceEvent::Advice { .. }) => {}
                JobEvent::OfflineFailed(error) => panic!("{error}"),
                JobEvent::Learning(_, LearningReport::Drift(_) | LearningReport::Waiting(..)) => {}
                JobEvent::Learning(_, LearningReport::Refused(refused)) => found.refused.push(refused),
                JobEvent::Learning(_, LearningReport::Ended(totals)) => found.totals = Some(*totals),
                JobEvent::Attribution(_, AttributionReport::Counts(ExampleCounts { made, unlabelled })) => {
                    found.made += made;
                    found.unlabelled += unlabelled;
                }
                JobEvent::Attribution(_, AttributionReport::Waiting { count, .. }) => found.waiting += count,
            }
        }
        found
    }
}

/// The vectors of the shops that the online store has of a group, as of one asking time.
fn shown(online: &Online, group: &str) -> BTreeMap<String, Vec<Scalar>> {
    let Some(table) = online.group(group) else { return BTreeMap::new() };
    let vector = |shop: &String| table.get(&table.codec().encode_one(&[Scalar::String(shop.as_str().into())]));
    let finished = |vector: Vector| vector.iter().map(|feature| feature.scalar(naive::ASKING)).collect();
    let shops = (0..10).map(|shop| format!("s{shop}"));
    shops.filter_map(|shop| vector(&shop).map(|vector| (shop, finished(vector)))).collect()
}

/// The rows of the table `prices` that the online store has.
fn prices(online: &Online) -> BTreeMap<i64, Vec<Scalar>> {
    let Some(table) = online.table("prices") else { return BTreeMap::new() };
    let row = |item: i64| table.get(&table.codec().encode_one(&[Scalar::Int(item)]));
    let finished = |row: Vector| row.iter().map(|value| value.scalar(naive::ASKING)).collect();
    (0..10).filter_map(|item| row(item).map(|row| (item, finished(row)))).collect()
}

/// All rows of a Parquet file; lists and maps as JSON.
pub fn rows(path: &Path) -> Vec<Vec<Scalar>> {
    let Ok(file) = std::fs::File::open(path) else { return Vec::new() };
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    let value = |column: &ArrayRef, row: usize| match Feature::of(column, row) {
        Feature::Value(value) => value,
        collection => Scalar::String(collection.to_json(0).to_string().into()),
    };
    let row = |batch: &RecordBatch, row: usize| batch.columns().iter().map(|column| value(column, row)).collect();
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|index| row(batch, index)).collect::<Vec<_>>()).collect()
}

/// The names of a Parquet file's columns.
pub fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|field| field.name().clone()).collect()
}

/// Returns whether an array has no nulls; shortens assertions.
pub fn whole(array: &dyn Array) -> bool {
    array.null_count() == 0
}
