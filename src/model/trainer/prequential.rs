//! Prequential scores: every example is predicted before it is learnt.
//!
//! Three versions score an example: the champion of its own time, the champion before that, and the newest. Beside them
//! stands no skill at all: the base rate that was known when the champion was made. The scores count in the window in
//! which the label became known (Dawid 1984; Gama et al. 2013 for windows).

use serde::{Deserialize, Serialize};

use super::Scored;
use super::versions::{Scorers, Versions};
use crate::model::preparation::Observations;
use crate::model::{Rows, Scores, Task};
use crate::time::EventTime;

/// A window's scores, by role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Prequential {
    pub champion: Scores,
    pub predecessor: Scores,
    pub newest: Scores,
    pub no_skill: Scores,
}

/// The metrics of a window's predictions, by role. Empty before the first version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WindowScores {
    /// Examples that were scored.
    pub examples: u64,
    pub champion: Vec<(&'static str, f64)>,
    pub predecessor: Vec<(&'static str, f64)>,
    pub newest: Vec<(&'static str, f64)>,
    /// Of predicting the base rate.
    pub no_skill: Vec<(&'static str, f64)>,
}

impl Prequential {
    pub fn new(task: Task) -> Self {
        let none = || Scores::new(task);
        Prequential { champion: none(), predecessor: none(), newest: none(), no_skill: none() }
    }

    pub fn summary(&self) -> WindowScores {
        WindowScores {
            examples: self.champion.examples(),
            champion: self.champion.all(),
            predecessor: self.predecessor.all(),
            newest: self.newest.all(),
            no_skill: self.no_skill.all(),
        }
    }
}

/// Scores a chunk of examples; working memory.
#[derive(Default)]
pub(super) struct Scoring {
    scorers: Vec<Option<Scorers>>,
    champion: Vec<f64>,
    predecessor: Vec<f64>,
    newest: Vec<f64>,
    select: Vec<u32>,
    predictions: Vec<f64>,
}

impl Scoring {
    /// Has each version that scores any of these examples predict those that it scores.
    pub fn score(&mut self, versions: &Versions, seen: &Observations, times: &[EventTime], rows: &mut Rows) {
        self.scorers.clear();
        self.scorers.extend(times.iter().map(|time| versions.scorers(*time)));
        for role in [&mut self.champion, &mut self.predecessor, &mut self.newest] {
            role.clear();
            role.resize(times.len(), f64::NAN);
        }
        let span = self.scorers.iter().flatten().flat_map(Scorers::positions);
        let Some((least, most)) = span.fold(None, |span: Option<(usize, usize)>, at| {
            Some(span.map_or((at, at), |(least, most)| (least.min(at), most.max(at))))
        }) else {
            return;
        };
        for version in least..=most {
            self.select.clear();
            let scores = |scorers: &Option<Scorers>| scorers.is_some_and(|s| s.positions().any(|at| at == version));
            let rows_of = self.scorers.iter().enumerate().filter(|(_, scorers)| scores(scorers));
            self.select.extend(rows_of.map(|(row, _)| row as u32));
            if self.select.is_empty() {
                continue;
            }
            self.predictions.clear();
            versions.kept[version].predictor.predict_observed(seen, &self.select, rows, &mut self.predictions);
            for (row, prediction) in self.select.iter().zip(&self.predictions) {
                let row = *row as usize;
                let Some(scorers) = self.scorers[row] else { continue };
                if scorers.champion == version {
                    self.champion[row] = *prediction;
                }
                if scorers.predecessor == Some(version) {
                    self.predecessor[row] = *prediction;
                }
                if scorers.newest == version {
                    self.newest[row] = *prediction;
                }
            }
        }
    }

    /// Counts what was scored against the labels.
    pub fn count(&self, versions: &Versions, labels: &[f64], scores: &mut Prequential) {
        for (row, (scorers, label)) in self.scorers.iter().zip(labels).enumerate() {
            let Some(scorers) = scorers.filter(|_| !label.is_nan()) else { continue };
            scores.champion.add(self.champion[row], *label);
            scores.newest.add(self.newest[row], *label);
            scores.no_skill.add(versions.kept[scorers.champion].base_rate, *label);
            if scorers.predecessor.is_some() {
                scores.predecessor.add(self.predecessor[row], *label);
            }
        }
    }

    /// Tells the caller what the champions predicted.
    pub fn append_champions(&self, versions: &Versions, scored: &mut Scored) {
        scored.prediction.extend_from_slice(&self.champion);
        let number = |scorers: &Option<Scorers>| scorers.map_or(0, |s| versions.kept[s.champion].number);
        scored.version.extend(self.scorers.iter().map(number));
    }
}

impl Scorers {
    fn positions(&self) -> impl Iterator<Item = usize> + use<> {
        [Some(self.champion), self.predecessor, Some(self.newest)].into_iter().flatten()
    }
}
