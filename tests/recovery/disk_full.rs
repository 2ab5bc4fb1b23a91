//! Places that cannot be written, as on a full disk: nothing is lost, and the error is reported.
//!
//! A file size limit on the process stands in for the full disk: the system fails its writes in the same way.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::program::{Run, limited};
use crate::common::servers::eventually;
use crate::replay::{digest, whole_replay};
use tempfile::TempDir;

/// 2020-01-01 in epoch ms.
const START: i64 = 1_577_836_800_000;

/// A dataflow over one file, in a folder of its own.
pub struct Small {
    folder: TempDir,
}

impl Small {
    /// Creates the file from rows of user, x and time.
    pub fn new(rows: impl Iterator<Item = (String, String, String)>) -> Small {
        let folder = tempfile::tempdir().unwrap();
        let mut csv = "user,x,at\n".to_owned();
        rows.for_each(|(user, x, at)| writeln!(csv, "{user},{x},{at}").unwrap());
        let dataflow = "name = \"small\"\n\
            [source.asks]\ntopic = \"asks\"\nformat = \"json\"\ntime = \"at\"\n\
            columns = { user = \"string\", x = \"float\", at = \"timestamp\" }\n\
            [features.user]\nfrom = \"asks\"\nentity = \"user\"\n\
            aggregate = [{ of = \"x\", op = [\"count\", \"sum\", \"mean\"], windows = [\"7d\", \"30d\"] }]\n";
        let config =
            "[topics.asks]\nfile = \"asks.csv\"\n[http]\nlisten = \"127.0.0.1:0\"\n[offline]\nenabled = true\n";
        for (name, text) in [("asks.csv", csv.as_str()), ("small.toml", dataflow), ("config.toml", config)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Small { folder }
    }

    pub fn home(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds the arguments of a run into a home.
    pub fn told<'a>(&self, command: &'a mut Command, home: &str, sets: &[&str]) -> &'a mut Command {
        command.arg("run").arg(self.home("small.toml")).arg("--config").arg(self.home("config.toml"));
        command.arg("--set").arg(format!("data_dir={}", self.home(home).display()));
        sets.iter().for_each(|set| _ = command.args(["--set", set]));
        command
    }

    /// Runs to the end of the file.
    pub fn run(&self, mut command: Command, home: &str, sets: &[&str]) -> Output {
        self.told(&mut command, home, sets).arg("--until-end").stdin(Stdio::null()).output().unwrap()
    }

    /// Runs to the end of the file, which must succeed, and returns stderr.
    pub fn ends(&self, home: &str, sets: &[&str]) -> String {
        said(self.run(tidemill(), home, sets), 0)
    }

    /// Runs until some records are applied, and stops the run: it leaves a checkpoint however slow the machine is.
    pub fn begins(&self, mut command: Command, home: &str) {
        let run = Run::start(self.told(&mut command, home, &["play.speed=10"]));
        let applied = || run.metric("tidemill_source_records_total", "outcome=\"applied\"");
        eventually("records are applied", || applied() >= 1.0);
        run.stop();
    }

    pub fn digest(&self, home: &str) -> String {
        std::fs::read_to_string(self.home(home).join("small/offline/digest.json")).unwrap()
    }

    /// Returns the digest of an undisturbed run.
    pub fn expected(&self) -> String {
        self.ends("undisturbed", &["checkpoint.interval=off"]);
        self.digest("undisturbed")
    }
}

pub fn tidemill() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tidemill"))
}

/// Returns the stderr of a program that must have ended with this code.
pub fn said(output: Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// Returns a number that does not compress.
fn noise(n: i64) -> f64 {
    (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) as f64 / 1e3
}

pub fn row(n: i64, user: &str, at_ms: i64) -> (String, String, String) {
    (user.to_owned(), noise(n).to_string(), (START + at_ms).to_string())
}

/// Returns the paths in a folder that only an unfinished write leaves behind.
fn unfinished(folder: &Path) -> Vec<PathBuf> {
    let mut left = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_staged = path.to_string_lossy().contains('#');
        if is_staged || path.is_dir() && !path.with_extension("json").exists() {
            left.push(path);
        }
    }
    left
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_one_before_it_and_the_run_goes_on() {
    // A new user each second, so that the state grows beyond the limit before the offline file does.
    let small = Small::new((0..40_000).map(|n| row(n, &format!("user{n}"), n * 1000)));
    let expected = small.expected();
    let checkpoints = small.home("full").join("small/checkpoints");
    small.begins(limited(1800), "full");
    let run = Run::start(small.told(&mut limited(1800), "full", &["play.speed=max", "checkpoint.interval=200ms"]));
    eventually("a failure", || run.metric("tidemill_checkpoint_failures_total", "") >= 1.0);
    eventually("it is said", || run.says("no checkpoint as of"));
    assert!(run.says("File too large") && run.says(&format!("writing `{}/", checkpoints.display())));
    eventually("the end", || run.says("all files are read"));
    eventually("all is read", || run.metric("tidemill_source_records_total", "outcome=\"read\"") == 40_000.0);
    let asked = Instant::now();
    run.signal("TERM");
    let said = run.ends(1);
    assert!(said.trim_end().contains("the next run goes on from checkpoint"), "{said}");
    assert!(
        asked.elapsed() < Duration::from_secs(30),
        "the shutdown does not wait for a checkpoint that cannot complete"
    );
    assert_eq!(unfinished(&checkpoints), Vec::<PathBuf>::new());

    std::fs::write(checkpoints.join("99999999.json#1"), "left by a process that was killed").unwrap();
    let said = small.ends("full", &["play.speed=max"]);
    assert!(said.contains("resuming from checkpoint"), "{said}");
    assert_eq!(unfinished(&checkpoints), Vec::<PathBuf>::new());
    assert_eq!(small.digest("full"), expected);
}

#[test]
fn a_checkpoint_is_written_once_there_is_space_even_without_new_input() {
    let small = Small::new((0..10_000).map(|n| row(n, &format!("user{n}"), n * 1000)));
    let sets = ["play.speed=max", "checkpoint.interval=50ms", "offline.enabled=false"];
    let run = Run::start(small.told(&mut limited(64), "full", &sets));
    eventually("the end", || run.says("all files are read"));
    // More than one failure at the same event time: there is no more input.
    let failures = || run.metric("tidemill_checkpoint_failures_total", "");
    let before = failures();
    eventually("failures", || failures() >= before + 3.0);
    let written = || run.metric("tidemill_checkpoint_last_timestamp_seconds", "");
    let before = written();
    run.unlimit();
    eventually("a checkpoint", || written() > before);
    run.stop();
    let said = small.ends("full", &sets);
    assert!(said.contains("resuming from checkpoint") && said.contains("as of 2020-01-01T02:46:39"), "{said}");
}

#[test]
fn a_dead_letter_that_cannot_be_kept_ends_the_run_and_the_next_one_keeps_it() {
    let good = |n: i64| row(n, "user", n * 1000);
    // Longer than any other file.
    let bad = |n: i64| ("user".to_owned(), format!("bad{n}{}", "!".repeat(1000)), (START + n * 1000).to_string());
    let small = Small::new((0..20_000).map(good).chain((20_000..22_000).map(bad)).chain((22_000..23_000).map(good)));
    let expected = small.expected();
    small.begins(tidemill(), "full");
    // Bad records are read while earlier good ones wait for the clock, so not all of them are before a checkpoint.
    let sets = ["play.speed=20000", "checkpoint.interval=50ms", "max_in_flight=1000"];
    let said = said(small.run(limited(1500), "full", &sets), 1);
    let letters = small.home("full").join("small/dead_letters.jsonl");
    let why = format!("error: dead letters cannot be kept: {}: cannot be written: File too large", letters.display());
    assert!(said.contains(&why), "{said}");

    let said = small.ends("full", &["play.speed=max"]);
    assert!(said.contains("resuming from checkpoint"), "{said}");
    assert_eq!(small.digest("full"), expected);
    let kept = std::fs::read_to_string(letters).unwrap();
    let mut kept: Vec<i64> = kept
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["offset"].as_i64().unwrap())
        .collect();
    kept.sort_unstable();
    assert_eq!(kept, (20_000..22_000).collect::<Vec<_>>());
}

#[test]
fn an_offline_file_that_cannot_be_written_ends_the_run_and_the_next_one_writes_it() {
    let small = Small::new((0..120_000).map(|n| row(n, "user", n * 1000)));
    let expected = small.expected();
    small.begins(tidemill(), "full");
    // Without a checkpoint on the way, everything is in one segment.
    let sets = ["play.speed=max", "checkpoint.interval=1h"];
    let said = said(small.run(limited(512), "full", &sets), 1);
    let parts = small.home("full").join("small/offline/features/user.parts/");
    assert!(said.contains(&format!("error: the offline store failed: {}", parts.display())), "{said}");
    assert!(said.contains("cannot be written: ") && said.contains("File too large"), "{said}");
    let said = small.ends("full", &["play.speed=max"]);
    assert!(said.contains("resuming from checkpoint"), "{said}");
    assert_eq!(small.digest("full"), expected);
}

#[test]
fn a_log_that_cannot_be_written_does_not_end_the_run() {
    let small = Small::new((0..2000).map(|n| row(n, "user", n * 1000)));
    let expected = small.expected();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = tidemill();
    let command = small.told(&mut command, "full", &["checkpoint.interval=10ms"]).args(["--until-end", "-vv"]);
    let status = command.stdin(Stdio::null()).stdout(full()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(small.digest("full"), expected);
}

/// Returns a run of the flights. Without offline files, the registry's objects are the largest files that it writes.
fn flights(mut command: Command, home: &Path, sets: &[&str]) -> Command {
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["run", "dataflows/flights.toml"]);
    command.arg("--set").arg(format!("data_dir={}", home.display()));
    let sets = ["http.listen=127.0.0.1:0", "play.speed=max"].into_iter().chain(sets.iter().copied());
    sets.for_each(|set| _ = command.args(["--set", set]));
    command
}

#[test]
fn a_registry_that_cannot_be_written_delays_checkpoints_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let full = home.path();

    // Versions that cannot be written serve all the same, and the run can be stopped.
    let run = Run::start(&mut flights(limited(1), full, &["checkpoint.interval=20ms"]));
    eventually("a version", || run.metric("tidemill_model_version", "newest") >= 3.0);
    eventually("it is said", || run.says("the registry cannot be written; retrying"));
    assert!(run.says("File too large"));
    eventually("the end", || run.says("all files are read"));
    eventually("ready", || run.get("/health/ready").starts_with("HTTP/1.1 200"));
    assert_eq!(run.metric("tidemill_checkpoint_last_timestamp_seconds", ""), 0.0);
    let said_last = run.stop();
    assert!(said_last.contains("version 1 of model `late` is not in the registry at"), "{said_last}");

    // A run whose registry must be complete at the end fails.
    let mut command = flights(limited(1), full, &["checkpoint.interval=off"]);
    let said_then = said(command.arg("--until-end").output().unwrap(), 1);
    let registry = full.join("flights/registry");
    let why = format!("error: version 1 of model `late` is not in the registry at {}", registry.display());
    assert!(said_then.contains(&why) && said_then.contains("File too large"), "{said_then}");

    let mut command = flights(tidemill(), full, &["offline.enabled=true"]);
    said(command.arg("--until-end").output().unwrap(), 0);
    assert_eq!(digest(&full.join("flights/offline")), whole_replay().digest);
}
