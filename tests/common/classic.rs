//! The classic data sets: prequential scores of a model on each of them.
//!
//! A set is a file `NAME.csv.gz`: a header, a column that is left out, the inputs, and the label.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray};
use flate2::read::GzDecoder;
use tidemill::model::{Examples, InputColumn, Labels, ModelKind, ModelOptions, Scores, Task, Trainer, TrainerConfig};
use tidemill::value::{Key, Type};

const SECOND: i64 = 1000;

/// Inputs, columns and labels, a row a second.
pub struct ClassicSet {
    pub inputs: Vec<InputColumn>,
    pub columns: Vec<ArrayRef>,
    pub labels: Vec<f64>,
    /// The labels as they are written.
    pub classes: Vec<String>,
}

impl ClassicSet {
    /// Reads the set of this name.
    ///
    /// # Errors
    /// If the folder has no such file, or it cannot be read.
    pub fn read(folder: &Path, name: &str) -> io::Result<ClassicSet> {
        let mut text = String::new();
        let file = std::fs::File::open(folder.join(format!("{name}.csv.gz")))?;
        GzDecoder::new(file).read_to_string(&mut text)?;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let names: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
        let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>()?;
        let label = |row: &csv::StringRecord| match row[names.len() - 1].parse() {
            Ok(number) => number,
            Err(_) => f64::from(u8::from(row[names.len() - 1].eq_ignore_ascii_case("true"))),
        };
        let classes = rows.iter().map(|row| row[names.len() - 1].to_owned()).collect();
        let mut set = ClassicSet { inputs: vec![], columns: vec![], labels: rows.iter().map(label).collect(), classes };
        for (at, name) in names.iter().enumerate().take(names.len() - 1).skip(1) {
            let numbers: Option<Vec<f64>> = rows.iter().map(|row| row[at].parse().ok()).collect();
            let (ty, column): (Type, ArrayRef) = match numbers {
                Some(numbers) => (Type::Float, Arc::new(Float64Array::from(numbers))),
                None => (Type::String, Arc::new(rows.iter().map(|row| Some(&row[at])).collect::<StringArray>())),
            };
            set.inputs.push(InputColumn::new(name, ty));
            set.columns.push(column);
        }
        Ok(set)
    }

    /// Trains on windows of so many rows. Returns the scores of all predictions made before their label was learnt; rows
    /// before the first version are left out.
    pub fn run(&self, options: &ModelOptions, window: usize) -> Scores {
        let config = TrainerConfig {
            name: "set".into(),
            inputs: self.inputs.clone(),
            options: options.clone(),
            window_ms: window as i64 * SECOND,
            offset_ms: 0,
            within_ms: 0,
            definition: String::new(),
        };
        let kind = ModelKind::of(&options.kind).unwrap();
        let task = kind.task;
        let mut trainer = Trainer::new(config).unwrap();
        let mut scores = Scores::new(kind.scoring(options));
        let names: Vec<&String> = self.classes.iter().collect::<BTreeSet<_>>().into_iter().collect();
        for from in (0..self.labels.len()).step_by(window) {
            let rows = from..self.labels.len().min(from + window);
            let time: Vec<i64> = rows.clone().map(|row| row as i64 * SECOND).collect();
            let scored = trainer.learn(&Examples {
                columns: self.columns.iter().map(|column| column.slice(from, rows.len())).collect(),
                labels: match task {
                    Task::Multiclass => Labels::Classes(self.classes[rows.clone()].iter().map(Some).collect()),
                    _ => Labels::Numbers(self.labels[rows.clone()].to_vec()),
                },
                hash: time.iter().map(|time| Key::hash_of(&time.to_le_bytes())).collect(),
                weights: Vec::new(),
                segments: Vec::new(),
                keys: Vec::new(),
                users: Vec::new(),
                known: time.clone(),
                time,
            });
            for (at, row) in rows.enumerate().filter(|(at, _)| scored.version[*at] > 0) {
                let number = |class: &str| names.iter().position(|name| *name == class).unwrap();
                match task {
                    task if task != Task::Multiclass => scores.add(scored.prediction(at), self.labels[row]),
                    _ => {
                        let mut by_number = vec![0.0; names.len()];
                        for (class, probability) in scored.classes(at).iter().zip(scored.prediction(at)) {
                            by_number[number(class)] = *probability;
                        }
                        scores.add(&by_number, number(&self.classes[row]) as f64);
                    }
                }
            }
            trainer.close(trainer.window_of(from as i64 * SECOND));
        }
        scores
    }
}
