//! The publish gate: candidate and champion compared on held-out examples.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::Decision;
use super::history::{RetainedVersion, by_number};
use super::lists::{ListedExample, RankedLists};
use super::paired::PairedScores;
use super::setup::TrainingSetup;
use super::state::TrainingState;
use super::window::LabelledExamples;
use crate::model::{Gate, GateFallback, Predictions, Predictor, RankingMetric, Scoring, SparseRows};

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
    /// The least label of a relevant example, if whole lists are held out.
    relevant: Option<f64>,
    windows: Vec<PairedScores>,
    /// The row up to which the last of these windows is compared.
    row: usize,
    /// The lists of the last window, as ranked by candidate and champion.
    lists: RankedLists<2>,
    by_number: Vec<f64>,
    predictions: Predictions,
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

impl GateComparison {
    pub fn new(setup: &TrainingSetup) -> Self {
        let scoring = setup.scoring();
        GateComparison {
            scoring,
            relevant: setup.gated_lists().map(|ranking| ranking.relevant),
            windows: vec![PairedScores::ranking_all(scoring)],
            row: 0,
            lists: RankedLists::default(),
            by_number: Vec::new(),
            predictions: Predictions::default(),
        }
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
            self.score(challenge, examples, to, memory);
            left -= to - from;
            self.row = to;
            // Go on with the next window.
            if to == examples.labels.len() {
                let PairedScores { own, other } = &mut self.windows[window];
                // Added, since a comparison that is done may be asked to go on.
                let [by_own, by_other] = std::mem::take(&mut self.lists).sums();
                own.lists.merge(&by_own);
                other.lists.merge(&by_other);
                if self.windows.len() == windows.len() {
                    return true;
                }
                self.windows.push(PairedScores::ranking_all(self.scoring));
                self.row = 0;
            }
        }
        false
    }

    /// Scores the examples of the last window up to a row.
    fn score(&mut self, challenge: &Challenge<'_>, examples: &LabelledExamples, to: usize, memory: &mut SparseRows) {
        let from = self.row;
        let select: Vec<u32> = (from as u32..to as u32).collect();
        let PairedScores { own, other } = self.windows.last_mut().expect("there is a window from the start on");
        let versions = [
            (challenge.candidate, challenge.classes, own),
            (&*challenge.champion.predictor, &*challenge.champion.classes, other),
        ];
        // The numbers by which candidate and champion rank each row.
        let mut ranked = vec![[f64::NAN; 2]; if self.relevant.is_some() { to - from } else { 0 }];
        for (by, (predictor, classes, scores)) in versions.into_iter().enumerate() {
            predictor.predict_observed(&examples.observations, &select, memory, &mut self.predictions);
            let labelled = self.predictions.rows().zip(&examples.labels[from..to]).enumerate();
            for (at, (prediction, label)) in labelled.filter(|(_, (_, label))| !label.is_nan()) {
                scores.each.add(by_number(prediction, classes, &mut self.by_number), *label);
                if let Some(ranked) = ranked.get_mut(at) {
                    ranked[by] = prediction[0];
                }
            }
        }
        let Some(relevant) = self.relevant else { return };
        for ((scores, label), place) in ranked.into_iter().zip(&examples.labels[from..to]).zip(&examples.places[from..])
        {
            if !label.is_nan() {
                let example = ListedExample { tie: place.tie, relevant: *label >= relevant, scores };
                self.lists.push(place.list, example);
            }
        }
    }

    /// Decides on the candidate.
    ///
    /// Each window is compared by itself, and the median of the differences counts: an overconfident champion loses
    /// without bound on a poisoned window, and a mean would let that one window decide for all.
    pub fn decide(&self, gate: &Gate, champion: u64) -> Verdict {
        let Gate { metric, tolerance, unanswered, .. } = gate;
        let mut pooled = PairedScores::ranking_all(self.scoring);
        for window in &self.windows {
            pooled.merge(window);
        }
        let (windows, examples) = (self.windows.len(), pooled.own.each.examples());
        // Compare window by window.
        let differences: Vec<f64> = self.windows.iter().filter_map(|paired| paired.worse_by(metric)).collect();
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
        let (count, of) = pooled.counted(metric);
        let accepted = worse_by <= *tolerance;
        let compared_with = match worse_by.total_cmp(&0.0) {
            _ if worse_by == 0.0 => format!("equal to that of version {champion}"),
            Ordering::Greater => format!("worse than of version {champion} by {}", short(worse_by)),
            _ => format!("better than of version {champion} by {}", short(-worse_by)),
        };
        let reason = format!(
            "{metric} {compared_with}, the median of {compared} windows of {count} held-out {of}; {} {tolerance}",
            if accepted { "within" } else { "more than" },
        );
        let decision = if accepted { Decision::Published } else { Decision::Refused };
        Verdict { decision, reason, scores: Some(pooled) }
    }
}

/// Returns the reason why a metric of some windows has no answer.
fn without_answer(metric: &str) -> &'static str {
    match metric {
        "auc" => " in any window: each has labels of one class only",
        "average_precision" => " in any window: none has a positive label",
        "mape" => " in any window: the labels of each are all 0",
        "f1" => " in any window: none has a positive label or prediction",
        "r2" => " in any window: the labels of each are all equal",
        _ if RankingMetric::find(metric).is_some() => {
            " in any window: none has a list of two examples, one of them relevant"
        }
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
