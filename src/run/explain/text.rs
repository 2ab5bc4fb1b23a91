//! An explanation as text.

use std::fmt::Write;

use serde_json::Value;

use crate::padding::{pad_end, width_of};
use crate::serve::explainer::{ExplainedFeature, ExplainedRecord, ExplainedWindow, FeatureExplanation, NamedValue};

/// Returns an explanation as text. `served_by` is the word for how a value came about with which one is compared.
pub fn text(explanation: &FeatureExplanation, served_by: &str) -> String {
    let mut text = String::new();
    write(&mut text, explanation, served_by).expect("writing to a string does not fail");
    text
}

fn write(out: &mut String, explanation: &FeatureExplanation, served_by: &str) -> std::fmt::Result {
    let entity = explanation.entity.iter().map(|of| shown(&of.value)).collect::<Vec<_>>().join(", ");
    writeln!(out, "{} {entity} as of {}", explanation.group, explanation.as_of)?;
    for window in &explanation.windows {
        let count = window.records.len() + window.not_listed;
        let noun = if count == 1 { "record" } else { "records" };
        writeln!(out, "\n{}, {}: {count} {noun}", input(window), window.window)?;
        window.features.iter().try_for_each(|of| write_feature(out, of, served_by))?;
        write_records(out, window)?;
    }
    for of in explanation.derived.iter() {
        writeln!(out, "\n{}", of.value.expr.as_deref().unwrap_or_default())?;
        write_feature(out, of, served_by)?;
    }
    Ok(())
}

/// Returns a value without the quotes of a text.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns what a window's line reads, in words.
fn input(window: &ExplainedWindow) -> String {
    let of = window.of.as_deref().unwrap_or("records");
    let filter = window.filter.as_ref().map_or_else(String::new, |filter| format!(" where {filter}"));
    format!("{of}{filter}")
}

fn write_feature(out: &mut String, of: &NamedValue<ExplainedFeature>, served_by: &str) -> std::fmt::Result {
    let ExplainedFeature { value, served, equal, .. } = &of.value;
    write!(out, "  {} = {value}", of.name)?;
    match (equal, served) {
        (Some(true), _) => writeln!(out, ", as {served_by}"),
        (Some(false), Some(served)) => writeln!(out, ", but {served} {served_by}"),
        _ => writeln!(out),
    }
}

fn write_records(out: &mut String, window: &ExplainedWindow) -> std::fmt::Result {
    if window.records.is_empty() && window.not_listed == 0 {
        return Ok(());
    }
    let cells = |of: &ExplainedRecord| {
        let late = if of.effective == of.time { String::new() } else { format!("late, effective {}", of.effective) };
        let value = of.value.as_ref().map_or_else(String::new, Value::to_string);
        [of.source.clone(), of.partition.to_string(), of.offset.to_string(), of.time.clone(), value, late]
    };
    let value = if window.of.is_some() { "value" } else { "" };
    let mut rows = vec![["source", "partition", "offset", "event time", value, ""].map(str::to_owned)];
    rows.extend(window.records.iter().map(cells));
    let width = |column: usize| width_of(rows.iter().map(|row| row[column].as_str()));
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| pad_end(cell, *width)).collect();
        writeln!(out, "    {}", cells.join("  ").trim_end())?;
    }
    match window.not_listed {
        0 => Ok(()),
        1 => writeln!(out, "    an older record is not listed"),
        count => writeln!(out, "    {count} older records are not listed"),
    }
}
