//! The Redis mirror against a real server: the layout, pending keys while the server is down, and never going back.

use std::collections::{BTreeMap, HashMap};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::servers::{Program, Server, eventually};
use proptest::prelude::*;
use redis::Connection;
use tidemill::aggregate::Feature;
use tidemill::metrics::Metrics;
use tidemill::store::memory::OnlineTable;
use tidemill::store::redis::{
    JobProgress, Mirror, MirrorStatus, MirroredGroup, MirroredRows, PartitionOffsets, RedisWriter, ReplicaDefinition,
    ReplicaMirror, key_text,
};
use tidemill::store::{Online, Upsert};
use tidemill::time::PartitionId;
use tidemill::value::{Scalar, Type};

/// An online store of one group `g`, keyed by a text and a number, with the features `n`, `mean` and `what`, and a
/// table `t`, keyed by a text.
pub struct Store {
    online: Arc<Online>,
    table: Arc<OnlineTable>,
    metrics: Arc<Metrics>,
    progress: Arc<Mutex<JobProgress>>,
}

impl Store {
    pub fn new() -> Self {
        let store = Store::before_anything_closed();
        store.online.advance(1_000);
        store
    }

    fn before_anything_closed() -> Self {
        let groups = [("g".to_owned(), vec![Type::String, Type::Int])];
        let online = Online::new(groups, [("t".to_owned(), vec![Type::String])]);
        let table = online.group("g").unwrap().clone();
        let store = Store { online, table, metrics: Metrics::new("d"), progress: Arc::default() };
        store.reach(0, 0);
        store
    }

    pub fn writer(&self, server: &Server) -> RedisWriter {
        self.writer_at(server.url())
    }

    fn writer_at(&self, url: String) -> RedisWriter {
        self.writer_with(url, None)
    }

    /// A writer that writes for replicas, too.
    pub fn writer_for_replicas(&self, server: &Server) -> RedisWriter {
        let table = self.online.table("t").unwrap().clone();
        let tables = vec![MirroredRows { name: "t".to_owned(), table }];
        self.writer_with(server.url(), Some(ReplicaMirror { definition: ReplicaDefinition::new("d"), tables }))
    }

    fn writer_with(&self, url: String, replicas: Option<ReplicaMirror>) -> RedisWriter {
        let progress = self.progress.clone();
        RedisWriter::start(Mirror {
            url,
            dataflow: "d".to_owned(),
            groups: vec![MirroredGroup {
                name: "g".to_owned(),
                features: ["n", "mean", "what"].map(str::to_owned).to_vec(),
                derived: None,
                table: self.table.clone(),
                ttl_ms: Some(3_600_000),
            }],
            replicas,
            online: self.online.clone(),
            metrics: self.metrics.clone(),
            progress: Box::new(move || progress.lock().unwrap().clone()),
        })
        .expect("the writer starts")
    }

    /// Sets the progress of the only partition.
    fn reach(&self, next: u64, served: u64) {
        let id = PartitionId { source: "topic".to_owned(), partition: 3 };
        let partitions = [(id, PartitionOffsets { next, served })].into();
        *self.progress.lock().unwrap() = JobProgress { complete: true, partitions, newest: 2_000 };
    }

    pub fn set(&self, user: &str, n: i64) {
        self.put(user, 7, [Scalar::Int(n), Scalar::Float(n as f64 / 2.0), Scalar::Null]);
    }

    fn put(&self, user: &str, item: i64, vector: [Scalar; 3]) {
        let key = self.table.codec().encode_one(&[Scalar::String(user.into()), Scalar::Int(item)]);
        self.table.apply(Upsert { key, vector: Some(vector.into_iter().map(Feature::Value).collect()) });
    }

    /// Writes the row of a key, or deletes it.
    pub fn set_row(&self, key: &str, value: Option<i64>) {
        let table = self.online.table("t").unwrap();
        let text = Scalar::String(key.into());
        let row = value.map(|value| [text.clone(), Scalar::Int(value)].map(Feature::Value).into());
        table.apply(Upsert { key: table.codec().encode_one(&[text]), vector: row });
    }

    pub fn remove(&self, user: &str) {
        let key = self.table.codec().encode_one(&[Scalar::String(user.into()), Scalar::Int(7)]);
        self.table.apply(Upsert { key, vector: None });
    }

    /// Returns the value of the metric whose line begins with this.
    pub fn metric(&self, line: &str) -> f64 {
        self.find_metric(line).unwrap_or_else(|| panic!("no {line}"))
    }

    /// The same as [`Store::metric`]; `None` while there is no such line.
    pub fn find_metric(&self, line: &str) -> Option<f64> {
        let text = String::from_utf8(self.metrics.exposition()).unwrap();
        text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
    }
}

pub fn key(user: &str) -> String {
    key_text("d", "g", &[Scalar::String(user.into()), Scalar::Int(7)])
}

fn hash(connection: &mut Connection, key: &str) -> BTreeMap<String, String> {
    redis::cmd("HGETALL").arg(key).query(connection).expect("the server answers")
}

pub fn count(connection: &mut Connection, user: &str) -> Option<i64> {
    redis::cmd("HGET").arg(key(user)).arg("n").query(connection).expect("the server answers")
}

fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn an_entity_is_a_hash_with_a_field_for_each_feature_that_is_not_null() {
    let server = Server::redis();
    let store = Store::new();
    let what = Scalar::String("50% : né".into());
    store.put("a:b%c", -3, [Scalar::Int(i64::MAX), Scalar::Float(0.1 + 0.2), what]);
    store.put("plain", 7, [Scalar::Int(0), Scalar::Null, Scalar::Null]);
    let writer = store.writer(&server);
    let mut redis = server.connection();
    let expected = fields(&[
        ("n", "9223372036854775807"),
        ("mean", "0.30000000000000004"),
        ("what", "50% : né"),
        ("_watermark", "1000"),
    ]);
    eventually("the escaped key", || hash(&mut redis, "tidemill:d:g:a%3Ab%25c:-3") == expected);
    eventually("the plain key", || {
        hash(&mut redis, "tidemill:d:g:plain:7") == fields(&[("n", "0"), ("_watermark", "1000")])
    });
    let ttl: i64 = redis::cmd("PTTL").arg(key("plain")).query(&mut redis).unwrap();
    assert!((3_500_000..=3_600_000).contains(&ttl), "{ttl}");
    assert_eq!(writer.finish(Duration::from_secs(5)), 0);
    assert_eq!(store.metric(r#"tidemill_redis_written_total{group="g"}"#), 2.0);
    assert_eq!(store.metric(r#"tidemill_redis_pending_keys{group="g"}"#), 0.0);
}

#[test]
fn a_value_that_becomes_null_and_an_entity_that_goes_leave_nothing_behind() {
    let server = Server::redis();
    let store = Store::new();
    store.set("a", 4);
    let writer = store.writer(&server);
    let mut redis = server.connection();
    eventually("a", || hash(&mut redis, &key("a")) == fields(&[("n", "4"), ("mean", "2"), ("_watermark", "1000")]));
    store.put("a", 7, [Scalar::Int(5), Scalar::Null, Scalar::Bool(true)]);
    let expected = fields(&[("n", "5"), ("what", "true"), ("_watermark", "1000")]);
    eventually("the null", || hash(&mut redis, &key("a")) == expected);
    store.remove("a");
    eventually("nothing", || hash(&mut redis, &key("a")).is_empty());
    assert_eq!(writer.status(), MirrorStatus::Writing);
    assert_eq!(store.metric("tidemill_redis_up"), 1.0);
}

#[test]
fn a_server_that_is_down_at_the_start_receives_everything_once_it_is_up() {
    let mut server = Server::redis();
    server.kill();
    let store = Store::new();
    let writer = store.writer(&server);
    for n in 0..3_000 {
        store.set(&format!("u{n}"), n);
        store.set(&format!("u{n}"), n + 1);
    }
    eventually("the reason", || matches!(writer.status(), MirrorStatus::Away(_)));
    eventually("pending keys", || store.metric(r#"tidemill_redis_pending_keys{group="g"}"#) == 3_000.0);
    assert_eq!(store.metric("tidemill_redis_up"), 0.0);
    server.start();
    let mut redis = server.connection();
    eventually("all", || redis::cmd("DBSIZE").query::<u64>(&mut redis).unwrap() == 3_001);
    assert_eq!((count(&mut redis, "u0"), count(&mut redis, "u2999")), (Some(1), Some(3_000)));
    eventually("no pending keys", || store.metric(r#"tidemill_redis_pending_keys{group="g"}"#) == 0.0);
}

#[test]
fn a_server_that_comes_back_empty_receives_everything_again() {
    let mut server = Server::redis();
    let store = Store::new();
    (0..2_500).for_each(|n| store.set(&format!("u{n}"), n));
    let writer = store.writer(&server);
    let mut redis = server.connection();
    let size = |redis: &mut Connection| redis::cmd("DBSIZE").query::<u64>(redis).unwrap_or(0);
    eventually("all", || size(&mut redis) == 2_501);
    server.kill();
    store.set("u1", 100);
    eventually("it is noticed", || matches!(writer.status(), MirrorStatus::Away(_)));
    server.start();
    let mut redis = server.connection();
    eventually("all again", || size(&mut redis) == 2_501);
    assert_eq!((count(&mut redis, "u1"), count(&mut redis, "u2")), (Some(100), Some(2)));

    let _: () = redis::cmd("FLUSHALL").query(&mut redis).unwrap();
    eventually("all once more", || size(&mut redis) == 2_501);
}

#[test]
fn a_server_that_is_emptied_while_the_job_goes_on_receives_everything_again() {
    let server = Server::redis();
    let store = Arc::new(Store::new());
    (0..2_500).for_each(|n| store.set(&format!("u{n}"), n));
    let _writer = store.writer(&server);
    let mut redis = server.connection();
    let size = |redis: &mut Connection| redis::cmd("DBSIZE").query::<u64>(redis).unwrap_or(0);
    eventually("all", || size(&mut redis) == 2_501);
    // An entity changes, and with it what has been read.
    let is_over = Arc::new(AtomicU64::new(0));
    let going_on = std::thread::spawn({
        let (store, is_over) = (store.clone(), is_over.clone());
        move || {
            let mut record = 1;
            while is_over.load(SeqCst) == 0 {
                store.reach(record, record);
                store.set("u0", record as i64);
                record += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let _: () = redis::cmd("FLUSHALL").query(&mut redis).unwrap();
    eventually("all again", || size(&mut redis) == 2_501);
    is_over.store(1, SeqCst);
    going_on.join().unwrap();
}

/// A transaction that reads all of it finds either no definition or everything that the store has.
#[test]
fn replicas_see_a_complete_state_only_while_redis_has_all_of_it() {
    let server = Server::redis();
    let store = Store::new();
    (0..5_000).for_each(|n| store.set(&format!("u{n}"), n));
    (0..100).for_each(|n| store.set_row(&format!("r{n}"), Some(n)));
    let _writer = store.writer_for_replicas(&server);
    let mut redis = server.connection();
    // Hashes and vectors of the entities, the rows, the progress and the state.
    let everything = 10_000 + 3;
    let mut is_complete = || {
        let mut asked = redis::pipe();
        asked.atomic().cmd("HMGET").arg("tidemill:d:_replica").arg(&["writer", "definition"]).cmd("DBSIZE");
        asked.cmd("HLEN").arg("tidemill:d:_rows:t");
        let (state, keys, rows): ([Option<String>; 2], u64, u64) = asked.query(&mut redis).unwrap();
        let is_told = state.iter().all(Option::is_some);
        assert!(!is_told || (keys, rows) == (everything, 100), "{state:?} with {keys} keys and {rows} rows");
        is_told
    };
    eventually("everything", &mut is_complete);
    for _ in 0..5 {
        redis::cmd("FLUSHALL").exec(&mut server.connection()).unwrap();
        assert!(!is_complete());
        eventually("everything again", &mut is_complete);
    }
}

#[test]
fn a_writer_that_starts_deletes_rows_that_its_store_does_not_have() {
    let server = Server::redis();
    let mut redis = server.connection();
    let mut rows = || -> u64 { redis::cmd("HLEN").arg("tidemill:d:_rows:t").query(&mut redis).unwrap() };
    {
        let store = Store::new();
        (0..2_500).for_each(|n| store.set_row(&format!("r{n}"), Some(n)));
        let _writer = store.writer_for_replicas(&server);
        eventually("all rows", || rows() == 2_500);
        store.set_row("r7", None);
        eventually("one less", || rows() == 2_499);
    }
    let store = Store::new();
    (0..10).for_each(|n| store.set_row(&format!("r{n}"), Some(n)));
    let _writer = store.writer_for_replicas(&server);
    eventually("its rows alone", || rows() == 10);
}

#[test]
fn a_slow_server_does_not_slow_the_job_down() {
    let server = Server::redis();
    let store = Arc::new(Store::new());
    store.set("a", 0);
    let writer = store.writer(&server);
    let mut redis = server.connection();
    eventually("a", || count(&mut redis, "a") == Some(0));
    let _: () = redis::cmd("CLIENT").arg("PAUSE").arg(3_600_000).arg("WRITE").query(&mut redis).unwrap();
    let setting = std::thread::spawn({
        let store = store.clone();
        move || (1..=100_000).for_each(|n| store.set("a", n))
    });
    eventually("all is set", || setting.is_finished());
    assert_eq!(count(&mut redis, "a"), Some(0), "the server has accepted nothing in the meantime");
    let _: () = redis::cmd("CLIENT").arg("UNPAUSE").query(&mut redis).unwrap();
    eventually("the newest", || count(&mut redis, "a") == Some(100_000));
    assert!(store.metric(r#"tidemill_redis_written_total{group="g"}"#) < 10_000.0, "an entity is pending once");
    drop(writer);
}

#[test]
fn a_writer_that_restarts_waits_until_its_job_has_caught_up() {
    let server = Server::redis();
    let mut redis = server.connection();
    {
        let store = Store::new();
        store.reach(50, 40);
        store.set("a", 50);
        let writer = store.writer(&server);
        eventually("a", || count(&mut redis, "a") == Some(50));
        assert_eq!(hash(&mut redis, "tidemill:d:_positions").get("topic:3").map(String::as_str), Some("50"));
        assert_eq!(writer.finish(Duration::from_secs(5)), 0);
    }
    let store = Store::new();
    let writer = store.writer(&server);
    for (read, shown) in [(1, 0), (30, 20), (60, 49)] {
        store.reach(read, shown);
        store.set("a", shown as i64);
        eventually("catching up", || writer.status() == MirrorStatus::CatchingUp);
        assert_eq!(count(&mut redis, "a"), Some(50));
    }
    store.set("a", 55);
    store.reach(60, 50);
    eventually("going on", || count(&mut redis, "a") == Some(55));
    eventually("writing", || writer.status() == MirrorStatus::Writing);
}

#[test]
fn an_entity_that_was_written_before_anything_closed_gets_its_watermark_later() {
    let server = Server::redis();
    let store = Store::before_anything_closed();
    store.set("a", 1);
    let writer = store.writer(&server);
    let mut redis = server.connection();
    eventually("the vector", || count(&mut redis, "a") == Some(1));
    assert_eq!(hash(&mut redis, &key("a")).get("_watermark"), None);
    store.online.advance(7_000);
    eventually("the watermark", || hash(&mut redis, &key("a")).get("_watermark").is_some_and(|time| time == "7000"));
    assert_eq!(writer.finish(Duration::from_secs(5)), 0);
}

#[test]
fn the_watermark_of_an_entity_is_not_behind_that_of_an_earlier_run() {
    let server = Server::redis();
    let mut redis = server.connection();
    let mut watermark = || hash(&mut redis, &key("a")).get("_watermark").and_then(|time| time.parse::<i64>().ok());
    {
        let store = Store::new();
        store.reach(50, 50);
        store.online.advance(5_000);
        store.set("a", 1);
        let writer = store.writer(&server);
        eventually("the watermark", || watermark() == Some(5_000));
        assert_eq!(writer.finish(Duration::from_secs(5)), 0);
    }
    // All that had been read is served again, and less is closed.
    let store = Store::new();
    store.online.advance(3_000);
    store.reach(50, 50);
    store.set("a", 2);
    let writer = store.writer(&server);
    let mut values = server.connection();
    eventually("the vector", || count(&mut values, "a") == Some(2));
    assert_eq!(watermark(), Some(5_000));
    store.online.advance(6_000);
    store.set("a", 3);
    eventually("a later watermark", || watermark() == Some(6_000));
    assert_eq!(writer.finish(Duration::from_secs(5)), 0);
}

/// A job that counts records and shows their number is killed at any moment, while a client reads all the time.
#[test]
fn a_client_never_reads_an_older_value_however_often_the_job_is_killed() {
    let server = Server::redis();
    let mut redis = server.connection();
    let read = Arc::new(AtomicU64::new(0));
    let mut newest = 0;
    for life in 1..=6 {
        let store = Store::new();
        let writer = store.writer(&server);
        let (begun, mut record) = (Instant::now(), 0);
        while begun.elapsed() < Duration::from_secs(20) {
            record += 1;
            read.store(record, SeqCst);
            // A record is counted as read before it is served.
            store.reach(record, record - 1);
            store.set("a", record as i64);
            store.reach(record, record);
            let found = count(&mut redis, "a").unwrap_or(0);
            assert!(found >= newest, "life {life}: read {found} after {newest}");
            newest = found;
            if record > 200 * life && newest > 200 * (life as i64 - 1) {
                break;
            }
        }
        drop(writer);
    }
    assert!(newest > 1_000, "it got on: {newest}");
}

/// The program is killed and restarted from its checkpoints.
#[test]
fn the_values_in_redis_never_go_back_when_a_run_is_killed() {
    let server = Server::redis();
    let mut redis = server.connection();
    let folder = tempfile::tempdir().unwrap();
    let sets = [
        format!("data_dir={}", folder.path().display()),
        format!("redis.url={}", server.url()),
        "http.listen=127.0.0.1:0".to_owned(),
        // Slow enough for a debug build on a busy machine: the watermark must not lag behind what is served.
        "play.speed=172800".to_owned(),
        "checkpoint.interval=500ms".to_owned(),
    ];
    let mut watermark = move || -> Option<i64> {
        let asked = redis::cmd("HGET").arg("tidemill:flights:airport:JFK").arg("_watermark").query(&mut redis);
        asked.expect("the server answers")
    };
    // A day of flights in each life: half a second of play, and many more of a debug build on a busy machine.
    let (mut newest, a_day) = (0, 86_400_000);
    for life in 1..=3 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["run", "dataflows/flights.toml", "--quiet"]);
        sets.iter().for_each(|set| _ = command.args(["--set", set]));
        let mut program = Program::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let mut enough = None;
        eventually("more in Redis", || {
            assert!(!program.has_ended(), "life {life}: the program ended");
            // At night the airport has no records in its windows.
            let Some(found) = watermark() else { return false };
            assert!(found >= newest, "life {life}: {found} after {newest}");
            newest = found;
            found > *enough.get_or_insert(found + a_day)
        });
    }
}

#[test]
fn an_invalid_address_is_refused_at_once() {
    let store = Store::new();
    let progress = Box::new(JobProgress::default);
    let (online, metrics) = (store.online.clone(), store.metrics.clone());
    let mirror = Mirror {
        url: "nowhere".into(),
        dataflow: "d".into(),
        groups: Vec::new(),
        replicas: None,
        online,
        metrics,
        progress,
    };
    assert!(RedisWriter::start(mirror).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_text_of_a_key_is_unique_and_reads_back(keys in proptest::collection::vec(("[a:%\u{e9} 5]{0,6}", 0i64..3), 1..8)) {
        let text = |key: &(String, i64)| key_text("d", "g", &[Scalar::String(key.0.as_str().into()), Scalar::Int(key.1)]);
        let mut seen: HashMap<String, &(String, i64)> = HashMap::new();
        for key in &keys {
            let text = text(key);
            prop_assert_eq!(text.matches(':').count(), 4);
            let part = text.split(':').nth(3).unwrap().replace("%3A", ":").replace("%25", "%");
            prop_assert_eq!(&part, &key.0);
            prop_assert_eq!(*seen.entry(text).or_insert(key), key);
        }
    }
}
