//! The program as its users run it: replays and a live run over the same files give the same hashes, and what is wrong
//! with a command is said with the right exit code.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn tidemill(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidemill")).args(arguments).output().expect("the program starts")
}

fn digest(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("digest.json")).expect("a digest")).expect("JSON")
}

fn replay(out: &Path, more: &[&str]) -> Value {
    let mut arguments = vec!["replay", "dataflows/flights.toml", "--quiet", "--out", out.to_str().unwrap()];
    arguments.extend(more);
    let output = tidemill(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    digest(out)
}

#[test]
fn replay_and_live_run_give_the_same_hashes_on_any_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let one = replay(&folder.path().join("one"), &["--workers", "1"]);
    for workers in ["2", "3"] {
        assert_eq!(replay(&folder.path().join(workers), &["--workers", workers]), one, "{workers} workers");
    }
    for version in ["1", "31", "90"] {
        let manifest =
            |workers: &str| folder.path().join(workers).join("registry/late").join(version).join("model.json");
        let read = |workers| std::fs::read_to_string(manifest(workers)).unwrap();
        assert_eq!(read("3"), read("one"), "model.json of version {version}, its offsets among the rest");
    }
    let home = folder.path().join("var");
    let data_dir = format!("data_dir={}", home.display());
    let settings = [data_dir.as_str(), "offline.enabled=true", "play.speed=max", "http.listen=127.0.0.1:0"];
    let mut arguments = vec!["run", "dataflows/flights.toml", "--until-end", "--workers", "2"];
    settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
    let output = tidemill(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("listening on http://127.0.0.1:"));
    assert_eq!(digest(&home.join("flights/offline")), one, "the live run");
    let examples = one["examples"]["late"]["rows"].as_u64().unwrap();
    assert_eq!(examples, 78_146, "every flight that left");
    assert_eq!(one["models"]["late"].as_array().unwrap().len(), 90, "a version a day");
    assert_eq!(one["sources"]["weather"]["applied"], one["sources"]["weather"]["read"]);
}

#[test]
fn replay_bounds_what_is_given_out_and_not_what_is_read() {
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
fn a_wrong_command_file_or_config_ends_with_2_and_says_where() {
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
    let cases: [(&[&str], &str); 10] = [
        (&["replay"], "required"),
        (&["rnu", "dataflows/flights.toml"], "unrecognized subcommand"),
        (&["replay", "dataflows/flights.toml", "--out", &out, "--to", "soon"], "expected RFC 3339"),
        (&["replay", "dataflows/flights.toml", "--out", &out, "--cold"], "--from <T>"),
        (
            &["replay", "dataflows/flights.toml", "--out", &out, "--journal", "nowhere"],
            "--journal: journal `nowhere` cannot be used",
        ),
        (&["replay", "dataflows/flights.toml", "--out", &out, "--journal", &journal], "journal.jsonl:2: not a record"),
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
