//! Processor time of training, each kind of model beside a library of its kind, over the same generated data.
//!
//! `cargo run --release --example learn_speed -- FOLDER [PYTHON] [share]`
//!
//! The files are written to `FOLDER` if they are not there. Of tidemill, the time is that of decoding a CSV file, of the
//! trainer's whole way of an example (scored by three versions, then learnt), and of the ends of windows. `PYTHON` is an
//! interpreter that has `vowpalwabbit`, `river`, `lightgbm` and `numpy`; without it, no library is measured. `share`, 1 by
//! default, scales the numbers of examples; files of another share need another folder. All times are of the processor. `step ms`
//! is the longest step of a window's end, which is as long as an operator of a dataflow works without a break there.

#[path = "../../benches/common/mod.rs"]
mod common;
mod data;
#[path = "../processor_time/mod.rs"]
mod processor_time;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow_array::Float64Array;
use arrow_array::cast::AsArray;
use data::Peers;
use tidemill::flow::Plan;
use tidemill::model::{Examples, Labels, Trainer, TrainerConfig};
use tidemill::source::{FilePartition, Ingest, InputStatus, Partition};
use tidemill::spec;
use tidemill::value::{Batch, Key};

/// Records of a batch. Windows have a whole number of them.
const BATCH: usize = 5000;

/// Rows of a step of a window's end, as an operator takes them.
const SLICE: usize = 256;

/// A model that is measured.
struct Measured {
    name: &'static str,
    /// The file that it is trained on, and as many of its rows.
    file: &'static str,
    rows: usize,
    /// The number of examples in a window.
    window: usize,
    /// Keys of the model, in a dataflow file.
    model: &'static str,
    /// The score that is compared.
    metric: &'static str,
    /// The library beside it, by its name in the script.
    peer: Option<&'static str>,
}

const MEASURED: [Measured; 7] = [
    Measured {
        name: "logistic, 20 numbers",
        file: "numbers",
        rows: 1_000_000,
        window: 100_000,
        model: "kind = 'logistic'",
        metric: "logloss",
        peer: Some("vw_numbers"),
    },
    Measured {
        name: "logistic, 12 categories, 1 cross",
        file: "categories",
        rows: 2_000_000,
        window: 100_000,
        model: "kind = 'logistic'\ncrosses = [['c0', 'c1']]",
        metric: "logloss",
        peer: Some("vw_categories"),
    },
    Measured {
        name: "factorization_machine, rank 8",
        file: "ratings",
        rows: 1_000_000,
        window: 100_000,
        model: "kind = { name = 'factorization_machine', task = 'regression', rank = 8 }",
        metric: "rmse",
        peer: None,
    },
    Measured {
        name: "matrix_factorization, rank 16",
        file: "ratings",
        rows: 1_000_000,
        window: 100_000,
        model: "kind = { name = 'matrix_factorization', rank = 16 }",
        metric: "rmse",
        peer: Some("river_matrix_factorization"),
    },
    Measured {
        name: "hoeffding_tree",
        file: "numbers",
        rows: 500_000,
        window: 100_000,
        model: "kind = 'hoeffding_tree'",
        metric: "logloss",
        peer: Some("river_hoeffding_tree"),
    },
    Measured {
        name: "forest of 10",
        file: "numbers",
        rows: 100_000,
        window: 20_000,
        model: "kind = { name = 'forest', trees = 10 }",
        metric: "logloss",
        peer: Some("river_forest"),
    },
    Measured {
        name: "gbdt, 100 trees, 100 k x 30",
        file: "table",
        rows: 100_000,
        window: 100_000,
        model: "kind = { name = 'gbdt', trees = 100 }",
        metric: "logloss",
        peer: Some("lightgbm"),
    },
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, rest @ ..] = arguments.as_slice() else { panic!("learn_speed FOLDER [PYTHON] [share]") };
    let share: f64 = rest.get(1).map_or(1.0, |text| text.parse().expect("a number"));
    let folder = Path::new(folder);
    std::fs::create_dir_all(folder).expect("a folder");
    let header = ["rows", "decode s", "train s", "step ms", "rows/s", "peer", "ratio"];
    println!("{:34} {}", "", header.map(|name| format!("{name:>9}")).join(" "));
    for measured in &MEASURED {
        write(folder, measured.file, share);
        let rows = ((measured.rows as f64 * share) as usize / measured.window).max(1) * measured.window;
        let run = train(&folder.join(format!("{}.csv", measured.file)), measured, rows);
        let rate = rows as f64 / (run.decode_s + run.train_s);
        let peer = measured.peer.zip(rest.first()).map(|(peer, python)| measure_peer(python, peer, folder, rows));
        let (peer_rate, peer_loss) = peer.unwrap_or((f64::NAN, f64::NAN));
        println!(
            "{:34} {rows:9} {:9.2} {:9.2} {:9.1} {rate:9.0} {peer_rate:9.0} {:9.1}   {} {:.4} beside {peer_loss:.4}",
            measured.name,
            run.decode_s,
            run.train_s,
            run.step_s * 1e3,
            rate / peer_rate,
            measured.metric,
            run.loss
        );
    }
}

/// Writes a file unless it is there.
fn write(folder: &Path, file: &str, share: f64) {
    if folder.join(format!("{file}.csv")).exists() {
        return;
    }
    let rows = |rows: f64| (rows * share) as usize;
    let written = match file {
        "numbers" => data::numbers(folder, file, rows(1e6), 20, Peers::VowpalWabbit),
        "table" => data::numbers(folder, file, 100_000, 30, Peers::OfCsv),
        "categories" => data::categories(folder, file, rows(2e6)),
        "ratings" => data::ratings(folder, file, rows(1e6)),
        other => panic!("no data {other}"),
    };
    written.expect("a file that can be written");
}

/// Times and the score of a training run.
struct Run {
    decode_s: f64,
    train_s: f64,
    /// The longest step of a window's end.
    step_s: f64,
    loss: f64,
}

fn train(path: &Path, measured: &Measured, rows: usize) -> Run {
    let plan = plan(path, measured);
    let (source, model) = (&plan.sources[0], &plan.models[0]);
    let config = TrainerConfig {
        name: model.name.clone(),
        inputs: model.assembly.inputs().clone(),
        options: model.options.clone(),
        window_ms: measured.window as i64,
        offset_ms: 0,
        within_ms: 0,
        definition: model.definition.clone(),
    };
    let columns: Vec<usize> = config.inputs.iter().map(|input| column(&source.schema, &input.name)).collect();
    let label = column(&source.schema, "y");
    let mut trainer = Trainer::new(config).expect("the options are right");
    let paths = vec![path.to_owned()];
    let mut partition = FilePartition::open(paths, source.schema.clone(), vec![], vec![]).expect("it was written");
    let mut ingest = Ingest::new(source.clone(), 0);
    let mut run = Run { decode_s: 0.0, train_s: 0.0, step_s: 0.0, loss: f64::NAN };
    for end in (BATCH..=rows).step_by(BATCH) {
        let begun = processor_time::of_this_thread();
        let status = partition.read(BATCH, &mut ingest).expect("the file can be read");
        let examples = examples(&ingest.take().batch, &columns, label);
        let decoded = processor_time::of_this_thread();
        assert!(examples.len() == BATCH && (end == rows || status != InputStatus::EndOfInput));
        trainer.learn(&examples);
        if end % measured.window == 0 {
            run.step_s = run.step_s.max(close(&mut trainer, end as i64));
        }
        run.decode_s += (decoded - begun).as_secs_f64();
        run.train_s += (processor_time::of_this_thread() - decoded).as_secs_f64();
    }
    run.loss = trainer.overall_scores().champion.get(measured.metric).copied().unwrap_or(f64::NAN);
    run
}

/// Closes a window as a dataflow does, and returns the time of the longest step.
fn close(trainer: &mut Trainer, end: i64) -> f64 {
    let (mut longest, mut begun) = (0.0_f64, processor_time::of_this_thread().as_secs_f64());
    let mut is_done = false;
    while !is_done {
        is_done = trainer.work(SLICE);
        let now = processor_time::of_this_thread().as_secs_f64();
        (longest, begun) = (longest.max(now - begun), now);
    }
    trainer.close(end).expect("a version");
    longest.max(processor_time::of_this_thread().as_secs_f64() - begun)
}

/// The plan of a model on the records of a file, whose columns besides the label are its inputs.
fn plan(path: &Path, measured: &Measured) -> Plan {
    let text = std::fs::read_to_string(path).expect("it was written");
    let header: Vec<&str> = text.lines().next().expect("a header").split(',').collect();
    let ty = |name: &str| match name.as_bytes()[0] {
        b'x' | b'y' => "float",
        _ => "string",
    };
    let declared = header[1..].iter().map(|name| format!("{name} = '{}'", ty(name))).collect::<Vec<_>>().join(", ");
    let inputs = header[1..header.len() - 1].iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let label = if measured.metric == "logloss" { "y > 0.5" } else { "y" };
    let spec = format!(
        "name = 'speed'\n[source.rows]\ntopic = 'rows'\nformat = 'json'\ntime = 'at'\n\
         columns = {{ at = {{ type = 'timestamp', unit = 'ms' }}, {declared} }}\n\
         [model.measured]\n{}\nexamples = 'rows'\nfeatures = [{inputs}]\nlabel = {{ value = '{label}' }}\n\
         window = '{}ms'\n",
        measured.model, measured.window
    );
    let spec = spec::parse(&spec, "speed.toml").unwrap_or_else(|problems| panic!("{problems:?}"));
    Plan::new(Arc::new(spec))
}

fn column(schema: &tidemill::value::Schema, name: &str) -> usize {
    schema.columns.iter().position(|column| column.name == name).expect("the source has all inputs")
}

fn examples(batch: &Batch, columns: &[usize], label: usize) -> Examples {
    let time = batch.event_times.to_vec();
    let labels: &Float64Array = batch.columns[label].as_primitive();
    Examples {
        columns: columns.iter().map(|column| batch.columns[*column].clone()).collect(),
        labels: Labels::Numbers(labels.values().to_vec()),
        hash: time.iter().map(|time| Key::hash_of(&time.to_le_bytes())).collect(),
        known: time.clone(),
        time,
        weights: Vec::new(),
        segments: Vec::new(),
        keys: Vec::new(),
        users: Vec::new(),
    }
}

/// The rows per second of processor time and the loss of a library.
fn measure_peer(python: &str, peer: &str, folder: &Path, rows: usize) -> (f64, f64) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/learn_speed/peers.py");
    let mut command = Command::new(python);
    let output = command.args([script, peer]).arg(folder).arg(rows.to_string()).output().expect("an interpreter");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let line = text.lines().last().expect("a line");
    let (rate, loss) = line.split_once(' ').expect("two numbers");
    (rate.parse().expect("a number"), loss.parse().expect("a number"))
}
