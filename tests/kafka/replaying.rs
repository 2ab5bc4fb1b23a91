//! Replays of a month of flights, on files and on Kafka: the bounds that are asked for, and what is read for them.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::broker::Broker;
use super::flights::{Bound, January, shipped};
use crate::common::engine::rows;

/// The flights with windows of so many days at most.
fn within(days: u32) -> String {
    let text = shipped();
    // Its tests expect the windows that it has.
    let text = text.split("\n[[test]]").next().expect("a text has a beginning");
    assert!(text.contains("\"14d\"") && text.contains("\"28d\""));
    text.replace("\"14d\"", &format!("\"{days}d\"")).replace("\"28d\"", &format!("\"{days}d\""))
}

/// Examples without score and version, which are the last two columns: models have seen less in a cold start.
fn examples(out: &Path) -> Vec<Vec<tidemill::value::Scalar>> {
    let rows = rows(&out.join("examples/late.parquet"));
    rows.into_iter().map(|row| row[..row.len() - 2].to_vec()).collect()
}

/// Replays from a time on, and the same cold; gives both digests and what the cold one said.
fn whole_and_cold(january: &January, bounds: &[&str]) -> (Value, Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let [whole, cold] = ["whole", "cold"].map(|name| folder.path().join(name));
    let (expected, _) = january.replay(&whole, bounds);
    let (found, said) = january.replay(&cold, &[bounds, &["--cold", "-v"]].concat());
    assert_eq!(found["features"], expected["features"], "{bounds:?}");
    let (of_whole, of_cold) = (examples(&whole), examples(&cold));
    assert!(of_whole.len() > 2000, "{} examples", of_whole.len());
    assert!(of_cold == of_whole, "{bounds:?}: the examples differ");
    assert_ne!(found["models"], expected["models"], "models of a cold start have seen less");
    (expected, found, said)
}

fn count(digest: &Value, source: &str) -> u64 {
    digest["sources"][source]["read"].as_u64().unwrap()
}

/// The offsets that a source's partitions were read from, as logged.
fn starts(said: &str, source: &str) -> Vec<u64> {
    let told = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let fields = told.map(|told| told["fields"].clone());
    let here = fields.filter(|fields| fields["message"] == "a partition is read" && fields["source"] == source);
    here.map(|fields| fields["start"].as_u64().unwrap()).collect()
}

#[test]
fn a_cold_replay_equals_a_whole_one_and_reads_far_fewer_records() {
    const FROM: &str = "2013-01-25";
    // Fourteen days and a hop before.
    whole_and_cold(&January::with(Bound::Files, &within(14)), &["--from", FROM]);
    let files = January::with(Bound::Files, &within(2));
    for bounds in [&["--from", FROM][..], &["--from", FROM, "--to", "2013-01-29T12:34:56"]] {
        let (whole, cold, _) = whole_and_cold(&files, bounds);
        for source in ["schedule", "departures"] {
            assert!(count(&cold, source) * 2 < count(&whole, source), "{source}: {cold}");
        }
        assert_eq!(count(&cold, "weather"), count(&whole, "weather"), "a table is read from its beginning");
        let tally = &cold["sources"]["departures"];
        assert_eq!(tally["read"], tally["applied"], "what is skipped is not counted");
        for partitions in [1, 4] {
            let broker = Broker::stopped();
            broker.start();
            let kafka = January::with(Bound::Kafka(broker.servers()), &within(2));
            kafka.load(partitions);
            let (on_kafka, cold_on_kafka, said) = whole_and_cold(&kafka, bounds);
            assert_eq!(on_kafka, whole, "{partitions} partitions");
            assert_eq!(cold_on_kafka, cold, "{partitions} partitions");
            for source in ["schedule", "departures"] {
                let starts = starts(&said, source);
                assert_eq!(starts.len(), partitions as usize, "{said}");
                let passed: u64 = starts.iter().sum();
                let needed = count(&whole, source) - count(&cold, source);
                // Up to a day more than is needed is read, as an event may be that far ahead of its message.
                assert!(passed * 10 > needed * 7 && passed <= needed, "{source}: {passed} of {needed} were not read");
            }
            assert_eq!(starts(&said, "weather").iter().sum::<u64>(), 0, "{said}");
        }
    }
}

/// The manifests of a run's checkpoints with their times, ascending.
fn manifests(folder: &Path) -> Vec<(i64, std::path::PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let read = |path: std::path::PathBuf| {
        let manifest: Value = serde_json::from_str(&std::fs::read_to_string(&path).ok()?).ok()?;
        Some((manifest["time"].as_i64()?, path))
    };
    let mut found: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|ext| ext == "json")).filter_map(read).collect();
    found.sort();
    found
}

/// 2013-01-08.
const EIGHTH: i64 = 1_357_603_200_000;

#[test]
fn a_replay_from_a_checkpoint_equals_the_rest_of_a_whole_one() {
    let broker = Broker::stopped();
    broker.start();
    let kafka = January::new(Bound::Kafka(broker.servers()));
    kafka.load(4);
    for january in [January::new(Bound::Files), kafka] {
        let home = tempfile::tempdir().unwrap();
        let checkpoints = home.path().join("flights/checkpoints");
        let often = |speed| [speed, "checkpoint.interval=40ms", "checkpoint.keep=1000"];
        let mut run = january.run(home.path(), 2, &often("play.speed=50000"));
        let in_between = || manifests(&checkpoints).into_iter().find(|(time, _)| *time >= EIGHTH);
        run.watch(Duration::from_secs(240), || in_between().is_some());
        run.terminate();
        january.run(home.path(), 2, &often("play.speed=max")).end();
        let (time, manifest) = in_between().expect("one was seen");
        let from = time.to_string();
        let whole = home.path().join("whole");
        let (expected, _) = january.replay(&whole, &["--from", &from]);
        assert!(expected["examples"]["late"]["rows"].as_u64().unwrap() > 1000, "{time}: {expected}");
        let verify = ["--verify", whole.to_str().unwrap(), "--quiet"];
        let from_checkpoint = ["--checkpoint", manifest.to_str().unwrap()];
        let (found, _) = january.replay(&home.path().join("rest"), &[&from_checkpoint[..], &verify[..]].concat());
        assert_eq!(found, expected);
        // The newest is that of the end.
        let newest = ["--checkpoint", checkpoints.to_str().unwrap()];
        let (found, _) = january.replay(&home.path().join("none"), &newest);
        assert_eq!(found["sources"], expected["sources"]);
        assert_eq!(found["features"]["airport"]["rows"], 0);
        let before = [&from_checkpoint[..], &["--to", &from]].concat();
        let (code, said) = january.try_replay(&home.path().join("before"), &before);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("expected --to after that"), "{said}");
    }
}
