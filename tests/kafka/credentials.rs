//! Credentials: a broker that requires a name and a password, by SASL/PLAIN.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use tidemill::source::kafka::NewTopic;

use crate::broker::{Broker, USER, until};
use crate::live::{DATAFLOW, clicks, start};

/// A broker with ten clicks, and a folder for a run.
fn clicked() -> (Broker, TempDir) {
    let broker = Broker::stopped();
    broker.start();
    let topic = NewTopic { name: "clicks", partitions: 1, settings: &[] };
    assert!(topic.create(&broker.cluster(&[])).unwrap());
    broker.write("clicks", 0, &clicks(0..10));
    (broker, tempfile::tempdir().unwrap())
}

fn config(folder: &Path, servers: &str, kafka: &[(&str, &str)]) -> String {
    let mut config = format!(
        "data_dir = {:?}\nclock = \"stream\"\nidle_after = \"300ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [kafka]\n\"bootstrap.servers\" = {servers:?}\n",
        folder.join("var"),
    );
    kafka.iter().for_each(|(key, value)| config += &format!("{key:?} = {value:?}\n"));
    config
}

fn plain<'a>(user: &'a str, password: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", user),
        ("sasl.password", password),
    ]
}

/// Runs a verb to its end by a config.
fn tidemill(folder: &Path, verb: &str, config: &str) -> Output {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    write("clicks.csv", "user,amount,at\nu,1,2020-01-01\n");
    let files = write("files.toml", "[topics.clicks]\nfile = \"clicks.csv\"\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.arg(verb).arg(write("live.toml", DATAFLOW)).arg("--config").arg(write("config.toml", config));
    match verb {
        "replay" => _ = command.arg("--out").arg(folder.join("out")),
        "load" => _ = command.arg("--from").arg(files),
        _ => {}
    }
    command.output().unwrap()
}

/// Returns the stderr of a verb that is refused.
fn refused(folder: &Path, verb: &str, config: &str) -> String {
    let output = tidemill(folder, verb, config);
    let said = String::from_utf8(output.stderr).unwrap();
    println!("{verb}: {said}");
    assert_eq!(output.status.code(), Some(2), "{verb}: {said}");
    said
}

#[test]
fn every_verb_reports_rejected_credentials_at_the_start() {
    let (broker, folder) = clicked();
    let (folder, guarded) = (folder.path(), broker.guarded());
    let run = start(folder, DATAFLOW, &config(folder, &guarded, &plain(USER, &broker.password())));
    run.has_read(10.0);
    run.stop();

    let wrong = config(folder, &guarded, &plain(USER, "guess"));
    for verb in ["run", "replay", "load"] {
        let said = refused(folder, verb, &wrong);
        let who = "authentication failed for sasl.username = \"reader\" with sasl.mechanism = \"PLAIN\": ";
        assert!(said.contains(&format!("error: {guarded}: {who}")), "{verb}: {said}");
        assert!(said.contains("Invalid username or password"), "{verb}: {said}");
        assert!(!said.contains("guess"), "{verb}: {said}");
    }
    let mechanism = |name| [("security.protocol", "sasl_plaintext"), ("sasl.mechanism", name), ("sasl.username", USER)];
    for (name, why) in [("GUESS", "Unsupported SASL mechanism"), ("SCRAM-SHA-512", "SCRAM-SHA-512")] {
        let said = refused(folder, "run", &config(folder, &guarded, &mechanism(name)));
        assert!(said.contains("error: [kafka] ") && said.contains(why), "{said}");
    }
    // The listener for anybody knows no names.
    let said = refused(folder, "run", &config(folder, &broker.servers(), &plain(USER, &broker.password())));
    assert!(said.contains("authentication failed for sasl.username"), "{said}");
}

#[test]
fn a_run_without_credentials_waits_and_reports_the_reason() {
    let (broker, folder) = clicked();
    let run = start(folder.path(), DATAFLOW, &config(folder.path(), &broker.guarded(), &[]));
    until("a reason", || run.get("/health/ready").contains("security.protocol"));
    assert!(run.get("/health/ready").contains(&format!("kafka: waiting for {}: ", broker.guarded())));
    run.stop();
}

#[test]
fn a_run_outlives_a_password_that_is_changed_and_changed_back() {
    let (broker, folder) = clicked();
    let (guarded, password) = (broker.guarded(), broker.password());
    let config = config(folder.path(), &guarded, &plain(USER, &password));
    let run = start(folder.path(), DATAFLOW, &config);
    run.has_read(10.0);
    until("ready", || run.metric("tidemill_ready", "") == 1.0);
    broker.kill();
    broker.change_password("another");
    broker.start();
    let ready = || run.get("/health/ready");
    until("a reason", || ready().contains("authentication failed for sasl.username"));
    let found = ready();
    assert!(found.starts_with("HTTP/1.1 503") && found.contains(&format!("kafka: waiting for {guarded}: ")), "{found}");
    assert!(!found.contains(&password), "{found}");
    assert_eq!(run.metric("tidemill_ready", ""), 0.0);
    until("it is said", || run.says("Invalid username or password"));
    broker.kill();
    broker.change_password(&password);
    broker.start();
    broker.write("clicks", 0, &clicks(10..15));
    run.has_read(15.0);
    until("ready", || ready().starts_with("HTTP/1.1 200"));
    run.stop();
}
