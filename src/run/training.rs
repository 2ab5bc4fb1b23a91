//! Summaries of training: what became of the examples of each model, and the scores of all its predictions.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::flow::op::RefusedLabels;
use crate::flow::op::label::AttributionReport;
use crate::flow::op::learn::{LearnState, LearningTotals};
use crate::flow::plan::{LabelPlan, ModelPlan};
use crate::model::{METRICS, OverallScores, RANKING_METRICS, WaitingWindow};
use crate::registry::{ScorePoint, SegmentPoint, SegmentPoints};
use crate::time::format_time;
use crate::value::Batch;

/// The examples of a model in a digest: made = labelled + dropped + waiting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingDigest {
    pub made: u64,
    pub labelled: u64,
    /// By reason: `unlabelled` if no label came in time, else what is wrong with the label.
    pub dropped: BTreeMap<String, u64>,
    /// Examples whose label can still come.
    pub waiting: u64,
    pub scores: ScoresDigest,
    /// The scores of each window.
    #[serde(default)]
    pub windows: Vec<ScorePoint>,
}

/// The scores of all predictions that were made before the label was known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoresDigest {
    pub examples: u64,
    pub champion: BTreeMap<String, f64>,
    pub no_skill: BTreeMap<String, f64>,
    /// Metrics of the last known label of the same key, if keys are named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub persistence: BTreeMap<String, f64>,
    /// Metrics by column and value, if columns are named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segments: SegmentPoints,
}

/// Reports of one model, as they come.
#[derive(Default)]
pub struct TrainingReports {
    made: u64,
    unlabelled: u64,
    waiting: u64,
    /// The examples that the newest window left to the next, while there is no version.
    pub waiting_window: Option<WaitingWindow>,
    /// Examples that wait at the end, where those without a label are wanted.
    pub examples: Vec<Batch>,
    totals: Option<LearningTotals>,
}

impl TrainingReports {
    /// Adds a report on examples that wait for labels.
    pub fn attributed(&mut self, report: AttributionReport) {
        match report {
            AttributionReport::Counts(counts) => {
                self.made += counts.made;
                self.unlabelled += counts.unlabelled;
            }
            AttributionReport::Waiting { count, examples } => {
                self.waiting += count;
                self.examples.extend(examples);
            }
        }
    }

    /// Returns the number of examples for which no label came in time.
    pub fn unlabelled(&self) -> u64 {
        self.unlabelled
    }

    /// Sets what has been learnt in all.
    pub fn ended(&mut self, totals: LearningTotals) {
        self.totals = Some(totals);
    }

    /// Takes the state of the trainer, if examples without a label are wanted.
    pub fn take_state(&mut self) -> Option<LearnState> {
        self.totals.as_mut()?.state.take()
    }

    /// Returns the counts and scores of a model that has ended. `windows` are the scores of its windows.
    pub fn digest(&self, plan: &ModelPlan, windows: Vec<ScorePoint>) -> TrainingDigest {
        let none = RefusedLabels::new();
        let (received, refused, scores) = match &self.totals {
            Some(totals) => (totals.received, &totals.refused, totals.scores.clone()),
            None => (0, &none, OverallScores::default()),
        };
        let mut dropped: BTreeMap<String, u64> =
            refused.iter().map(|(fault, count)| (fault.name().to_owned(), *count)).collect();
        if self.unlabelled > 0 {
            dropped.insert("unlabelled".to_owned(), self.unlabelled);
        }
        TrainingDigest {
            // Labels that are known at once do not wait.
            made: if matches!(plan.label, LabelPlan::Joined { .. }) { self.made } else { received },
            labelled: received - refused.values().sum::<u64>(),
            dropped,
            waiting: self.waiting,
            scores: ScoresDigest {
                examples: scores.examples,
                segments: SegmentPoint::all(&scores.segments),
                champion: scores.champion,
                no_skill: scores.no_skill,
                persistence: scores.persistence,
            },
            windows,
        }
    }
}

/// Returns counts by reason, in words: `3 negative, 1 null`.
pub fn by_reason<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> String {
    counts.map(|(reason, count)| format!("{count} {reason}")).collect::<Vec<_>>().join(", ")
}

/// Windows that are printed: the newest.
const PRINTED_WINDOWS: usize = 20;

/// Returns a line for each of the newest windows that has scores, with the first metric of the model.
fn of_windows(model: &str, windows: &[ScorePoint]) -> Vec<String> {
    let scored: Vec<&ScorePoint> = windows.iter().filter(|window| window.examples > 0).collect();
    let has = |name: &str| scored.iter().any(|window| window.champion.contains_key(name));
    let Some(metric) = METRICS.iter().map(|metric| metric.name).find(|name| has(name)) else { return Vec::new() };
    let earlier = scored.len().saturating_sub(PRINTED_WINDOWS);
    let mut lines = Vec::new();
    if earlier > 0 {
        lines.push(format!("scores {model}: {earlier} earlier windows are in the digest"));
    }
    for window in &scored[earlier..] {
        let (end, examples) = (format_time(window.window_end), window.examples);
        let mut line = format!("scores {model} to {end}: {examples} scored");
        if let Some(value) = window.champion.get(metric) {
            let _ = write!(line, ", {metric} {value:.4}");
        }
        if let Some(base) = window.no_skill.get(metric) {
            let _ = write!(line, " (no skill {base:.4})");
        }
        lines.push(line);
    }
    lines
}

/// Returns a line for each segment, with the first metric of the model.
fn of_segments(model: &str, segments: &SegmentPoints) -> Vec<String> {
    let values = segments.iter().flat_map(|(column, values)| values.iter().map(move |value| (column, value)));
    let line = |(column, (value, point)): (&String, (&String, &SegmentPoint))| {
        let metric = METRICS.iter().map(|metric| metric.name).find(|name| point.champion.contains_key(*name))?;
        let mut line = format!("scores {model} where {column} is {value}: {} scored", point.examples);
        let _ = write!(line, ", {metric} {:.4}", point.champion[metric]);
        if let Some(base) = point.no_skill.get(metric) {
            let _ = write!(line, " (no skill {base:.4})");
        }
        Some(line)
    };
    values.filter_map(line).collect()
}

impl TrainingDigest {
    /// Returns the line on a model's examples and, if any was scored, the lines on its scores: in all, and of each of the
    /// newest windows.
    pub fn lines(&self, model: &str) -> Vec<String> {
        let TrainingDigest { made, labelled, dropped, waiting, scores, windows } = self;
        let reasons = by_reason(dropped.iter().map(|(reason, count)| (reason.as_str(), *count)));
        let reasons = if reasons.is_empty() { String::new() } else { format!(" ({reasons})") };
        let total: u64 = dropped.values().sum();
        let examples = format!(
            "labels {model}: {made} examples, {labelled} labelled, {total} dropped{reasons}, {waiting} waiting"
        );
        let mut lines = vec![examples];
        if scores.examples > 0 {
            let mut line = format!("scores {model}: {} scored", scores.examples);
            let metrics = METRICS.iter().map(|metric| (metric.name, "no skill"));
            let of_lists = RANKING_METRICS.iter().map(|metric| (metric.name, "popularity"));
            for (metric, compared) in metrics.chain(of_lists) {
                let Some(value) = scores.champion.get(metric) else { continue };
                let _ = write!(line, ", {metric} {value:.4}");
                if let Some(base) = scores.no_skill.get(metric) {
                    let persistence = scores.persistence.get(metric);
                    let persistence = persistence.map_or_else(String::new, |own| format!(", persistence {own:.4}"));
                    let _ = write!(line, " ({compared} {base:.4}{persistence})");
                }
            }
            lines.push(line);
            lines.extend(of_segments(model, &scores.segments));
        }
        lines.extend(of_windows(model, windows));
        lines
    }
}
