//! The thread that looks after Kafka: finds partitions, at the start and as they are added, and says how it stands.
//!
//! Brokers that are away are waited for, as long as it takes; what the brokers refuse ends the job. Brokers that do not
//! let it in end it before anything was read; after that they are waited for, too, as credentials may be being changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Failure;
use super::inputs::{Saved, failure};
use crate::source::kafka::{Cluster, Consumer, Fault};
use crate::source::{Board, TopicReader};

pub use crate::flow::op::Feeds;

/// How often clients are heard, and how often partitions are looked for and offsets committed.
const ATTEND: Duration = Duration::from_millis(100);
const DISCOVER: Duration = Duration::from_secs(5);

/// How it stands with Kafka.
#[derive(Debug)]
pub enum KafkaState {
    /// The brokers are away, or not yet found; why.
    Waiting(String),
    Connected,
    /// It will not be; the job is to end for this reason.
    Failed(Fault),
}

/// How it stands, for all who ask.
#[derive(Debug)]
pub struct KafkaStatus {
    state: Mutex<KafkaState>,
    ids: Mutex<BTreeMap<String, String>>,
    cluster: Arc<Cluster>,
}

impl KafkaStatus {
    /// The brokers, for other clients of the process.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// What stands between the job and its topics, if anything.
    pub fn trouble(&self) -> Option<String> {
        match &*self.state.lock().expect("no holder panics") {
            KafkaState::Connected => None,
            KafkaState::Waiting(why) => Some(format!("kafka: waiting for {}: {why}", self.cluster.servers())),
            KafkaState::Failed(fault) => Some(format!("kafka: {fault}")),
        }
    }

    /// The ids of the topics that are read, or were before a restart.
    pub fn topic_ids(&self) -> BTreeMap<String, String> {
        self.ids.lock().expect("no holder panics").clone()
    }

    /// Takes note of a topic's id.
    fn identify(&self, topic: &str, id: String) -> Result<(), Fault> {
        let mut ids = self.ids.lock().expect("no holder panics");
        match ids.get(topic) {
            Some(before) if *before != id => Err(Fault::Lost(format!(
                "topic {topic:?}: was deleted and made anew, its id was {before} and is {id}; a run with --fresh starts over"
            ))),
            _ => {
                ids.insert(topic.to_owned(), id);
                Ok(())
            }
        }
    }

    /// Why the job has to end, if it has to; said once.
    pub fn failed(&self) -> Option<Failure> {
        let mut state = self.state.lock().expect("no holder panics");
        if !matches!(*state, KafkaState::Failed(_)) {
            return None;
        }
        match std::mem::replace(&mut *state, KafkaState::Waiting("failed".to_owned())) {
            KafkaState::Failed(fault) => Some(failure(fault)),
            KafkaState::Waiting(_) | KafkaState::Connected => None,
        }
    }

    fn set(&self, state: KafkaState) {
        *self.state.lock().expect("no holder panics") = state;
    }
}

/// What is to be read from Kafka, and into what.
pub struct FromKafka {
    pub cluster: Arc<Cluster>,
    /// The topics, with their positions in the plan.
    pub topics: Vec<(usize, Arc<TopicReader>)>,
    pub board: Arc<Board>,
    pub feeds: Arc<Feeds>,
    pub saved: Saved,
    pub bounded: bool,
    pub max_ahead_ms: i64,
}

/// The thread, ended when this is dropped.
pub struct Feeding {
    status: Arc<KafkaStatus>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Feeding {
    /// Finds the partitions, on a thread if the brokers do not answer soon, and looks after them.
    ///
    /// # Errors
    /// If the settings are wrong or the brokers answer that something is.
    pub fn start(from: FromKafka) -> Result<Self, Failure> {
        let status = Arc::new(KafkaStatus {
            state: Mutex::new(KafkaState::Waiting("no answer yet".to_owned())),
            ids: Mutex::new(from.saved.topic_ids().clone()),
            cluster: from.cluster.clone(),
        });
        let mut search = Search::new(from, &status).map_err(failure)?;
        match search.go_on() {
            Ok(()) => status.set(KafkaState::Connected),
            Err(Fault::Away { what, .. }) => {
                search.attend();
                status.set(KafkaState::Waiting(from_clients(&status.cluster, what)));
            }
            Err(fault) => return Err(failure(fault)),
        }
        let (stop, stopped) = bounded(0);
        let thread = std::thread::Builder::new().name("kafka".to_owned());
        let thread = thread.spawn(move || search.look_after(&stopped))?;
        Ok(Feeding { status, stop: Some(stop), thread: Some(thread) })
    }

    pub fn status(&self) -> &Arc<KafkaStatus> {
        &self.status
    }
}

impl Drop for Feeding {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // What it had to say, it has said to the status.
            let _ = thread.join();
        }
    }
}

/// A topic and what has been found of it.
struct Topic {
    place: usize,
    reader: Arc<TopicReader>,
    consumer: Arc<Consumer>,
    partitions: u32,
}

/// A partition that has been found but is not read yet.
struct Found {
    topic: usize,
    partition: u32,
    there: (u64, u64),
    start: u64,
    end: Option<u64>,
}

struct Search {
    from: FromKafka,
    status: Arc<KafkaStatus>,
    topics: Vec<Topic>,
    waiting: Vec<Found>,
    complete: bool,
}

impl Search {
    fn new(from: FromKafka, status: &Arc<KafkaStatus>) -> Result<Self, Fault> {
        let mut topics: Vec<Topic> = Vec::new();
        let mut consumers: Vec<Arc<Consumer>> = Vec::new();
        for (place, reader) in &from.topics {
            // Who reads a topic a second time does it by a client of its own.
            let times = topics.iter().filter(|topic| topic.reader.topic == reader.topic).count();
            if times == consumers.len() {
                consumers.push(Consumer::new(&from.cluster)?);
            }
            let consumer = consumers[times].clone();
            topics.push(Topic { place: *place, reader: reader.clone(), consumer, partitions: 0 });
        }
        Ok(Search { from, status: status.clone(), topics, waiting: Vec::new(), complete: false })
    }

    /// Finds partitions that were not known and has them read. What was found stays found if it fails.
    fn go_on(&mut self) -> Result<(), Fault> {
        for index in 0..self.topics.len() {
            self.find(index)?;
        }
        while let Some(found) = self.waiting.first() {
            let topic = &self.topics[found.topic];
            let (reader, number) = (&topic.reader, found.partition);
            let ahead = self.from.max_ahead_ms;
            let partition = topic.consumer.open(reader, number, found.there, found.start, found.end, ahead)?;
            let feed = self.from.saved.feed(Box::new(partition), reader, number, &self.from.board);
            self.from.feeds.add(topic.place, feed);
            self.waiting.remove(0);
        }
        if !self.complete {
            self.complete = true;
            self.from.board.open();
        }
        Ok(())
    }

    fn find(&mut self, index: usize) -> Result<(), Fault> {
        let topic = &self.topics[index];
        let name = topic.reader.topic.clone();
        let there = match topic.consumer.partitions(&name)? {
            Some(there) => there,
            // A topic that was just made may not be known to every broker yet.
            None => {
                std::thread::sleep(ATTEND);
                topic.consumer.partitions_of(&name)?
            }
        };
        match topic.consumer.topic_id(&name) {
            Ok(id) => id.map_or(Ok(()), |id| self.status.identify(&name, id))?,
            // Who may read a topic may not be told of it, and old brokers do not know.
            Err(Fault::Refused(what)) => tracing::debug!(what, "the id of a topic is not known"),
            Err(fault) => return Err(fault),
        }
        let source = topic.reader.source.clone();
        if let Some(number) = self.from.saved.beyond(&source, there) {
            return Err(Fault::Lost(format!("topic {name:?}, partition {number}: is gone; there are {there}")));
        }
        for partition in self.topics[index].partitions..there {
            let topic = &self.topics[index];
            let (low, high) = topic.consumer.bounds(&name, partition)?;
            let saved = &self.from.saved;
            let start = match (saved.position(&source, partition), saved.since(&topic.reader)) {
                (Some(position), _) => position.resume,
                // No event time is ahead of its message's time by more than this, or it is a dead letter. So an event
                // of `since` or later is in a message of that less `max_ahead` or later, and every message before the
                // first of those, whatever the order of their times, has an earlier event. A late record that takes
                // effect at `since` or later has such an event before it, so it lies behind there, too; one that was
                // overtaken may not.
                (None, Some(since)) => {
                    let time = since.saturating_sub(self.from.max_ahead_ms);
                    let first = saved.first_overtaken(&source, partition, since).unwrap_or(high);
                    topic.consumer.offset_at(&name, partition, time)?.min(first).clamp(low, high)
                }
                (None, None) => low,
            };
            tracing::info!(source, partition, start, low, high, "a partition is read");
            let end = self.from.bounded.then_some(high);
            self.waiting.push(Found { topic: index, partition, there: (low, high), start, end });
            self.topics[index].partitions = partition + 1;
        }
        Ok(())
    }

    /// Looks after what is read until told to stop.
    fn look_after(mut self, stopped: &Receiver<()>) {
        let status = self.status.clone();
        let mut looked = Instant::now();
        loop {
            let stop = stopped.recv_timeout(ATTEND).is_err_and(|error| error.is_disconnected());
            self.attend();
            let good = self.from.cluster.health().is_good();
            if (stop || looked.elapsed() >= DISCOVER) && !self.from.bounded {
                self.commit();
            }
            if stop {
                return;
            }
            let due = !self.complete || looked.elapsed() >= DISCOVER && !self.from.bounded;
            if due && good {
                looked = Instant::now();
                match self.go_on().and_then(|()| self.look_ahead()) {
                    Ok(()) => {}
                    // A topic that is read does not end the job when brokers that come back do not know it yet.
                    Err(Fault::Refused(what)) if self.complete => self.from.cluster.health().note(&what),
                    Err(Fault::Away { what, .. }) => self.from.cluster.health().note(&what),
                    Err(Fault::Denied { .. }) if self.complete => {}
                    Err(fault) => {
                        status.set(KafkaState::Failed(fault));
                        return;
                    }
                }
            }
            if let Some(fault) = self.from.cluster.denied().filter(|_| !self.complete) {
                return status.set(KafkaState::Failed(fault));
            }
            match self.from.cluster.health().trouble() {
                Some(what) => status.set(KafkaState::Waiting(what)),
                None if self.complete => status.set(KafkaState::Connected),
                None => {}
            }
        }
    }

    /// Hears the clients out, up to the first that is in trouble still.
    fn attend(&self) {
        let _ = self.topics.iter().all(|topic| topic.consumer.attend(&topic.reader.topic));
    }

    /// Each client once.
    fn consumers(&self) -> impl Iterator<Item = &Arc<Consumer>> {
        let first = |index: usize| {
            let consumer = &self.topics[index].consumer;
            let known = self.topics[..index].iter().any(|topic| Arc::ptr_eq(&topic.consumer, consumer));
            (!known).then_some(consumer)
        };
        (0..self.topics.len()).filter_map(first)
    }

    fn look_ahead(&self) -> Result<(), Fault> {
        self.consumers().try_for_each(|consumer| consumer.look_ahead())
    }

    fn commit(&self) {
        self.consumers().for_each(|consumer| consumer.commit());
    }
}

/// What the clients say is the matter, or else this.
fn from_clients(cluster: &Cluster, what: String) -> String {
    cluster.health().trouble().unwrap_or(what)
}
