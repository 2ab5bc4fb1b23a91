//! A real Apache Kafka for tests: one broker in a folder of its own, on a free port, gone when the last test is done.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tempfile::TempDir;
use tidemill::source::kafka::{Cluster, NewTopic};

use crate::common::servers::free_ports;

/// The longest time to wait for a condition: the first start fetches the broker's jars.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The user name that a listener with credentials accepts.
pub const USER: &str = "reader";

/// A broker that can be stopped and started again.
pub struct Broker {
    folder: TempDir,
    port: u16,
    controller: u16,
    sasl: u16,
    password: Mutex<String>,
    process: Mutex<Option<Child>>,
}

impl Broker {
    /// The broker that the tests of a process share.
    pub fn shared() -> Arc<Broker> {
        static SHARED: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        shared.upgrade().unwrap_or_else(|| {
            let broker = Arc::new(Broker::stopped());
            broker.start();
            *shared = Arc::downgrade(&broker);
            broker
        })
    }

    /// A broker that has not been started.
    pub fn stopped() -> Broker {
        let [port, controller, sasl] = free_ports();
        Broker {
            folder: tempfile::tempdir().unwrap(),
            port,
            controller,
            sasl,
            password: Mutex::new("open sesame".to_owned()),
            process: Mutex::default(),
        }
    }

    /// Starts the broker and waits until it serves.
    pub fn start(&self) {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(root.join("tests/kafka/start"))
            .arg(self.folder.path())
            .args([self.port, self.controller, self.sasl].map(|port| port.to_string()))
            .args([USER, &self.password()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("tests/kafka/start can be run");
        let log = BufReader::new(child.stdout.take().unwrap());
        *self.process.lock().unwrap() = Some(child);
        let (say, ready) = mpsc::channel();
        // Reads to the end, so that the broker never waits for its log to be read.
        std::thread::spawn(move || {
            let mut last = Vec::new();
            for line in log.lines().map_while(Result::ok) {
                if line.contains("Kafka Server started") {
                    let _ = say.send(Ok(()));
                }
                last.push(line);
                last.drain(..last.len().saturating_sub(20));
            }
            let _ = say.send(Err(last.join("\n")));
        });
        match ready.recv_timeout(PATIENCE) {
            Ok(Ok(())) => {}
            Ok(Err(log)) => {
                panic!("no Kafka: tests/setup installs what it needs (Java 17, Maven). The broker said:\n{log}")
            }
            Err(_) => panic!("Kafka did not start within {PATIENCE:?}"),
        }
    }

    /// Stops the broker at once, as a crash would.
    pub fn kill(&self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn servers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The address of the listener that requires [`USER`], by SASL/PLAIN.
    pub fn guarded(&self) -> String {
        format!("127.0.0.1:{}", self.sasl)
    }

    /// The password of [`USER`].
    pub fn password(&self) -> String {
        self.password.lock().unwrap().clone()
    }

    /// Changes the password from the next start on.
    pub fn change_password(&self, password: &str) {
        *self.password.lock().unwrap() = password.to_owned();
    }

    /// The broker as a cluster, with these settings more.
    pub fn cluster(&self, settings: &[(&str, &str)]) -> Arc<Cluster> {
        let mut all = BTreeMap::from([("bootstrap.servers".to_owned(), self.servers())]);
        all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        Cluster::new(&all, "test").unwrap()
    }

    /// A new topic with a name of its own.
    pub fn topic(&self, partitions: u32, settings: &[(&str, &str)]) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("topic{}", COUNT.fetch_add(1, SeqCst));
        assert!(NewTopic { name: &name, partitions, settings }.create(&self.cluster(&[])).unwrap());
        name
    }

    /// A plain producer, by these settings.
    pub fn producer(&self, settings: &[(&str, &str)]) -> BaseProducer {
        let mut config = rdkafka::ClientConfig::new();
        config.set("bootstrap.servers", self.servers()).set("linger.ms", "0");
        settings.iter().for_each(|(key, value)| _ = config.set(*key, *value));
        config.create().unwrap()
    }

    /// Writes messages to a partition and waits until they are there.
    pub fn write(&self, topic: &str, partition: i32, messages: &[Sent]) {
        let producer = self.producer(&[]);
        messages.iter().for_each(|message| message.send(&producer, topic, partition));
        producer.flush(PATIENCE).unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A message as a test writes it.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub key: Option<String>,
    pub value: Option<String>,
    pub time: i64,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Sent {
    pub fn value(value: impl Into<String>, time: i64) -> Sent {
        Sent { value: Some(value.into()), time, ..Sent::default() }
    }

    pub fn send(&self, producer: &BaseProducer, topic: &str, partition: i32) {
        let mut record = BaseRecord::<str, str>::to(topic).partition(partition).timestamp(self.time);
        record.key = self.key.as_deref();
        record.payload = self.value.as_deref();
        if !self.headers.is_empty() {
            let headers = self
                .headers
                .iter()
                .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
            record.headers = Some(headers);
        }
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Broker {
    /// The first messages of partition 0 of a topic.
    pub fn read(&self, topic: &str, messages: usize) -> Vec<Sent> {
        let mut config = rdkafka::ClientConfig::new();
        config.set("bootstrap.servers", self.servers()).set("group.id", "tests").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut assigned = TopicPartitionList::new();
        assigned.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&assigned).unwrap();
        let mut found = Vec::new();
        until("messages", || {
            // An error passes: the topic may still be about to be made.
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let (key, value) = (message.key().map(text), message.payload().map(text));
                let time = message.timestamp().to_millis().unwrap();
                found.push(Sent { key, value, time, headers: Vec::new() });
            }
            found.len() >= messages
        });
        found
    }
}
