//! A run whose Redis accepts no write from beginning to end: nothing waits for it, and nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use crate::common::program::Run;
use crate::common::servers::{Server, eventually};
use crate::replay::{digest, whole_replay};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use redis::Connection;
use serde_json::Value;

/// Groups of the flights that are keyed by one column of the schedule.
const GROUPS: [(&str, &str); 3] = [("queue", "origin"), ("airline", "carrier"), ("plane", "tail")];

fn run(home: &Path, flags: &[&str], sets: &[String]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["run", "dataflows/flights.toml"]).args(flags);
    let own = ["http.listen=127.0.0.1:0", "play.speed=max", "checkpoint.interval=off", "offline.enabled=true"];
    let home = format!("data_dir={}", home.display());
    let sets = own.into_iter().chain([home.as_str()]).chain(sets.iter().map(String::as_str));
    sets.for_each(|set| _ = command.args(["--set", set]));
    Run::start(&mut command)
}

/// Returns the values of each column of the schedule.
fn values() -> BTreeMap<String, BTreeSet<String>> {
    let packed = std::fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/flights/schedule.csv.gz"));
    let mut lines = BufReader::new(flate2::read::MultiGzDecoder::new(packed.unwrap())).lines().map(Result::unwrap);
    let header = lines.next().unwrap();
    let mut values: Vec<BTreeSet<String>> = header.split(',').map(|_| BTreeSet::new()).collect();
    for line in lines {
        line.split(',').zip(&mut values).for_each(|(value, values)| _ = values.insert(value.to_owned()));
    }
    header.split(',').map(str::to_owned).zip(values).collect()
}

/// Returns every hash of the dataflow: its group and entity, and its fields.
fn hashes(redis: &mut Connection) -> Vec<(Vec<String>, BTreeMap<String, String>)> {
    let keys: Vec<String> = redis::cmd("KEYS").arg("tidemill:flights:*").query(redis).unwrap();
    let entities = keys.into_iter().filter(|key| !key.starts_with("tidemill:flights:_"));
    let hash = |key: String| {
        let fields = redis::cmd("HGETALL").arg(&key).query(redis).unwrap();
        let parts = key.split(':').skip(2).map(|part| part.replace("%3A", ":").replace("%25", "%"));
        (parts.collect(), fields)
    };
    entities.map(hash).collect()
}

/// Returns whether a field of a hash has the value that the endpoint returns.
fn is_same(field: Option<&String>, value: &Value) -> bool {
    match (field, value) {
        (None, Value::Null) => true,
        (Some(field), Value::Number(number)) => field.parse::<f64>().ok() == number.as_f64(),
        (Some(field), Value::String(text)) => field == text,
        (Some(field), Value::Bool(is)) => *field == is.to_string(),
        _ => false,
    }
}

/// Returns whether a hash has the values that the endpoint returns.
fn is_said(run: &Run, entity: &[String], fields: &BTreeMap<String, String>) -> bool {
    let path: Vec<String> = entity.iter().map(|part| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string()).collect();
    let answer = run.get(&format!("/features/{}", path.join("/")));
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let same = |features: &serde_json::Map<String, Value>| {
        features.iter().all(|(name, value)| is_same(fields.get(name), value))
    };
    let is_said = body["features"].as_object().is_some_and(same);
    if !is_said {
        println!("{entity:?}: the endpoint says {answer}, Redis {fields:?}");
    }
    is_said
}

/// Starts a Redis server that answers reads only.
fn frozen() -> (Server, Connection) {
    let server = Server::redis();
    let mut redis = server.connection();
    let _: () = redis::cmd("CLIENT").arg("PAUSE").arg(3_600_000).arg("WRITE").query(&mut redis).unwrap();
    (server, redis)
}

#[test]
fn a_run_whose_redis_is_frozen_throughout_ends_as_one_without() {
    let home = tempfile::tempdir().unwrap();
    let (server, _redis) = frozen();
    run(home.path(), &["--until-end"], &[format!("redis.url={}", server.url())]).ends(0);
    assert_eq!(digest(&home.path().join("flights/offline")), whole_replay().digest);
}

#[test]
fn a_frozen_redis_has_each_entity_pending_once_and_then_receives_the_values_of_the_endpoint() {
    let home = tempfile::tempdir().unwrap();
    let (server, mut redis) = frozen();
    let run = run(home.path(), &[], &[format!("redis.url={}", server.url())]);
    let values = values();
    let pending = |group: &str| run.metric("tidemill_redis_pending_keys", &format!("group=\"{group}\""));
    let are_bounded = || {
        for (group, column) in GROUPS {
            let (pending, entities) = (pending(group), values[column].len());
            assert!(pending <= entities as f64, "{group}: {pending} of {entities} entities are pending");
        }
    };
    eventually("the end", || {
        are_bounded();
        run.says("all files are read")
    });
    // Keys are counted once Redis has not answered in time.
    eventually("pending keys", || {
        are_bounded();
        GROUPS.iter().all(|(group, _)| pending(group) > 0.0)
    });
    assert_eq!(run.metric("tidemill_redis_written_total", ""), 0.0);
    eventually("answers", || {
        run.get("/features/airline/UA").starts_with("HTTP/1.1 200")
            && run.get("/health/ready").starts_with("HTTP/1.1 200")
    });

    let _: () = redis::cmd("CLIENT").arg("UNPAUSE").query(&mut redis).unwrap();
    // Before that, the graph may still be processing records.
    eventually("all is written, and is what the endpoint says", || {
        let hashes = hashes(&mut redis);
        run.metric("tidemill_redis_pending_keys", "") == 0.0
            && hashes.len() as f64 == run.metric("tidemill_online_entities", "")
            && hashes.iter().all(|(entity, fields)| is_said(&run, entity, fields))
    });
    assert!(
        run.metric("tidemill_redis_written_total", "") > 0.0,
        "nothing was written before, by a metric that counts"
    );
    run.stop();
}
