//! `tidemill features` on topics: of records that are not closed, too, and from where windows begin.

use std::process::Command;

use serde_json::Value;
use tidemill::time::{format_time, parse_time};

use crate::broker::{Broker, Sent, until};
use crate::live::{START, start};

const DATAFLOW: &str = r#"
name = "explained"
[source.clicks]
topic = "TOPIC"
format = "json"
key = ["id"]
time = "at"
lateness = "1m"
columns = { id = "string", user = "string", amount = "float", at = "timestamp" }
[features.user]
from = "clicks"
entity = "user"
aggregate = [{ of = "amount", op = ["count", "sum", "last_k(2)", "time_since_last"], windows = ["10m"] }]
"#;

#[test]
fn a_served_feature_is_explained_by_closed_records_and_those_that_are_not() {
    let broker = Broker::shared();
    let topic = broker.topic(2, &[]);
    // A click every 10 s for an hour, in two partitions; the first ones have left the window.
    let clicks = |partition: i64| {
        (0..180).map(move |n| {
            let at = START + n * 20_000 + partition * 10_000;
            Sent::value(format!(r#"{{"id":"{partition}.{n}","user":"u v","amount":{n},"at":{at}}}"#), at)
        })
    };
    broker.write(&topic, 0, &clicks(0).collect::<Vec<_>>());
    broker.write(&topic, 1, &clicks(1).collect::<Vec<_>>());
    let newest = START + 179 * 20_000 + 10_000;

    let folder = tempfile::tempdir().unwrap();
    let servers = broker.servers();
    let config = format!(
        "data_dir = \"var\"\nclock = \"stream\"\nidle_after = \"1s\"\n[http]\nlisten = \"127.0.0.1:0\"\n[kafka]\n\"bootstrap.servers\" = {servers:?}\n"
    );
    let config = config.replace("\"var\"", &format!("{:?}", folder.path().join("var")));
    let job = start(folder.path(), &DATAFLOW.replace("TOPIC", &topic), &config);
    job.has_read(360.0);
    let url = format!("http://{}", job.connect().peer_addr().unwrap());
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.args(arguments).args(["--config", "config.toml"]).current_dir(folder.path());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    // All records are shown; those of the last minute are not closed.
    let get = || command(&["features", "get", "user", "u v", "--url", &url, "--json"]);
    until("the newest click is served", || get()["features"]["amount_last2_10m"] == serde_json::json!([179.0, 179.0]));
    let explain = ["features", "explain", "user", "u v", "--dataflow", "live.toml", "--json"];
    let explained = command(&[explain.as_slice(), &["--url", &url]].concat());
    let watermark = parse_time(explained["as_of"].as_str().unwrap()).unwrap();
    assert!(watermark < newest, "{explained}");
    let window = &explained["windows"][0];
    let features = window["features"].as_object().unwrap();
    assert!(features.len() == 4 && features.values().all(|of| of["equal"] == true), "{explained}");
    let records = window["records"].as_array().unwrap();
    let since = (watermark - 600_000).div_euclid(10_000) * 10_000;
    assert_eq!(records.len() as i64, (newest - since) / 10_000 + 1);
    let first = &records[0];
    let number = (since - START) / 10_000;
    assert_eq!((&first["time"], &first["partition"]), (&Value::from(format_time(since)), &Value::from(number % 2)));
    assert_eq!(first["offset"], Value::from(number / 2));
    job.stop();

    // As of a time, without the job.
    let as_of = START + 1_205_000;
    let explained = command(&[explain.as_slice(), &["--as-of", &as_of.to_string()]].concat());
    let window = &explained["windows"][0];
    assert_eq!(window["features"]["amount_count_10m"]["value"], 61);
    assert_eq!(window["features"]["amount_time_since_last_10m"]["value"], 5.0);
    assert_eq!(window["records"][60]["time"], format_time(START + 1_200_000));
}
