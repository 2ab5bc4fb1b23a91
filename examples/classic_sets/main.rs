//! Quality on the classic data sets, beside River and Vowpal Wabbit.
//!
//! `cargo run --release --example classic_sets -- FOLDER [--python PYTHON] [SET]…`
//!
//! `FOLDER` has the sets as `NAME.csv.gz`. Every kind of model of the set's task is trained on windows of one record, and on
//! windows of a hundredth of the set, but 10 records at least. Each record is predicted by the version in force before it is
//! learnt. The table has the best kind at its defaults, and the best of a few values of the parameters that are tuned most.
//! `gbdt`, which is fitted anew at the end of each window, is tried with windows of one record on small sets only. With a
//! Python that has `river` and `vowpalwabbit`, `peers.py` adds the best of their models, which learn each record before they
//! predict the next.

#[path = "../../tests/common/classic.rs"]
mod classic;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, bail};
use clap::Parser;
use classic::ClassicSet;
use tidemill::model::{KINDS, LabelDomain, ModelKind, ModelOptions, OptimizerOptions, ParameterValue, Task, TrainedBy};

/// A set, its task, and the metric that its models are compared by.
type Set = (&'static str, Task, &'static str);

const SETS: &[Set] = &[
    ("Phishing", Task::Binary, "logloss"),
    ("breast_cancer", Task::Binary, "logloss"),
    ("Bananas", Task::Binary, "accuracy"),
    ("ConceptDriftSEA", Task::Binary, "logloss"),
    ("Agrawal", Task::Binary, "auc"),
    ("ImageSegments", Task::Multiclass, "accuracy"),
    ("digits", Task::Multiclass, "accuracy"),
    ("wine", Task::Multiclass, "accuracy"),
    ("LED", Task::Multiclass, "accuracy"),
    ("TrumpApproval", Task::Regression, "mae"),
    ("ChickWeights", Task::Regression, "mae"),
    ("diabetes", Task::Regression, "mae"),
    ("Friedman", Task::Regression, "mae"),
];

/// Values of `bins` that are tried.
const BINS: [usize; 2] = [0, 12];

/// Rows of the largest set on whose windows of one record `gbdt` is tried.
const FEW_ROWS: usize = 1300;

/// Optimizers that are tried, each with the values of its learning rate.
const OPTIMIZERS: &[(&str, &str, &[f64])] = &[
    ("ftrl", "alpha", &[0.05, 0.2, 0.5, 1.0]),
    ("adagrad", "rate", &[0.05, 0.1, 0.3]),
    ("normalised_sgd", "rate", &[0.2, 0.5]),
    ("sgd", "rate", &[0.01, 0.05]),
    ("coin", "alpha", &[4.0]),
];

/// Parameters of kinds that are tried.
const PARAMETERS: &[(&str, &[&str])] = &[
    ("passive_aggressive", &["C=0.01", "C=0.1"]),
    ("factorization_machine", &["rate=0.05", "rate=0.1", "rate=0.1 rank=16"]),
    (
        "mlp",
        &[
            "rate=0.05",
            "rate=0.1",
            "rate=0.3",
            "hidden=32",
            "hidden=64",
            "hidden=64 rate=0.05",
            "hidden=256 rate=0.015 activation=relu",
            "hidden=256 rate=0.1 activation=relu",
        ],
    ),
    ("hoeffding_tree", &["grace=50"]),
    ("gbdt", &["min_leaf=5", "min_leaf=10", "rate=0.05"]),
    ("forest", &["trees=30", "grace=10", "trees=50 grace=5 delta=0.5 tau=0.5"]),
];

#[derive(Parser)]
struct Arguments {
    /// The folder with the sets.
    folder: PathBuf,
    /// A Python with `river` and `vowpalwabbit`.
    #[arg(long)]
    python: Option<PathBuf>,
    /// The sets to measure; all without one.
    sets: Vec<String>,
}

/// A kind of model with options.
#[derive(Clone)]
struct Candidate {
    name: String,
    options: ModelOptions,
    is_default: bool,
}

/// A score, and the model that has it.
#[derive(Clone)]
struct Best {
    score: f64,
    model: String,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let is_asked = |set: &&Set| arguments.sets.is_empty() || arguments.sets.iter().any(|name| name == set.0);
    let sets: Vec<&Set> = SETS.iter().filter(is_asked).collect();
    if sets.is_empty() {
        bail!("no such set; expected some of {}", SETS.iter().map(|set| set.0).collect::<Vec<_>>().join(", "));
    }
    println!("| set | metric | one record: default | tuned | windows | default | tuned | River or Vowpal Wabbit |");
    println!("|---|---|---|---|---|---|---|---|");
    for set in sets {
        let (name, _, metric) = set;
        let data = ClassicSet::read(&arguments.folder, name).with_context(|| format!("{name} cannot be read"))?;
        let window = (data.labels.len() / 100).max(10);
        let [one, realistic] = [1, window].map(|window| best(set, &data, window));
        let peer = match &arguments.python {
            Some(python) => best_peer(python, &arguments.folder, set)?.to_string(),
            None => "not measured".to_owned(),
        };
        println!(
            "| {name} | {metric} | {} | {} | {window} | {} | {} | {peer} |",
            one[0], one[1], realistic[0], realistic[1]
        );
    }
    Ok(())
}

impl std::fmt::Display for Best {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} `{}`", self.score, self.model)
    }
}

/// Returns the better of two scores by a metric.
fn better(metric: &str, one: Option<Best>, other: Best) -> Option<Best> {
    let less = ["logloss", "mae"].contains(&metric);
    let is_as_good =
        |one: &Best| other.score.is_nan() || if less { one.score <= other.score } else { one.score >= other.score };
    match one {
        Some(one) if is_as_good(&one) => Some(one),
        _ => Some(other),
    }
}

/// Returns the best score of all kinds at their defaults, and of all candidates.
fn best((_, task, metric): &Set, data: &ClassicSet, window: usize) -> [Best; 2] {
    let candidates = candidates(*task, window > 1 || data.labels.len() <= FEW_ROWS);
    let (next, found) = (AtomicUsize::new(0), Mutex::new([None, None]));
    let work = || {
        while let Some(candidate) = candidates.get(next.fetch_add(1, Ordering::Relaxed)) {
            let score = data.run(&candidate.options, window).get(metric).unwrap_or(f64::NAN);
            eprintln!("{metric} {score:.4} {window} {}", candidate.name);
            let mut found = found.lock().expect("no thread panics with the lock");
            let own = || Best { score, model: candidate.name.clone() };
            if candidate.is_default {
                found[0] = better(metric, found[0].take(), own());
            }
            found[1] = better(metric, found[1].take(), own());
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
    found.into_inner().expect("no thread has panicked").map(|best| best.expect("each task has kinds"))
}

/// Returns the models that are tried: every kind of the task, at its defaults and tuned, `gbdt` if it is `refitted`.
fn candidates(task: Task, refitted: bool) -> Vec<Candidate> {
    let is_tried = |kind: &&&ModelKind| {
        let is_of_task = kind.task == task && kind.least_categories == 0 && kind.labels != LabelDomain::Count;
        is_of_task && (refitted || kind.name != "gbdt")
    };
    let mut found = Vec::new();
    for kind in KINDS.iter().filter(is_tried) {
        let mut options = ModelOptions { kind: kind.name.into(), hash_bits: 8, ..ModelOptions::default() };
        options.kind.task = Some(task);
        if kind.trained_by == TrainedBy::Itself {
            options.optimizer = None;
        }
        found.push(Candidate { name: kind.name.to_owned(), options: options.clone(), is_default: true });
        tuned(kind, &options, &mut found);
    }
    found
}

/// Adds what is tried of a kind beside its defaults.
fn tuned(kind: &ModelKind, defaults: &ModelOptions, found: &mut Vec<Candidate>) {
    let mut tries = vec![(String::new(), defaults.clone())];
    if defaults.optimizer.is_some() {
        for (name, rate, values) in OPTIMIZERS {
            for value in *values {
                let parameters = vec![((*rate).to_owned(), ParameterValue::from(*value))];
                let optimizer = Some(OptimizerOptions { name: (*name).to_owned(), parameters });
                tries.push((format!(" {name} {rate}={value}"), ModelOptions { optimizer, ..defaults.clone() }));
            }
        }
    }
    for written in PARAMETERS.iter().filter(|(of, _)| *of == kind.name).flat_map(|(_, written)| *written) {
        let mut options = defaults.clone();
        options.kind.parameters = written.split(' ').filter_map(parameter).collect();
        tries.push((format!(" {written}"), options));
    }
    // Trees cut numbers by themselves.
    let bins = if ["hoeffding_tree", "gbdt", "forest"].contains(&kind.name) { &BINS[..1] } else { &BINS[..] };
    for (what, options) in tries {
        for bins in bins.iter().filter(|bins| **bins > 0 || !what.is_empty()) {
            let name =
                format!("{}{what}{}", kind.name, if *bins > 0 { format!(" bins={bins}") } else { String::new() });
            found.push(Candidate { name, options: ModelOptions { bins: *bins, ..options.clone() }, is_default: false });
        }
    }
}

/// Reads a parameter that is written as `name=value`.
fn parameter(written: &str) -> Option<(String, ParameterValue)> {
    let (name, value) = written.split_once('=')?;
    Some((name.to_owned(), value.parse::<f64>().map_or_else(|_| value.into(), ParameterValue::from)))
}

/// Returns the best score of the models of `peers.py`.
fn best_peer(python: &Path, folder: &Path, (name, _, metric): &Set) -> anyhow::Result<Best> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/classic_sets/peers.py");
    let output = Command::new(python).arg(script).arg(folder).arg(name).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut scores = BTreeMap::new();
    for row in csv::ReaderBuilder::new().has_headers(false).from_reader(&output.stdout[..]).records() {
        let row = row?;
        if row[2] == **metric {
            scores.insert(row[1].to_owned(), row[3].parse::<f64>()?);
        }
    }
    let best = scores.into_iter().fold(None, |best, (model, score)| better(metric, best, Best { score, model }));
    best.context("no model was measured")
}
