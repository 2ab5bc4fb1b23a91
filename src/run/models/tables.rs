//! The output of the verbs on models: tables with aligned columns.

use std::collections::BTreeMap;

use super::place::{MetricPoint, MetricScores, ModelSummary};
use crate::registry::{HistoryEntry, Manifest};
use crate::time::format_time;

/// Returns rows as text, with columns of one width each but for the last.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// Returns a table of models.
pub fn models(models: &[ModelSummary]) -> String {
    let mut rows = vec![row(["model", "kind", "champion", "versions"])];
    for ModelSummary { name, kind, champion, versions } in models {
        let champion = champion.map_or_else(|| "none".to_owned(), |champion| champion.to_string());
        let versions = match &versions[..] {
            [] => "none".to_owned(),
            [only] => only.to_string(),
            [first, .., last] => format!("{} from {first} to {last}", versions.len()),
        };
        rows.push(row([name, kind, &champion, &versions]));
    }
    aligned(&rows)
}

/// Returns the description of a version with its scores. `aliases` are those that point to it.
pub fn version(manifest: &Manifest, aliases: &[&str]) -> String {
    let Manifest { window, decision, reason, .. } = manifest;
    let aliases = if aliases.is_empty() { "none".to_owned() } else { aliases.join(", ") };
    let parent = manifest.parent.map_or_else(|| "none".to_owned(), |parent| parent.to_string());
    let mut rows = vec![
        row(["model", &manifest.name]),
        row(["version", &manifest.version.to_string()]),
        row(["kind", &manifest.kind]),
        row(["aliases", &aliases]),
        row(["window", &format!("{} to {}", format_time(window.start), format_time(window.end))]),
        row(["parent", &parent]),
        row(["examples", &manifest.examples.to_string()]),
        row(["decision", &format!("{decision}: {reason}")]),
        row(["definition", &manifest.definition]),
        row(["sha256", &manifest.sha256]),
    ];
    for (scored, metrics) in &manifest.scores {
        let metrics: Vec<String> = metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
        rows.push(row([&format!("scores of {scored}"), &metrics.join(", ")]));
    }
    aligned(&rows)
}

/// Returns a table of moves.
pub fn history(moves: &[HistoryEntry]) -> String {
    let mut rows = vec![row(["number", "time", "wall time", "alias", "version", "by", "reason"])];
    for HistoryEntry { number, made } in moves {
        let version = made.aliases.get(&made.moved).map_or_else(String::new, u64::to_string);
        let (time, wall) = (format_time(made.time), format_time(made.wall_time));
        rows.push(row([&number.to_string(), &time, &wall, &made.moved, &version, &made.by, &made.reason]));
    }
    aligned(&rows)
}

/// Returns a table of a metric over time.
pub fn scores(scores: &MetricScores) -> String {
    let mut rows = vec![row(["window end", "champion", "predecessor", "newest", "no skill"])];
    let has_persistence = scores.points.iter().any(|point| point.persistence.is_some());
    rows[0].extend(has_persistence.then(|| "persistence".to_owned()));
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    for MetricPoint { window_end, champion, predecessor, newest, no_skill, persistence, .. } in &scores.points {
        let cells = [champion, predecessor, newest, no_skill].map(|value| number(*value));
        let persistence = has_persistence.then(|| number(*persistence));
        rows.push(std::iter::once(window_end.clone()).chain(cells).chain(persistence).collect());
    }
    let mut text = format!("{}\n{}", scores.metric, aligned(&rows));
    let mut rows = vec![row(["window end", "segment", "examples", "champion", "no skill"])];
    for point in &scores.points {
        let values = point.segments.iter().flat_map(|(column, values)| values.iter().map(move |value| (column, value)));
        for (column, (value, metric)) in values {
            let cells = [metric.champion, metric.no_skill].map(number);
            let head = [point.window_end.clone(), format!("{column} = {value}"), metric.examples.to_string()];
            rows.push(head.into_iter().chain(cells).collect());
        }
    }
    if rows.len() > 1 {
        text += &format!("\n{}", aligned(&rows));
    }
    text
}

/// Returns a line on a move that was made.
pub fn moved(model: &str, entry: &HistoryEntry) -> String {
    let HistoryEntry { number, made } = entry;
    let version = made.aliases.get(&made.moved).copied().unwrap_or_default();
    let time = format_time(made.time);
    format!("{} of {model} is version {version} from {time} on (move {number} of its history)\n", made.moved)
}

/// Returns the aliases that point to a version.
pub fn aliases_of(aliases: &BTreeMap<String, u64>, version: u64) -> Vec<&str> {
    aliases.iter().filter(|(_, target)| **target == version).map(|(alias, _)| alias.as_str()).collect()
}
