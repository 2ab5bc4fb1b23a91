//! Scores of the arms of a split: further versions that predict the examples of a window.
//!
//! Every arm predicts every example of the window before its label is learnt, whatever share of the requests it answers, so
//! arms are compared on the same examples. Each has one version for the whole window, where the champion of an example is
//! that of the example's own time. An arm that is the champion has the champion's scores. Where a model's examples are scored in
//! lists, so are those of its arms.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use serde::{Deserialize, Serialize};

use super::history::{by_number, class_numbers};
use super::lists::{ListedExample, RankedLists};
use super::{Examples, Labels, TrainerConfig, WindowScores};
use crate::model::{Classes, ListedScores, ModelKind, Predictor, Scores, Scoring};

/// Rows that an arm predicts at a time.
const CHUNK: usize = 256;

/// An arm that is to be scored.
#[derive(Clone, Debug)]
pub struct ScoredArm {
    pub name: String,
    /// `None` for the champion.
    pub version: Option<ScoredVersion>,
}

/// A version that is scored as an arm.
#[derive(Clone, Debug)]
pub struct ScoredVersion {
    pub number: u64,
    pub predictor: Arc<Predictor>,
}

/// The scores of an arm over a window.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmWindow {
    pub name: String,
    /// `None` for the champion.
    pub version: Option<u64>,
    pub scores: Vec<(&'static str, f64)>,
}

/// The scores of arms in the open window.
pub struct ArmScorer {
    kind: &'static ModelKind,
    scoring: Scoring,
    /// The least label of a relevant example, if lists are scored.
    relevant: Option<f64>,
    /// Names of the arms that are the champion.
    champions: Vec<String>,
    arms: Vec<RunningArm>,
    /// Classes of the labels seen in the window; none for other tasks.
    classes: Classes,
    labels: Vec<f64>,
    by_number: Vec<f64>,
}

struct RunningArm {
    name: String,
    number: u64,
    predictor: Arc<Predictor>,
    /// The numbers of its classes.
    classes: Vec<u32>,
    scores: Scores,
    /// The same examples in the lists of their users, if lists are scored.
    lists: Option<RankedLists<1>>,
}

/// The saved form of an [`ArmScorer`]: all but the versions, which are found by their numbers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SavedArms {
    champions: Vec<String>,
    arms: Vec<SavedArm>,
    classes: Classes,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SavedArm {
    name: String,
    number: u64,
    scores: Scores,
    lists: Option<RankedLists<1>>,
}

impl ArmScorer {
    /// A scorer without arms for a trainer of this configuration.
    ///
    /// # Panics
    /// If there is no such kind of model: a configuration that a trainer takes has one.
    pub fn new(config: &TrainerConfig) -> Self {
        let kind = ModelKind::of(&config.options.kind).expect("the kind was checked");
        ArmScorer {
            kind,
            scoring: kind.scoring(&config.options),
            relevant: config.options.ranking.as_ref().map(|ranking| ranking.relevant),
            champions: Vec::new(),
            arms: Vec::new(),
            classes: Classes::default(),
            labels: Vec::new(),
            by_number: Vec::new(),
        }
    }

    /// Starts a window with these arms.
    pub fn open(&mut self, arms: Vec<ScoredArm>) {
        (self.champions, self.arms, self.classes) = (Vec::new(), Vec::new(), Classes::default());
        for ScoredArm { name, version } in arms {
            match version {
                None => self.champions.push(name),
                Some(ScoredVersion { number, predictor }) => {
                    let lists = self.relevant.map(|_| RankedLists::default());
                    self.add(SavedArm { name, number, scores: Scores::new(self.scoring), lists }, predictor);
                }
            }
        }
    }

    fn add(&mut self, SavedArm { name, number, scores, lists }: SavedArm, predictor: Arc<Predictor>) {
        let classes = class_numbers(&mut self.classes, &predictor);
        self.arms.push(RunningArm { name, number, predictor, classes, scores, lists });
    }

    /// Returns the number of versions that are scored beside the champion.
    pub fn versions(&self) -> usize {
        self.arms.len()
    }

    /// Predicts the examples with each arm, and counts the predictions against the labels.
    pub fn score(&mut self, examples: &Examples) {
        if self.arms.is_empty() {
            return;
        }
        self.read_labels(&examples.labels);
        for from in (0..examples.len()).step_by(CHUNK) {
            let len = CHUNK.min(examples.len() - from);
            let columns: Vec<ArrayRef> = examples.columns.iter().map(|column| column.slice(from, len)).collect();
            for arm in &mut self.arms {
                let predictions = arm.predictor.predict(&columns, len);
                let labelled = predictions.rows().zip(&self.labels[from..]).enumerate();
                for (at, (prediction, label)) in labelled.filter(|(_, (_, label))| !label.is_nan()) {
                    arm.scores.add(by_number(prediction, &arm.classes, &mut self.by_number), *label);
                    if let (Some(lists), Some(relevant)) = (&mut arm.lists, self.relevant)
                        && let Some(user) = examples.users[from + at]
                    {
                        let (tie, relevant) = (examples.hash[from + at], *label >= relevant);
                        lists.push(user, ListedExample { tie, relevant, scores: [prediction[0]] });
                    }
                }
            }
        }
    }

    /// Reads labels as a trainer does: NaN is no label, and one that the kind cannot learn is none.
    fn read_labels(&mut self, labels: &Labels) {
        self.labels.clear();
        match labels {
            Labels::Numbers(labels) => {
                let domain = self.kind.labels;
                let label = |label: &f64| if domain.fault(*label).is_none() { *label } else { f64::NAN };
                self.labels.extend(labels.iter().map(label));
            }
            Labels::Classes(labels) => {
                for row in 0..labels.len() {
                    let class = labels.is_valid(row).then(|| self.classes.number(labels.value(row)));
                    self.labels.push(class.map_or(f64::NAN, f64::from));
                }
            }
        }
    }

    /// Ends the window, whose prequential scores are these, and returns the scores of its arms.
    pub fn close(&mut self, window: &WindowScores) -> Vec<ArmWindow> {
        let champion = |name| ArmWindow { name, version: None, scores: window.champion.clone() };
        let mut closed: Vec<ArmWindow> = std::mem::take(&mut self.champions).into_iter().map(champion).collect();
        closed.extend(self.arms.drain(..).map(|arm| {
            let [lists] = arm.lists.as_ref().map(RankedLists::sums).unwrap_or_default();
            let has_scores = arm.scores.examples() > 0;
            let scores = ListedScores { each: arm.scores, lists };
            let scores = if has_scores { scores.all() } else { Vec::new() };
            ArmWindow { name: arm.name, version: Some(arm.number), scores }
        }));
        closed
    }

    /// Returns the state, between two calls.
    pub fn save(&self) -> SavedArms {
        let arm = |arm: &RunningArm| {
            let RunningArm { name, number, scores, lists, .. } = arm;
            SavedArm { name: name.clone(), number: *number, scores: scores.clone(), lists: lists.clone() }
        };
        SavedArms {
            champions: self.champions.clone(),
            arms: self.arms.iter().map(arm).collect(),
            classes: self.classes.clone(),
        }
    }

    /// Returns to a saved state. `find` returns a version by its number; the arms of those that it does not find end.
    pub fn load(&mut self, saved: SavedArms, find: impl Fn(u64) -> Option<Arc<Predictor>>) {
        self.open(Vec::new());
        (self.champions, self.classes) = (saved.champions, saved.classes);
        for arm in saved.arms {
            let fits = arm.scores.is_of(self.scoring) && arm.lists.is_some() == self.relevant.is_some();
            if let Some(predictor) = find(arm.number).filter(|_| fits) {
                self.add(arm, predictor);
            }
        }
    }
}
