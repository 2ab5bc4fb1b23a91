//! `tidemill top` and `tidemill tap` on a running job.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::common::program::Run;
use crate::common::servers::eventually;

fn top(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(["top", "--once", "--interval", "100ms"]).args(arguments);
    command.output().unwrap()
}

/// Starts the shipped dataflow of clicks with its data in `folder`, and with one more config key.
fn run_of_clicks(folder: &Path, set: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["run", "dataflows/clicks.toml", "--config", "config/clicks.toml", "--set", set]);
    let home = format!("data_dir={}", folder.display());
    Run::start(command.args(["--set", "http.listen=127.0.0.1:0", "--set", &home]))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn top_shows_sources_operators_and_scores_and_takes_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "open-sesame-1234\n").unwrap();
    let run = run_of_clicks(folder.path(), &format!("http.tokens.read=file:{}", token.display()));
    let (url, token) = (run.url(), token.display().to_string());
    let asked = ["--url", &url, "--token-file", &token];
    let json = || -> Value { serde_json::from_slice(&top(&[&asked[..], &["--json"]].concat()).stdout).unwrap() };
    eventually("scores", || !json()["models"][0]["scores"]["logloss"]["champion"].is_null());
    eventually("all files are read", || run.says("all files are read"));

    let found = json();
    let named = |list: &str, name: &str| {
        let list = found[list].as_array().unwrap();
        list.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name}: {found}")).clone()
    };
    assert_eq!(named("sources", "clicks")["read"], 15_831.0);
    assert_eq!(named("sources", "orders")["dead_letters"], 0.0);
    assert!(named("sources", "clicks")["lag"].is_null(), "files have no lag");
    assert!(named("operators", "features.user")["state_bytes"].as_f64().unwrap() > 0.0);
    assert!(named("models", "order")["champion"].as_f64().unwrap() >= 1.0);
    assert_eq!(found["ready"], true);

    let screen = text(&top(&asked).stdout);
    for shown in ["ready", "SOURCE", "WATERMARK", "features.user", "CHAMPION", "logloss 0.", "(no skill 0."] {
        assert!(screen.contains(shown), "{shown} is not in\n{screen}");
    }
    let refused = top(&["--url", &url]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("token"), "{}", text(&refused.stderr));
    run.stop();
    let away = top(&asked);
    assert!(text(&away.stderr).contains("does the job run"), "{}", text(&away.stderr));
}

#[test]
fn tap_prints_records_of_a_stream_and_vectors_of_an_entity() {
    let folder = tempfile::tempdir().unwrap();
    // Two weeks of clicks in two minutes, so that there are some while the test looks on.
    let run = run_of_clicks(folder.path(), "play.speed=10000");
    let url = run.url();
    let tap = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_tidemill")).arg("tap").args(arguments).args(["--url", &url]).output().unwrap()
    };
    let lines = |arguments: &[&str]| -> Vec<Value> {
        let output = tap(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let clicks = lines(&["clicks", "--count", "20"]);
    assert_eq!(clicks.len(), 20);
    let names: Vec<&String> = clicks[0].as_object().unwrap().keys().collect();
    assert_eq!(names, ["action", "at", "category", "channel", "item", "price", "user"]);
    assert!(clicks.windows(2).all(|pair| pair[0]["at"].as_str() <= pair[1]["at"].as_str()), "{clicks:?}");
    let views = lines(&["looks", "--where", "channel=ad", "--count", "3"]);
    assert!(views.iter().all(|view| view["channel"] == "ad" && view["hour"].is_i64()), "{views:?}");

    // The vector of an item changes with its clicks.
    let item = clicks[0]["item"].as_str().unwrap();
    let vectors = lines(&["item", item, "--count", "2"]);
    assert_eq!((&vectors[0]["group"], &vectors[0]["entity"]["item"]), (&"item".into(), &item.into()));
    assert_ne!(vectors[0]["features"], vectors[1]["features"]);

    // Vectors of a group are those of its entities, and change.
    let all = lines(&["item", "--count", "300"]);
    let items: std::collections::BTreeSet<&str> = all.iter().map(|of| of["entity"]["item"].as_str().unwrap()).collect();
    assert!(items.len() > 3 && all.iter().all(|of| of["group"] == "item" && of["watermark"].is_string()), "{all:?}");
    let features = |of: &Value| of["features"].as_object().map(|features| features.keys().cloned().collect::<Vec<_>>());
    let expected = features(&vectors[0]);
    assert!(all.iter().all(|of| of["features"].is_null() || features(of) == expected), "{all:?}");
    let one = lines(&["item", "--where", &format!("item={item}"), "--count", "2"]);
    assert!(one.iter().all(|of| of["entity"]["item"] == item) && one[0] != one[1], "{one:?}");

    // A reader that closes the pipe ends it.
    for arguments in [&["clicks"][..], &["item", item], &["item"]] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        let mut child = command.arg("tap").args(arguments).args(["--url", &url]).stdout(writer).spawn().unwrap();
        drop(command);
        std::io::Read::read_exact(&mut reader, &mut [0]).unwrap();
        drop(reader);
        eventually("the end of a tap whose output is closed", || child.try_wait().unwrap().is_some());
        assert!(child.wait().unwrap().success());
    }

    for (arguments, said) in [
        (&["clicks_", "--count", "1"][..], "unknown stream clicks_; did you mean clicks?"),
        (&["item", "nothing"], "group item has no entity nothing"),
        (&["item", "i1", "--where", "a=b"], "--where is for many records or vectors"),
        (&["clicks", "--where", "a"], "expected COLUMN=VALUE"),
        (
            &["clicks", "--where", "chanel=ad"],
            "there is no column \"chanel\"; did you mean \"channel\"?; expected action, ",
        ),
        (&["item", "--where", "itm=i1"], "there is no column \"itm\"; did you mean \"item\"?; expected item, "),
    ] {
        let refused = tap(arguments);
        assert!(!refused.status.success() && text(&refused.stderr).contains(said), "{}", text(&refused.stderr));
    }
    run.stop();
}
