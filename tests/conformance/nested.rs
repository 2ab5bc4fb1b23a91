//! Lists and maps as inputs of every kind of model.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::{ArrayRef, StringArray};

use crate::common::training::{DAY, lcg, task};
use crate::explained::{assert_additive, assert_adds_up};
use crate::model::default_of;
use tidemill::model::{
    AttributionRule, Examples, InputCell, InputColumn, InputShape, KINDS, Labels, ModelOptions, PredictionMemory,
    Predictions, Task, Trainer, TrainerConfig, Version,
};
use tidemill::value::{Key, Scalar, Type};

/// The entries of a map.
type Entries = Vec<(Arc<str>, Scalar)>;

/// An example: the values of its lists and its map, each of which may be null.
struct NestedRow {
    series: Option<Vec<Option<f64>>>,
    bag: Option<Vec<&'static str>>,
    counts: Option<Vec<(&'static str, f64)>>,
}

/// Rows whose label follows from the three together.
fn generate(count: usize) -> Vec<NestedRow> {
    let mut random = lcg(23);
    let mut pick = |of: usize| (random() * of as f64) as usize;
    let names = ["ulm", "bern", "graz", "brno"];
    let row = |_| NestedRow {
        series: (pick(9) > 0).then(|| (0..pick(3)).map(|_| (pick(6) > 0).then(|| pick(100) as f64)).collect()),
        bag: (pick(9) > 0).then(|| (0..pick(4)).map(|_| names[pick(4)]).collect()),
        counts: (pick(9) > 0).then(|| names.iter().map(|name| (*name, pick(3) as f64)).collect()),
    };
    (0..count).map(row).collect()
}

fn label(row: &NestedRow) -> f64 {
    let series: f64 = row.series.iter().flatten().flatten().sum();
    let bag = row.bag.iter().flatten().filter(|name| **name == "ulm").count() as f64;
    let counts: f64 = row.counts.iter().flatten().map(|(name, count)| if *name == "bern" { *count } else { 0.0 }).sum();
    f64::from(u8::from(series / 50.0 + bag + counts > 3.0))
}

fn columns(rows: &[NestedRow]) -> Vec<ArrayRef> {
    let mut series = ListBuilder::new(Float64Builder::new());
    let mut bag = ListBuilder::new(StringBuilder::new());
    let mut counts = MapBuilder::new(None, StringBuilder::new(), Float64Builder::new());
    for row in rows {
        row.series.iter().flatten().for_each(|item| series.values().append_option(*item));
        series.append(row.series.is_some());
        row.bag.iter().flatten().for_each(|item| bag.values().append_value(item));
        bag.append(row.bag.is_some());
        for (key, count) in row.counts.iter().flatten() {
            counts.keys().append_value(key);
            counts.values().append_value(*count);
        }
        counts.append(row.counts.is_some()).unwrap();
    }
    let towns: [ArrayRef; 2] =
        [Arc::new(StringArray::from(vec!["a"; rows.len()])), Arc::new(StringArray::from(vec!["b"; rows.len()]))];
    let nested: [ArrayRef; 3] = [Arc::new(series.finish()), Arc::new(bag.finish()), Arc::new(counts.finish())];
    towns.into_iter().chain(nested).collect()
}

fn trainer(options: &ModelOptions) -> Trainer {
    let of = |name, ty, form| InputColumn { form, ..InputColumn::new(name, ty) };
    let config = TrainerConfig {
        name: "nested".into(),
        inputs: vec![
            InputColumn::new("user", Type::String),
            InputColumn::new("item", Type::String),
            of("g.series", Type::Float, InputShape::List(2)),
            of("g.bag", Type::String, InputShape::List(3)),
            of("g.counts", Type::Float, InputShape::Map),
        ],
        options: options.clone(),
        window_ms: DAY,
        offset_ms: 0,
        within_ms: 0,
        definition: "nested".into(),
    };
    Trainer::new(config).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// Versions of three windows, in slices; the trainer is saved and loaded after each if wanted.
fn run(options: &ModelOptions, rows: &[NestedRow], slice: usize, reload: bool) -> Vec<Version> {
    let (mut trainer, mut versions) = (trainer(options), Vec::new());
    let task = task(options);
    for (window, of_window) in rows.chunks(rows.len().div_ceil(3)).enumerate() {
        for (number, rows) in of_window.chunks(slice).enumerate() {
            let time = vec![window as i64 * DAY; rows.len()];
            let labels: Vec<f64> = rows.iter().map(label).collect();
            let labels = match task {
                Task::Multiclass => {
                    Labels::Classes(labels.iter().map(|y| Some(if *y > 0.0 { "yes" } else { "no" })).collect())
                }
                Task::Clustering => Labels::Numbers(vec![f64::NAN; rows.len()]),
                _ => Labels::Numbers(labels),
            };
            let first = number * slice;
            let hash = (first..first + rows.len()).map(|row| Key::hash_of(&row.to_le_bytes())).collect();
            trainer.learn(&Examples {
                columns: columns(rows),
                labels,
                known: time.clone(),
                hash,
                weights: Vec::new(),
                segments: Vec::new(),
                keys: Vec::new(),
                users: Vec::new(),
                time,
            });
            if reload {
                trainer = Trainer::load(trainer.config().clone(), &trainer.save()).unwrap();
            }
        }
        while !trainer.work(100) {}
        versions.extend(trainer.close((window as i64 + 1) * DAY));
    }
    versions
}

fn bits(predictions: &Predictions) -> Vec<u64> {
    predictions.values().iter().map(|p| p.to_bits()).collect()
}

#[test]
fn every_kind_learns_lists_and_maps_the_same_in_any_slices_and_serves_what_it_learns() {
    let rows = generate(600);
    for kind in KINDS {
        let options = ModelOptions { hash_bits: 10, ..default_of(kind) };
        let whole = run(&options, &rows, 200, false);
        let sliced = run(&options, &rows, 37, true);
        let saved = |versions: &[Version]| versions.iter().map(|version| version.predictor.save()).collect::<Vec<_>>();
        assert_eq!(saved(&whole), saved(&sliced), "{} {}", kind.task.name(), kind.name);

        let predictor = &whole.last().unwrap_or_else(|| panic!("{} has no version", kind.name)).predictor;
        let trained = predictor.predict(&columns(&rows), rows.len());
        let null = Scalar::Null;
        let texts = ["a", "b"].map(|text| Scalar::String(text.into()));
        let lists: Vec<[Option<Vec<Scalar>>; 2]> = rows
            .iter()
            .map(|row| {
                let series = row.series.as_ref().map(|items| items.iter().map(|x| Scalar::from(*x)).collect());
                let bag = row.bag.as_ref().map(|items| items.iter().map(|x| Scalar::String((*x).into())).collect());
                [series, bag]
            })
            .collect();
        let maps: Vec<Option<Entries>> = rows
            .iter()
            .map(|row| Some(row.counts.as_ref()?.iter().map(|(key, x)| ((*key).into(), Scalar::Float(*x))).collect()))
            .collect();
        let cell = |row: usize, input: usize| match input {
            0 | 1 => InputCell::Value(&texts[input]),
            2 | 3 => lists[row][input - 2].as_ref().map_or(InputCell::Value(&null), |items| InputCell::List(items)),
            _ => maps[row].as_ref().map_or(InputCell::Value(&null), |entries| InputCell::Map(entries)),
        };
        let (mut memory, mut served) = (PredictionMemory::default(), Predictions::default());
        predictor.predict_values(rows.len(), cell, &mut memory, &mut served);
        assert_eq!(bits(&served), bits(&trained), "{}", kind.name);
        if kind.explains() {
            let explanations = assert_adds_up(&options, predictor, rows.len(), cell);
            // Two of the inputs are constant to all kinds but those that read users and items.
            if kind.attribution == AttributionRule::Terms && kind.name != "naive_bayes" {
                assert_additive(predictor, rows.len(), cell, &explanations);
            }
        }
    }
}

#[test]
fn a_model_of_lists_and_maps_alone_tells_what_they_tell() {
    let rows = generate(3000);
    for name in ["logistic", "gbdt"] {
        let kind = KINDS.iter().find(|kind| kind.name == name && kind.task == Task::Binary).unwrap();
        let versions = run(&ModelOptions { hash_bits: 10, ..default_of(kind) }, &rows, 200, false);
        let predictor = &versions.last().unwrap().predictor;
        let predictions = predictor.predict(&columns(&rows), rows.len());
        let is_right = |(row, p): (&NestedRow, &f64)| (*p > 0.5) == (label(row) > 0.5);
        let right = rows.iter().zip(predictions.values()).filter(|pair| is_right(*pair)).count();
        let positive = rows.iter().filter(|row| label(row) > 0.5).count();
        let trivial = positive.max(rows.len() - positive);
        let gained = (right as f64 - trivial as f64) / (rows.len() - trivial) as f64;
        assert!(gained > 0.5, "{name}: {right} right of {}, {trivial} by the frequent class", rows.len());
    }
}
