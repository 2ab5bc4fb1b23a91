//! A backup as `docs/guides/backup.md` describes it: what is copied to another folder goes on to the same bits.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::program::Run;
use crate::common::servers::eventually;
use crate::common::shipped;

/// A command that runs the program in a folder.
pub fn command(folder: &Path, sets: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(["run", "dataflow.toml", "--config", "config.toml", "--set", "http.listen=127.0.0.1:0"]);
    sets.iter().for_each(|set| _ = command.args(["--set", set]));
    command.current_dir(folder);
    command
}

/// Runs the program in a folder until its files are read.
pub fn end(folder: &Path) {
    let output = command(folder, &["play.speed=\"max\""]).arg("--until-end").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Copies a folder with all that is in it, without its locks.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
        match path.is_dir() {
            true => copy(&path, &to),
            false => _ = fs::copy(&path, &to).unwrap(),
        }
    }
}

/// Writes a dataflow, a config and records to a folder.
pub fn prepare(folder: &Path) {
    let root = shipped::root();
    fs::copy(root.join("dataflows/fraud.toml"), folder.join("dataflow.toml")).unwrap();
    let config = "data_dir = \"var\"\n[topics.transactions]\nfile = \"transactions.csv\"\n[topics.feedback]\nfile = \"feedback.csv\"\n";
    fs::write(folder.join("config.toml"), config).unwrap();
    for name in ["transactions", "feedback"] {
        let records = shipped::unpacked(&root.join(format!("data/fraud/{name}.csv.gz")));
        fs::write(folder.join(format!("{name}.csv")), records).unwrap();
    }
}

/// Returns the hash and the scores of every version in the registry.
pub fn versions(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.join("var/fraud/registry")];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.file_name().is_some_and(|name| name == "model.json") {
                let model: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
                let scores = model["scores"].to_string();
                found.push((path.parent().unwrap().display().to_string(), format!("{} {scores}", model["sha256"])));
            }
        }
    }
    let short = |(path, hash): (String, String)| (path.rsplit("registry").next().unwrap().to_owned(), hash);
    let mut found: Vec<_> = found.into_iter().map(short).collect();
    found.sort();
    found
}

#[test]
fn a_copy_of_registry_checkpoints_and_config_goes_on_to_the_same_bits() {
    let [original, backup, unbroken] = [(), (), ()].map(|()| tempfile::tempdir().unwrap());
    prepare(original.path());
    let run = Run::start(&mut command(original.path(), &["play.speed=1000000"]));
    eventually("some versions", || run.get("/models").contains(",10,"));
    run.stop();
    let before = versions(original.path());

    // Both the copy and the original go on.
    let restored = backup.path().join("restored");
    copy(original.path(), &restored);
    end(&restored);
    end(original.path());
    let after = versions(&restored);
    assert!(after.len() > before.len(), "{} versions after {}", after.len(), before.len());
    assert_eq!(after, versions(original.path()));

    // They come to what a run without a stop comes to.
    prepare(unbroken.path());
    end(unbroken.path());
    assert_eq!(after, versions(unbroken.path()));
}
