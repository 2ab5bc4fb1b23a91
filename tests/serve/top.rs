//! `tidemill top` on a running job.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::common::program::Run;
use crate::common::servers::eventually;

fn top(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(["top", "--once", "--interval", "100ms"]).args(arguments);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn top_shows_sources_operators_and_scores_and_takes_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "open-sesame-1234\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "run",
        "dataflows/clicks.toml",
        "--config",
        "config/clicks.toml",
    ]);
    let home = format!("data_dir={}", folder.path().display());
    let read = format!("http.tokens.read=file:{}", token.display());
    for set in ["http.listen=127.0.0.1:0", &home, &read] {
        command.args(["--set", set]);
    }
    let run = Run::start(&mut command);
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
