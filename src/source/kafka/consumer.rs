//! One reader of many partitions.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::bindings::rd_kafka_t;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::cluster::is_passing;
use super::health::Listener;
use super::queue::Queue;
use super::{Cluster, Fault, KafkaPartition};
use crate::source::TopicReader;
use crate::time::EventTime;

/// How long the brokers may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
const BRIEFLY: Duration = Duration::from_secs(1);

/// How far a partition has been read, as others may know it.
#[derive(Debug)]
pub(super) struct Place {
    pub topic: String,
    pub partition: u32,
    /// The next offset to be read.
    pub next: AtomicU64,
    /// Where the partition ends, as last asked.
    pub end: AtomicU64,
    /// Whether the broker has said that there is nothing at `next`.
    pub caught_up: AtomicBool,
}

/// A client that reads partitions, each through a queue of its own.
pub struct Consumer {
    base: BaseConsumer<Listener>,
    cluster: Arc<Cluster>,
    places: Mutex<Vec<Arc<Place>>>,
}

impl Consumer {
    /// A reader of a cluster. Connects in the background.
    ///
    /// # Errors
    /// If librdkafka cannot work by these settings.
    pub fn new(cluster: &Arc<Cluster>) -> Result<Arc<Self>, Fault> {
        let base = cluster.reader().create_with_context(Listener(cluster.health().clone()));
        let base = base.map_err(|error| cluster.fault(error))?;
        Ok(Arc::new(Consumer { base, cluster: cluster.clone(), places: Mutex::default() }))
    }

    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    pub(super) fn native(&self) -> *mut rd_kafka_t {
        self.base.client().native_ptr()
    }

    /// How many partitions a topic has; none if the brokers know no such topic.
    ///
    /// # Errors
    /// If the brokers do not answer, or refuse.
    pub fn partitions(&self, topic: &str) -> Result<Option<u32>, Fault> {
        match self.ask(topic, BRIEFLY) {
            // Brokers that let nobody in say so at once.
            Err(Fault::Away { .. }) => self.ask(topic, PATIENCE),
            answered => answered,
        }
    }

    fn ask(&self, topic: &str, patience: Duration) -> Result<Option<u32>, Fault> {
        let metadata = self.base.fetch_metadata(Some(topic), patience).map_err(|error| {
            self.poll();
            self.cluster.fault(error)
        })?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
        let away = |what| Fault::Away { servers: self.cluster.servers().to_owned(), what };
        match found.error().map(RDKafkaErrorCode::from) {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => return Ok(None),
            Some(code) if is_passing(code) => return Err(away(format!("topic {topic:?}: {code}"))),
            Some(code) => return Err(Fault::Refused(format!("topic {topic:?}: {code}"))),
            None => {}
        }
        if let Some(lost) = found.partitions().iter().find(|partition| partition.leader() < 0) {
            return Err(away(format!("topic {topic:?}, partition {}: has no leader", lost.id())));
        }
        self.cluster.health().answered();
        Ok(Some(u32::try_from(found.partitions().len()).unwrap_or(u32::MAX)))
    }

    /// The same of a topic that must be there.
    ///
    /// # Errors
    /// As above, and if there is no such topic.
    pub fn partitions_of(&self, topic: &str) -> Result<u32, Fault> {
        self.partitions(topic)?.ok_or_else(|| {
            let servers = self.cluster.servers();
            Fault::Refused(format!("topic {topic:?} does not exist on bootstrap.servers = {servers:?}"))
        })
    }

    /// The first offset that is there and the one after the last.
    ///
    /// # Errors
    /// If the brokers do not answer, or refuse.
    pub fn bounds(&self, topic: &str, partition: u32) -> Result<(u64, u64), Fault> {
        let found = self.base.fetch_watermarks(topic, signed(partition), PATIENCE);
        let (low, high) = found.map_err(|error| self.cluster.fault(error))?;
        Ok((u64::try_from(low).unwrap_or(0), u64::try_from(high).unwrap_or(0)))
    }

    /// The first offset whose message has this time or a later one; the end of the partition if there is none.
    ///
    /// # Errors
    /// If the brokers do not answer, or refuse.
    pub fn offset_at(&self, topic: &str, partition: u32, time: EventTime) -> Result<u64, Fault> {
        let fault = |error: KafkaError| self.cluster.fault(error);
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(topic, signed(partition), Offset::Offset(time.max(0))).map_err(fault)?;
        let found = self.base.offsets_for_times(asked, PATIENCE).map_err(fault)?;
        let found = found.find_partition(topic, signed(partition));
        if let Some(error) = found.as_ref().and_then(|found| found.error().err()) {
            return Err(fault(error));
        }
        match found.map(|found| found.offset()) {
            Some(Offset::Offset(offset)) => Ok(u64::try_from(offset).unwrap_or(0)),
            _ => Ok(self.bounds(topic, partition)?.1),
        }
    }

    /// Starts to read a partition at an offset, up to `end` if there is one; `there` are its bounds. The brokers are
    /// asked nothing: they answer in turn, so a question waits for fetches of partitions that have nothing to read.
    ///
    /// # Errors
    /// If the offset is not there any more, or never was.
    pub fn open(
        self: &Arc<Self>,
        reader: &TopicReader,
        partition: u32,
        (low, high): (u64, u64),
        start: u64,
        end: Option<u64>,
        max_ahead_ms: i64,
    ) -> Result<KafkaPartition, Fault> {
        let topic = &reader.topic;
        let place = format!("topic {topic:?}, partition {partition}");
        if start < low {
            return Err(Fault::Lost(format!(
                "{place}: offset {start}, where reading goes on, has expired: the oldest is {low}"
            )));
        }
        if start > high {
            return Err(Fault::Lost(format!(
                "{place}: offset {start}, where reading goes on, is not there: the end is {high}; is it another topic of this name?"
            )));
        }
        let at = Arc::new(Place {
            topic: topic.clone(),
            partition,
            next: AtomicU64::new(start),
            end: AtomicU64::new(high),
            caught_up: AtomicBool::new(false),
        });
        let queue = Queue::split(self, topic, signed(partition));
        let queue = queue.ok_or_else(|| Fault::Refused(format!("{place}: cannot be read")))?;
        let mut added = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(start).unwrap_or(i64::MAX));
        let assigned = added.add_partition_offset(topic, signed(partition), offset);
        let assigned = assigned.and_then(|()| self.base.incremental_assign(&added));
        assigned.map_err(|error| Fault::Refused(format!("{place}: {error}")))?;
        self.places.lock().expect("no holder panics").push(at.clone());
        Ok(KafkaPartition::new(queue, at, self.cluster.health().clone(), reader, end, max_ahead_ms))
    }

    /// Hears the client out and, if there is trouble, asks the brokers whether it is over; says whether all is well. To
    /// be called often, by one thread; waits a second at most.
    pub fn attend(&self, topic: &str) -> bool {
        self.poll();
        let health = self.cluster.health();
        if health.is_good() {
            return true;
        }
        match self.ask(topic, BRIEFLY) {
            Ok(Some(_)) => {}
            Ok(None) => health.note(&format!("topic {topic:?} is gone")),
            Err(fault) => tracing::debug!("kafka: {fault}"),
        }
        health.is_good()
    }

    /// Lets the client say what it has to say, to its [`super::Health`].
    fn poll(&self) {
        // Without any patience it would stop at the first line of the client's log.
        while let Some(event) = self.base.poll(Duration::from_millis(1)) {
            if let Err(error) = event {
                tracing::debug!("kafka: {error}");
            }
        }
    }

    /// Asks where the partitions that are read end now: what was fetched tells only of when that was, and nothing is
    /// fetched of a partition that is far enough ahead.
    ///
    /// # Errors
    /// If the brokers do not answer, or refuse.
    pub fn look_ahead(&self) -> Result<(), Fault> {
        let places = self.places.lock().expect("no holder panics").clone();
        // A question would wait for what is being fetched, which of a partition that has caught up is for long.
        for place in places.iter().filter(|place| !place.caught_up.load(SeqCst)) {
            place.end.store(self.bounds(&place.topic, place.partition)?.1, SeqCst);
        }
        Ok(())
    }

    /// Commits how far the partitions have been read, for lag tools; does not wait, and a failure is only logged.
    pub fn commit(&self) {
        let mut offsets = TopicPartitionList::new();
        for place in self.places.lock().expect("no holder panics").iter() {
            let next = Offset::Offset(i64::try_from(place.next.load(SeqCst)).unwrap_or(i64::MAX));
            if let Err(error) = offsets.add_partition_offset(&place.topic, signed(place.partition), next) {
                tracing::debug!("kafka: {error}");
            }
        }
        if offsets.count() > 0
            && let Err(error) = self.base.commit(&offsets, CommitMode::Async)
        {
            tracing::info!("kafka: offsets were not committed: {error}");
        }
    }
}

/// Partitions are counted in 31 bits.
fn signed(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
