//! `tidemill init` of a topic.

use std::fs;
use std::process::{Command, Output};

use crate::broker::{Broker, Sent};
use crate::live::START;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_dataflow_is_made_of_the_messages_of_a_topic_and_a_run_reads_them() {
    let broker = Broker::shared();
    let [topic, empty, texts] = [2, 1, 1].map(|partitions| broker.topic(partitions, &[]));
    for partition in 0..2 {
        let message = |n: i64| {
            let at = START + n * 1000;
            Sent::value(
                format!(r#"{{"user":"u{}","pay":{{"amount":{n}.5}},"clicked":{},"at":{at}}}"#, n % 5, n % 2),
                at,
            )
        };
        broker.write(&topic, partition, &(0..100).map(message).collect::<Vec<_>>());
    }
    broker.write(&texts, 0, &[Sent::value("no object", START)]);

    let folder = tempfile::tempdir().unwrap();
    let servers = broker.servers();
    let config = format!("clock = \"stream\"\nidle_after = \"300ms\"\n[kafka]\n\"bootstrap.servers\" = {servers:?}\n");
    fs::write(folder.path().join("kafka.toml"), config).unwrap();
    let tidemill = |arguments: &[&str]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.args(arguments).args(["--config", "kafka.toml"]).current_dir(folder.path()).output().unwrap()
    };
    let made = tidemill(&["init", "--topic", &topic, "--name", "clicks", "--rows", "150"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert_eq!(text(&made.stdout), "./dataflows/clicks.toml\n", "there is a config already");
    let dataflow = fs::read_to_string(folder.path().join("dataflows/clicks.toml")).unwrap();
    for part in [
        "the first 150 records",
        "amount  = { type = \"float\", path = \"pay.amount\" }",
        "at      = { type = \"timestamp\", unit = \"ms\" }",
        "[features.user]",
        "[model.clicked]",
        &format!("topic    = \"{topic}\""),
    ] {
        assert!(dataflow.contains(part), "{part:?} is not in\n{dataflow}");
    }
    let replayed = tidemill(&["replay", "dataflows/clicks.toml", "--out", "out"]);
    assert!(
        text(&replayed.stdout).contains("clicks: 200 read"),
        "{}{}",
        text(&replayed.stdout),
        text(&replayed.stderr)
    );

    for (topic, said) in [
        (empty.as_str(), "the sample has no records; expected one at least"),
        (&texts, "none of the 1 messages of"),
        ("nowhere", "\"nowhere\" does not exist"),
    ] {
        let refused = tidemill(&["init", "--topic", topic, "--name", "other"]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains(said), "{topic}: {}", text(&refused.stderr));
    }
}
