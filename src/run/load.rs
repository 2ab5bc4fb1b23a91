//! `load`: copies the topics of a dataflow from files into Kafka, as if they had been produced there.
//!
//! Records of a topic keep the order of their file, and topics are interleaved by event time. A message has its record's
//! event time, the key columns as its key, and all columns as its value, both in the format of the source; a delete has
//! no value.
//!
//! With `--dead-letters`, the records are those of a file of dead letters that have been mended.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use arrow_array::ArrayRef;
use indicatif::{ProgressBar, ProgressStyle};

use super::args::CommonArgs;
use super::config::Config;
use super::mended::MendedLetters;
use super::{Failure, inputs, inspect, output, print_err};
use crate::flow::Plan;
use crate::source::kafka::{Cluster, Consumer, NewTopic, Producer, ProducerRecord};
use crate::source::{
    DELETED, Format, Ingest, IngestedBatch, InputStatus, MessageEncoder, Partition, PlaybackSpeed, SourcePlan,
};
use crate::time::{EventTime, format_time};
use crate::value::{Batch, Column, Scalar, Schema};

/// Records taken from a file in one read.
const READ: usize = 4096;

/// The longest time that messages may take to be delivered.
const PATIENCE: Duration = Duration::from_secs(300);

/// Settings with which a topic keeps events of any age, in their own time.
const SETTINGS: [(&str, &str); 2] = [("message.timestamp.type", "CreateTime"), ("retention.ms", "-1")];

/// The records to load, and how.
pub struct LoadOptions {
    /// The config that binds topics to files.
    pub from: Option<PathBuf>,
    /// A file of mended dead letters, which are loaded in place of files.
    pub dead_letters: Option<PathBuf>,
    /// The number of partitions of topics that are created.
    pub partitions: Option<u32>,
    pub speed: PlaybackSpeed,
}

/// Copies topics into Kafka.
///
/// # Errors
/// If the file or a config is wrong, a topic is missing, or a record is not delivered.
pub fn run(file: &Path, common: &CommonArgs, options: &LoadOptions) -> Result<(), Failure> {
    let plan = Plan::new(Arc::new(inspect::load(file)?));
    let config = common.load()?;
    let files = options.from.as_deref().map(|from| Config::load(from, &[])).transpose()?;
    let cluster = inputs::cluster(&config, &plan.spec.name)?.ok_or_else(|| {
        Failure::Usage(
            "error: there is no Kafka to load into; expected [kafka] with \"bootstrap.servers\" in --config".to_owned(),
        )
    })?;

    // Open the files, or the dead letters.
    let mut topics = match (&options.dead_letters, &files) {
        (Some(letters), files) => open_letters(letters, &plan, files.as_ref().unwrap_or(&config))?,
        (None, Some(files)) => open_files(&plan, files)?,
        (None, None) => return Err(Failure::Usage("error: there is nothing to load; expected --from".to_owned())),
    };

    // Copy the records.
    prepare(&cluster, &topics, options.partitions)?;
    let producer = Producer::new(&cluster).map_err(Failure::of_kafka)?;
    let bar = if common.quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    let bar =
        bar.with_style(ProgressStyle::with_template("{spinner} {msg}  {elapsed}").expect("the template is valid"));
    let copied = copy(&mut topics, &producer, options.speed, &bar);
    bar.finish_and_clear();
    copied?;

    for TopicCopy { plan, sent, deletes, refusals, first_refusal, .. } in &topics {
        output::print(&format!("{}: {sent} records, of which {deletes} deletes\n", plan.topic))?;
        if let Some(first) = first_refusal {
            print_err(format_args!("{}: {refusals} rows could not be read; the first: {first}", plan.topic));
        }
    }
    Ok(())
}

/// Opens the files that a config binds topics to.
fn open_files(plan: &Plan, files: &Config) -> Result<Vec<TopicCopy>, Failure> {
    inputs::check_messages(plan.spec.topics().filter(|topic| files.topics.contains_key(&topic.topic)))?;
    let mut topics = Vec::new();
    for source in merge_by_topic(plan) {
        match source.format.filter(|_| inputs::is_file(&source, files)) {
            Some(format) => {
                let partition = Box::new(inputs::file(&source, files)?);
                let mut copy = TopicCopy::new(source, format, partition);
                inputs::file_bounds(&copy.plan, files).apply(&mut copy.ingest);
                topics.push(copy);
            }
            None => print_err(format_args!("{}: skipped: --from binds it to no file", source.topic)),
        }
    }
    match topics.is_empty() {
        true => Err(Failure::Usage("error: --from binds no topic of the dataflow to a file".to_owned())),
        false => Ok(topics),
    }
}

/// Opens mended dead letters, all of which must be right. `files` says which texts of CSV files mean null.
fn open_letters(path: &Path, plan: &Plan, files: &Config) -> Result<Vec<TopicCopy>, Failure> {
    let letters = MendedLetters::read(path, plan)?;
    let of_topic = |topic: &str| files.topics.get(topic).map(|bound| bound.nulls.clone());
    let plans: Vec<(SourcePlan, Vec<String>)> = merge_by_topic(plan)
        .into_iter()
        .filter(|source| letters.has(&source.topic))
        .map(|source| {
            let nulls = of_topic(&source.topic).unwrap_or_else(|| vec![String::new()]);
            (source, nulls)
        })
        .collect();
    inputs::check_messages(plan.spec.topics().filter(|topic| letters.has(&topic.topic)))?;
    letters.check(&plans)?;
    let mut topics = Vec::new();
    for (source, nulls) in plans {
        let partition = Box::new(letters.partition(&source, &nulls));
        let format = source.format.expect("the formats of messages were checked");
        topics.push(TopicCopy::new(source, format, partition));
    }
    match topics.is_empty() {
        true => Err(Failure::Usage(format!("error: {} has no dead letters", path.display()))),
        false => Ok(topics),
    }
}

/// Returns one plan a topic, which reads all its records whatever the dataflow makes of them. A topic that several
/// sources read has the columns of all.
fn merge_by_topic(plan: &Plan) -> Vec<SourcePlan> {
    let mut merged: Vec<SourcePlan> = Vec::new();
    for source in plan.readers() {
        match merged.iter_mut().find(|known| known.topic == source.topic) {
            Some(known) => {
                for column in &source.schema.columns {
                    if known.schema.index_of(&column.name).is_none() && column.name != DELETED {
                        // The mark of a delete stays the last column.
                        let last = known.schema.len() - usize::from(known.is_table);
                        known.schema.columns.insert(last, column.clone());
                    }
                }
            }
            None => merged.push(source.for_reading_all()),
        }
    }
    merged
}

/// Creates the topics that are missing, and reports those that exist.
fn prepare(cluster: &Arc<Cluster>, topics: &[TopicCopy], partitions: Option<u32>) -> Result<(), Failure> {
    let consumer = Consumer::new(cluster).map_err(Failure::of_kafka)?;
    for name in topics.iter().map(|topic| topic.plan.topic.as_str()) {
        let known = consumer.partitions(name).map_err(Failure::of_kafka)?;
        match (known, partitions) {
            (None, Some(partitions)) => {
                let created = NewTopic { name, partitions, settings: &SETTINGS }.create(cluster);
                if created.map_err(Failure::of_kafka)? {
                    print_err(format_args!("{name}: created, with {partitions} partitions"));
                }
            }
            (None, None) => {
                let servers = cluster.servers();
                return Err(Failure::Usage(format!(
                    "error: topic {name:?} does not exist on bootstrap.servers = {servers:?}; --partitions N creates it"
                )));
            }
            (Some(known), wanted) => {
                if let Some(wanted) = wanted.filter(|wanted| *wanted != known) {
                    print_err(format_args!("{name}: exists, with {known} partitions, not {wanted}"));
                }
                let mut held = 0;
                for partition in 0..known {
                    let bounds = consumer.bounds(name, partition).map_err(Failure::of_kafka)?;
                    held += bounds.end - bounds.start;
                }
                if held > 0 {
                    print_err(format_args!("{name}: holds {held} records already; they stay before the new ones"));
                }
            }
        }
    }
    Ok(())
}

/// Copies all records, in the order of event time.
fn copy(topics: &mut [TopicCopy], producer: &Producer, speed: PlaybackSpeed, bar: &ProgressBar) -> Result<(), Failure> {
    let began = Instant::now();
    let mut start = None;
    let mut sent = 0u64;
    loop {
        // Find the topic with the earliest next record.
        let mut next: Option<(EventTime, usize)> = None;
        for (index, topic) in topics.iter_mut().enumerate() {
            if let Some(time) = topic.peek()?
                && next.is_none_or(|(least, _)| time < least)
            {
                next = Some((time, index));
            }
        }
        let Some((time, index)) = next else { break };

        // Wait until its time has come.
        if let PlaybackSpeed::Factor(speed) = speed {
            let ms = (time - *start.get_or_insert(time)).max(0) as f64 / speed;
            let wait = Duration::from_secs_f64(ms / 1e3).saturating_sub(began.elapsed());
            if wait > Duration::from_millis(1) {
                std::thread::sleep(wait);
            }
        }
        topics[index].send(producer)?;
        sent += 1;
        if sent.is_multiple_of(1024) {
            let rate = sent as f64 / began.elapsed().as_secs_f64().max(1e-3);
            bar.set_message(format!("{}  {sent} records  {rate:.0}/s", format_time(time)));
            bar.tick();
        }
    }
    producer.flush(PATIENCE).context("not all records were delivered")?;
    Ok(())
}

/// One topic being copied.
struct TopicCopy {
    plan: Arc<SourcePlan>,
    partition: Box<dyn Partition>,
    ingest: Ingest,
    value: Box<dyn MessageEncoder>,
    /// `None` if the records have no key.
    key: Option<Box<dyn MessageEncoder>>,
    /// The records that were read.
    rows: Batch,
    /// The key columns of `rows`.
    keys: Vec<ArrayRef>,
    /// The next row to send.
    at: usize,
    ended: bool,
    sent: u64,
    deletes: u64,
    refusals: u64,
    /// The first refusal: where and why.
    first_refusal: Option<String>,
    buffers: MessageBuffers,
}

/// The bytes of a message; kept to be reused.
#[derive(Default)]
struct MessageBuffers {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl TopicCopy {
    fn new(plan: SourcePlan, format: &Format, partition: Box<dyn Partition>) -> Self {
        // A delete is a message without a value, so the mark is not written.
        let columns = plan.schema.len() - usize::from(plan.is_table);
        let schema = |columns: Vec<Column>| Schema::new(columns).separated_by(plan.schema.separator);
        let value = format.encoder(&schema(plan.schema.columns[..columns].to_vec()));
        // A key is flat, wherever the value has its columns.
        let flat = |index: &usize| Column {
            path: vec![plan.schema.columns[*index].name.clone()],
            ..plan.schema.columns[*index].clone()
        };
        let key = schema(plan.key.iter().map(flat).collect());
        let plan = Arc::new(plan);
        TopicCopy {
            partition,
            value,
            key: (!key.is_empty()).then(|| format.encoder(&key)),
            ingest: Ingest::new(plan.clone(), 0),
            plan,
            rows: Batch::default(),
            keys: Vec::new(),
            at: 0,
            ended: false,
            sent: 0,
            deletes: 0,
            refusals: 0,
            first_refusal: None,
            buffers: MessageBuffers::default(),
        }
    }

    /// Returns the event time of the next record; `None` after the last.
    fn peek(&mut self) -> anyhow::Result<Option<EventTime>> {
        while self.at == self.rows.len() && !self.ended {
            let status = self.partition.read(READ, &mut self.ingest);
            self.ended = status.with_context(|| format!("topic {:?}", self.plan.topic))? == InputStatus::EndOfInput;
            if self.ended {
                self.ingest.end_input();
            }
            let IngestedBatch { batch, letters, .. } = self.ingest.take_unsorted();
            self.keys = self.plan.key.iter().map(|column| batch.columns[*column].clone()).collect();
            (self.rows, self.at) = (batch, 0);
            self.refusals += letters.len() as u64;
            if let (None, Some(letter)) = (&self.first_refusal, letters.first()) {
                self.first_refusal = Some(format!("record {}: {}", letter.offset, letter.detail));
            }
        }
        Ok((self.at < self.rows.len()).then(|| self.rows.event_times[self.at]))
    }

    /// Sends the next record.
    fn send(&mut self, producer: &Producer) -> anyhow::Result<()> {
        let (columns, row) = (&self.rows.columns, self.at);
        let MessageBuffers { key, value } = &mut self.buffers;
        key.clear();
        value.clear();
        if let Some(encoder) = &self.key {
            encoder.encode(&self.keys, row, key);
        }
        let deleted = self.plan.is_table && Scalar::of(&columns[columns.len() - 1], row) == Scalar::Bool(true);
        if !deleted {
            self.value.encode(columns, row, value);
        }
        let message = ProducerRecord {
            topic: &self.plan.topic,
            key: self.key.is_some().then_some(key.as_slice()),
            value: (!deleted).then_some(value.as_slice()),
            // Kafka has no times before 1970; the record has its own.
            time: Some(self.rows.event_times[row].max(1)),
            headers: &[],
        };
        producer.send(message, PATIENCE).context("a record was not delivered")?;
        self.at += 1;
        self.sent += 1;
        self.deletes += u64::from(deleted);
        Ok(())
    }
}
