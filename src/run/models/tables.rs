//! The output of the verbs on models: tables with aligned columns.

use std::collections::BTreeMap;

use serde_json::json;

use super::place::{MetricPoint, MetricScores, ModelSummary};
use super::splits::ModelSplits;
use crate::padding::{pad_end, width_of};
use crate::registry::{ArmTarget, CHAMPION, ChampionPeriod, HistoryEntry, Manifest, SplitEntry, percent, version_at};
use crate::time::{EventTime, format_duration, format_time};

/// Returns rows as text, with columns of one width each but for the last.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| width_of(rows.iter().filter_map(|row| row.get(column).map(String::as_str)));
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| pad_end(cell, *width));
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

/// Returns a period in which a version was champion, as JSON.
pub fn period_value(period: &ChampionPeriod<'_>) -> serde_json::Value {
    let ChampionPeriod { from, until, by: HistoryEntry { number, made } } = period;
    let (from, until) = (format_time(*from), until.map(format_time));
    json!({ "from": from, "until": until, "move": number, "by": made.by, "reason": made.reason })
}

/// Returns a line on a period in which a version was champion.
fn period_line(period: &ChampionPeriod<'_>) -> String {
    let ChampionPeriod { from, until, by: HistoryEntry { number, made } } = period;
    let time = match until {
        Some(until) => format!("{} to {}", format_time(*from), format_time(*until)),
        None => format!("from {} on", format_time(*from)),
    };
    format!("{time} by {} (move {number}): {}", made.by, made.reason)
}

/// Returns the description of a version with its scores. `aliases` are those that point to it, `periods` those in which
/// it was champion.
pub fn version(manifest: &Manifest, aliases: &[&str], periods: &[ChampionPeriod<'_>]) -> String {
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
    let lines: Vec<String> = periods.iter().map(period_line).collect();
    let never = lines.is_empty().then_some("never");
    for (at, line) in lines.iter().map(String::as_str).chain(never).enumerate() {
        rows.push(row([if at == 0 { "champion" } else { "" }, line]));
    }
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

/// Returns a line on a split that was made or cleared.
pub fn split(model: &str, entry: &SplitEntry) -> String {
    let (time, number) = (format_time(entry.time), entry.number);
    match &entry.split {
        Some(split) => format!("{model} is split from {time} on (split {number}): {split}\n{}", ramp(entry)),
        None => format!("{model} is not split from {time} on (split {number})\n"),
    }
}

/// Returns the steps of a split's ramp; nothing without one.
fn ramp(entry: &SplitEntry) -> String {
    let steps = entry.split.iter().flat_map(|split| &split.ramp);
    let steps: Vec<String> =
        steps.map(|step| format!("{} for {}", percent(step.share), format_duration(step.for_ms))).collect();
    if steps.is_empty() { String::new() } else { format!("ramp: {}, then the weights\n", steps.join(", ")) }
}

/// Returns the split in force with the share of each arm, and all splits so far.
pub fn splits(splits: &ModelSplits) -> String {
    let current = splits.current.as_ref();
    let history = split_history(&splits.splits);
    match current {
        None => format!("no split: the champion answers\n{history}"),
        Some(current) => {
            let ramp = splits.splits.iter().find(|entry| current["number"] == entry.number).map(ramp);
            format!("{}{}{history}", split_line(Some(current)), ramp.unwrap_or_default())
        }
    }
}

/// Returns a line on the split in force with the share of each arm; nothing without one.
pub fn split_line(current: Option<&serde_json::Value>) -> String {
    let Some(shares) = current.and_then(|current| current["shares"].as_object()) else { return String::new() };
    let share = |(name, share): (&String, &serde_json::Value)| {
        format!("{name} {}", percent(share.as_f64().unwrap_or_default()))
    };
    format!("split: {}\n", shares.iter().map(share).collect::<Vec<_>>().join(", "))
}

/// Returns a line on the split in force at a time, with the version of each arm then.
pub fn shares(entry: &SplitEntry, at: EventTime, moves: &[HistoryEntry]) -> String {
    let arms = entry.split.iter().flat_map(|split| &split.arms).zip(entry.shares_at(at));
    let arm = |target: &ArmTarget| match target {
        ArmTarget::Champion => version_at(moves, CHAMPION, at),
        ArmTarget::Alias(alias) => version_at(moves, alias, at),
        ArmTarget::Version(version) => Some(*version),
        ArmTarget::Model(_) => None,
    };
    let arms = arms.map(|(of, (name, share))| match arm(&of.target) {
        Some(version) => format!("{name} {} (version {version})", percent(share)),
        None => format!("{name} {}", percent(share)),
    });
    format!("split: {}\n", arms.collect::<Vec<_>>().join(", "))
}

/// Returns a table of splits; nothing if there are none.
pub fn split_history(splits: &[SplitEntry]) -> String {
    if splits.is_empty() {
        return String::new();
    }
    let mut rows = vec![row(["split", "time", "wall time", "arms", "by", "reason"])];
    for SplitEntry { number, time, wall_time, split, by, reason, .. } in splits {
        let arms = split.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
        rows.push(row([&number.to_string(), &format_time(*time), &format_time(*wall_time), &arms, by, reason]));
    }
    aligned(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_of_any_length_is_printed_whole_and_others_stay_aligned() {
        let long = "why ".repeat(20_000);
        let text = aligned(&[row(["a", "b", "c"]), row([&long, "2", "3"]), row(["é", "4", "5"])]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], format!("{long}  2  3"));
        assert_eq!(lines[0].find('b'), Some(102));
        assert_eq!(lines[2].chars().position(|letter| letter == '4'), Some(102));
    }
}
