//! The program as its users run it: replays and a live run over the same files give the same hashes, and a wrong command
//! is reported with the right exit code.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use crate::common::engine::rows;
use crate::common::program::Run;
use serde_json::Value;
use tidemill::value::Scalar;

fn tidemill(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidemill")).args(arguments).output().expect("the program starts")
}

/// Returns the digest in a folder of offline files.
pub fn digest(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("digest.json")).expect("a digest")).expect("JSON")
}

fn replay(out: &Path, more: &[&str]) -> Value {
    let mut arguments = vec!["replay", "dataflows/flights.toml", "--quiet", "--out", out.to_str().unwrap()];
    arguments.extend(more);
    let output = tidemill(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    digest(out)
}

/// The results of a replay of all flights on one worker.
pub struct WholeReplay {
    pub digest: Value,
    /// `model.json` of some versions, by their numbers.
    manifests: Vec<(&'static str, String)>,
}

fn manifest(out: &Path, version: &str) -> String {
    std::fs::read_to_string(out.join("registry/late").join(version).join("model.json")).unwrap()
}

/// Returns the results of a replay of all flights, which is run once for all tests.
pub fn whole_replay() -> &'static WholeReplay {
    static WHOLE: OnceLock<WholeReplay> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let digest = replay(folder.path(), &["--workers", "1"]);
        let manifests = ["1", "31", "90"].map(|version| (version, manifest(folder.path(), version)));
        WholeReplay { digest, manifests: manifests.into() }
    })
}

fn a_replay_on_more_workers_has_the_same_hashes(workers: &str) {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(replay(folder.path(), &["--workers", workers]), whole_replay().digest);
    for (version, expected) in &whole_replay().manifests {
        assert_eq!(manifest(folder.path(), version), *expected, "model.json of version {version}, offsets included");
    }
}

#[test]
fn a_replay_on_two_workers_has_the_same_hashes() {
    a_replay_on_more_workers_has_the_same_hashes("2");
}

#[test]
fn a_replay_on_three_workers_has_the_same_hashes() {
    a_replay_on_more_workers_has_the_same_hashes("3");
}

#[test]
fn a_replay_says_what_has_become_of_every_example_and_writes_those_without_a_label() {
    let folder = tempfile::tempdir().unwrap();
    let to = ["--to", "2013-01-04T12:00:00Z"];
    let plain = replay(&folder.path().join("plain"), &to);
    let all = replay(&folder.path().join("all"), &[to[0], to[1], "--unlabelled"]);
    let training = &plain["training"]["late"];
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let [made, labelled, waiting] = ["made", "labelled", "waiting"].map(|key| count(&training[key]));
    let dropped: u64 = training["dropped"].as_object().unwrap().values().map(count).sum();
    assert_eq!(made, labelled + dropped + waiting, "{training}");
    assert!(waiting > 0 && dropped > 0 && training["scores"]["champion"]["logloss"].is_number(), "{training}");
    assert_eq!(count(&plain["examples"]["late"]["rows"]), labelled);
    assert_eq!(count(&all["examples"]["late"]["rows"]), made);
    for part in ["training", "models", "features", "sources"] {
        assert_eq!(all[part], plain[part], "{part}");
    }
    let rows = rows(&folder.path().join("all/examples/late.parquet"));
    let width = rows[0].len();
    let unlabelled: Vec<_> = rows.iter().filter(|row| row[width - 3] == Scalar::Null).collect();
    assert_eq!(unlabelled.len() as u64, dropped + waiting);
    assert!(unlabelled.iter().all(|row| row[1] == Scalar::Null && row[2] == Scalar::Null), "_known and _window_end");
    let newest = unlabelled.last().expect("some wait");
    assert!(newest[width - 1] != Scalar::Null && newest[width - 2] != Scalar::Null, "they are scored: {newest:?}");
    assert!(rows.is_sorted_by_key(|row| match row[0] {
        Scalar::Timestamp(time) => time,
        ref other => panic!("{other:?} is not a time"),
    }));
}

#[test]
fn a_live_run_has_the_hashes_of_a_replay() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("var");
    let data_dir = format!("data_dir={}", home.display());
    let settings = [data_dir.as_str(), "offline.enabled=true", "play.speed=max", "http.listen=127.0.0.1:0"];
    let mut arguments = vec!["run", "dataflows/flights.toml", "--until-end", "--workers", "2"];
    settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
    let output = tidemill(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("listening on http://127.0.0.1:"));
    let replayed = &whole_replay().digest;
    assert_eq!(digest(&home.join("flights/offline")), *replayed);
    let examples = replayed["examples"]["late"]["rows"].as_u64().unwrap();
    assert_eq!(examples, 78_146, "every flight that left");
    assert_eq!(replayed["models"]["late"].as_array().unwrap().len(), 90, "a version a day");
    assert_eq!(replayed["sources"]["weather"]["applied"], replayed["sources"]["weather"]["read"]);
}

#[test]
fn a_second_run_of_the_same_dataflow_is_refused_while_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = format!("data_dir={}", folder.path().display());
    let arguments = ["run", "dataflows/flights.toml", "--set", &data_dir, "--set", "http.listen=127.0.0.1:0"];
    let first = Run::start(Command::new(env!("CARGO_BIN_EXE_tidemill")).args(arguments));
    let second = tidemill(&arguments);
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(2), "{said}");
    assert!(said.contains("flights is locked by another run: of flights, process "), "{said}");
    // A run that is killed releases the lock.
    drop(first);
    Run::start(Command::new(env!("CARGO_BIN_EXE_tidemill")).args(arguments)).stop();
}

#[test]
fn a_run_that_was_paused_answers_requests_of_the_meantime() {
    let folder = tempfile::tempdir().unwrap();
    let timeout = Duration::from_secs(6);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    let sets = [
        format!("data_dir={}", folder.path().display()),
        "http.listen=127.0.0.1:0".to_owned(),
        format!("http.request_timeout={}s", timeout.as_secs()),
    ];
    let run =
        Run::start(command.args(["run", "dataflows/flights.toml"]).args(sets.iter().flat_map(|set| ["--set", set])));
    let mut client = run.connect();
    let ask =
        |client: &mut TcpStream| client.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    ask(&mut client);
    let mut answer = [0; 1024];
    let answered = |read: std::io::Result<usize>| assert!(read.unwrap() > 0, "the connection was closed");
    answered(client.read(&mut answer));
    run.hold_up();
    ask(&mut client);
    // Longer than a client may take; but it was the server that paused.
    std::thread::sleep(timeout * 2);
    run.signal("CONT");
    answered(client.read(&mut answer));
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    run.stop();
}

#[test]
fn the_bounds_of_a_replay_limit_its_outputs_and_not_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let whole = replay(&folder.path().join("whole"), &["--to", "2013-01-15"]);
    let tail = replay(&folder.path().join("tail"), &["--from", "2013-01-10", "--to", "2013-01-15"]);
    let versions = |digest: &Value| digest["models"]["late"].as_array().unwrap().clone();
    assert_eq!(versions(&whole).len(), 14);
    assert_eq!(versions(&tail), versions(&whole)[9..], "windows that end after --from");
    let rows = |digest: &Value| digest["examples"]["late"]["rows"].as_u64().unwrap();
    assert!(rows(&tail) < rows(&whole) / 2 && rows(&tail) > 0);
    assert_eq!(tail["to"], "2013-01-15T00:00:00.000Z");
}

#[test]
fn a_wrong_command_file_or_config_is_reported_with_its_place_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let broken = written("broken.toml", "name = \"x\"\n[source.a]\ntopik = \"a\"\n");
    let config = written("config.toml", "workers = \"many\"\n");
    let record = r#"{"source":"s","topic":"t","partition":0,"offset":1,"time":2}"#;
    let journal = written("journal.jsonl", &format!("{record}\n{{}}\n{record}\n"));
    let out = folder.path().join("out").to_str().unwrap().to_owned();
    let cases: [(&[&str], &str); 13] = [
        (&["replay"], "required"),
        (&["rnu", "dataflows/flights.toml"], "unrecognized subcommand"),
        (&["replay", "dataflows/flights.toml", "--out", &out, "--to", "soon"], "expected RFC 3339"),
        (&["replay", "dataflows/flights.toml", "--out", &out, "--cold"], "--from <T>"),
        (
            &["replay", "dataflows/flights.toml", "--out", &out, "--journal", "nowhere"],
            "--journal: journal `nowhere` cannot be read",
        ),
        (&["replay", "dataflows/flights.toml", "--out", &out, "--journal", &journal], "journal.jsonl:2: not a record"),
        (
            &["replay", "dataflows/flights.toml", "--out", &out, "--checkpoint", "nowhere"],
            "checkpoint `nowhere` cannot be read",
        ),
        (&["replay", "dataflows/flights.toml", "--out", &out, "--checkpoint", &journal], "it is not a manifest"),
        (&["replay", "dataflows/flights.toml", "--out", &out, "--checkpoint", "src"], "no complete checkpoint"),
        (&["check", "nowhere.toml"], "nowhere.toml"),
        (&["check", &broken], "broken.toml:3:1: error:"),
        (&["check", "dataflows/flights.toml", "--config", &config], "config.toml:1:11: error:"),
        (&["replay", "dataflows/flights.toml", "--out", &out, "--set", "topics.weather.file=gone.csv"], "gone.csv"),
    ];
    for (arguments, said) in cases {
        let output = tidemill(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?} said {stderr}");
        assert!(!stderr.contains("panicked"), "{arguments:?} said {stderr}");
    }
}

const CLICKS: &str = r#"
name = "clicks"

[source.clicks]
topic = "clicks"
format = "json"
key = ["user"]
time = "at"
columns = { user = "string", amount = "float", at = "timestamp" }

[features.user]
from = "clicks"
entity = "user"
aggregate = [{ of = "amount", op = "sum", windows = ["1h"] }]
"#;

#[test]
fn the_first_differences_of_two_replays_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("clicks.toml"), CLICKS).unwrap();
    std::fs::write(path("files.toml"), "[topics.clicks]\nfile = \"clicks.csv\"\n").unwrap();
    let clicks: Vec<String> = (0..20).map(|n| format!("u{},{n}.5,2020-01-01T00:00:{:02}Z\n", n % 3, n)).collect();
    // Replays some clicks and compares; returns the exit code and the output.
    let replay = |out: &str, clicks: &[String], with: &str| {
        std::fs::write(path("clicks.csv"), format!("user,amount,at\n{}", clicks.concat())).unwrap();
        let (dataflow, config, out, with) = (path("clicks.toml"), path("files.toml"), path(out), path(with));
        let output = tidemill(&["replay", &dataflow, "--config", &config, "--out", &out, "--verify", &with]);
        let [said, wrong] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), said + &wrong)
    };
    let (code, said) = replay("first", &clicks, "nowhere");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("nowhere: no digest.json"), "{said}");
    std::fs::create_dir(path("nowhere")).unwrap();
    std::fs::write(path("nowhere/digest.json"), "{}").unwrap();
    assert_eq!(replay("first", &clicks, "nowhere").0, Some(2));
    let (dataflow, config, out) = (path("clicks.toml"), path("files.toml"), path("first"));
    assert!(tidemill(&["replay", &dataflow, "--config", &config, "--out", &out]).status.success());
    let (code, said) = replay("second", &clicks, "first");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("the same as {}", path("first"))), "{said}");
    assert!(replay("first", &clicks, "first").1.contains("is --out itself"));

    let differs = |clicks: &[String], expected: &[&str]| {
        let (code, said) = replay("third", clicks, "first");
        assert_eq!(code, Some(1), "{said}");
        let named: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert_eq!(named, expected);
    };
    let mut changed = clicks.clone();
    changed[7] = changed[7].replace("7.5", "7.25");
    let row = "features user: at 2020-01-01T00:00:07.000Z, user = \"u1\": amount_sum_1h is 13.25 here and 13.5 there";
    differs(&changed, &[row]);
    let fewer = [
        "source clicks: read is 19 here and 20 there",
        "features user: at 2020-01-01T00:00:07.000Z, user = \"u1\": is only there",
    ];
    differs(&[&clicks[..7], &clicks[8..]].concat(), &fewer);
    let last = [
        "source clicks: read is 19 here and 20 there",
        "features user: at 2020-01-01T00:00:19.000Z, user = \"u1\": is only there",
    ];
    differs(&clicks[..19], &last);
}

#[test]
fn a_replay_of_another_definition_differs_in_its_first_scored_example_and_its_first_version() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let digest = replay(&one, &["--to", "2013-01-04"]);
    let text = std::fs::read_to_string("dataflows/flights.toml").unwrap();
    assert!(text.contains("alpha = 0.02"));
    let changed = folder.path().join("changed.toml");
    std::fs::write(&changed, text.replace("alpha = 0.02", "alpha = 0.03")).unwrap();
    let arguments = ["replay", changed.to_str().unwrap(), "--out", two.to_str().unwrap(), "--to", "2013-01-04"];
    let output = tidemill(&[&arguments[..], &["--verify", one.to_str().unwrap(), "--quiet"]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let named: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(named.len(), 2, "{said}");
    assert!(named[0].starts_with("examples late: at 2013-01-02T") && named[0].contains("flight_id = "), "{said}");
    assert!(named[0].contains(": _score is 0."), "{said}");
    let hash = digest["models"]["late"][0]["sha256"].as_str().unwrap();
    assert!(named[1].starts_with("model late: version 1 is ") && named[1].contains(hash), "{said}");
}
