//! Runs that are killed or stopped and started again end as one that was not: features, examples, versions and ledger,
//! by hash.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::broker::Broker;
use super::flights::{self, Bound, January, Running};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Event seconds a second: a month of flights takes some two seconds.
const SPEED: &str = "play.speed=1500000";

/// Longer than a run takes.
const LONG: Duration = Duration::from_secs(120);

/// An interruption of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL at any moment.
    Kill,
    /// SIGKILL while a checkpoint is being written.
    KillInCheckpoint,
    /// SIGKILL while a version is being written.
    KillInPublish,
    /// SIGTERM at any moment.
    Terminate,
    /// SIGKILL, and the newest checkpoint loses its end.
    Truncate,
}

fn interrupted(january: &January, blow: Blow, workers: &[usize], seed: u64) -> String {
    let mut random = StdRng::seed_from_u64(seed);
    let home = tempfile::tempdir().unwrap();
    let checkpoints = home.path().join("flights/checkpoints");
    let interval = format!("checkpoint.interval={}ms", random.random_range(40..200));
    let sets = [SPEED, interval.as_str()];
    for workers in &workers[..workers.len() - 1] {
        let mut run = january.run(home.path(), *workers, &sets);
        let moment = Duration::from_millis(random.random_range(300..900));
        match blow {
            Blow::Kill | Blow::Terminate => run.wait_at_most(moment),
            Blow::Truncate => run.watch(LONG, || whole(&checkpoints).len() > 2),
            Blow::KillInCheckpoint => run.watch(LONG, || half_written(&checkpoints)),
            Blow::KillInPublish => run.watch(LONG, || unfinished(&home.path().join("flights/registry/late"))),
        }
        match blow {
            Blow::Terminate => run.terminate(),
            _ => run.kill(),
        }
        if blow == Blow::Truncate {
            truncate_newest(&checkpoints);
        }
    }
    let last = january.run(home.path(), workers[workers.len() - 1], &["play.speed=max", interval.as_str()]);
    let said = last.end();
    if blow == Blow::Truncate {
        assert!(said.contains("warning: skipped: checkpoint") && said.contains("resuming from"), "{said}");
    }
    flights::digest(home.path())
}

/// Returns whether a checkpoint after the second has objects but no manifest.
fn half_written(folder: &Path) -> bool {
    let half = |number: &u64| *number > 2 && !folder.join(format!("{number:08}.json")).exists();
    numbered(folder).last().is_some_and(half)
}

/// Returns whether a version after the eighth has weights but no `model.json`.
fn unfinished(folder: &Path) -> bool {
    let half = |number: &u64| *number > 8 && !folder.join(number.to_string()).join("model.json").exists();
    numbered(folder).last().is_some_and(half)
}

/// The subfolders that are numbers, ascending.
fn numbered(folder: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut numbers: Vec<u64> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// The checkpoints that have a manifest, ascending.
fn whole(folder: &Path) -> Vec<u64> {
    numbered(folder).into_iter().filter(|number| folder.join(format!("{number:08}.json")).exists()).collect()
}

fn truncate_newest(folder: &Path) {
    let number = *whole(folder).last().expect("there were some");
    let part: PathBuf = folder.join(format!("{number:08}")).join("features.plane");
    let length = std::fs::metadata(&part).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&part).unwrap().set_len(length / 2).unwrap();
}

fn each(blow: Blow, seeds: std::ops::Range<u64>) {
    let january = January::new(Bound::Files);
    each_on(&january, blow, seeds);
}

pub fn each_on(january: &January, blow: Blow, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        for workers in [&[1, 1, 1][..], &[2, 2, 2], &[1, 3, 2]] {
            let found = interrupted(january, blow, workers, seed);
            assert!(found == january.expected(), "{blow:?}, seed {seed}, workers {workers:?}");
        }
    }
}

#[test]
fn a_run_killed_at_any_moment_ends_as_if_it_were_not() {
    each(Blow::Kill, 0..2);
}

#[test]
fn a_run_killed_while_it_writes_a_checkpoint_ends_as_if_it_were_not() {
    each(Blow::KillInCheckpoint, 10..11);
}

#[test]
fn a_run_killed_while_it_publishes_ends_as_if_it_were_not() {
    each(Blow::KillInPublish, 20..21);
}

#[test]
fn a_run_that_is_terminated_resumes_where_it_was() {
    each(Blow::Terminate, 30..31);
}

#[test]
fn a_truncated_checkpoint_is_skipped() {
    each(Blow::Truncate, 40..41);
}

#[test]
fn a_checkpoint_of_another_dataflow_file_is_refused() {
    let january = January::new(Bound::Files);
    let home = tempfile::tempdir().unwrap();
    let mut run = january.run(home.path(), 1, &[SPEED, "checkpoint.interval=50ms"]);
    let since = Instant::now();
    run.watch(Duration::from_secs(30), || !numbered(&home.path().join("flights/checkpoints")).is_empty());
    assert!(since.elapsed() < Duration::from_secs(30));
    run.terminate();
    let changed = january.changed("alpha = 0.02", "alpha = 0.03");
    let (code, said) = january.run_file(&changed, home.path(), &[]).outcome();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("was taken with another version of the dataflow file") && said.contains("--fresh"), "{said}");
}

#[test]
fn a_checkpoint_of_another_version_of_tidemill_is_refused() {
    let january = January::new(Bound::Files);
    let home = tempfile::tempdir().unwrap();
    january.run(home.path(), 1, &["play.speed=max"]).end();
    let checkpoints = home.path().join("flights/checkpoints");
    let manifest = checkpoints.join(format!("{:08}.json", whole(&checkpoints).last().unwrap()));
    let mut json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&manifest).unwrap()).unwrap();
    json["format"] = 1.into();
    // The rest of the manifest does not matter.
    json.as_object_mut().unwrap().remove("parts");
    std::fs::write(&manifest, json.to_string()).unwrap();
    let (code, said) = january.run(home.path(), 1, &[]).outcome();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("is of another version of tidemill: it has format 1") && said.contains("--fresh"), "{said}");
}

#[test]
fn a_checkpoint_of_another_transport_is_refused() {
    let broker = Broker::shared();
    let home = tempfile::tempdir().unwrap();
    January::new(Bound::Files).run(home.path(), 1, &["play.speed=max"]).end();
    let (code, said) = January::new(Bound::Kafka(broker.servers())).run(home.path(), 1, &[]).outcome();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("was taken by a run that read topic \"departures\" from files"), "{said}");
}

#[test]
fn a_fresh_run_archives_the_checkpoints_of_an_earlier_one() {
    let january = January::new(Bound::Files);
    let home = tempfile::tempdir().unwrap();
    let url = format!("checkpoint.url={}", home.path().join("elsewhere").display());
    january.run(home.path(), 1, &["play.speed=max", &url]).end();
    let said = january.run_fresh(home.path(), &["play.speed=max", &url]).end();
    assert!(said.contains("are kept in") && said.contains("elsewhere.1") && !said.contains("resuming"), "{said}");
    assert_eq!(flights::digest(home.path()), january.expected());
}

#[test]
fn a_run_reports_the_checkpoint_that_it_resumes_from() {
    let january = January::new(Bound::Files);
    let home = tempfile::tempdir().unwrap();
    let first: Running = january.run(home.path(), 1, &["play.speed=max"]);
    assert!(!first.end().contains("resuming from"));
    let again = january.run(home.path(), 2, &["play.speed=max"]);
    let said = again.end();
    assert!(said.contains("resuming from checkpoint") && said.contains("as of 2013-01-31"), "{said}");
    assert_eq!(flights::digest(home.path()), january.expected());
}

#[test]
fn an_interrupted_run_on_four_partitions_ends_as_one_on_files() {
    let broker = Broker::shared();
    let january = January::new(Bound::Kafka(broker.servers()));
    january.load(4);
    let blows = [Blow::Kill, Blow::Terminate, Blow::KillInCheckpoint, Blow::KillInPublish, Blow::Truncate];
    blows.into_iter().zip(50..).for_each(|(blow, seed)| each_on(&january, blow, seed..seed + 1));
}
