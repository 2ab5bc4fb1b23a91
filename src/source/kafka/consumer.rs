//! One reader of many partitions.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{Client, signed};
use super::cluster::is_passing;
use super::partition::{KafkaPartition, ReadPosition};
use super::queue::Queue;
use super::topic_id::topic_id;
use super::{Cluster, KafkaError};
use crate::source::message::{MessageFormat, WithFormat};
use crate::source::{Partition, SourcePlan};
use crate::time::{EventTime, OffsetRange};

/// The longest time that the brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
const BRIEFLY: Duration = Duration::from_secs(1);

/// A client that reads partitions, each through a queue of its own.
pub struct Consumer {
    client: Arc<Client>,
    positions: Mutex<Vec<Arc<ReadPosition>>>,
}

/// The part of a partition to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionRange {
    /// The offsets that the partition holds.
    pub available: OffsetRange,
    pub start: u64,
    /// The offset to stop at; `None` to read on as records are produced.
    pub end: Option<u64>,
}

impl Consumer {
    /// Creates a reader of a cluster. It connects in the background.
    ///
    /// # Errors
    /// If librdkafka rejects the settings.
    pub fn new(cluster: &Arc<Cluster>) -> Result<Self, KafkaError> {
        Ok(Consumer { client: Client::new(cluster)?, positions: Mutex::default() })
    }

    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.client.cluster
    }

    /// Returns how many partitions a topic has; `None` if the brokers know no such topic.
    ///
    /// # Errors
    /// If the brokers do not answer, or reject the request.
    pub fn partitions(&self, topic: &str) -> Result<Option<u32>, KafkaError> {
        match self.fetch_partitions(topic, BRIEFLY) {
            // Brokers that reject the credentials do so at once: only silence is worth a longer wait.
            Err(KafkaError::Unavailable { .. }) => self.fetch_partitions(topic, PATIENCE),
            answered => answered,
        }
    }

    fn fetch_partitions(&self, topic: &str, patience: Duration) -> Result<Option<u32>, KafkaError> {
        let metadata = self.client.base.fetch_metadata(Some(topic), patience).map_err(|error| {
            // An error of the connection explains more than the timeout does.
            self.poll_client();
            self.cluster().error(error)
        })?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
        let unavailable = |what| KafkaError::Unavailable { servers: self.cluster().servers().to_owned(), what };
        match found.error().map(RDKafkaErrorCode::from) {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => return Ok(None),
            Some(code) if is_passing(code) => return Err(unavailable(format!("topic {topic:?}: {code}"))),
            Some(code) => return Err(KafkaError::Rejected(format!("topic {topic:?}: {code}"))),
            None => {}
        }
        if let Some(lost) = found.partitions().iter().find(|partition| partition.leader() < 0) {
            return Err(unavailable(format!("topic {topic:?}, partition {}: has no leader", lost.id())));
        }
        self.cluster().health().answered();
        Ok(Some(u32::try_from(found.partitions().len()).unwrap_or(u32::MAX)))
    }

    /// Returns how many partitions a topic has that must exist.
    ///
    /// # Errors
    /// If there is no such topic, and as [`Consumer::partitions`].
    pub fn partitions_of(&self, topic: &str) -> Result<u32, KafkaError> {
        self.partitions(topic)?.ok_or_else(|| {
            let servers = self.cluster().servers();
            KafkaError::Rejected(format!("topic {topic:?} does not exist on bootstrap.servers = {servers:?}"))
        })
    }

    /// Returns the id of a topic, in Base64 as Kafka's own tools show it; `None` if the brokers give topics no ids.
    ///
    /// # Errors
    /// If the brokers do not answer, or reject the request.
    pub fn topic_id(&self, topic: &str) -> Result<Option<String>, KafkaError> {
        topic_id(&self.client, topic)
    }

    /// Returns the offsets that a partition holds.
    ///
    /// # Errors
    /// If the brokers do not answer, or reject the request.
    pub fn bounds(&self, topic: &str, partition: u32) -> Result<OffsetRange, KafkaError> {
        let found = self.client.base.fetch_watermarks(topic, signed(partition), PATIENCE);
        let (start, end) = found.map_err(|error| self.cluster().error(error))?;
        Ok(OffsetRange { start: u64::try_from(start).unwrap_or(0), end: u64::try_from(end).unwrap_or(0) })
    }

    /// Returns the first offset whose message has this time or a later one; the end of the partition if there is none.
    ///
    /// # Errors
    /// If the brokers do not answer, or reject the request.
    pub fn offset_at(&self, topic: &str, partition: u32, time: EventTime) -> Result<u64, KafkaError> {
        let failed = |error: ClientError| self.cluster().error(error);
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(topic, signed(partition), Offset::Offset(time.max(0))).map_err(failed)?;
        let found = self.client.base.offsets_for_times(asked, PATIENCE).map_err(failed)?;
        let found = found.find_partition(topic, signed(partition));
        if let Some(error) = found.as_ref().and_then(|found| found.error().err()) {
            return Err(failed(error));
        }
        match found.map(|found| found.offset()) {
            Some(Offset::Offset(offset)) => Ok(u64::try_from(offset).unwrap_or(0)),
            _ => Ok(self.bounds(topic, partition)?.end),
        }
    }

    /// Starts to read a partition. Sends no request of its own: brokers answer in order, so a request would wait for
    /// fetches of partitions that have nothing to read.
    ///
    /// # Errors
    /// If the start is not one of the offsets that the partition holds, or the topic has a format that only files have.
    pub fn open(
        &self,
        plan: &SourcePlan,
        partition: u32,
        range: PartitionRange,
    ) -> Result<Box<dyn Partition>, KafkaError> {
        let topic = &plan.topic;
        let place = format!("topic {topic:?}, partition {partition}");
        let PartitionRange { available, start, end } = range;
        if start < available.start {
            let oldest = available.start;
            return Err(KafkaError::DataLoss(format!(
                "{place}: offset {start}, where reading goes on, has expired: the oldest is {oldest}"
            )));
        }
        if start > available.end {
            let end = available.end;
            return Err(KafkaError::DataLoss(format!(
                "{place}: offset {start}, where reading goes on, is not there: the end is {end}; is it another topic of this name?"
            )));
        }
        let format = plan.format.ok_or_else(|| {
            KafkaError::Rejected(format!("{place}: cannot be read: its format is one of files, not of messages"))
        })?;

        // The queue must be split off before the partition is assigned, or messages would go to the common one.
        let position = Arc::new(ReadPosition::new(topic, partition, start, available.end));
        let queue = Queue::split(&self.client, topic, signed(partition));
        let queue = queue.ok_or_else(|| KafkaError::Rejected(format!("{place}: cannot be read")))?;
        let mut added = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(start).unwrap_or(i64::MAX));
        let assigned = added.add_partition_offset(topic, signed(partition), offset);
        let assigned = assigned.and_then(|()| self.client.base.incremental_assign(&added));
        assigned.map_err(|error| KafkaError::Rejected(format!("{place}: {error}")))?;
        self.positions.lock().expect("no holder panics").push(position.clone());
        Ok(format.with(OpenPartition { queue, position, plan, end }))
    }

    /// Polls the client's events and, if its last error is not over, asks the brokers about a topic. Returns whether
    /// there is no error. To be called often, by one thread; takes a second at most.
    pub fn poll_events(&self, topic: &str) -> bool {
        self.poll_client();
        let health = self.cluster().health();
        if health.is_good() {
            return true;
        }
        match self.fetch_partitions(topic, BRIEFLY) {
            Ok(Some(_)) => {}
            Ok(None) => health.record_error(&format!("topic {topic:?} does not exist any more")),
            Err(error) => tracing::debug!("kafka: {error}"),
        }
        health.is_good()
    }

    /// Polls the client, which delivers its events to [`super::Health`].
    fn poll_client(&self) {
        // Without any timeout it would stop at the first line of the client's log.
        while let Some(event) = self.client.base.poll(Duration::from_millis(1)) {
            if let Err(error) = event {
                tracing::debug!("kafka: {error}");
            }
        }
    }

    /// Refreshes the end offsets of the partitions. What was fetched tells only of when that was, and nothing is fetched
    /// of a partition that has been read far enough ahead.
    ///
    /// # Errors
    /// If the brokers do not answer, or reject the request.
    pub fn refresh_end_offsets(&self) -> Result<(), KafkaError> {
        let positions = self.positions.lock().expect("no holder panics").clone();
        // The request would wait for the fetch under way, which takes long for a partition that is caught up.
        for position in positions.iter().filter(|position| !position.caught_up.load(SeqCst)) {
            position.end.store(self.bounds(&position.topic, position.partition)?.end, SeqCst);
        }
        Ok(())
    }

    /// Commits how far the partitions have been read, for lag tools. Does not wait; a failure is only logged.
    pub fn commit(&self) {
        let mut offsets = TopicPartitionList::new();
        for position in self.positions.lock().expect("no holder panics").iter() {
            let next = Offset::Offset(i64::try_from(position.next.load(SeqCst)).unwrap_or(i64::MAX));
            if let Err(error) = offsets.add_partition_offset(&position.topic, signed(position.partition), next) {
                tracing::debug!("kafka: {error}");
            }
        }
        if offsets.count() > 0
            && let Err(error) = self.client.base.commit(&offsets, CommitMode::Async)
        {
            tracing::info!("kafka: offsets were not committed: {error}");
        }
    }
}

/// Opens a partition with the decoder of its topic's format.
struct OpenPartition<'a> {
    queue: Queue,
    position: Arc<ReadPosition>,
    plan: &'a SourcePlan,
    end: Option<u64>,
}

impl WithFormat for OpenPartition<'_> {
    type Output = Box<dyn Partition>;
    fn run<F: MessageFormat>(self) -> Self::Output {
        Box::new(KafkaPartition::<F>::new(self.queue, self.position, self.plan, self.end))
    }
}
