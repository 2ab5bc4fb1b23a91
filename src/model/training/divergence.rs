//! Divergence: a version whose error on its own window is above that of no skill.
//!
//! A learning rate that is too high makes weights overshoot further and further. Such a version predicts even the examples
//! that it has just learnt worse than their mean would: at a window's end, its mean loss on the newest of them is compared
//! with that of no skill, which knows the labels of the lineage and of the window. It has diverged if its loss is higher by more
//! than [`MATERIAL`], by more than [`NOISE`] standard errors of the difference, example by example, and higher than the
//! champion's: after a sudden change a version that learns slowly may be above no skill, but is better than the one before,
//! and refusing it would never end.
//!
//! The loss is the log loss of a class, and the pinball loss of a value, at the quantile of the model's loss. Examples count
//! with the weights with which they are learnt. A difference of less than [`LEAST_LOSS`] nats or standard deviations of the
//! label does not matter either: where all of a few hundred labels are equal, there is no noise to compare with.

use super::comparison::short;
use super::history::{RetainedVersion, by_number};
use super::lineage;
use super::setup::TrainingSetup;
use super::state::TrainingState;
use super::window::LabelledExamples;
use crate::model::preparation::ClassWeigher;
use crate::model::{Predictions, Predictor, Scoring, SparseRows, Task};

/// Standard errors beyond which a difference is no noise.
const NOISE: f64 = 2.0;

/// The share of no skill's loss by which a difference matters.
const MATERIAL: f64 = 0.1;

/// The difference that matters at least, in nats or standard deviations of the label.
const LEAST_LOSS: f64 = 0.02;

/// The examples that a comparison needs.
const LEAST: u64 = 30;

/// Losses of a candidate, of no skill and of the champion, as far as they are compared.
pub(super) struct DivergenceCheck {
    scoring: Scoring,
    no_skill: Vec<f64>,
    /// [`LEAST_LOSS`] in the unit of the loss.
    least: f64,
    /// By the trainer's number of a class, or by 0 and 1, the weight of its examples.
    class_weights: Vec<f64>,
    weight: f64,
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
        let sampling = &setup.config.options.sampling;
        let weigher = ClassWeigher { sampling, labels: &labels, classes: Some(&state.classes) };
        let classes = if setup.task() == Task::Multiclass { state.classes.len() } else { 2 };
        let class_weights: Vec<f64> = match weigher.is_uniform() {
            true => Vec::new(),
            false => (0..classes).map(|class| weigher.weight(class as f64)).collect(),
        };
        let mut no_skill = lineage::no_skill(setup.task(), &labels, &state.classes, candidate);
        if !class_weights.is_empty() {
            reweigh(setup.task(), &mut no_skill, |at| match candidate.classes().get(at) {
                Some(name) => state.classes.find(name).map_or(1.0, |number| class_weights[number as usize]),
                None => class_weights[at],
            });
        }
        let deviation = if setup.task() == Task::Regression { labels.mean_and_deviation()[1] } else { 1.0 };
        DivergenceCheck {
            scoring: setup.scoring(),
            no_skill,
            least: LEAST_LOSS * deviation,
            class_weights,
            weight: 0.0,
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
            let mut champions = Vec::with_capacity(labels.len());
            champion.predictor.predict_observed(&examples.observations, &select, memory, &mut self.predictions);
            for (prediction, label) in self.predictions.rows().zip(labels) {
                let prediction = by_number(prediction, &champion.classes, &mut self.spread);
                champions.push(loss(self.scoring, prediction, *label));
            }
            let weights = (from..to).map(|row| self.weight_of(examples, row));
            self.champion += champions.iter().zip(weights).fold(0.0, |sum, (loss, weight)| sum + loss * weight);
        }
        for (at, (own, label)) in own.into_iter().zip(labels).enumerate() {
            let base = loss(self.scoring, by_number(&self.no_skill, suspect.classes, &mut self.spread), *label);
            let weight = self.weight_of(examples, from + at);
            self.add(own * weight, base * weight);
            self.weight += weight;
        }
        let is_done = to == examples.labels.len();
        self.next = if is_done { BufferedRow { piece: piece + 1, row: 0 } } else { BufferedRow { piece, row: to } };
        self.next.piece == pieces.len()
    }

    /// Returns the weight with which an example is learnt.
    fn weight_of(&self, examples: &LabelledExamples, row: usize) -> f64 {
        let of_class = self.class_weights.get(examples.labels[row] as usize).copied().unwrap_or(1.0);
        examples.weights.get(row).copied().unwrap_or(1.0) * of_class
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
        let is_above = mean > noise && mean * count > (MATERIAL * base).max(self.least * self.weight);
        // A loss that is no number is above any.
        let has_diverged = candidate.is_nan() || is_above && (champion.is_none() || candidate > self.champion);
        let which = if self.scoring.task == Task::Regression { "pinball loss" } else { "log loss" };
        has_diverged.then(|| {
            let stays = match champion {
                Some(version) => format!("version {version} stays champion"),
                None => "there is no version to be served yet".to_owned(),
            };
            let weight = self.weight.max(f64::MIN_POSITIVE);
            let (own, base) = (short(candidate / weight), short(base / weight));
            format!(
                "it has diverged: its {which} on the newest {examples} examples that it has learnt is {own}, and {base} without \
                 skill; {stays}"
            )
        })
    }
}

/// Multiplies the shares of classes by weights, and makes shares of them again.
fn reweigh(task: Task, shares: &mut [f64], weight: impl Fn(usize) -> f64) {
    if task == Task::Binary {
        let (yes, no) = (shares[0] * weight(1), (1.0 - shares[0]) * weight(0));
        shares[0] = yes / (yes + no);
        return;
    }
    shares.iter_mut().enumerate().for_each(|(at, share)| *share *= weight(at));
    let total: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= total);
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
