//! The log file of the program, and what it generates for shells and `man`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::clicks;

/// A folder with a dataflow over ten hours of clicks, one of them malformed.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    clicks::write(folder.path());
    let config = format!("{}[http]\nlisten = \"127.0.0.1:0\"\n", clicks::TOPICS);
    fs::write(folder.path().join("config.toml"), config).unwrap();
    folder
}

fn program(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

fn job(folder: &Path, verb: &[&str], set: &[&str]) -> Output {
    let mut arguments = verb.to_vec();
    arguments.extend(["clicks.toml", "--config", "config.toml"]);
    arguments.extend(set.iter().flat_map(|change| ["--set", change]));
    program(folder, &arguments)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn the_log_file_has_each_training_window_and_whatever_stderr_has() {
    for verb in [&["run", "--until-end"][..], &["replay", "--out", "out"]] {
        let folder = folder();
        let output = job(folder.path(), verb, &["log.file=logs/clicks.log"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{stderr}");
        let lines = lines(&folder.path().join("logs/clicks.log"));
        let of =
            |target: &str| lines.iter().filter(|line| line["target"] == target).map(|line| &line["fields"]).collect();
        let windows: Vec<&Value> = of("training");
        // The tenth hour has not ended.
        assert_eq!(windows.len(), 9, "{windows:?}");
        for (at, window) in windows.iter().enumerate() {
            assert_eq!((window["model"].as_str(), window["version"].as_u64()), (Some("paid"), Some(at as u64 + 1)));
            assert_eq!(window["window_end"].as_str(), Some(format!("2020-01-01T{:02}:00:00.000Z", at + 1).as_str()));
            assert_eq!((window["examples"].as_u64(), window["decision"].as_str()), (Some(60), Some("published")));
            assert!(window["learning_ms"].as_f64().unwrap() > 0.0);
            let scores: Value = serde_json::from_str(window["scores"].as_str().unwrap()).unwrap();
            // The first window's examples had no version to be scored by.
            assert_eq!(scores["logloss"].is_number(), at > 0, "{scores}");
        }
        let said: Vec<&Value> = of("stderr");
        assert!(said.iter().any(|line| line["message"].as_str().unwrap().contains("dead letter")), "{said:?}");
        assert!(stderr.contains("dead letter") && !stderr.contains("training window"), "{stderr}");
    }
}

#[test]
fn a_log_file_is_text_if_asked_and_stays_within_its_bounds() {
    let folder = folder();
    let set = ["log.file=a.log", "log.format=text", "log.max_bytes=1000", "log.keep=2"];
    let output = job(folder.path(), &["replay", "--out", "out"], &set);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("a.log"))
        .collect();
    names.sort();
    assert_eq!(names, ["a.log", "a.log.1", "a.log.2"]);
    for name in names {
        let text = fs::read_to_string(folder.path().join(&name)).unwrap();
        assert!(text.len() <= 1000 && text.ends_with('\n') && !text.contains('\u{1b}'), "{name}: {text}");
        assert!(text.lines().all(|line| line.contains(" INFO ") || line.contains(" WARN ")), "{name}: {text}");
    }
}

#[test]
fn a_log_file_that_cannot_be_opened_is_refused_at_its_key() {
    let folder = folder();
    let config = fs::read_to_string(folder.path().join("config.toml")).unwrap();
    fs::write(folder.path().join("config.toml"), config + "[log]\nfile = \"clicks.csv/a.log\"\n").unwrap();
    let output = job(folder.path(), &["run", "--until-end"], &[]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.starts_with("config.toml:6:1: error: [log] file: clicks.csv/a.log cannot be opened: "), "{stderr}");
}

#[test]
fn the_last_error_is_in_the_log_file() {
    let folder = folder();
    let right = fs::read_to_string(folder.path().join("clicks.toml")).unwrap();
    let wrong = right.replace("user = \"string\", paid = \"bool\"", "user = \"string\", paid = \"timestamp\"");
    let wrong = wrong.replace("value = \"paid\"", "value = \"user = 'u1'\"");
    fs::write(folder.path().join("clicks.toml"), wrong).unwrap();
    let output = job(folder.path(), &["replay", "--out", "out"], &["log.file=a.log"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let last = stderr.lines().last().unwrap();
    assert!(output.status.code() == Some(1) && last.starts_with("error: "), "{stderr}");
    let lines = lines(&folder.path().join("a.log"));
    assert_eq!(lines.last().unwrap()["fields"]["message"], last);
}

#[test]
fn completions_and_manual_pages_name_every_verb() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(folder.path(), &["man", "--out", "man1"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "man1/tidemill.1\n");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = program(folder.path(), &["completions", shell]);
        let script = String::from_utf8(output.stdout).unwrap();
        for verb in ["run", "replay", "load", "check", "test", "features", "graph", "completions", "man"] {
            assert!(script.contains(verb), "{shell}: {verb}");
            let page = folder.path().join(format!("man1/tidemill-{verb}.1"));
            assert!(fs::read_to_string(&page).unwrap().contains("SYNOPSIS"), "{verb}");
        }
    }
    let output = program(folder.path(), &["completions", "bash"]);
    fs::write(folder.path().join("complete.bash"), output.stdout).unwrap();
    let asked = ". ./complete.bash; COMP_WORDS=(tidemill replay --ou); COMP_CWORD=2; _tidemill tidemill --ou replay; \
                 echo \"${COMPREPLY[@]}\"";
    let completed = Command::new("bash").args(["-c", asked]).current_dir(folder.path()).output().unwrap();
    assert_eq!(String::from_utf8(completed.stdout).unwrap(), "--out\n");
    assert_eq!(program(folder.path(), &["completions", "csh"]).status.code(), Some(2));
}
