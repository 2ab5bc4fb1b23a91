//! What feeds a plan: files and Kafka topics, by what the config binds each topic to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Failure;
use super::config::Config;
use super::feeding::{Feeding, Feeds, FromKafka};
use crate::flow::Plan;
use crate::flow::op::source::Feed;
use crate::source::kafka::{Cluster, Fault};
use crate::source::{Board, FilePartition, Intake, Position, TopicReader};
use crate::time::{EventTime, Offset};

pub use super::feeding::{KafkaState, KafkaStatus};

/// By topic and partition, where reading goes on, with the records that have been overtaken since.
pub type Saved = HashMap<(String, u32), (Position, BTreeMap<Offset, EventTime>)>;

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
    for (topic, reader) in readers(plan).enumerate() {
        if is_file(reader, config) || cluster.is_none() {
            let mut partition = file(reader, config)?;
            let goes_on = saved.remove(&(reader.topic.clone(), 0));
            if let Some((position, _)) = &goes_on {
                partition.skip_to(position.resume, reader)?;
            }
            let lane = board.join(&reader.topic, 0, reader.lateness_ms);
            let feed = Feed::new(Box::new(partition), Intake::new(reader.clone(), 0), lane);
            let feed = match goes_on {
                Some((position, journal)) => feed.resuming(position, journal),
                None => feed,
            };
            feeds.add(topic, feed);
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
    !config.kafka.is_empty() && readers(plan).any(|reader| !is_file(reader, config))
}

/// The readers of a plan's topics, by their position in it.
pub fn readers(plan: &Plan) -> impl Iterator<Item = &Arc<TopicReader>> {
    plan.sources.iter().chain(plan.tables.iter().map(|table| &table.reader))
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
        Fault::Config(_) | Fault::Denied { .. } | Fault::Refused(_) => Failure::Wrong(format!("error: {fault}")),
        Fault::Away { .. } => Failure::Failed(anyhow::Error::new(fault).context("the brokers cannot be reached")),
        Fault::Lost(_) => Failure::Failed(anyhow::Error::new(fault).context("a topic cannot be read on")),
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
        Failure::Wrong(format!("error: topic {topic:?} is bound to nothing; expected {expected} in the config"))
    })?;
    let optional = reader.schema.columns.iter().filter(|column| column.nullable).map(|column| column.name.clone());
    let opened = bound
        .binding()
        .paths(&config.base)
        .and_then(|paths| FilePartition::open(paths, reader.schema.clone(), bound.nulls.clone(), optional.collect()));
    opened.map_err(|error| {
        let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
        Failure::Wrong(format!("error: [topics.{topic}]: {error}{cause}"))
    })
}
