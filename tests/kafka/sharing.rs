//! Two sources that read one topic, each with a filter of its own: each has its own ledger and its own place in it.

use std::path::Path;

use serde_json::Value;
use tidemill::source::kafka::NewTopic;

use super::broker::{Broker, Sent, until};
use super::flights::{self, Bound, January, shipped};
use super::live::{START, clicks, start};
use super::recovery::{Blow, each_on};
use crate::common::program::Run;

/// A source that is added to the flights: late departures, with a lateness for those out of order.
const DELAYED: &str = r#"
[source.delayed]
topic = "departures"
format = "json"
key = ["flight_id"]
time = "dep_ts"
lateness = "6h"
where = "delay > 30"
columns = { flight_id = "string", carrier = "string", delay = "float", dep_ts = "timestamp" }

[features.trouble]
from = "delayed"
entity = "carrier"
aggregate = [{ of = "delay", op = ["count", "mean", "last"], windows = ["1d"] }]
"#;

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn two_sources_of_one_topic_equal_two_topics_even_if_the_run_is_interrupted() {
    let both = format!("{}{DELAYED}", shipped());
    let files = January::with(Bound::Files, &both);
    let (alone, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (january, home) in [(&January::new(Bound::Files), &alone), (&files, &shared)] {
        january.run(home.path(), 1, &["play.speed=max", "checkpoint.interval=off"]).end();
    }
    let [one, two] =
        [&alone, &shared].map(|home| serde_json::from_str::<Value>(&flights::digest(home.path())).unwrap());
    for (part, more) in [("sources", "delayed"), ("features", "trouble"), ("examples", ""), ("models", "")] {
        let mut rest = two[part].clone();
        assert_eq!(rest.as_object_mut().unwrap().remove(more).is_some(), !more.is_empty(), "{part}");
        assert_eq!(rest, one[part], "{part}: another source changes nothing");
    }
    let (all, delayed) = (&two["sources"]["departures"], &two["sources"]["delayed"]);
    assert_eq!(delayed["read"], all["read"]);
    assert_eq!(all["filtered"], 0);
    let some = |value: &Value| value.as_u64().is_some_and(|count| count > 1000);
    assert!(some(&delayed["filtered"]) && some(&delayed["applied"]), "{delayed}");
    let offsets = |home: &Path, version| {
        read(&home.join(format!("flights/registry/late/{version}/model.json")))["offsets"].clone()
    };
    for version in [1, 30] {
        assert_eq!(offsets(shared.path(), version), offsets(alone.path(), version), "version {version}");
    }

    each_on(&files, Blow::Terminate, 60..61);
    let broker = Broker::stopped();
    broker.start();
    let kafka = January::with(Bound::Kafka(broker.servers()), &both);
    kafka.load(4);
    assert_eq!(kafka.expected(), files.expected());
    each_on(&kafka, Blow::Kill, 61..62);
}

const TWO: &str = r#"
name = "two"

[source.small]
topic = "shared"
format = "json"
time = "at"
where = "amount < 10"
columns = { user = "string", amount = "float", at = "timestamp" }

[source.large]
topic = "shared"
format = "json"
time = "at"
where = "amount >= 10"
columns = { user = "string", amount = "int", at = "timestamp" }

[features.few]
from = "small"
entity = "user"
aggregate = [{ of = "amount", op = "count", windows = ["30d"] }]

[features.many]
from = "large"
entity = "user"
aggregate = [{ of = "amount", op = "count", windows = ["30d"] }]
"#;

#[test]
fn metrics_and_dead_letters_name_the_source() {
    let broker = Broker::shared();
    let settings = [];
    assert!(NewTopic { name: "shared", partitions: 1, settings: &settings }.create(&broker.cluster(&[])).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "data_dir = {:?}\nclock = \"stream\"\n[http]\nlisten = \"127.0.0.1:0\"\n[kafka]\n\"bootstrap.servers\" = {:?}\n",
        folder.path().join("var"),
        broker.servers()
    );
    let half = Sent::value(format!(r#"{{"user":"u","amount":0.5,"at":{}}}"#, START + 60_000), START + 60_000);
    broker.write("shared", 0, &[clicks(0..30), vec![half]].concat());
    let run = start(folder.path(), TWO, &config);
    run.has_read(62.0);
    let count = |run: &Run, source: &str, outcome: &str| {
        run.metric(
            "tidemill_source_records_total",
            &format!("outcome=\"{outcome}\",partition=\"0\",source=\"{source}\""),
        )
    };
    let counts =
        |run: &Run, source: &str| ["read", "filtered", "dead_letter"].map(|outcome| count(run, source, outcome));
    // Counters of one run are brought up to date one after the other.
    until("the small ones", || counts(&run, "small") == [31.0, 0.0, 0.0]);
    until("the whole numbers", || counts(&run, "large") == [31.0, 30.0, 1.0]);
    assert_eq!(run.metric("tidemill_source_records_total", "source=\"shared\""), 0.0, "a topic is no source");
    run.stop();
    broker.write("shared", 0, &clicks(61..65));
    let run = start(folder.path(), TWO, &config);
    run.has_read(70.0);
    until("going on", || run.says("resuming from checkpoint"));
    until("the small ones", || counts(&run, "small") == [35.0, 0.0, 0.0]);
    until("the whole numbers", || counts(&run, "large") == [35.0, 34.0, 1.0]);
    run.stop();
}
