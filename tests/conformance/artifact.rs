//! `examples/score.py` predicts from an artifact of every kind as the program does.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::training::{Row, Trial, examples, generate, task};
use crate::model::default_of;
use tidemill::model::{InputForm, InputOptions, KINDS, ModelKind, ModelOptions, Predictor, SamplingOptions};
use tidemill::registry;

fn instance(row: &Row) -> Value {
    json!({ "x": row.x, "y": row.y, "town": row.town, "hour": row.hour, "flag": row.flag })
}

/// Returns the script's predictions, a line each.
fn scored_by_script(python: &Path, predictor: &Predictor, rows: &[Row]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights.safetensors");
    std::fs::write(&weights, registry::encode(predictor)).unwrap();
    let mut script = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/score.py"))
        .arg(&weights)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = rows.iter().map(|row| format!("{}\n", instance(row))).collect();
    let mut stdin = script.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = script.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers = String::from_utf8(output.stdout).unwrap();
    answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn assert_same(kind: &ModelKind, options: &ModelOptions, python: &Path) {
    let outcome = Trial::new(generate(900, 11, 4)).run(options);
    let predictor = &outcome.versions.last().unwrap().predictor;
    let rows = generate(60, 12, 1);
    let expected = predictor.predict(&examples(task(options), &rows).columns, rows.len());
    let answers = scored_by_script(python, predictor, &rows);
    assert_eq!(answers.len(), rows.len());
    let mut distinct = std::collections::BTreeSet::new();
    for (at, answer) in answers.iter().enumerate() {
        let own = expected.row(at);
        let theirs: Vec<f64> = match predictor.classes() {
            [] => vec![answer.as_f64().unwrap()],
            classes => classes.iter().map(|class| answer[&**class].as_f64().unwrap()).collect(),
        };
        assert_eq!(theirs.len(), own.len());
        for (theirs, own) in theirs.iter().zip(own) {
            let near = (theirs - own).abs() <= 1e-9 * own.abs().max(1.0);
            assert!(near, "{} ({options:?}): {theirs} instead of {own}", kind.name);
            distinct.insert(own.to_bits());
        }
    }
    assert!(distinct.len() > 3, "{}: predictions that do not differ prove nothing", kind.name);
}

#[test]
fn a_script_predicts_from_an_artifact_as_the_program_does() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join("target/clients/installed").exists() {
        eprintln!("SKIPPED: tests/setup could not install the Python packages in target/clients");
        return;
    }
    let python = root.join("target/clients/bin/python");
    for kind in KINDS {
        let mut plain = ModelOptions { hash_bits: 10, ..default_of(kind) };
        assert_same(kind, &plain, &python);
        for (name, value) in [("clusters", 8.0.into()), ("halflife", 50.0.into()), ("activation", "relu".into())] {
            if kind.parameters.iter().any(|parameter| parameter.name == name) {
                plain.kind.parameters.push((name.to_owned(), value));
            }
        }
        if kind.reads == InputForm::Observations {
            continue;
        }
        let crosses = vec![vec!["x".into(), "town".into()], vec!["hour".into(), "flag".into()]];
        let rich = ModelOptions { bins: 5, crosses, ..plain };
        assert_same(kind, &rich, &python);
        let preparing = InputOptions { winsorise: 0.02, min_count: 60, ..InputOptions::default() };
        let prepared = ModelOptions { preparing, ..rich };
        let negative_sampling = Some(0.5);
        let sampling = SamplingOptions { negative_sampling, ..SamplingOptions::default() };
        let sampled = ModelOptions { sampling, ..prepared.clone() };
        assert_same(kind, if kind.check(&sampled).is_empty() { &sampled } else { &prepared }, &python);
    }
}
