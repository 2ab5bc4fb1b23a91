//! A run that goes on whatever the brokers do: away at the start, killed, topics that grow, and its own restart.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use tempfile::TempDir;
use tidemill::source::kafka::NewTopic;

use crate::broker::{Broker, Sent, until};
use crate::flights::{self, Bound, January};

pub const DATAFLOW: &str = r#"
name = "live"

[source.clicks]
topic = "clicks"
format = "json"
key = ["user"]
time = "at"
columns = { user = "string", amount = "float?", at = "timestamp" }

[features.user]
from = "clicks"
entity = "user"
aggregate = [{ of = "amount", op = ["count", "sum"], windows = ["30d"] }]
"#;

/// 2020-01-01.
pub const START: i64 = 1_577_836_800_000;

pub fn clicks(numbers: std::ops::Range<i64>) -> Vec<Sent> {
    let click = |n: i64| {
        let at = START + n * 1000;
        Sent::value(format!(r#"{{"user":"u","amount":1,"at":{at}}}"#), at)
    };
    numbers.map(click).collect()
}

/// A started program.
pub struct Run {
    child: Child,
    address: String,
    said: Arc<Mutex<String>>,
}

impl Run {
    pub fn start(folder: &TempDir, dataflow: &str, config: &str) -> Run {
        let path = |name: &str, text: &str| -> PathBuf {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidemill"))
            .arg("run")
            .arg(path("live.toml", dataflow))
            .arg("--config")
            .arg(path("config.toml", config))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, keep) = (BufReader::new(child.stderr.take().unwrap()), said.clone());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                *keep.lock().unwrap() += &format!("{line}\n");
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").map(str::to_owned);
        let address = address.unwrap_or_else(|| panic!("{line:?}: {}", said.lock().unwrap()));
        Run { child, address, said }
    }

    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The sum of a metric's samples whose labels have this text.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let metrics = self.get("/metrics");
        let samples = metrics.lines().filter(|line| line.starts_with(name) && line.contains(label));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    pub fn has_read(&self, records: f64) {
        until(&format!("{records} records"), || {
            self.metric("tidemill_source_records_total", "outcome=\"read\"") == records
        });
    }

    pub fn says(&self, text: &str) -> bool {
        self.said.lock().unwrap().contains(text)
    }

    /// Asks it to stop; it must do so with exit code 0.
    pub fn stop(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.said.lock().unwrap());
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_run_outlives_its_brokers_finds_new_partitions_and_goes_on_where_it_stopped() {
    let broker = Broker::stopped();
    broker.start();
    let topic = NewTopic { name: "clicks", partitions: 1, settings: &[] };
    assert!(broker.cluster(&[]).create_topic(topic).unwrap());
    broker.kill();
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "data_dir = {:?}\nclock = \"stream\"\nidle_after = \"300ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [kafka]\n\"bootstrap.servers\" = {:?}\n\"topic.metadata.refresh.interval.ms\" = 1000\n",
        folder.path().join("var"),
        broker.servers()
    );
    let run = Run::start(&folder, DATAFLOW, &config);
    until("a reason", || run.get("/health/ready").contains("kafka: waiting for 127.0.0.1"));
    assert_eq!(run.metric("tidemill_source_records_total", "read"), 0.0);

    broker.start();
    broker.write("clicks", 0, &clicks(0..10));
    run.has_read(10.0);
    until("no reason", || !run.get("/health/ready").contains("kafka"));
    until("no lag", || run.metric("tidemill_source_lag_records", "clicks") == 0.0);

    broker.kill();
    until("a reason", || run.get("/health/ready").contains("kafka: waiting for"));
    broker.start();
    broker.write("clicks", 0, &clicks(10..15));
    run.has_read(15.0);

    more_partitions(&broker, "clicks", 2);
    broker.write("clicks", 1, &clicks(15..20));
    run.has_read(20.0);

    let headers = vec![("trace".to_owned(), b"7".to_vec())];
    broker.write("clicks", 0, &[Sent { headers, ..Sent::value("nonsense", START) }]);
    run.has_read(21.0);
    let letters = broker.read("tidemill.live.dead_letters", 1);
    assert_eq!(letters[0].value.as_deref(), Some("nonsense"));
    assert_eq!(run.metric("tidemill_source_records_total", "outcome=\"dead_letter\""), 1.0);

    run.stop();
    broker.write("clicks", 1, &clicks(20..23));
    let run = Run::start(&folder, DATAFLOW, &config);
    run.has_read(24.0);
    assert!(run.says("going on from checkpoint"));
    let user = run.get("/features/user/u");
    assert!(user.contains("\"amount_count_30d\":23") && user.contains("\"amount_sum_30d\":23"), "{user}");
    run.stop();
}

/// Adds partitions to a topic.
pub fn more_partitions(broker: &Broker, topic: &str, partitions: usize) {
    let mut config = rdkafka::ClientConfig::new();
    let admin: AdminClient<_> = config.set("bootstrap.servers", broker.servers()).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let wanted = NewPartitions::new(topic, partitions);
    let made = runtime.block_on(admin.create_partitions([&wanted], &AdminOptions::new())).unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

#[test]
fn a_run_whose_broker_is_killed_ends_as_if_nothing_had_been() {
    let broker = Broker::stopped();
    broker.start();
    let january = January::new(Bound::Kafka(broker.servers()));
    january.load(4);
    let expected = January::new(Bound::Files).expected().to_owned();
    let home = tempfile::tempdir().unwrap();
    let mut run = january.run(home.path(), 2, &["checkpoint.interval=100ms"]);
    run.wait_at_most(Duration::from_millis(700));
    broker.kill();
    run.wait_at_most(Duration::from_millis(1500));
    broker.start();
    run.end();
    assert!(flights::digest(home.path()) == expected);
}
