//! Partitions to be read once more: those of the files and Kafka topics that a config binds, or of records in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};

use super::error::ExplainError;
use crate::run::config::Config;
use crate::run::resume::RecordBounds;
use crate::run::{Failure, inputs};
use crate::serve::explainer::ExplanationLimits;
use crate::source::kafka::{Cluster, Consumer, KafkaError, PartitionRange};
use crate::source::{Ingest, IngestedBatch, InputStatus, Partition, SourcePlan};
use crate::time::EventTime;

/// Records taken from a partition in one read.
const READ: usize = 8192;

/// The longest time that brokers may take to deliver the next records.
const PATIENCE: Duration = Duration::from_secs(30);

/// The time between two reads of a partition that has nothing to read now.
const PAUSE: Duration = Duration::from_millis(5);

/// The topics of a plan.
pub trait Topics {
    /// Opens the partitions of a topic, up to their present ends. `since` is a time before which no record is needed.
    ///
    /// # Errors
    /// If one cannot be opened.
    fn open(&self, reader: &Arc<SourcePlan>, since: Option<EventTime>) -> Result<Vec<ReopenedPartition>, Failure>;
}

/// A partition to be read to its end.
pub struct ReopenedPartition {
    pub number: u32,
    transport: Box<dyn Partition>,
    ingest: Ingest,
    /// The client whose events are to be polled, if the partition is one of Kafka.
    consumer: Option<Arc<Consumer>>,
}

impl ReopenedPartition {
    /// A partition whose records need no bounds.
    pub fn new(number: u32, transport: Box<dyn Partition>, reader: &Arc<SourcePlan>) -> Self {
        ReopenedPartition { number, transport, ingest: Ingest::new(reader.clone(), number), consumer: None }
    }

    fn bounded(mut self, bounds: RecordBounds, since: Option<EventTime>) -> Self {
        bounds.apply(&mut self.ingest);
        self.ingest.begin_at(since.unwrap_or(EventTime::MIN));
        self
    }
}

/// Reads a partition of a topic to its end, in the order of offsets. `each` keeps what it needs and returns the number of
/// records kept so far.
///
/// # Errors
/// If it cannot be read, brokers deliver nothing for a long time, or a limit is reached.
pub fn read(
    partition: ReopenedPartition,
    topic: &str,
    limits: &ExplanationLimits,
    mut each: impl FnMut(IngestedBatch) -> usize,
) -> Result<(), ExplainError> {
    let ReopenedPartition { number, mut transport, mut ingest, consumer } = partition;
    let (mut progressed, mut kept) = (Instant::now(), 0);
    loop {
        let status = transport.read(READ, &mut ingest).with_context(|| format!("topic {topic:?}, partition {number}"));
        let status = status.map_err(Failure::Runtime)?;
        if status == InputStatus::EndOfInput {
            ingest.end_input();
        }
        let is_idle = ingest.is_empty();
        if !is_idle {
            progressed = Instant::now();
            kept = each(ingest.take_unsorted());
        }
        limits.check(kept)?;
        if status == InputStatus::EndOfInput {
            return Ok(());
        }
        if let Some(consumer) = consumer.as_ref().filter(|_| is_idle) {
            consumer.poll_events(topic);
            if progressed.elapsed() > PATIENCE {
                let why = consumer.cluster().health().last_error().unwrap_or_default();
                let seconds = PATIENCE.as_secs();
                let what = anyhow!("topic {topic:?}, partition {number}: no records for {seconds} s: {why}");
                return Err(Failure::Runtime(what).into());
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// The topics as a config binds them.
pub struct BoundTopics<'a> {
    config: &'a Config,
    cluster: Option<Arc<Cluster>>,
}

impl<'a> BoundTopics<'a> {
    /// # Errors
    /// If a setting of Kafka is wrong.
    pub fn new(config: &'a Config, dataflow: &str) -> Result<Self, Failure> {
        Ok(BoundTopics { config, cluster: inputs::cluster(config, dataflow)? })
    }

    /// Opens the partitions of a topic of Kafka, each from the first message that can matter.
    fn open_kafka(
        &self,
        cluster: &Arc<Cluster>,
        reader: &Arc<SourcePlan>,
        since: Option<EventTime>,
    ) -> Result<Vec<ReopenedPartition>, KafkaError> {
        let consumer = Arc::new(Consumer::new(cluster)?);
        let bounds = inputs::message_bounds(self.config);
        let topic = &reader.topic;
        let open = |number: u32| {
            let available = consumer.bounds(topic, number)?;
            let start = match since {
                None => available.start,
                // No event time is ahead of its message's time by more than this, or it is a dead letter.
                Some(since) => {
                    let first = consumer.offset_at(topic, number, since.saturating_sub(bounds.max_ahead_ms))?;
                    first.clamp(available.start, available.end)
                }
            };
            let range = PartitionRange { available, start, end: Some(available.end) };
            let transport = consumer.open(reader, number, range)?;
            let opened = ReopenedPartition::new(number, transport, reader).bounded(bounds, since);
            Ok(ReopenedPartition { consumer: Some(consumer.clone()), ..opened })
        };
        (0..consumer.partitions_of(topic)?).map(open).collect()
    }
}

impl Topics for BoundTopics<'_> {
    fn open(&self, reader: &Arc<SourcePlan>, since: Option<EventTime>) -> Result<Vec<ReopenedPartition>, Failure> {
        match self.cluster.as_ref().filter(|_| !inputs::is_file(reader, self.config)) {
            Some(cluster) => self.open_kafka(cluster, reader, since).map_err(Failure::of_kafka),
            None => {
                let transport = Box::new(inputs::file(reader, self.config)?);
                let bounds = inputs::file_bounds(reader, self.config);
                Ok(vec![ReopenedPartition::new(0, transport, reader).bounded(bounds, since)])
            }
        }
    }
}
