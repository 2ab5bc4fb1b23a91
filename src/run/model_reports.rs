//! Reports on models: the metrics and the lines of the log that follow from versions, labels, drift and moves of aliases.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::logging::TRAINING;
use super::training::by_reason;
use crate::flow::op::RefusedInWindow;
use crate::flow::plan::ModelPlan;
use crate::metrics::Metrics;
use crate::model::{DriftAlarm, METRICS, ModelKind, RANKING_METRICS, Stability, Version, WaitingWindow};
use crate::registry::{AliasMove, CHAMPION, SplitEntry};
use crate::time::{EventTime, format_time};

/// Returns the number of a version as the value of a gauge.
fn as_gauge(version: u64) -> i64 {
    i64::try_from(version).expect("versions are counted one by one")
}

/// Reports a version, with the time that its window took to learn.
pub fn version(metrics: &Metrics, model: &str, version: &Version, busy: Duration) {
    log_window(model, version, busy);
    metrics.model_version.with_label_values(&[model, "champion"]).set(as_gauge(version.champion));
    metrics.model_version.with_label_values(&[model, "newest"]).set(as_gauge(version.number));
    if let Some(fallen) = version.rolled_back {
        metrics.model_rollbacks.with_label_values(&[model]).inc();
        let (champion, reason) = (version.champion, &version.reason);
        tracing::warn!(model, fallen, champion, "the champion was rolled back: {reason}");
    }
    if version.diverged {
        metrics.model_diverged.with_label_values(&[model]).inc();
        let (number, reason) = (version.number, &version.reason);
        tracing::warn!(model, version = number, "a version was refused: {reason}; a lower learning rate may help");
    }
    stability(metrics, model, &version.stability);
    let scores = &version.prequential;
    for (role, scores) in [
        ("champion", &scores.champion),
        ("predecessor", &scores.predecessor),
        ("newest", &scores.newest),
        ("no_skill", &scores.no_skill),
        ("persistence", &scores.persistence),
    ] {
        for (metric, value) in scores {
            metrics.model_score.with_label_values(&[model, metric, role]).set(*value);
        }
    }
    for arm in &version.arms {
        for (metric, value) in &arm.scores {
            metrics.arms.score.with_label_values(&[model, metric, &arm.name]).set(*value);
        }
    }
}

/// Reports a split that a running job has noticed: its arms, and the end of those that it has no more. `known` are the arms
/// of the split before, and become its own.
pub fn split(metrics: &Metrics, model: &str, entry: &SplitEntry, known: &mut BTreeSet<String>) {
    let arms = || entry.split.iter().flat_map(|split| &split.arms);
    let names: BTreeSet<String> =
        entry.split.iter().flat_map(|split| split.targets()).map(|(name, _)| name.to_owned()).collect();
    for gone in std::mem::replace(known, names.clone()).difference(&names).filter(|name| *name != CHAMPION) {
        let of_lists = RANKING_METRICS.iter().map(|metric| metric.name);
        metrics.arms.forget_arm(model, gone, METRICS.iter().map(|metric| metric.name).chain(of_lists));
    }
    for arm in arms() {
        metrics.arms.share.with_label_values(&[model, &arm.name]).set(arm.share);
    }
    let SplitEntry { reason, by, number, .. } = entry;
    match &entry.split {
        Some(split) => tracing::info!(model, by, split = number, "the entities are split: {split}; {reason}"),
        None => {
            let _ = metrics.arms.share.remove_label_values(&[model, CHAMPION]);
            tracing::info!(model, by, split = number, "the split was cleared: {reason}");
        }
    }
}

/// Reports a split that was cleared because an arm had fallen behind.
pub fn taken_back(metrics: &Metrics, model: &str, entry: &SplitEntry) {
    metrics.arms.taken_back.with_label_values(&[model]).inc();
    tracing::warn!(model, split = entry.reverts, time = format_time(entry.time), "{}", entry.reason);
}

/// Reports a move of an alias that a running job has noticed.
pub fn moved(metrics: &Metrics, model: &str, made: &AliasMove) {
    for (alias, version) in &made.aliases {
        metrics.model_version.with_label_values(&[model, alias]).set(as_gauge(*version));
    }
    if !made.aliases.contains_key(&made.moved) {
        // Ignored: the alias may never have been exported.
        let _ = metrics.model_version.remove_label_values(&[model, &made.moved]);
    }
    if made.is_by_hand() {
        let AliasMove { moved, reason, by, .. } = made;
        tracing::info!(model, alias = moved, by, "an alias was moved by hand: {reason}");
    }
}

/// Counts and logs the labels of a window that were refused.
pub fn refused(metrics: &Metrics, plan: &ModelPlan, refused: &RefusedInWindow) {
    for (fault, count) in &refused.labels {
        metrics.refused_labels.with_label_values(&[plan.name.as_str(), fault.name()]).inc_by(*count);
    }
    let reasons = by_reason(refused.labels.iter().map(|(fault, count)| (fault.name(), *count)));
    let window_end = format_time(refused.window_end);
    let kind = ModelKind::of(&plan.options.kind).expect("the spec has checked the kind");
    let expected = kind.labels.describe();
    tracing::warn!(model = plan.name, window_end, expected, "examples dropped for their labels: {reasons}");
}

/// Logs a window that has made no version.
pub fn waiting(model: &str, window_end: EventTime, waiting: &WaitingWindow) {
    let (window_end, WaitingWindow { examples, least, is_of_one_class }) = (format_time(window_end), waiting);
    match is_of_one_class {
        true => tracing::info!(model, window_end, examples, "no version yet: all labels are of one class"),
        false => tracing::info!(model, window_end, examples, "no version yet: the first one needs {least} examples"),
    }
}

/// Counts and logs a rise of a champion's error.
pub fn drift(metrics: &Metrics, model: &str, alarm: &DriftAlarm) {
    metrics.model_drift.with_label_values(&[model]).inc();
    let DriftAlarm { time, examples, error } = *alarm;
    let time = format_time(time);
    tracing::warn!(model, time, examples, "the error of the champion has risen: {error:.4} over the newest examples");
}

/// Sets the gauges of a window's stability, and says what has changed much.
fn stability(metrics: &Metrics, model: &str, stability: &Stability) {
    for (input, index) in &stability.inputs {
        metrics.model_psi.with_label_values(&[model, input]).set(*index);
    }
    if let Some(index) = stability.predictions {
        metrics.model_prediction_psi.with_label_values(&[model]).set(index);
    }
    let much: Vec<String> = stability.changed().map(|(input, index)| format!("{input} {index:.2}")).collect();
    if !much.is_empty() {
        tracing::warn!(model, "inputs are not as in the champion's training window (PSI): {}", much.join(", "));
    }
    if let Some(index) = stability.predictions.filter(|index| *index > Stability::MUCH) {
        tracing::warn!(model, "predictions are not as in the champion's training window: PSI {index:.2}");
    }
}

/// Logs a training window that has ended.
fn log_window(model: &str, version: &Version, busy: Duration) {
    let scores: serde_json::Map<String, serde_json::Value> =
        version.prequential.champion.iter().map(|(name, x)| (name.to_string(), json!(x))).collect();
    let scores = serde_json::Value::Object(scores).to_string();
    tracing::info!(
        target: TRAINING,
        model,
        version = version.number,
        window_start = format_time(version.window_start),
        window_end = format_time(version.window_end),
        examples = version.examples,
        scores,
        decision = version.decision.name(),
        reason = version.reason,
        champion = version.champion,
        learning_ms = busy.as_secs_f64() * 1e3,
        "a training window has ended"
    );
}
