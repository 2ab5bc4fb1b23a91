//! Scores by segment and of persistence, against the same computed one by one.

use std::collections::BTreeMap;

use crate::common::training::{DAY, Row, Trial, generate};
use crate::model::default_of;
use tidemill::model::{KINDS, ModelKind, ModelOptions, ReportOptions, Scores, Task};

fn reported(kind: &ModelKind) -> ModelOptions {
    let reports = ReportOptions { segments: vec!["town".into()], persistence: vec!["id".into()] };
    ModelOptions { hash_bits: 8, reports, ..default_of(kind) }
}

#[test]
fn oracle_a_segment_has_the_scores_of_its_examples() {
    for kind in KINDS.iter().filter(|kind| matches!(kind.task, Task::Binary | Task::Regression)) {
        let options = reported(kind);
        let rows = generate(900, 21, 3);
        let ran = Trial::new(rows.clone()).run(&options);
        for version in &ran.versions {
            let day = version.window_end / DAY - 1;
            let mut expected: BTreeMap<&str, Scores> = BTreeMap::new();
            let of_day = rows.iter().enumerate().filter(|(_, row)| row.known / DAY == day);
            for (at, row) in of_day.filter(|(at, _)| ran.scored.version[*at] > 0) {
                let scores = expected.entry(row.town.as_deref().unwrap_or("null"));
                let scores = scores.or_insert_with(|| Scores::new(kind.scoring(&options)));
                scores.add(ran.scored.prediction(at), row.label);
            }
            let found = version.prequential.segments.get("town");
            assert_eq!(found.map_or(0, BTreeMap::len), expected.len(), "{}: {}", kind.name, version.number);
            for (town, scores) in expected {
                let own = &found.unwrap()[town];
                assert_eq!((own.examples, &own.champion), (scores.examples(), &scores.all()), "{}: {town}", kind.name);
            }
        }
    }
}

/// The last label of the row's key that was known before the row.
fn last_known(rows: &[Row], row: &Row) -> Option<f64> {
    let same = rows.iter().filter(|other| other.id % 5 == row.id % 5 && other.known < row.time);
    same.max_by_key(|other| other.known).map(|other| other.label)
}

#[test]
fn oracle_persistence_is_the_last_label_of_the_key_that_was_known_before_the_example() {
    for name in ["logistic", "linear", "hoeffding_tree"] {
        let kind = ModelKind::find(name).unwrap();
        let options = reported(kind);
        let mut rows = generate(1200, 23, 4);
        // Labels that stay for a while, at times that are all different.
        for (at, row) in rows.iter_mut().enumerate() {
            row.label = f64::from(u8::from((row.id % 5 + at as u64 / 100).is_multiple_of(3)));
        }
        let ran = Trial::new(rows.clone()).run(&options);
        let metric = if kind.task == Task::Binary { "accuracy" } else { "mae" };
        for version in &ran.versions[1..] {
            let day = version.window_end / DAY - 1;
            let mut scores = Scores::new(kind.scoring(&options));
            for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.known / DAY == day) {
                match last_known(&rows, row) {
                    Some(label) if ran.scored.version[at] > 0 => scores.add(&[label], row.label),
                    _ => {}
                }
            }
            let found = version.prequential.persistence.iter().find(|(known, _)| *known == metric).unwrap().1;
            let expected = scores.get(metric).unwrap();
            assert_eq!(found.to_bits(), expected.to_bits(), "{name}: {found} {expected}");
            assert!(version.prequential.persistence.iter().all(|(known, _)| *known != "logloss"));
        }
    }
}

#[test]
fn reports_that_are_not_requested_are_left_out() {
    for kind in KINDS {
        let options = ModelOptions { reports: ReportOptions::default(), ..reported(kind) };
        let versions = Trial::new(generate(300, 25, 3)).run(&options).versions;
        let last = &versions.last().unwrap().prequential;
        assert!(last.segments.is_empty() && last.persistence.is_empty(), "{}", kind.name);
    }
}
