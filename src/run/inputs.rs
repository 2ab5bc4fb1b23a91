//! What feeds a plan: files and Kafka topics, by what the config binds each topic to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Failure;
use super::config::Config;
use super::feeding::{Feeding, Feeds, FromKafka};
use crate::checkpoint::Overtaken;
use crate::flow::Plan;
use crate::flow::op::source::Feed;
use crate::source::kafka::{Cluster, Fault};
use crate::source::{Board, FilePartition, Intake, Partition, Position, TopicReader};
use crate::time::{EventTime, Offset};

pub use super::feeding::{KafkaState, KafkaStatus};

/// Where reading begins: what is known of partitions from earlier runs, by source and partition.
pub struct Saved {
    positions: HashMap<(String, u32), Position>,
    journal: HashMap<(String, u32), BTreeMap<Offset, EventTime>>,
    /// The ids of Kafka's topics.
    topic_ids: BTreeMap<String, String>,
    since: Option<EventTime>,
}

impl Saved {
    /// Where reading goes on, the ids of Kafka's topics by name, the records that came below the frontier, with when they took effect, and the time
    /// before which sources are passed over.
    pub fn new(
        positions: HashMap<(String, u32), Position>,
        topic_ids: BTreeMap<String, String>,
        overtaken: Vec<Overtaken>,
        since: Option<EventTime>,
    ) -> Self {
        let mut journal: HashMap<_, BTreeMap<Offset, EventTime>> = HashMap::new();
        for Overtaken { source, partition, offset, time, .. } in overtaken {
            journal.entry((source, partition)).or_default().insert(offset, time);
        }
        Saved { positions, journal, topic_ids, since }
    }

    /// The ids that Kafka's topics had: one with another is not what was read.
    pub fn topic_ids(&self) -> &BTreeMap<String, String> {
        &self.topic_ids
    }

    /// Where a partition is to be read on.
    pub fn position(&self, source: &str, partition: u32) -> Option<&Position> {
        self.positions.get(&(source.to_owned(), partition))
    }

    /// The time before which nothing of a topic is needed; all of a table is, as a row holds until the next.
    pub fn since(&self, reader: &TopicReader) -> Option<EventTime> {
        self.since.filter(|_| !reader.upsert)
    }

    /// The first record of a partition that came below the frontier and took effect at a time or later.
    pub fn first_overtaken(&self, source: &str, partition: u32, since: EventTime) -> Option<Offset> {
        let journal = self.journal.get(&(source.to_owned(), partition))?;
        journal.iter().find(|(_, time)| **time >= since).map(|(offset, _)| *offset)
    }

    /// A partition of a source that was read and is beyond those that there are.
    pub fn beyond(&self, source: &str, there: u32) -> Option<u32> {
        let gone = |(of, number): &&(String, u32)| of == source && *number >= there;
        self.positions.keys().find(gone).map(|(_, number)| *number)
    }

    /// A partition with what is known of it, on the board.
    pub fn feed(
        &mut self,
        partition: Box<dyn Partition>,
        reader: &Arc<TopicReader>,
        number: u32,
        board: &Board,
    ) -> Feed {
        let place = (reader.source.clone(), number);
        let mut intake = Intake::new(reader.clone(), number);
        intake.begin_at(self.since(reader).unwrap_or(EventTime::MIN));
        let feed = Feed::new(partition, intake, board.join(reader, number));
        let mut journal = self.journal.remove(&place).unwrap_or_default();
        match self.positions.remove(&place) {
            Some(position) => feed.repeating(journal.split_off(&position.resume)).resuming(position),
            None => feed.repeating(journal),
        }
    }
}

/// A plan whose inputs are to be opened.
pub struct Opening<'a> {
    pub plan: &'a Plan,
    pub config: &'a Config,
    pub board: &'a Arc<Board>,
    pub feeds: &'a Arc<Feeds>,
    pub saved: Saved,
    /// Whether topics are read only up to where they end now.
    pub bounded: bool,
}

/// The opened inputs of a job; dropping them ends what looks after them.
pub struct Inputs {
    feeding: Option<Feeding>,
}

impl Inputs {
    /// How it stands with Kafka, if it has one of the topics.
    pub fn kafka(&self) -> Option<&Arc<KafkaStatus>> {
        self.feeding.as_ref().map(Feeding::status)
    }
}

/// Opens a plan's inputs: files at once, Kafka's partitions as soon as the brokers answer. Once all are known, the
/// board is opened.
///
/// # Errors
/// If a topic is bound to nothing, a file cannot be opened, a setting of Kafka is wrong, or brokers that answer within
/// a few seconds know no such topic.
pub fn open(opening: Opening<'_>) -> Result<Inputs, Failure> {
    let Opening { plan, config, board, feeds, mut saved, bounded } = opening;
    let cluster = cluster(config, &plan.spec.name)?;
    let mut topics = Vec::new();
    for (topic, reader) in plan.readers().enumerate() {
        if is_file(reader, config) || cluster.is_none() {
            let mut partition = file(reader, config)?;
            if let Some(position) = saved.position(&reader.source, 0) {
                partition.skip_to(position.resume, reader)?;
            }
            feeds.add(topic, saved.feed(Box::new(partition), reader, 0, board));
        } else {
            topics.push((topic, reader.clone()));
        }
    }
    let feeding = match cluster.filter(|_| !topics.is_empty()) {
        None => {
            board.open();
            None
        }
        Some(cluster) => {
            let max_ahead_ms = i64::try_from(config.max_ahead.as_millis()).unwrap_or(i64::MAX);
            let (board, feeds) = (board.clone(), feeds.clone());
            Some(Feeding::start(FromKafka { cluster, topics, board, feeds, saved, bounded, max_ahead_ms })?)
        }
    };
    Ok(Inputs { feeding })
}

/// Whether Kafka has a topic of the plan.
pub fn uses_kafka(plan: &Plan, config: &Config) -> bool {
    !config.kafka.is_empty() && plan.readers().any(|reader| !is_file(reader, config))
}

/// Whether files stand for a topic.
pub fn is_file(reader: &TopicReader, config: &Config) -> bool {
    config.topics.contains_key(&reader.topic)
}

/// The cluster of a config, if it has one.
///
/// # Errors
/// If a key under `[kafka]` is wrong.
pub fn cluster(config: &Config, dataflow: &str) -> Result<Option<Arc<Cluster>>, Failure> {
    match config.kafka.is_empty() {
        true => Ok(None),
        false => Cluster::new(&config.kafka, dataflow).map(Some).map_err(failure),
    }
}

/// A fault of Kafka as why a verb was not done.
pub fn failure(fault: Fault) -> Failure {
    match fault {
        Fault::Config(_) | Fault::Denied { .. } | Fault::Refused(_) => Failure::Usage(format!("error: {fault}")),
        Fault::Away { .. } => Failure::Runtime(anyhow::Error::new(fault).context("the brokers cannot be reached")),
        Fault::Lost(_) => Failure::Runtime(anyhow::Error::new(fault).context("a topic cannot be read on")),
    }
}

/// Opens the files that a topic is bound to.
///
/// # Errors
/// If there is none, or the first cannot be opened.
pub fn file(reader: &TopicReader, config: &Config) -> Result<FilePartition, Failure> {
    let topic = &reader.topic;
    let bound = config.topics.get(topic).ok_or_else(|| {
        let expected = format!("[topics.{topic}] with file = \"…\", or [kafka] with \"bootstrap.servers\"");
        Failure::Usage(format!("error: topic {topic:?} is bound to nothing; expected {expected} in the config"))
    })?;
    let optional = reader.schema.columns.iter().filter(|column| column.nullable).map(|column| column.name.clone());
    let opened = bound
        .binding()
        .paths(&config.base)
        .and_then(|paths| FilePartition::open(paths, reader.schema.clone(), bound.nulls.clone(), optional.collect()));
    opened.map_err(|error| {
        let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
        Failure::Usage(format!("error: [topics.{topic}]: {error}{cause}"))
    })
}
