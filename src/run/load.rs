//! `load`: the topics of a dataflow from files into Kafka, as if they had been produced there.
//!
//! A topic's records keep the order of their file, and the topics are interleaved by event time. A message has its
//! record's event time, the key columns as its key, and all columns as its value; a delete has no value.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::args::CommonArgs;
use super::config::Config;
use super::{Failure, inputs, inspect, print_err};
use crate::flow::Plan;
use crate::source::kafka::{Cluster, Consumer, NewTopic, Outgoing, Producer};
use crate::source::{DELETED, FilePartition, Intake, Intaken, Pace, Partition, Progress, TopicReader};
use crate::time::{EventTime, format_time};
use crate::value::{Batch, JsonEncoder, Scalar};

/// Records read from a file in one go.
const READ: usize = 4096;

/// How long all that was sent may take to be delivered.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a topic needs to keep events of any age, in their own time.
const SETTINGS: [(&str, &str); 2] = [("message.timestamp.type", "CreateTime"), ("retention.ms", "-1")];

/// Copies topics into Kafka.
///
/// # Errors
/// If the file or a config is wrong, a topic is missing, or a record is not delivered.
pub fn run(file: &Path, common: &CommonArgs, from: &Path, partitions: Option<u32>, speed: Pace) -> Result<(), Failure> {
    let plan = Plan::new(Arc::new(inspect::load(file)?));
    let config = common.load()?;
    let files = Config::load(from, &[])?;
    let cluster = inputs::cluster(&config, &plan.spec.name)?.ok_or_else(|| {
        Failure::Usage(
            "error: there is no Kafka to load into; expected [kafka] with \"bootstrap.servers\" in --config".to_owned(),
        )
    })?;
    let mut topics = Vec::new();
    for reader in merged(&plan) {
        match files.topics.contains_key(&reader.topic) {
            true => topics.push(Loading::open(reader, &files)?),
            false => print_err(format_args!("{}: passed over: {} binds it to no file", reader.topic, from.display())),
        }
    }
    if topics.is_empty() {
        return Err(Failure::Usage(format!("error: {} binds no topic of the dataflow to a file", from.display())));
    }
    prepare(&cluster, &topics, partitions)?;
    let producer = Producer::new(&cluster).map_err(inputs::failure)?;
    let bar = if common.quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    let bar =
        bar.with_style(ProgressStyle::with_template("{spinner} {msg}  {elapsed}").expect("the template is valid"));
    let copied = copy(&mut topics, &producer, speed, &bar);
    bar.finish_and_clear();
    copied?;
    for topic in &topics {
        println!("{}: {} records, of which {} deletes", topic.reader.topic, topic.sent, topic.deletes);
        if let Some(first) = &topic.refused {
            print_err(format_args!(
                "{}: {} rows could not be read; the first: {first}",
                topic.reader.topic, topic.refusals
            ));
        }
    }
    Ok(())
}

/// How each topic is read: all its records, whatever the dataflow makes of them; one reader a topic.
fn merged(plan: &Plan) -> Vec<TopicReader> {
    let mut merged: Vec<TopicReader> = Vec::new();
    for reader in plan.sources.iter().chain(plan.tables.iter().map(|table| &table.reader)) {
        match merged.iter_mut().find(|known| known.topic == reader.topic) {
            Some(known) => {
                for column in &reader.schema.columns {
                    if known.schema.index_of(&column.name).is_none() && column.name != DELETED {
                        // The mark of a delete stays the last column.
                        let last = known.schema.len() - usize::from(known.upsert);
                        known.schema.columns.insert(last, column.clone());
                    }
                }
            }
            None => merged.push(TopicReader {
                source: reader.source.clone(),
                topic: reader.topic.clone(),
                schema: reader.schema.clone(),
                key: reader.key.clone(),
                time: reader.time,
                lateness_ms: i64::MAX / 4,
                filter: None,
                upsert: reader.upsert,
                ordered: false,
                reach_ms: i64::MAX,
            }),
        }
    }
    merged
}

/// Sees to it that the topics are there.
fn prepare(cluster: &Arc<Cluster>, topics: &[Loading], partitions: Option<u32>) -> Result<(), Failure> {
    let consumer = Consumer::new(cluster).map_err(inputs::failure)?;
    for name in topics.iter().map(|topic| topic.reader.topic.as_str()) {
        let known = consumer.partitions(name).map_err(inputs::failure)?;
        match (known, partitions) {
            (None, Some(partitions)) => {
                let made = cluster.create_topic(NewTopic { name, partitions, settings: &SETTINGS });
                if made.map_err(inputs::failure)? {
                    print_err(format_args!("{name}: made, with {partitions} partitions"));
                }
            }
            (None, None) => {
                let servers = cluster.servers();
                return Err(Failure::Usage(format!(
                    "error: topic {name:?} does not exist on bootstrap.servers = {servers:?}; --partitions N makes it"
                )));
            }
            (Some(known), wanted) => {
                if let Some(wanted) = wanted.filter(|wanted| *wanted != known) {
                    print_err(format_args!("{name}: is there, with {known} partitions, not {wanted}"));
                }
                let held = (0..known)
                    .map(|partition| consumer.bounds(name, partition))
                    .try_fold(0, |held, bounds| bounds.map(|(low, high)| held + (high - low)));
                let held = held.map_err(inputs::failure)?;
                if held > 0 {
                    print_err(format_args!("{name}: holds {held} records already; they stay before the new ones"));
                }
            }
        }
    }
    Ok(())
}

fn copy(topics: &mut [Loading], producer: &Producer, speed: Pace, bar: &ProgressBar) -> Result<(), Failure> {
    let began = Instant::now();
    let mut start = None;
    let mut sent = 0u64;
    loop {
        let mut next: Option<(EventTime, usize)> = None;
        for (index, topic) in topics.iter_mut().enumerate() {
            if let Some(time) = topic.head()?
                && next.is_none_or(|(least, _)| time < least)
            {
                next = Some((time, index));
            }
        }
        let Some((time, index)) = next else { break };
        if let Pace::Times(speed) = speed {
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
    producer.settle(PATIENCE).context("not all records were delivered")?;
    Ok(())
}

/// One topic being copied.
struct Loading {
    reader: Arc<TopicReader>,
    partition: FilePartition,
    intake: Intake,
    /// None where the records have no key.
    key: Option<JsonEncoder>,
    value: JsonEncoder,
    rows: Batch,
    at: usize,
    ended: bool,
    sent: u64,
    deletes: u64,
    refusals: u64,
    /// Why and where the first row was refused.
    refused: Option<String>,
    buffers: (Vec<u8>, Vec<u8>),
}

impl Loading {
    fn open(reader: TopicReader, files: &Config) -> Result<Self, Failure> {
        let partition = inputs::file(&reader, files)?;
        let mut flat = reader.schema.clone();
        flat.columns.iter_mut().for_each(|column| column.path = vec![column.name.clone()]);
        let columns = 0..reader.schema.len() - usize::from(reader.upsert);
        let value = JsonEncoder::of(&reader.schema, &columns.collect::<Vec<_>>());
        let reader = Arc::new(reader);
        Ok(Loading {
            partition,
            intake: Intake::new(reader.clone(), 0),
            key: (!reader.key.is_empty()).then(|| JsonEncoder::of(&flat, &reader.key)),
            value,
            reader,
            rows: Batch::default(),
            at: 0,
            ended: false,
            sent: 0,
            deletes: 0,
            refusals: 0,
            refused: None,
            buffers: Default::default(),
        })
    }

    /// The event time of the next record, if there is one.
    fn head(&mut self) -> anyhow::Result<Option<EventTime>> {
        while self.at == self.rows.len() && !self.ended {
            let progress = self.partition.read(READ, &mut self.intake);
            self.ended = progress.with_context(|| format!("topic {:?}", self.reader.topic))? == Progress::End;
            let Intaken { batch, letters, .. } = self.intake.take_as_read();
            (self.rows, self.at) = (batch, 0);
            self.refusals += letters.len() as u64;
            if let (None, Some(letter)) = (&self.refused, letters.first()) {
                self.refused = Some(format!("record {}: {}", letter.offset, letter.detail));
            }
        }
        Ok((self.at < self.rows.len()).then(|| self.rows.event_times[self.at]))
    }

    /// Sends the next record.
    fn send(&mut self, producer: &Producer) -> anyhow::Result<()> {
        let (columns, row) = (&self.rows.columns, self.at);
        let (key, value) = &mut self.buffers;
        key.clear();
        value.clear();
        if let Some(encoder) = &self.key {
            encoder.encode(columns, row, key);
        }
        let deleted = self.reader.upsert && Scalar::of(&columns[columns.len() - 1], row) == Scalar::Bool(true);
        if !deleted {
            self.value.encode(columns, row, value);
        }
        let message = Outgoing {
            topic: &self.reader.topic,
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
