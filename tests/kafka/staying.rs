//! A run that survives its brokers: down at the start, killed, topics that grow, and its own restart.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use tidemill::source::kafka::{Consumer, NewTopic};

use crate::broker::{Broker, Sent, until};
use crate::common::program::Run;
use crate::flights::{self, Bound, January};
use crate::live::{DATAFLOW, START, clicks, journal_lines, start};

#[test]
fn a_run_survives_its_brokers_discovers_new_partitions_and_resumes() {
    let broker = Broker::stopped();
    broker.start();
    let topic = NewTopic { name: "clicks", partitions: 1, settings: &[] };
    assert!(topic.create(&broker.cluster(&[])).unwrap());
    broker.kill();
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "data_dir = {:?}\nclock = \"stream\"\nidle_after = \"300ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [kafka]\n\"bootstrap.servers\" = {:?}\n\"topic.metadata.refresh.interval.ms\" = 1000\n",
        folder.path().join("var"),
        broker.servers()
    );
    let run = start(folder.path(), DATAFLOW, &config);
    until("a reason", || run.get("/health/ready").contains("kafka: waiting for 127.0.0.1"));
    assert_eq!(run.metric("tidemill_source_records_total", "read"), 0.0);

    broker.start();
    broker.write("clicks", 0, &clicks(0..10));
    run.has_read(10.0);
    until("no reason", || !run.get("/health/ready").contains("kafka"));
    run.has_no_lag();

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
    until("it is counted", || run.metric("tidemill_source_records_total", "outcome=\"dead_letter\"") == 1.0);

    run.stop();
    broker.write("clicks", 1, &clicks(20..23));
    let run = start(folder.path(), DATAFLOW, &config);
    run.has_read(24.0);
    until("going on", || run.says("resuming from checkpoint"));
    // The records that were read are in the graph, which may not have processed all of them yet.
    until("all of them", || {
        let user = run.get("/features/user/u");
        user.contains("\"amount_count_30d\":23") && user.contains("\"amount_sum_30d\":23")
    });
    run.stop();
}

#[test]
fn a_run_continues_while_dead_letters_cannot_be_delivered_and_delivers_them_later() {
    let broker = Broker::stopped();
    broker.start();
    let topic = NewTopic { name: "clicks", partitions: 1, settings: &[] };
    assert!(topic.create(&broker.cluster(&[])).unwrap());
    let folder = tempfile::tempdir().unwrap();
    // Letters are not sent before the brokers are gone.
    let config = format!(
        "data_dir = {:?}\nclock = \"stream\"\n[http]\nlisten = \"127.0.0.1:0\"\n[checkpoint]\ninterval = \"10s\"\n\
         [kafka]\n\"bootstrap.servers\" = {:?}\n\"linger.ms\" = \"30000\"\n",
        folder.path().join("var"),
        broker.servers()
    );
    broker.write("clicks", 0, &[clicks(0..5), vec![Sent::value("nonsense", START + 5000)]].concat());
    let run = start(folder.path(), DATAFLOW, &config);
    run.has_read(6.0);
    broker.kill();
    let checkpoints = || run.metric("tidemill_checkpoint_last_timestamp_seconds", "");
    std::thread::sleep(Duration::from_secs(35));
    assert_eq!((checkpoints(), run.metric("tidemill_ready", "")), (0.0, 0.0));
    broker.start();
    until("a checkpoint, now that all it counts is there", || checkpoints() > 0.0);
    assert_eq!(broker.read("tidemill.live.dead_letters", 1)[0].value.as_deref(), Some("nonsense"));
    run.stop();
}

/// The time that a partition of a paused run has nothing to read before it is idle.
const IDLE_AFTER: Duration = Duration::from_secs(6);

/// Starts a run on a topic of two partitions, by a clock.
fn start_on_two(folder: &Path, broker: &Broker, clock: &str) -> (Run, String) {
    let topic = broker.topic(2, &[]);
    let config = format!(
        "data_dir = {:?}\nclock = {clock:?}\nidle_after = \"{}s\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [kafka]\n\"bootstrap.servers\" = {:?}\n",
        folder.join("var"),
        IDLE_AFTER.as_secs(),
        broker.servers()
    );
    let dataflow = DATAFLOW.replace("topic = \"clicks\"", &format!("topic = {topic:?}"));
    (start(folder, &dataflow, &config), topic)
}

/// Ends a run that must not have overtaken anything.
fn none_was_overtaken(run: Run, folder: &Path) {
    run.stop();
    assert_eq!(journal_lines(&folder.join("var/live/checkpoints")), Vec::<String>::new(), "none was overtaken");
}

#[test]
fn a_stalled_process_does_not_make_a_partition_idle() {
    let (broker, folder) = (Broker::shared(), tempfile::tempdir().unwrap());
    let (run, topic) = start_on_two(folder.path(), &broker, "stream");
    [0, 1].into_iter().for_each(|partition| broker.write(&topic, partition, &clicks(0..10)));
    run.has_read(20.0);
    run.hold_up();
    // The brokers tell of the first at once, and of the second when they are asked again.
    broker.write(&topic, 0, &clicks(100..110));
    broker.write(&topic, 1, &clicks(50..60));
    std::thread::sleep(IDLE_AFTER);
    run.signal("CONT");
    run.has_read(40.0);
    none_was_overtaken(run, folder.path());
}

#[test]
fn an_idle_partition_is_polled_again_after_a_stall_before_it_counts_as_idle() {
    let (broker, folder) = (Broker::shared(), tempfile::tempdir().unwrap());
    let (run, topic) = start_on_two(folder.path(), &broker, "wall");
    let click = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let click = Sent::value(format!(r#"{{"user":"u","amount":1,"at":{now}}}"#), now);
        [0, 1].into_iter().for_each(|partition| broker.write(&topic, partition, std::slice::from_ref(&click)));
    };
    click();
    let applied = || run.metric("tidemill_source_records_total", "outcome=\"applied\"");
    until("time to pass what has been read", || applied() == 2.0);
    run.hold_up();
    click();
    std::thread::sleep(IDLE_AFTER + Duration::from_secs(1));
    run.signal("CONT");
    run.has_read(4.0);
    none_was_overtaken(run, folder.path());
}

#[test]
fn a_topic_that_was_deleted_and_created_again_is_not_resumed() {
    let broker = Broker::stopped();
    broker.start();
    let make = |records: i64| {
        let topic = NewTopic { name: "clicks", partitions: 1, settings: &[] };
        until("the topic to be made", || topic.create(&broker.cluster(&[])).unwrap());
        broker.write("clicks", 0, &clicks(0..records));
    };
    make(10);
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "data_dir = {:?}\nclock = \"stream\"\n[http]\nlisten = \"127.0.0.1:0\"\n[kafka]\n\"bootstrap.servers\" = {:?}\n",
        folder.path().join("var"),
        broker.servers()
    );
    let run = start(folder.path(), DATAFLOW, &config);
    run.has_read(10.0);
    run.stop();

    delete(&broker, "clicks");
    make(30);
    let mut again = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    again.arg("run").arg(folder.path().join("live.toml")).arg("--config").arg(folder.path().join("config.toml"));
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("topic \"clicks\" was deleted and recreated") && said.contains("--fresh"), "{said}");

    let run = Run::start(again.arg("--fresh"));
    run.has_read(30.0);
    delete(&broker, "clicks");
    make(50);
    // Either the new topic is seen first, or that it lacks the offset that is read next.
    let said = run.ends(1);
    let reasons = ["was deleted and recreated", "has expired or is of another topic of this name"];
    assert!(reasons.iter().any(|reason| said.contains(reason)), "{said}");
}

fn delete(broker: &Broker, topic: &str) {
    let mut config = rdkafka::ClientConfig::new();
    let admin: AdminClient<_> = config.set("bootstrap.servers", broker.servers()).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let gone = runtime.block_on(admin.delete_topics(&[topic], &AdminOptions::new())).unwrap();
    assert!(gone.iter().all(Result::is_ok), "{gone:?}");
}

/// Adds partitions to a topic and waits until the broker knows them: it answers before that.
pub fn more_partitions(broker: &Broker, topic: &str, partitions: usize) {
    let mut config = rdkafka::ClientConfig::new();
    let admin: AdminClient<_> = config.set("bootstrap.servers", broker.servers()).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let wanted = NewPartitions::new(topic, partitions);
    let made = runtime.block_on(admin.create_partitions([&wanted], &AdminOptions::new())).unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    let consumer = Consumer::new(&broker.cluster(&[])).unwrap();
    until("the new partitions", || {
        consumer.partitions(topic).is_ok_and(|found| found.map(|n| n as usize) == Some(partitions))
    });
}

#[test]
fn a_run_whose_broker_is_killed_ends_as_one_that_was_not_interrupted() {
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
