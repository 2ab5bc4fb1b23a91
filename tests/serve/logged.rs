//! The log of predictions: whose are in the file, and what a line has.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::common::clicks;
use crate::common::program::Run;
use crate::common::servers::eventually;
use crate::common::shop::Client;

const TOKEN: &str = "kestrel-asks-42";

/// Asks for a prediction for each of a hundred users, and one by another protocol, and returns the log file.
fn logged(changes: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    clicks::write(folder.path());
    fs::write(folder.path().join("predict"), TOKEN).unwrap();
    let tokens = "tokens = { predict = \"file:predict\" }\n";
    let config =
        format!("{}[http]\nlisten = \"127.0.0.1:0\"\n{tokens}[log]\nfile = \"tidemill.log\"\n", clicks::TOPICS);
    fs::write(folder.path().join("config.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(["run", "clicks.toml", "--config", "config.toml", "--set", "data_dir=var"]);
    changes.iter().for_each(|change| _ = command.args(["--set", change]));
    let run = Run::start(command.current_dir(folder.path()));
    eventually("the run is ready", || run.get("/health/ready").starts_with("HTTP/1.1 200"));
    let mut client = Client::from(run.connect());
    let mut ask = |path: &str, body: Value| {
        let body = body.to_string();
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n");
        client.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        let answer = client.receive().unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    for user in 0..50 {
        let [one, other] = [user, user + 50].map(|user| json!({ "user": format!("u{user}") }));
        ask("/predict", json!({ "instances": [one, other] }));
    }
    ask("/v1/models/paid:predict", json!({ "instances": [{ "user": "u1" }] }));
    let stderr = run.stop();
    assert!(!stderr.contains("predicted"), "the file has them: {stderr}");
    let log = fs::read_to_string(folder.path().join("tidemill.log")).unwrap();
    assert!(!log.contains(TOKEN), "{log}");
    log
}

fn predictions(log: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["target"] == "predictions").map(|line| line["fields"].clone()).collect()
}

#[test]
fn a_line_of_a_prediction_has_its_entity_inputs_version_and_time() {
    let lines = predictions(&logged(&["log.predictions=1"]));
    assert_eq!(lines.len(), 101);
    let of_one: Vec<&Value> = lines.iter().filter(|line| line["entity"] == r#"["u1"]"#).collect();
    assert_eq!(of_one.len(), 2, "by either protocol");
    for line in of_one {
        assert_eq!((&line["model"], &line["inputs"]), (&json!("paid"), &json!(r#"{"user.count_1h":9}"#)), "{line}");
        assert!(line["version"].as_u64().is_some_and(|version| version > 0), "{line}");
        let prediction: f64 = line["prediction"].as_str().unwrap().parse().unwrap();
        assert!((0.0..=1.0).contains(&prediction), "{line}");
        assert!(line["latency_us"].as_u64().is_some_and(|took| took < 10_000_000), "{line}");
    }
}

#[test]
fn a_share_of_the_entities_is_logged_the_same_ones_in_every_run_and_none_unless_asked_for() {
    assert_eq!(predictions(&logged(&[])), Vec::<Value>::new());
    let entities = || -> BTreeSet<String> {
        let lines = predictions(&logged(&["log.predictions=0.3"]));
        lines.iter().map(|line| line["entity"].as_str().unwrap().to_owned()).collect()
    };
    let first = entities();
    assert!((15..50).contains(&first.len()), "{first:?}");
    assert_eq!(first, entities());
}

#[test]
fn predictions_are_logged_as_text_and_need_a_file() {
    let log = logged(&["log.predictions=1", "log.format=text"]);
    let line = log.lines().find(|line| line.contains("predictions: predicted")).expect("a line of a prediction");
    assert!(line.contains(r#"entity="[\"u"#) && line.contains("latency_us="), "{line}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(["run", "dataflows/flights.toml", "--set", "log.predictions=0.5"]);
    let refused = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("--set log.predictions: error: log.predictions is given without log.file"), "{said}");
}
