//! Generated examples for trials of models, and the way through a trainer that the graph takes.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use sha2::{Digest, Sha256};
use tidemill::model::{
    Examples, InputColumn, Labels, ModelKind, ModelOptions, Scored, Task, Tensor, Trainer, TrainerConfig, Version,
    WindowScores,
};
use tidemill::value::{Key, Type};

pub const DAY: i64 = 86_400_000;

/// An example: two numbers, two categories, a flag; any of them may be missing.
#[derive(Clone, Debug)]
pub struct Row {
    pub time: i64,
    pub known: i64,
    pub x: Option<f64>,
    pub y: Option<f64>,
    pub town: Option<String>,
    pub hour: Option<i64>,
    pub flag: Option<bool>,
    /// The label of a binary model or a regression.
    pub label: f64,
    /// The label of a multiclass model.
    pub class: &'static str,
    pub id: u64,
}

pub fn inputs() -> Vec<InputColumn> {
    let types = [Type::Float, Type::Float, Type::String, Type::Int, Type::Bool];
    ["x", "y", "town", "hour", "flag"].into_iter().zip(types).map(|(name, ty)| InputColumn::new(name, ty)).collect()
}

/// Uniform numbers in [0, 1).
pub fn lcg(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Rows over some windows of a day: nearly separable, by numbers of very different scales and by category. Labels
/// become known up to half a day after their examples. Ascending by `known`.
pub fn generate(count: usize, seed: u64, windows: i64) -> Vec<Row> {
    let mut random = lcg(seed);
    let mut rows: Vec<Row> = (0..count)
        .map(|id| {
            let known = (id as i64 * windows * DAY) / count as i64;
            let (x, y) = (random() * 2000.0 - 500.0, random() / 1000.0);
            let town = ["ulm", "bern", "graz", "brno"][(random() * 4.0) as usize];
            let hour = (random() * 24.0) as i64;
            let flag = random() < 0.5;
            let by_town = match town {
                "ulm" => 1.5,
                "bern" => -1.5,
                _ => 0.0,
            };
            let odds = (x - 500.0) / 300.0 + (y * 1000.0 - 0.5) * 3.0 + by_town + f64::from(u8::from(flag)) - 0.5;
            let odds = odds + random() - 0.5;
            let label = f64::from(u8::from(odds > 0.0));
            let missing = random();
            Row {
                time: known - (random() * 0.5 * DAY as f64) as i64,
                known,
                x: (missing > 0.05).then_some(x),
                y: Some(y),
                town: (missing < 0.97).then(|| town.to_owned()),
                hour: Some(hour),
                flag: Some(flag),
                label,
                class: class(odds, known / DAY),
                id: id as u64,
            }
        })
        .collect();
    rows.sort_by_key(|row| row.known);
    rows
}

/// Three classes by the odds; from the third day on, the highest is split in two.
fn class(odds: f64, day: i64) -> &'static str {
    match odds {
        odds if odds > 3.0 && day >= 2 => "highest",
        odds if odds > 1.0 => "high",
        odds if odds > -1.0 => "middle",
        _ => "low",
    }
}

pub fn task(options: &ModelOptions) -> Task {
    ModelKind::of(&options.kind).unwrap().task
}

pub fn examples(task: Task, rows: &[Row]) -> Examples {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.x).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.y).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.town.as_deref()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.hour).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.flag).collect::<BooleanArray>()),
    ];
    Examples {
        columns,
        labels: match task {
            Task::Clustering => Labels::Numbers(vec![f64::NAN; rows.len()]),
            Task::Binary | Task::Regression | Task::Anomaly => {
                Labels::Numbers(rows.iter().map(|row| row.label).collect())
            }
            Task::Multiclass => {
                Labels::Classes(rows.iter().map(|row| (!row.label.is_nan()).then_some(row.class)).collect())
            }
        },
        time: rows.iter().map(|row| row.time).collect(),
        known: rows.iter().map(|row| row.known).collect(),
        hash: rows.iter().map(|row| Key::hash_of(&row.id.to_le_bytes())).collect(),
        weights: Vec::new(),
        segments: Vec::new(),
        keys: Vec::new(),
        users: Vec::new(),
    }
}

pub fn trainer(options: &ModelOptions) -> Trainer {
    let options = ModelOptions { categorical: vec!["hour".into()], ..options.clone() };
    let config = TrainerConfig {
        name: "trial".into(),
        inputs: inputs(),
        options,
        window_ms: DAY,
        offset_ms: 0,
        within_ms: DAY,
        definition: "trial".into(),
    };
    Trainer::new(config).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// The weight of a row, for options with one: some count half, some not at all, and some have none.
pub fn weight(row: &Row) -> f64 {
    [0.5, 1.0, 2.0, 0.0, 1.5, f64::NAN][(row.id % 6) as usize]
}

/// Adds the towns as segments, one of five keys, and one of forty users, of whom the last is unknown, for options that name them.
pub fn report(options: &ModelOptions, rows: &[Row], examples: &mut Examples) {
    if !options.reports.segments.is_empty() {
        let town = |row: &Row| row.town.as_deref().unwrap_or("null").into();
        examples.segments = vec![rows.iter().map(town).collect()];
    }
    if !options.reports.persistence.is_empty() {
        examples.keys = rows.iter().map(|row| Some(row.id % 5)).collect();
    }
    if options.ranking.is_some() {
        examples.users = rows.iter().map(|row| Some(row.id % 40).filter(|user| *user != 39)).collect();
    }
}

/// The way in which rows pass through a trainer.
pub struct Trial {
    pub rows: Vec<Row>,
    /// Rows a call.
    pub slice: usize,
    /// Save and load after so many calls; 0 for never.
    pub save_every: usize,
    /// Rows a step of closing.
    pub work: usize,
    pub save_while_closing: bool,
}

/// The results of a trial.
pub struct Outcome {
    pub versions: Vec<Version>,
    pub scored: Scored,
    pub state: Vec<u8>,
}

impl Trial {
    pub fn new(rows: Vec<Row>) -> Self {
        Trial { rows, slice: usize::MAX, save_every: 0, work: usize::MAX, save_while_closing: false }
    }

    pub fn run(&self, options: &ModelOptions) -> Outcome {
        let mut trainer = trainer(options);
        let task = task(options);
        let (mut versions, mut scored) = (Vec::new(), Scored::default());
        let mut calls = 0;
        let reload = |trainer: &mut Trainer| {
            *trainer = Trainer::load(trainer.config().clone(), &trainer.save()).unwrap();
        };
        for window in self.rows.chunk_by(|one, other| one.known / DAY == other.known / DAY) {
            for slice in window.chunks(self.slice.min(window.len())) {
                let mut examples = examples(task, slice);
                if options.sampling.weight.is_some() {
                    examples.weights = slice.iter().map(weight).collect();
                }
                report(options, slice, &mut examples);
                scored.append(trainer.learn(&examples));
                calls += 1;
                if self.save_every > 0 && calls % self.save_every == 0 {
                    reload(&mut trainer);
                }
            }
            let mut steps = 0;
            while !trainer.work(self.work) {
                steps += 1;
                if self.save_while_closing && steps == 3 {
                    reload(&mut trainer);
                }
            }
            versions.extend(trainer.close(trainer.window_of(window[0].known)));
        }
        Outcome { versions, scored, state: trainer.save() }
    }
}

/// The metrics that digests are of; one that is added changes none of them.
const DIGESTED: &[&str] = &["logloss", "auc", "accuracy", "f1", "macro_f1", "calibration", "bias", "rmse", "mae", "r2"];

impl Outcome {
    /// Returns a digest of every bit of every version and prediction.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for version in &self.versions {
            let Version { number, window_end, parent, examples, reason, champion, .. } = version;
            let (mut scores, mut prequential) = (version.scores.clone(), version.prequential.clone());
            scores.values_mut().for_each(|scores| scores.retain(|name, _| DIGESTED.contains(&name.as_str())));
            let WindowScores { champion: own, predecessor, newest, no_skill, .. } = &mut prequential;
            for scores in [own, predecessor, newest, no_skill] {
                scores.retain(|(name, _)| DIGESTED.contains(name));
            }
            hash.update(format!("{number} {window_end} {parent:?} {examples} {scores:?} {reason} {champion}"));
            hash.update(format!("{prequential:?}"));
            for (name, tensor) in version.predictor.save() {
                hash.update(name);
                match tensor {
                    Tensor::F64(cells) => cells.iter().for_each(|cell| hash.update(cell.to_bits().to_le_bytes())),
                    Tensor::U32(cells) => cells.iter().for_each(|cell| hash.update(cell.to_le_bytes())),
                    Tensor::U8(cells) => cells.iter().for_each(|cell| hash.update(cell.to_le_bytes())),
                }
            }
        }
        for row in 0..self.scored.len() {
            let prediction = self.scored.prediction(row);
            let prediction = if prediction.is_empty() { &[f64::NAN][..] } else { prediction };
            prediction.iter().for_each(|p| hash.update(p.to_bits().to_le_bytes()));
        }
        self.scored.version.iter().for_each(|version| hash.update(version.to_le_bytes()));
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
