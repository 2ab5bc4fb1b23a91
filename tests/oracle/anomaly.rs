//! `dataflows/anomaly.toml`: its inputs and labels, against loops over all readings, and its AUC against all pairs.

use std::collections::BTreeSet;

use tidemill::time::parse_time;
use tidemill::value::Scalar;

use crate::common::shipped::{Columns, Replayed, TopicFile, root, units, unpacked};

#[allow(dead_code, reason = "its main function writes files")]
#[path = "../../examples/anomaly_data.rs"]
mod anomaly_data;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

struct Reading {
    at: i64,
    machine: String,
    tenths: i64,
}

fn readings(csv: &str) -> Vec<Reading> {
    let records = csv::Reader::from_reader(csv.as_bytes()).into_records().map(Result::unwrap);
    let reading = |record: csv::StringRecord| Reading {
        at: parse_time(&record[3]).unwrap(),
        machine: record[1].to_owned(),
        tenths: units(&record[2], 1),
    };
    records.map(reading).collect()
}

/// The tenths of a machine's readings in a window before a reading; its oldest edge is a multiple of the hop.
fn window(all: &[Reading], number: usize, length: i64, hop: i64) -> Vec<i64> {
    let Reading { at, machine, .. } = &all[number];
    let edge = (at - length).div_euclid(hop) * hop;
    let inside = |reading: &&Reading| reading.machine == *machine && (edge..*at).contains(&reading.at);
    all[..number].iter().rev().take_while(|reading| reading.at >= edge).filter(inside).map(|r| r.tenths).collect()
}

fn mean(tenths: &[i64]) -> Option<f64> {
    (!tenths.is_empty()).then(|| tenths.iter().sum::<i64>() as f64 / (10 * tenths.len()) as f64)
}

/// The standard deviation of a sample; None where it has fewer than two readings, or all are equal.
fn deviation(tenths: &[i64]) -> Option<f64> {
    let mean = mean(tenths)?;
    let squares: f64 = tenths.iter().map(|x| (*x as f64 / 10.0 - mean).powi(2)).sum();
    (tenths.len() > 1 && squares > 1e-9).then(|| (squares / (tenths.len() - 1) as f64).sqrt())
}

fn range(tenths: &[i64]) -> Option<f64> {
    Some((tenths.iter().max()? - tenths.iter().min()?) as f64 / 10.0)
}

fn check(examples: &Columns, all: &[Reading], failed: &BTreeSet<usize>) {
    for row in 0..examples.len() {
        let number: usize = examples.text("reading", row).parse().unwrap();
        let is = |name: &str, expected: Option<f64>| {
            let near = match (examples.get(name, row), expected) {
                (Scalar::Null, None) => true,
                (Scalar::Float(own), Some(expected)) => (own - expected).abs() <= 1e-9 * expected.abs().max(1.0),
                _ => false,
            };
            assert!(near, "{name} of {number}: {:?} for {expected:?}", examples.get(name, row));
        };
        let (hour, day) = (window(all, number, HOUR, MINUTE), window(all, number, DAY, HOUR));
        let (own, unit) = (all[number].tenths as f64 / 10.0, deviation(&day));
        is("level", mean(&day).zip(unit).map(|(mean, unit)| (own - mean) / unit));
        is("jump", mean(&hour).zip(unit).map(|(mean, unit)| (own - mean) / unit));
        is("range", range(&hour).zip(unit).map(|(range, unit)| range / unit));
        is("_label", Some(f64::from(u8::from(failed.contains(&number)))));
    }
}

/// The share of pairs of a failure and another reading in which the failure has the higher score; a tie is half.
fn auc(examples: &Columns) -> f64 {
    let of = |label: f64| -> Vec<f64> {
        let is = |row: &usize| *examples.get("_label", *row) == Scalar::Float(label);
        let score = |row| match examples.get("_score", row) {
            Scalar::Float(score) => Some(*score),
            _ => None,
        };
        (0..examples.len()).filter(is).filter_map(score).collect()
    };
    let (failures, others) = (of(1.0), of(0.0));
    let wins =
        |x: &f64| others.iter().map(|y| if x > y { 1.0 } else { f64::from(u8::from(x == y)) / 2.0 }).sum::<f64>();
    failures.iter().map(wins).sum::<f64>() / (failures.len() * others.len()) as f64
}

#[test]
fn oracle_of_the_anomaly_dataflow() {
    let made = anomaly_data::AnomalyData::generate();
    for (name, text) in [("readings", &made.readings), ("inspections", &made.inspections)] {
        assert!(
            *text == unpacked(&root().join(format!("data/anomaly/{name}.csv.gz"))),
            "{name}.csv.gz is another text"
        );
    }
    let topics = [
        TopicFile { topic: "readings", csv: &made.readings },
        TopicFile { topic: "inspections", csv: &made.inspections },
    ];
    let replayed = Replayed::of("anomaly", &topics);
    let all = readings(&made.readings);
    let failed =
        made.inspections.lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    let examples = replayed.columns("examples/unusual");
    assert!(examples.len() > 24_000);
    check(&examples, &all, &failed);

    let digest: serde_json::Value = serde_json::from_str(&replayed.text("digest.json")).unwrap();
    let scores = &digest["training"]["unusual"]["scores"];
    let told = scores["champion"]["auc"].as_f64().unwrap_or_else(|| panic!("{scores}"));
    let found = auc(&examples);
    assert!((told - found).abs() < 1e-4 && found > 0.85, "{told} for {found}");
}
