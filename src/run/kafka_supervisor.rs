//! Supervisor of Kafka: a thread that discovers partitions, at the start and as they are added, and keeps the status.
//!
//! It waits for brokers that do not answer, for as long as it takes; a request that the brokers reject ends the job.
//! Rejected credentials end it only before anything was read: after that it waits, since they may be being changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Failure;
use super::resume::{RecordBounds, ResumePoints};
use crate::flow::op::Assignments;
use crate::source::kafka::{Cluster, Consumer, KafkaError, PartitionRange};
use crate::source::{Partitions, SourcePlan};
use crate::threads::{self, Thread};
use crate::time::{OffsetRange, PartitionId};

/// The interval between polls of the clients' events.
const POLL: Duration = Duration::from_millis(100);

/// The interval between discoveries of partitions and commits of offsets.
const DISCOVER: Duration = Duration::from_secs(5);

/// The state of the connection to Kafka.
#[derive(Debug)]
pub enum KafkaState {
    /// The brokers do not answer, or partitions are still being discovered; the reason.
    Waiting(String),
    Connected,
    /// The job must end for this reason.
    Failed(KafkaError),
}

/// The status of Kafka, shared with readiness and checkpoints.
#[derive(Debug)]
pub struct KafkaStatus {
    state: Mutex<KafkaState>,
    topic_ids: Mutex<BTreeMap<String, String>>,
    cluster: Arc<Cluster>,
}

impl KafkaStatus {
    /// Returns the cluster, for other clients of the process.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Returns the error that keeps the job from its topics; `None` if it is connected.
    pub fn error(&self) -> Option<String> {
        match &*self.state.lock().expect("no holder panics") {
            KafkaState::Connected => None,
            KafkaState::Waiting(why) => Some(format!("kafka: waiting for {}: {why}", self.cluster.servers())),
            KafkaState::Failed(error) => Some(format!("kafka: {error}")),
        }
    }

    /// Returns the failure of a job that does not wait for brokers; `None` if they have answered.
    pub fn unanswered(&self) -> Option<Failure> {
        match &*self.state.lock().expect("no holder panics") {
            KafkaState::Waiting(why) => {
                let servers = self.cluster.servers().to_owned();
                Some(Failure::of_kafka(KafkaError::Unavailable { servers, what: why.clone() }))
            }
            KafkaState::Connected | KafkaState::Failed(_) => None,
        }
    }

    /// Returns the ids of the topics that are read, or were before a restart.
    pub fn topic_ids(&self) -> BTreeMap<String, String> {
        self.topic_ids.lock().expect("no holder panics").clone()
    }

    /// Records the id of a topic.
    ///
    /// # Errors
    /// If the topic had another id before.
    fn identify(&self, topic: &str, id: String) -> Result<(), KafkaError> {
        let mut ids = self.topic_ids.lock().expect("no holder panics");
        match ids.get(topic) {
            Some(before) if *before != id => Err(KafkaError::DataLoss(format!(
                "topic {topic:?} was deleted and recreated (id {before}, now {id}); use --fresh to start over"
            ))),
            _ => {
                ids.insert(topic.to_owned(), id);
                Ok(())
            }
        }
    }

    /// Returns the reason why the job must end, if it must; the second call returns `None`.
    pub fn failed(&self) -> Option<Failure> {
        let mut state = self.state.lock().expect("no holder panics");
        if !matches!(*state, KafkaState::Failed(_)) {
            return None;
        }
        match std::mem::replace(&mut *state, KafkaState::Waiting("failed".to_owned())) {
            KafkaState::Failed(error) => Some(Failure::of_kafka(error)),
            KafkaState::Waiting(_) | KafkaState::Connected => None,
        }
    }

    fn set(&self, state: KafkaState) {
        *self.state.lock().expect("no holder panics") = state;
    }
}

/// The topics to be read from Kafka, and where their partitions go.
pub struct KafkaInputs {
    pub cluster: Arc<Cluster>,
    /// The topics, with their positions in the plan.
    pub topics: Vec<(usize, Arc<SourcePlan>)>,
    pub partitions: Arc<Partitions>,
    pub assignments: Arc<Assignments>,
    pub resume: ResumePoints,
    /// True if topics are read only up to their current ends.
    pub bounded: bool,
    /// The bounds on the records of all topics.
    pub bounds: RecordBounds,
}

/// The supervisor's thread; it is stopped when this is dropped.
pub struct KafkaSupervisor {
    status: Arc<KafkaStatus>,
    stop: Option<Sender<()>>,
    thread: Option<Thread<()>>,
}

impl KafkaSupervisor {
    /// Discovers the partitions, on the thread if the brokers do not answer soon, and starts the thread.
    ///
    /// # Errors
    /// If a setting is wrong, or the brokers reject a request.
    pub fn start(inputs: KafkaInputs) -> Result<Self, Failure> {
        let status = Arc::new(KafkaStatus {
            state: Mutex::new(KafkaState::Waiting("no answer yet".to_owned())),
            topic_ids: Mutex::new(inputs.resume.topic_ids().clone()),
            cluster: inputs.cluster.clone(),
        });
        let mut discovery = Discovery::new(inputs, &status).map_err(Failure::of_kafka)?;
        match discovery.discover() {
            Ok(()) => status.set(KafkaState::Connected),
            Err(KafkaError::Unavailable { what, .. }) => {
                // The clients' own error explains more than a timeout does.
                discovery.poll_events();
                status.set(KafkaState::Waiting(status.cluster.health().last_error().unwrap_or(what)));
            }
            Err(error) => return Err(Failure::of_kafka(error)),
        }
        let (stop, stopped) = bounded(0);
        // It returns by itself after an error that ends the job.
        let thread = threads::spawn_finite("kafka", move || discovery.run(&stopped))?;
        Ok(KafkaSupervisor { status, stop: Some(stop), thread: Some(thread) })
    }

    pub fn status(&self) -> &Arc<KafkaStatus> {
        &self.status
    }
}

impl Drop for KafkaSupervisor {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its errors are in the status.
            let _ = thread.join();
        }
    }
}

/// A topic and how many of its partitions have been discovered.
struct DiscoveredTopic {
    /// The topic's position in the plan.
    position: usize,
    plan: Arc<SourcePlan>,
    consumer: Arc<Consumer>,
    partitions: u32,
}

/// A partition that has been discovered but is not read yet.
struct DiscoveredPartition {
    /// Position in [`Discovery::topics`].
    topic: usize,
    partition: u32,
    range: PartitionRange,
}

/// The state of the supervisor's thread.
struct Discovery {
    inputs: KafkaInputs,
    status: Arc<KafkaStatus>,
    topics: Vec<DiscoveredTopic>,
    waiting: Vec<DiscoveredPartition>,
    /// True if all partitions of the start have been discovered.
    complete: bool,
}

impl Discovery {
    fn new(inputs: KafkaInputs, status: &Arc<KafkaStatus>) -> Result<Self, KafkaError> {
        let mut topics: Vec<DiscoveredTopic> = Vec::new();
        let mut consumers: Vec<Arc<Consumer>> = Vec::new();
        for (position, plan) in &inputs.topics {
            // A second reader of a topic needs its own client: a client has one queue per partition.
            let times = topics.iter().filter(|topic| topic.plan.topic == plan.topic).count();
            if times == consumers.len() {
                consumers.push(Arc::new(Consumer::new(&inputs.cluster)?));
            }
            let consumer = consumers[times].clone();
            topics.push(DiscoveredTopic { position: *position, plan: plan.clone(), consumer, partitions: 0 });
        }
        Ok(Discovery { inputs, status: status.clone(), topics, waiting: Vec::new(), complete: false })
    }

    /// Discovers partitions and assigns them to workers. What has been discovered before an error is kept.
    fn discover(&mut self) -> Result<(), KafkaError> {
        for index in 0..self.topics.len() {
            self.discover_topic(index)?;
        }
        while let Some(DiscoveredPartition { topic, partition, range }) = self.waiting.first() {
            let topic = &self.topics[*topic];
            let transport = topic.consumer.open(&topic.plan, *partition, *range)?;
            let KafkaInputs { resume, partitions, bounds, assignments, .. } = &mut self.inputs;
            let assigned = resume.assign(transport, &topic.plan, *partition, *bounds, partitions);
            assignments.add(topic.position, assigned);
            self.waiting.remove(0);
        }
        if !self.complete {
            self.complete = true;
            self.inputs.partitions.complete_discovery();
        }
        Ok(())
    }

    /// Discovers the partitions of a topic that are new, with where each is read from.
    fn discover_topic(&mut self, index: usize) -> Result<(), KafkaError> {
        let DiscoveredTopic { plan, consumer, partitions: known, .. } = &self.topics[index];
        let (plan, consumer, known) = (plan.clone(), consumer.clone(), *known);
        let name = &plan.topic;
        let count = match consumer.partitions(name)? {
            Some(count) => count,
            // A topic that was just created may not be known to every broker yet.
            None => {
                std::thread::sleep(POLL);
                consumer.partitions_of(name)?
            }
        };
        match consumer.topic_id(name) {
            Ok(id) => id.map_or(Ok(()), |id| self.status.identify(name, id))?,
            // An ACL may allow READ without DESCRIBE, and old brokers have no topic ids.
            Err(KafkaError::Rejected(what)) => tracing::debug!(what, "the id of a topic is not known"),
            Err(error) => return Err(error),
        }
        if let Some(number) = self.inputs.resume.missing_partition(&plan.source, count) {
            return Err(KafkaError::DataLoss(format!(
                "topic {name:?}, partition {number}: is gone; there are {count}"
            )));
        }
        for partition in known..count {
            let available = consumer.bounds(name, partition)?;
            let start = self.start_of(&plan, &consumer, partition, available)?;
            let OffsetRange { start: low, end: high } = available;
            tracing::info!(source = plan.source, partition, start, low, high, "a partition is read");
            let range = PartitionRange { available, start, end: self.inputs.bounded.then_some(high) };
            self.waiting.push(DiscoveredPartition { topic: index, partition, range });
            self.topics[index].partitions = partition + 1;
        }
        Ok(())
    }

    /// Returns the offset from which a partition is read.
    fn start_of(
        &self,
        plan: &SourcePlan,
        consumer: &Consumer,
        partition: u32,
        available: OffsetRange,
    ) -> Result<u64, KafkaError> {
        let KafkaInputs { resume, bounds, .. } = &self.inputs;
        let id = PartitionId { source: plan.source.clone(), partition };
        if let Some(position) = resume.position(&id) {
            return Ok(position.resume);
        }
        let Some(since) = resume.since(plan) else { return Ok(available.start) };
        // No event time is ahead of its message's time by more than `max_ahead_ms`, or it is a dead letter. So an event
        // of `since` or later is in a message of that less `max_ahead_ms` or later, and every message before the first
        // of those, whatever the order of their times, has an earlier event. A late record that takes effect at `since`
        // or later has such an event before it, so it lies behind there, too; one that was overtaken may not.
        let time = since.saturating_sub(bounds.max_ahead_ms);
        let first_overtaken = resume.first_overtaken(&id, since).unwrap_or(available.end);
        let first = consumer.offset_at(&plan.topic, partition, time)?.min(first_overtaken);
        Ok(first.clamp(available.start, available.end))
    }

    /// Polls events, discovers partitions and commits offsets until stopped.
    fn run(mut self, stopped: &Receiver<()>) {
        let status = self.status.clone();
        let health = self.inputs.cluster.health().clone();
        let mut discovered = Instant::now();
        loop {
            let stop = stopped.recv_timeout(POLL).is_err_and(|error| error.is_disconnected());
            self.poll_events();
            let good = health.is_good();
            if (stop || discovered.elapsed() >= DISCOVER) && !self.inputs.bounded {
                self.commit();
            }
            if stop {
                return;
            }

            // Discover, until complete and then from time to time.
            let due = !self.complete || discovered.elapsed() >= DISCOVER && !self.inputs.bounded;
            if due && good {
                discovered = Instant::now();
                match self.discover().and_then(|()| self.refresh_end_offsets()) {
                    Ok(()) => {}
                    // Brokers that come back may not know a topic yet that is being read.
                    Err(KafkaError::Rejected(what)) if self.complete => health.record_error(&what),
                    Err(KafkaError::Unavailable { what, .. }) => health.record_error(&what),
                    Err(KafkaError::Unauthorized { .. }) if self.complete => {}
                    Err(error) => return status.set(KafkaState::Failed(error)),
                }
            }

            // Report the state.
            if let Some(error) = self.inputs.cluster.unauthorized().filter(|_| !self.complete) {
                return status.set(KafkaState::Failed(error));
            }
            match health.last_error() {
                Some(what) => status.set(KafkaState::Waiting(what)),
                None if self.complete => status.set(KafkaState::Connected),
                None => {}
            }
        }
    }

    /// Polls the clients' events; stops at the first that still reports an error.
    fn poll_events(&self) {
        let _ = self.topics.iter().all(|topic| topic.consumer.poll_events(&topic.plan.topic));
    }

    /// Returns each client once.
    fn consumers(&self) -> impl Iterator<Item = &Arc<Consumer>> {
        let first = |index: usize| {
            let consumer = &self.topics[index].consumer;
            let known = self.topics[..index].iter().any(|topic| Arc::ptr_eq(&topic.consumer, consumer));
            (!known).then_some(consumer)
        };
        (0..self.topics.len()).filter_map(first)
    }

    fn refresh_end_offsets(&self) -> Result<(), KafkaError> {
        self.consumers().try_for_each(|consumer| consumer.refresh_end_offsets())
    }

    fn commit(&self) {
        self.consumers().for_each(|consumer| consumer.commit());
    }
}
