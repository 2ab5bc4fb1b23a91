//! Divergence: a version whose error on its own window is above that of no skill.
//!
//! A learning rate that is too high makes weights overshoot further and further. Such a version predicts even the examples
//! that it has just learnt worse than their mean would: at a window's end, its mean loss on the newest of them is compared
//! with that of no skill, which knows the labels of the lineage and of the window. It has diverged if its loss is higher by more
//! than [`MATERIAL`], by more than [`NOISE`] standard errors of the difference, example by example, and higher than the
//! champion's: after a sudden change a version that learns slowly may be above no skill, but is better than the one before,
//! and refusing it would never end.
//!
//! The loss is the log loss of a class, and the pinball loss of a value, at the quantile of the model's loss.

use super::comparison::short;
use super::history::{RetainedVersion, by_number};
use super::lineage;
use super::setup::TrainingSetup;
use super::state::TrainingState;
use crate::model::{Predictions, Predictor, Scoring, SparseRows, Task};

/// Standard errors beyond which a difference is no noise.
const NOISE: f64 = 3.0;

/// The share of no skill's loss by which a difference matters.
const MATERIAL: f64 = 0.1;

/// The examples that a comparison needs.
const LEAST: u64 = 30;

/// Losses of a candidate, of no skill and of the champion, as far as they are compared.
pub(super) struct DivergenceCheck {
    scoring: Scoring,
    no_skill: Vec<f64>,
    /// The piece, and the row of it, that is compared next.
    next: BufferedRow,
    examples: u64,
    candidate: f64,
    champion: f64,
    base: f64,
    /// The mean of the differences of candidate and no skill, and the squared deviations from it (Welford 1962).
    mean: f64,
    squares: f64,
    predictions: Predictions,
    spread: Vec<f64>,
}

#[derive(Clone, Copy, Default)]
struct BufferedRow {
    piece: usize,
    row: usize,
}

/// A candidate, the trainer's numbers of its classes, and the champion that it would follow, if there is one.
pub(super) struct Suspect<'a> {
    pub candidate: &'a Predictor,
    pub classes: &'a [u32],
    pub champion: Option<&'a RetainedVersion>,
}

impl DivergenceCheck {
    pub fn new(setup: &TrainingSetup, state: &TrainingState, candidate: &Predictor) -> Self {
        let mut labels = state.window.statistics.labels.clone();
        if let Some(lineage) = &state.lineage {
            labels.merge(&lineage.statistics.labels);
        }
        DivergenceCheck {
            scoring: setup.scoring(),
            no_skill: lineage::no_skill(setup.task(), &labels, &state.classes, candidate),
            next: BufferedRow::default(),
            examples: 0,
            candidate: 0.0,
            champion: 0.0,
            base: 0.0,
            mean: 0.0,
            squares: 0.0,
            predictions: Predictions::default(),
            spread: Vec::new(),
        }
    }

    /// Compares up to `rows` more examples. Returns true once all are compared.
    pub fn advance(
        &mut self,
        suspect: &Suspect<'_>,
        state: &TrainingState,
        memory: &mut SparseRows,
        rows: usize,
    ) -> bool {
        let pieces = &state.window.recent.pieces;
        let BufferedRow { piece, row: from } = self.next;
        let Some(examples) = pieces.get(piece) else { return true };
        let to = examples.labels.len().min(from + rows);
        let select: Vec<u32> = (from as u32..to as u32).collect();
        let labels = &examples.labels[from..to];
        let mut own = Vec::with_capacity(labels.len());
        suspect.candidate.predict_observed(&examples.observations, &select, memory, &mut self.predictions);
        for (prediction, label) in self.predictions.rows().zip(labels) {
            own.push(loss(self.scoring, by_number(prediction, suspect.classes, &mut self.spread), *label));
        }
        if let Some(champion) = suspect.champion {
            champion.predictor.predict_observed(&examples.observations, &select, memory, &mut self.predictions);
            for (prediction, label) in self.predictions.rows().zip(labels) {
                let prediction = by_number(prediction, &champion.classes, &mut self.spread);
                self.champion += loss(self.scoring, prediction, *label);
            }
        }
        for (own, label) in own.into_iter().zip(labels) {
            let base = loss(self.scoring, by_number(&self.no_skill, suspect.classes, &mut self.spread), *label);
            self.add(own, base);
        }
        let is_done = to == examples.labels.len();
        self.next = if is_done { BufferedRow { piece: piece + 1, row: 0 } } else { BufferedRow { piece, row: to } };
        self.next.piece == pieces.len()
    }

    fn add(&mut self, own: f64, base: f64) {
        self.examples += 1;
        self.candidate += own;
        self.base += base;
        let off = own - base - self.mean;
        self.mean += off / self.examples as f64;
        self.squares += off * (own - base - self.mean);
    }

    /// Returns the reason why the candidate has diverged, if it has. `champion` is the number of the one compared.
    pub fn reason(&self, champion: Option<u64>) -> Option<String> {
        let DivergenceCheck { examples, candidate, base, mean, .. } = *self;
        if examples < LEAST {
            return None;
        }
        let count = examples as f64;
        let noise = NOISE * (self.squares / (count - 1.0) / count).sqrt();
        let is_above = mean > noise && mean * count > MATERIAL * base;
        // A loss that is no number is above any.
        let has_diverged = candidate.is_nan() || is_above && (champion.is_none() || candidate > self.champion);
        let which = if self.scoring.task == Task::Regression { "pinball loss" } else { "log loss" };
        has_diverged.then(|| {
            let stays = match champion {
                Some(version) => format!("version {version} stays champion"),
                None => "there is no version to be served yet".to_owned(),
            };
            let (own, base) = (short(candidate / count), short(base / count));
            format!(
                "it has diverged: its {which} on the newest {examples} examples that it has learnt is {own}, and {base} without \
                 skill; {stays}"
            )
        })
    }
}

/// Returns the loss of a prediction.
fn loss(scoring: Scoring, prediction: &[f64], label: f64) -> f64 {
    const LEAST: f64 = 1e-15;
    let log = |p: f64| -libm::log(p.clamp(LEAST, 1.0));
    match scoring.task {
        Task::Binary if label > 0.5 => log(prediction[0]),
        Task::Binary => log(1.0 - prediction[0]),
        Task::Multiclass => log(prediction.get(label as usize).copied().unwrap_or(0.0)),
        _ => {
            let short = label - prediction[0];
            if short > 0.0 { scoring.quantile * short } else { (scoring.quantile - 1.0) * short }
        }
    }
}
