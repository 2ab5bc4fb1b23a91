//! Models of all tasks, with and without optimizers, labels and shards, from file to endpoint: replays and a live run
//! give the same hashes, offline files hold a map from class to probability, and the endpoint returns objects, numbers
//! and clusters.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::path::Path;
use std::process::Command;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::common::program::Run;

const ORDERS: &str = r#"
name = "orders"

[source.orders]
topic = "orders"
format = "json"
key = ["id"]
time = "at"
columns = { id = "string", town = "string", amount = "float", at = "timestamp" }

[source.outcomes]
topic = "outcomes"
format = "json"
time = "at"
columns = { id = "string", outcome = "string", code = "int", at = "timestamp" }

[features.town]
from = "orders"
entity = "town"
aggregate = [{ of = "amount", op = "mean", windows = ["6h"] }]

[model.outcome]
kind = "softmax"
examples = "orders"
features = ["town.*", "town", "amount"]
label = { from = "outcomes", on = "id", value = "outcome", within = "2h", otherwise = "none" }
window = "1d"
publish = { metric = "accuracy", tolerance = 0.2 }

[model.code]
kind = { name = "softmax", max_classes = 3 }
examples = "orders"
features = ["town", "amount"]
label = { from = "outcomes", on = "id", value = "code", within = "2h" }
window = "1d"
optimizer = { name = "sgd", rate = 0.05 }

[model.kept]
kind = { name = "passive_aggressive", C = 0.1, variant = 2 }
examples = "orders"
features = ["town", "amount"]
label = { from = "outcomes", on = "id", value = "outcome = 'keep'", within = "2h" }
window = "1d"

[model.network]
kind = { name = "mlp", task = "multiclass", hidden = 4 }
examples = "orders"
features = ["town", "amount"]
label = { from = "outcomes", on = "id", value = "outcome", within = "2h" }
window = "1d"
shards = 3

[model.bayes]
kind = { name = "naive_bayes", task = "multiclass" }
examples = "orders"
features = ["town", "amount"]
label = { from = "outcomes", on = "id", value = "outcome", within = "2h" }
window = "1d"
shards = 2

[model.most]
kind = { name = "linear", loss = "quantile", q = 0.9 }
examples = "orders"
features = ["town"]
label = { value = "amount" }
window = "1d"
optimizer = "coin"
publish = { metric = "pinball", tolerance = 5 }

[model.group]
kind = { name = "kmeans", clusters = 3 }
examples = "orders"
features = ["town", "amount"]
window = "1d"

[model.odd]
kind = "half_space_trees"
examples = "orders"
features = ["town", "amount"]
label = { from = "outcomes", on = "id", value = "outcome = 'swap'", within = "2h", otherwise = false }
window = "1d"
"#;

/// Two thousand orders over five days; one in ten has no outcome.
fn write_orders(folder: &Path) {
    let (mut orders, mut outcomes) = ("id,town,amount,at\n".to_owned(), "id,outcome,code,at\n".to_owned());
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for id in 0..2000_usize {
        let minute = id * 5 * 24 * 60 / 2000;
        let at =
            |minute: usize| format!("2020-01-{:02}T{:02}:{:02}:00Z", 1 + minute / 1440, minute / 60 % 24, minute % 60);
        let (town, amount) = (["ulm", "bern", "graz"][random() % 3], random() % 100);
        writeln!(orders, "o{id},{town},{amount},{}", at(minute)).unwrap();
        let outcome = match (town, amount) {
            ("ulm", 50..) => "refund",
            ("bern", _) => "keep",
            _ if amount > 70 => "swap",
            _ => "keep",
        };
        if random() % 10 > 0 {
            writeln!(outcomes, "o{id},{outcome},{},{}", outcome.len(), at(minute + 30)).unwrap();
        }
    }
    std::fs::write(folder.join("orders.csv"), orders).unwrap();
    std::fs::write(folder.join("outcomes.csv"), outcomes).unwrap();
    let topic = |topic: &str| format!("[topics.{topic}]\nfile = \"{topic}.csv\"\n");
    std::fs::write(folder.join("config.toml"), ["orders", "outcomes"].map(topic).concat()).unwrap();
    std::fs::write(folder.join("orders.toml"), ORDERS).unwrap();
}

fn tidemill(folder: &Path, verb: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.arg(verb).arg(folder.join("orders.toml")).arg("--config").arg(folder.join("config.toml")).args(arguments);
    command
}

fn succeed(mut command: Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn replay(folder: &Path, workers: &str, more: &[&str]) -> Value {
    let out = folder.join(workers);
    let mut command = tidemill(folder, "replay", &["--quiet", "--workers", workers, "--out", out.to_str().unwrap()]);
    command.args(more);
    succeed(command);
    digest(&out)
}

fn digest(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("digest.json")).expect("a digest")).expect("JSON")
}

fn examples(folder: &Path, model: &str) -> RecordBatch {
    let file = std::fs::File::open(folder.join(format!("examples/{model}.parquet"))).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_batch_size(1 << 20).build().unwrap();
    reader.into_iter().next().unwrap().unwrap()
}

#[test]
fn classes_come_out_the_same_live_replayed_and_on_any_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_orders(folder);
    let one = replay(folder, "1", &[]);
    let two = folder.join("1");
    assert_eq!(replay(folder, "2", &["--verify", two.to_str().unwrap()]), one);
    assert_eq!(replay(folder, "3", &[]), one);
    let home = folder.join("var");
    let data_dir = format!("data_dir={}", home.display());
    let settings = [data_dir.as_str(), "offline.enabled=true", "play.speed=max", "http.listen=127.0.0.1:0"];
    let mut live = tidemill(folder, "run", &["--until-end", "--workers", "2"]);
    settings.iter().for_each(|setting| _ = live.args(["--set", setting]));
    succeed(live);
    assert_eq!(digest(&home.join("orders/offline")), one, "the live run");

    // The offline file: a class as text, and a map from class to probability.
    let rows = examples(&folder.join("1"), "outcome");
    let (labels, scores) = (rows["_label"].as_string::<i32>(), rows["_score"].as_map());
    assert_eq!(labels.iter().flatten().collect::<std::collections::BTreeSet<_>>().len(), 4);
    let mut right = 0.0;
    let scored: Vec<usize> = (0..rows.num_rows()).filter(|row| scores.is_valid(*row)).collect();
    for row in &scored {
        let entries = scores.value(*row);
        let classes: Vec<&str> = entries.column(0).as_string::<i32>().iter().flatten().collect();
        let probabilities = entries.column(1).as_primitive::<Float64Type>().values().to_vec();
        assert_eq!(classes, ["keep", "none", "refund", "swap"]);
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let most = probabilities.iter().fold(0.0_f64, |most, p| most.max(*p));
        let guess = probabilities.iter().position(|p| *p == most).unwrap();
        right += f64::from(u8::from(classes[guess] == labels.value(*row)));
    }
    assert!(scored.len() > 1000 && right / scored.len() as f64 > 0.75, "{right} of {}", scored.len());
    let rows = examples(&folder.join("1"), "code");
    assert_eq!(rows["_label"].as_string::<i32>().iter().flatten().collect::<std::collections::BTreeSet<_>>().len(), 2);
    let rows = examples(&folder.join("1"), "kept");
    assert!(rows["_score"].as_primitive::<Float64Type>().iter().flatten().all(|p| p > 0.0 && p < 1.0));

    // Without labels, every order is an example.
    let groups = examples(&folder.join("1"), "group");
    assert_eq!((groups.num_rows(), groups["_label"].null_count()), (2000, 2000));
    let found: std::collections::BTreeSet<u64> =
        groups["_score"].as_primitive::<Float64Type>().iter().flatten().map(|cluster| cluster as u64).collect();
    assert_eq!(found, (0..3).collect());
    let odd = examples(&folder.join("1"), "odd");
    assert!(odd["_score"].as_primitive::<Float64Type>().iter().flatten().all(|score| score > 0.0 && score <= 1.0));
    let scores = one.to_string();
    assert!(scores.contains("pinball") && scores.contains("average_precision"), "{one}");
}

#[test]
fn the_endpoint_returns_an_object_from_class_to_probability() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_orders(folder);
    let data_dir = format!("data_dir={}", folder.join("var").display());
    let settings = [data_dir.as_str(), "play.speed=max", "http.listen=127.0.0.1:0"];
    let mut command = tidemill(folder, "run", &[]);
    settings.iter().for_each(|setting| _ = command.args(["--set", setting]));
    let run = Run::start(&mut command);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while run.get("/models").matches("\"versions\":[1,2,3,4").count() < 8 {
        assert!(std::time::Instant::now() < deadline, "{}", run.get("/models"));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let predict = |model: &str| -> Value {
        let instance = r#"{"id":"x","town":"ulm","amount":90}"#;
        let body = format!(r#"{{"model":"{model}","instances":[{instance},{instance}]}}"#);
        let mut stream = run.connect();
        let head = "POST /predict HTTP/1.1\r\nhost: localhost\r\nConnection: close\r\nContent-Type: application/json";
        write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str::<Value>(body).unwrap()["predictions"].clone()
    };
    let outcome = predict("outcome");
    let classes: Vec<&String> = outcome[1].as_object().unwrap().keys().collect();
    assert_eq!(classes, ["keep", "none", "refund", "swap"]);
    assert!(outcome[0]["refund"].as_f64().unwrap() > 0.5, "{outcome}");
    assert_eq!(outcome[0], outcome[1]);
    let code = predict("code");
    assert_eq!(code[0].as_object().unwrap().keys().collect::<Vec<_>>(), ["4", "6"]);
    assert!((0.0..0.5).contains(&predict("kept")[0].as_f64().unwrap()));
    let models: Value = serde_json::from_str(run.get("/models").split_once("\r\n\r\n").unwrap().1).unwrap();
    let kinds: Vec<&str> = models["models"].as_array().unwrap().iter().map(|m| m["kind"].as_str().unwrap()).collect();
    let trained = ["mlp", "naive_bayes", "linear", "kmeans", "half_space_trees"];
    assert_eq!(kinds, [["softmax", "softmax", "passive_aggressive"].as_slice(), &trained].concat());
    assert!(["network", "bayes"].iter().all(|model| predict(model)[0]["refund"].as_f64().unwrap() > 0.5));
    assert!((60.0..130.0).contains(&predict("most")[0].as_f64().unwrap()));
    assert!(predict("group")[0].as_u64().is_some_and(|cluster| cluster < 3), "{}", predict("group"));
    assert!((0.0..1.0).contains(&predict("odd")[0].as_f64().unwrap()));
    run.stop();
}
