//! The publish gate: candidate and champion compared on held-out examples.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::Decision;
use super::history::{RetainedVersion, by_number};
use super::state::TrainingState;
use crate::model::{Better, Gate, GateFallback, METRICS, Metric, Predictions, Predictor, Scores, Scoring, SparseRows};

/// A candidate for the champion.
pub(super) struct Challenge<'a> {
    pub candidate: &'a Predictor,
    /// The trainer's numbers of the candidate's classes.
    pub classes: &'a [u32],
    pub champion: &'a RetainedVersion,
}

/// Scores of candidate and champion on the held-out examples, window by window.
pub(super) struct GateComparison {
    scoring: Scoring,
    windows: Vec<PairedScores>,
    /// The row up to which the last of these windows is compared.
    row: usize,
    by_number: Vec<f64>,
    predictions: Predictions,
}

#[derive(Clone)]
pub(super) struct PairedScores {
    pub candidate: Scores,
    pub champion: Scores,
}

/// The gate's decision on a version.
pub(super) struct Verdict {
    pub decision: Decision,
    pub reason: String,
    /// The scores over all windows, if there were any to compare.
    pub scores: Option<PairedScores>,
}

impl Verdict {
    /// A version that is published without a comparison.
    pub fn published(reason: &str) -> Self {
        Verdict { decision: Decision::Published, reason: reason.to_owned(), scores: None }
    }
}

impl PairedScores {
    fn new(scoring: Scoring) -> Self {
        PairedScores { candidate: Scores::ranking_all(scoring), champion: Scores::ranking_all(scoring) }
    }
}

impl GateComparison {
    pub fn new(scoring: Scoring) -> Self {
        let windows = vec![PairedScores::new(scoring)];
        GateComparison { scoring, windows, row: 0, by_number: Vec::new(), predictions: Predictions::default() }
    }

    /// Scores about `rows` more held-out examples, in chunks of at most `chunk`. Returns true once all are scored.
    pub fn advance(
        &mut self,
        challenge: &Challenge<'_>,
        state: &TrainingState,
        memory: &mut SparseRows,
        rows: usize,
        chunk: usize,
    ) -> bool {
        let windows: Vec<_> = state.compared_windows().collect();
        let mut left = rows;
        while left > 0 {
            let (window, from) = (self.windows.len() - 1, self.row);
            let examples = windows[window];
            let to = examples.labels.len().min(from + left.min(chunk));
            let select: Vec<u32> = (from as u32..to as u32).collect();
            let PairedScores { candidate, champion } = &mut self.windows[window];
            let versions = [
                (challenge.candidate, challenge.classes, candidate),
                (&*challenge.champion.predictor, &*challenge.champion.classes, champion),
            ];
            for (predictor, classes, scores) in versions {
                predictor.predict_observed(&examples.observations, &select, memory, &mut self.predictions);
                let labelled = self.predictions.rows().zip(&examples.labels[from..to]);
                for (prediction, label) in labelled.filter(|(_, label)| !label.is_nan()) {
                    scores.add(by_number(prediction, classes, &mut self.by_number), *label);
                }
            }
            left -= to - from;
            self.row = to;
            // Go on with the next window.
            if to == examples.labels.len() {
                if self.windows.len() == windows.len() {
                    return true;
                }
                self.windows.push(PairedScores::new(self.scoring));
                self.row = 0;
            }
        }
        false
    }

    /// Decides on the candidate.
    ///
    /// Each window is compared by itself, and the median of the differences counts: an overconfident champion loses
    /// without bound on a poisoned window, and a mean would let that one window decide for all.
    pub fn decide(&self, gate: &Gate, champion: u64) -> Verdict {
        let Gate { metric, tolerance, unanswered, .. } = gate;
        let known = METRICS.iter().find(|known| known.name == *metric).expect("the gate's metric was checked");
        let mut pooled = PairedScores::new(self.scoring);
        for window in &self.windows {
            pooled.candidate.merge(&window.candidate);
            pooled.champion.merge(&window.champion);
        }
        let (windows, examples) = (self.windows.len(), pooled.candidate.examples());
        // Compare window by window.
        let difference_in = |paired: &PairedScores| worse_by(known, &paired.candidate, &paired.champion);
        let differences: Vec<f64> = self.windows.iter().filter_map(difference_in).collect();
        let compared = differences.len();
        // Without an answer, the gate's own rule decides.
        let Some(worse_by) = median(differences) else {
            let why = match examples {
                0 => format!("no example of the {windows} newest windows is held out, so {metric} cannot be compared"),
                _ => format!(
                    "{metric} has no answer on the {examples} held-out examples of the {windows} newest windows{}",
                    without_answer(metric)
                ),
            };
            let (decision, then) = match unanswered {
                GateFallback::Keep => (Decision::Refused, format!("version {champion} stays champion")),
                GateFallback::Publish => (Decision::Published, "published as unanswered = \"publish\" says".to_owned()),
            };
            let scores = Some(pooled).filter(|_| examples > 0);
            return Verdict { decision, reason: format!("{why}; {then}"), scores };
        };
        // Decide by the median.
        let accepted = worse_by <= *tolerance;
        let compared_with = match worse_by.total_cmp(&0.0) {
            _ if worse_by == 0.0 => format!("equal to that of version {champion}"),
            Ordering::Greater => format!("worse than of version {champion} by {}", short(worse_by)),
            _ => format!("better than of version {champion} by {}", short(-worse_by)),
        };
        let reason = format!(
            "{metric} {compared_with}, the median of {compared} windows of {examples} held-out examples; {} {tolerance}",
            if accepted { "within" } else { "more than" },
        );
        let decision = if accepted { Decision::Published } else { Decision::Refused };
        Verdict { decision, reason, scores: Some(pooled) }
    }
}

/// Returns how much worse scores are than others, by one metric. `None` if it has no answer on one of them.
pub(super) fn worse_by(metric: &Metric, own: &Scores, other: &Scores) -> Option<f64> {
    let (own, other) = ((metric.of)(own)?, (metric.of)(other)?);
    Some(match metric.better {
        Better::Lower => difference(own, other),
        Better::Higher => difference(other, own),
        Better::Zero => difference(own.abs(), other.abs()),
    })
}

/// Returns `a − b`. Two metrics that are infinite alike are equal.
fn difference(a: f64, b: f64) -> f64 {
    if a == b { 0.0 } else { a - b }
}

/// Returns the reason why a metric of some windows has no answer.
fn without_answer(metric: &str) -> &'static str {
    match metric {
        "auc" => " in any window: each has labels of one class only",
        "average_precision" => " in any window: none has a positive label",
        "mape" => " in any window: the labels of each are all 0",
        "f1" => " in any window: none has a positive label or prediction",
        "r2" => " in any window: the labels of each are all equal",
        _ => "",
    }
}

/// Writes a number with four decimals, or in powers of ten where these would hide it.
pub(super) fn short(x: f64) -> String {
    if (1e-3..1e6).contains(&x) { format!("{x:.4}") } else { format!("{x:.3e}") }
}

/// Returns the metrics that are finite, by name: an infinite one has no form in JSON.
pub(super) fn named(metrics: &[(&'static str, f64)]) -> BTreeMap<String, f64> {
    let finite = metrics.iter().filter(|(_, value)| value.is_finite());
    finite.map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

/// Returns the middle value, or the mean of the two in the middle. None of no values.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[half]),
        _ => Some((values[half - 1] + values[half]) / 2.0),
    }
}
