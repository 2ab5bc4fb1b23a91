//! Prequential scores of models on a generated drift, and on classic data sets if there are any.
//!
//! The sets are read from `classic/*.csv.gz` under the folder that `TIDEMILL_DATA` names: a header, a column that is
//! left out, the inputs, and the label. Without that folder their tests print so and pass.

use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::sync::Arc;

use crate::common::classic::ClassicSet;
use crate::common::training::lcg;
use arrow_array::{ArrayRef, Float64Array, StringArray};
use flate2::read::GzDecoder;
use tidemill::model::{
    Examples, InputColumn, InputForm, KINDS, LabelDomain, Labels, ModelOptions, OptimizerOptions, ParameterValue, Task,
    TrainedBy, Trainer, TrainerConfig,
};
use tidemill::value::{Key, Type};

const SECOND: i64 = 1000;

/// Folder of the data sets.
fn data() -> Option<PathBuf> {
    std::env::var_os("TIDEMILL_DATA").map(PathBuf::from)
}

/// Reads a set from the folder that `TIDEMILL_DATA` names; `None` if it is not there.
fn read(name: &str) -> Option<ClassicSet> {
    let Some(folder) = data() else {
        eprintln!("SKIPPED: {name} is not there; set TIDEMILL_DATA");
        return None;
    };
    match ClassicSet::read(&folder.join("classic"), name) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("SKIPPED: {name} is not in {}", folder.display());
            None
        }
        set => Some(set.unwrap()),
    }
}

fn options(kind: &str, optimizer: &str, parameters: &[(&str, f64)]) -> ModelOptions {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let optimizer = OptimizerOptions { name: optimizer.to_owned(), parameters };
    ModelOptions { kind: kind.into(), optimizer: Some(optimizer), ..ModelOptions::default() }
}

/// Retrained every 20 rows, FTRL at its defaults comes within reach of the best online learners on these sets.
#[test]
fn classic_sets_are_learnt_as_well_as_online_learners_do() {
    let bounds = [("Phishing", 0.30, 0.95), ("breast_cancer", 0.17, 0.985), ("ConceptDriftSEA", 0.44, 0.885)];
    for (name, logloss, auc) in bounds {
        let Some(set) = read(name) else { return };
        let window = (set.labels.len() / 500).max(10);
        let scores = set.run(&options("logistic", "ftrl", &[]), window);
        println!("{name}: {:?}", scores.all());
        assert!(scores.get("logloss").unwrap() < logloss, "{name}: {:?}", scores.all());
        assert!(scores.get("auc").unwrap() > auc, "{name}: {:?}", scores.all());
    }
}

#[test]
fn classes_are_learnt_on_classic_sets() {
    let bounds = [("ImageSegments", 0.60, 0.85), ("digits", 0.45, 0.88), ("wine", 0.30, 0.90)];
    for (name, logloss, accuracy) in bounds {
        let Some(set) = read(name) else { return };
        // Their inputs are numbers, so few slots will do.
        let options = ModelOptions { hash_bits: 4, ..options("softmax", "ftrl", &[]) };
        let scores = set.run(&options, 10);
        println!("{name}: {:?}", scores.all());
        assert!(scores.get("logloss").unwrap() < logloss, "{name}: {:?}", scores.all());
        assert!(scores.get("accuracy").unwrap() > accuracy, "{name}: {:?}", scores.all());
    }
}

#[test]
fn passive_aggressive_ranks_and_calibrates_on_classic_sets() {
    let bounds = [("Phishing", 0.40, 0.93), ("breast_cancer", 0.30, 0.96), ("ConceptDriftSEA", 0.55, 0.80)];
    for (name, logloss, auc) in bounds {
        let Some(set) = read(name) else { return };
        for variant in [1.0, 2.0] {
            let mut options = ModelOptions { optimizer: None, ..options("passive_aggressive", "", &[]) };
            options.kind.parameters = vec![("C".to_owned(), 0.1.into()), ("variant".to_owned(), variant.into())];
            let scores = set.run(&options, (set.labels.len() / 500).max(10));
            println!("{name} {variant}: {:?}", scores.all());
            assert!(scores.get("logloss").unwrap() < logloss, "{name}: {:?}", scores.all());
            assert!(scores.get("auc").unwrap() > auc, "{name}: {:?}", scores.all());
        }
    }
}

/// Options of a kind that no optimizer trains.
fn by_itself(kind: &str, task: Task) -> ModelOptions {
    let mut options = ModelOptions { optimizer: None, hash_bits: 8, ..options(kind, "", &[]) };
    options.kind.task = Some(task);
    options
}

#[test]
fn hidden_units_learn_on_classic_sets_what_a_linear_model_cannot() {
    let bounds = [("Phishing", 0.27, 0.955), ("breast_cancer", 0.12, 0.985), ("Bananas", 0.55, 0.80)];
    for (name, logloss, auc) in bounds {
        let Some(set) = read(name) else { return };
        let scores = set.run(&by_itself("mlp", Task::Binary), 10);
        println!("{name}: {:?}", scores.all());
        assert!(scores.get("logloss").unwrap() < logloss, "{name}: {:?}", scores.all());
        assert!(scores.get("auc").unwrap() > auc, "{name}: {:?}", scores.all());
    }
}

#[test]
fn naive_bayes_classifies_on_classic_sets() {
    let bounds =
        [("wine", Task::Multiclass, 0.95), ("digits", Task::Multiclass, 0.85), ("Phishing", Task::Binary, 0.87)];
    for (name, task, accuracy) in bounds {
        let Some(set) = read(name) else { return };
        let scores = set.run(&by_itself("naive_bayes", task), 10);
        println!("{name}: {:?}", scores.all());
        assert!(scores.get("accuracy").unwrap() > accuracy, "{name}: {:?}", scores.all());
    }
}

#[test]
fn half_space_trees_rank_the_unusual_first_on_a_classic_set() {
    // Malignant samples, of which the label is 0, are fewer and far apart.
    let Some(mut set) = read("breast_cancer") else { return };
    set.labels.iter_mut().for_each(|label| *label = 1.0 - *label);
    let scores = set.run(&by_itself("half_space_trees", Task::Anomaly), 10);
    println!("{:?}", scores.all());
    assert!(scores.get("auc").unwrap() > 0.75, "{:?}", scores.all());
    assert_eq!(scores.all().len(), 2, "only what ranks: {:?}", scores.all());
}

/// A set of generated numbers and strings.
fn generated(columns: Vec<(&str, ArrayRef)>, labels: Vec<f64>) -> ClassicSet {
    let ty = |column: &ArrayRef| if column.as_any().is::<StringArray>() { Type::String } else { Type::Float };
    let inputs = columns.iter().map(|(name, column)| InputColumn::new(*name, ty(column))).collect();
    ClassicSet { inputs, columns: columns.into_iter().map(|(_, column)| column).collect(), labels, classes: vec![] }
}

#[test]
fn a_factorization_machine_learns_products() {
    let mut random = lcg(5);
    let [x, y] = [0, 1].map(|_| (0..5000).map(|_| random() - 0.5).collect::<Vec<f64>>());
    let labels = x.iter().zip(&y).map(|(x, y)| f64::from(u8::from(x * y > 0.0))).collect();
    let column = |x: &[f64]| -> ArrayRef { Arc::new(Float64Array::from(x.to_vec())) };
    let set = generated(vec![("x", column(&x)), ("y", column(&y))], labels);
    let auc = |kind| set.run(&options(kind, "ftrl", &[]), 100).get("auc").unwrap();
    let (with, without) = (auc("factorization_machine"), auc("logistic"));
    assert!(with > 0.95 && without < 0.6, "{with} {without}");
}

#[test]
fn matrix_factorization_learns_tastes() {
    // Users and items are of one of two tastes each, and equal ones go together.
    let mut random = lcg(7);
    let (mut users, mut items, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..20_000 {
        let (user, item) = ((random() * 100.0) as u32, (random() * 50.0) as u32);
        let taste = if user % 2 == item % 2 { 1.0 } else { -1.0 };
        labels.push(3.0 + taste + f64::from(user % 5) / 5.0 + random() - 0.5);
        users.push(format!("user {user}"));
        items.push(format!("item {item}"));
    }
    let strings = |names: &[String]| -> ArrayRef { Arc::new(StringArray::from_iter_values(names)) };
    let set = generated(vec![("user", strings(&users)), ("item", strings(&items))], labels);
    let rmse = |kind| set.run(&options(kind, "ftrl", &[]), 1000).get("rmse").unwrap();
    let (with, without) = (rmse("matrix_factorization"), rmse("linear"));
    assert!(with < 0.6 && without > 0.9, "{with} {without}");
}

#[test]
fn huber_loss_is_not_pulled_by_outliers_and_a_quantile_is_where_it_should_be() {
    let mut random = lcg(9);
    let x: Vec<f64> = (0..10_000).map(|_| random()).collect();
    let labels = x.iter().map(|x| if random() < 0.05 { 30.0 } else { x + random() }).collect();
    let set = generated(vec![("x", Arc::new(Float64Array::from(x)))], labels);
    let run = |parameters: Vec<(String, ParameterValue)>| {
        let mut options = options("linear", "ftrl", &[]);
        options.kind.parameters = parameters;
        set.run(&options, 100)
    };
    let named = |name: &str, value: ParameterValue| (name.to_owned(), value);
    let squared = run(vec![]).get("mae").unwrap();
    let huber = run(vec![named("loss", "huber".into()), named("delta", 0.05.into())]).get("mae").unwrap();
    assert!(huber < 0.75 * squared, "{huber} {squared}");
    for q in [0.1, 0.5, 0.9] {
        let own = run(vec![named("loss", "quantile".into()), named("q", q.into())]).get("pinball").unwrap();
        // The best constant is the quantile of the labels.
        let mut sorted = set.labels.clone();
        sorted.sort_by(f64::total_cmp);
        let constant = sorted[(q * sorted.len() as f64) as usize];
        let loss = |label: &f64| (q * (label - constant)).max((q - 1.0) * (label - constant));
        let constant = set.labels.iter().map(loss).sum::<f64>() / set.labels.len() as f64;
        assert!(own < constant, "{q}: {own} {constant}");
    }
}

/// Kind, set, rows of a window, most log loss and least AUC.
const TREES: &[(&str, &str, usize, f64, f64)] = &[
    ("hoeffding_tree", "Phishing", 50, 0.37, 0.90),
    ("hoeffding_tree", "Agrawal", 500, 0.20, 0.97),
    ("gbdt", "Phishing", 250, 0.24, 0.96),
    ("gbdt", "breast_cancer", 100, 0.14, 0.98),
    ("forest", "Phishing", 50, 0.31, 0.94),
    ("forest", "Bananas", 500, 0.37, 0.91),
];

#[test]
fn trees_learn_classic_sets_as_they_are() {
    for (kind, name, window, logloss, auc) in TREES {
        let Some(set) = read(name) else { return };
        let scores = set.run(&by_itself(kind, Task::Binary), *window);
        println!("{kind} {name}: {:?}", scores.all());
        assert!(scores.get("logloss").unwrap() < *logloss, "{kind} {name}: {:?}", scores.all());
        assert!(scores.get("auc").unwrap() > *auc, "{kind} {name}: {:?}", scores.all());
    }
}

#[test]
fn trees_learn_classes_and_values_of_classic_sets() {
    let bounds = [("hoeffding_tree", 0.95, 0.84), ("gbdt", 0.25, 0.92), ("forest", 0.75, 0.83)];
    for (kind, logloss, accuracy) in bounds {
        let Some(set) = read("ImageSegments") else { return };
        let scores = set.run(&by_itself(kind, Task::Multiclass), 400);
        println!("{kind}: {:?}", scores.all());
        assert!(scores.get("logloss").unwrap() < logloss, "{kind}: {:?}", scores.all());
        assert!(scores.get("accuracy").unwrap() > accuracy, "{kind}: {:?}", scores.all());
    }
    for (kind, r2) in [("hoeffding_tree", 0.15), ("gbdt", 0.5), ("forest", 0.35)] {
        let Some(set) = read("TrumpApproval") else { return };
        let scores = set.run(&by_itself(kind, Task::Regression), 50);
        println!("{kind}: {:?}", scores.all());
        assert!(scores.get("r2").unwrap() > r2, "{kind}: {:?}", scores.all());
    }
}

/// The tables of `docs/models.md`: every kind at its defaults, and some with an option, on the sets of its task.
/// `TIDEMILL_DATA=DIR cargo test --release --test conformance table_of_kinds -- --ignored --nocapture`.
#[test]
#[ignore = "prints a table"]
fn table_of_kinds() {
    let sets: [(&[&str], Task, &str); 3] = [
        (&["Phishing", "breast_cancer", "Bananas", "ConceptDriftSEA", "Agrawal"], Task::Binary, "logloss"),
        (&["ImageSegments", "digits", "LED"], Task::Multiclass, "logloss"),
        (&["TrumpApproval", "ChickWeights", "diabetes", "Friedman"], Task::Regression, "mae"),
    ];
    for (names, task, metric) in sets {
        for name in names {
            let Some(set) = read(name) else { continue };
            // Ratings need users and items, and counts are not negative.
            let kinds = KINDS.iter().filter(|kind| kind.task == task && kind.least_categories == 0);
            for kind in kinds.filter(|kind| kind.labels != LabelDomain::Count) {
                let mut options = ModelOptions { kind: kind.name.into(), ..ModelOptions::default() };
                options.kind.task = Some(task);
                if kind.trained_by == TrainedBy::Itself {
                    options.optimizer = None;
                }
                let window = if kind.reads == InputForm::Observations { 100 } else { 10 };
                let binned = ["factorization_machine", "mlp"].contains(&kind.name) && task == Task::Binary;
                let binned = binned.then(|| ("bins = 12", ModelOptions { bins: 12, ..options.clone() }));
                let mut huber = options.clone();
                huber.kind.parameters = vec![("loss".to_owned(), "huber".into())];
                let huber = (kind.name == "linear").then_some(("huber", huber));
                for (option, options) in [("", options)].into_iter().chain(binned).chain(huber) {
                    let score = set.run(&options, window).get(metric).unwrap_or(f64::NAN);
                    println!("{name:16} {:24} {option:9} {window:4} {metric} {score:.3}", kind.name);
                }
            }
        }
    }
}

/// A boundary that turns round half way: the newest windows count for more than the first.
#[test]
fn a_drift_is_followed() {
    let mut random = lcg(5);
    let rows = 20_000;
    let xs: Vec<[f64; 2]> = (0..rows).map(|_| [random() * 10.0, random() - 0.5]).collect();
    let labels = xs.iter().enumerate().map(|(row, [x, y])| {
        let turn = if row < rows / 2 { 1.0 } else { -1.0 };
        f64::from(u8::from(turn * (x - 5.0) / 5.0 + y + 0.3 * (random() - 0.5) > 0.0))
    });
    let labels = labels.collect();
    let column = |at: usize| -> ArrayRef { Arc::new(xs.iter().map(|x| Some(x[at])).collect::<Float64Array>()) };
    let inputs = vec![InputColumn::new("x", Type::Float), InputColumn::new("y", Type::Float)];
    let set = ClassicSet { inputs, columns: vec![column(0), column(1)], labels, classes: vec![] };
    let followed = set.run(&options("logistic", "ftrl", &[("alpha", 0.5)]), 250);
    assert!(followed.get("accuracy").unwrap() > 0.85, "{:?}", followed.all());
    // A single tree keeps what it has learnt; a forest replaces its trees.
    let accuracy = |kind| set.run(&by_itself(kind, Task::Binary), 250).get("accuracy").unwrap();
    let (forest, tree) = (accuracy("forest"), accuracy("hoeffding_tree"));
    println!("forest {forest}, tree {tree}");
    assert!(forest > 0.85 && forest > tree + 0.05, "forest {forest}, tree {tree}");
}

/// Alarms of a logistic model on rows of three numbers and a label, one a second, in windows of 500: the rows at whose label
/// the error of the champion has risen.
fn alarms(columns: &[Vec<f64>; 3], labels: &[f64]) -> Vec<usize> {
    let window = 500;
    let config = TrainerConfig {
        name: "sea".into(),
        inputs: ["x1", "x2", "x3"].map(|name| InputColumn::new(name, Type::Float)).to_vec(),
        options: ModelOptions::default(),
        window_ms: window as i64 * SECOND,
        offset_ms: 0,
        within_ms: 0,
        definition: String::new(),
    };
    let mut trainer = Trainer::new(config).unwrap();
    let mut noticed = Vec::new();
    for from in (0..labels.len()).step_by(window) {
        let rows = from..labels.len().min(from + window);
        let time: Vec<i64> = rows.clone().map(|row| row as i64 * SECOND).collect();
        let column = |column: &Vec<f64>| Arc::new(Float64Array::from(column[rows.clone()].to_vec())) as ArrayRef;
        // Neither cutting the rows elsewhere nor saving in between changes an alarm.
        let examples = Examples {
            columns: columns.iter().map(column).collect(),
            labels: Labels::Numbers(labels[rows.clone()].to_vec()),
            hash: time.iter().map(|time| Key::hash_of(&time.to_le_bytes())).collect(),
            weights: Vec::new(),
            segments: Vec::new(),
            keys: Vec::new(),
            users: Vec::new(),
            known: time.clone(),
            time,
        };
        let mut at = 0;
        while at < examples.len() {
            let len = (1 + (from + at) % 211).min(examples.len() - at);
            trainer.learn(&examples.slice(at, len));
            noticed.extend(trainer.take_alarms().iter().map(|alarm| (alarm.time / SECOND) as usize));
            at += len;
        }
        if from % 3000 == 0 {
            trainer = Trainer::load(trainer.config().clone(), &trainer.save()).unwrap();
        }
        trainer.close(trainer.window_of(from as i64 * SECOND));
    }
    noticed
}

/// Checks that each change is noticed within 1000 rows, and nothing is before the first.
fn assert_noticed(noticed: &[usize], changes: &[usize]) {
    assert!(noticed.iter().all(|row| *row >= changes[0]), "{noticed:?}");
    for change in changes {
        assert!(noticed.iter().any(|row| (*change..change + 1000).contains(row)), "{change}: {noticed:?}");
    }
}

#[test]
fn changes_of_the_sea_set_are_noticed_within_a_thousand_rows_and_nothing_before() {
    let Some(path) = data().map(|folder| folder.join("sea_drift/events.csv.gz")).filter(|path| path.exists()) else {
        eprintln!("SKIPPED: sea_drift is not there; set TIDEMILL_DATA");
        return;
    };
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let rows: Vec<csv::StringRecord> =
        csv::Reader::from_reader(text.as_bytes()).records().map(Result::unwrap).collect();
    let column = |at: usize| rows.iter().map(|row| row[at].parse::<f64>().unwrap()).collect::<Vec<f64>>();
    let noticed = alarms(&[column(1), column(2), column(3)], &column(4));
    println!("{noticed:?}");
    assert_noticed(&noticed, &[12_500, 25_000, 37_500]);
}

#[test]
fn changes_of_generated_concepts_are_noticed_and_a_model_that_improves_is_no_drift() {
    let mut random = lcg(5);
    let mut columns = [Vec::new(), Vec::new(), Vec::new()];
    let mut labels = Vec::new();
    for row in 0..24_000 {
        let x = [random() * 10.0, random() * 10.0, random() * 10.0];
        let limit = [8.0, 12.0, 7.0][row / 8_000];
        let is_noise = random() < 0.1;
        labels.push(f64::from(u8::from((x[0] + x[1] <= limit) != is_noise)));
        columns.iter_mut().zip(x).for_each(|(column, x)| column.push(x));
    }
    assert_noticed(&alarms(&columns, &labels), &[8_000, 16_000]);
}
