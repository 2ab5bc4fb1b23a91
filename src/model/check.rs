//! The check of a model's options: everything that is wrong with them at once.

use std::ops::RangeInclusive;

use super::preparation::InputColumn;
use super::{
    BINS, EXPIRE, GATE_WINDOWS, Gate, HASH_BITS, MIN_COUNT, MIN_EXAMPLES, ModelError, ModelKind, ModelOptions, NGRAMS,
    SHARDS,
};

/// Checks the options of a model of these inputs.
///
/// # Errors
/// Everything that is wrong, in the order of the options.
pub fn check_options(options: &ModelOptions, inputs: &[InputColumn]) -> Result<(), Vec<ModelError>> {
    let mut errors = Vec::new();
    let kind = ModelKind::of(&options.kind).map_err(|error| errors.push(error)).ok();
    errors.extend(kind.into_iter().flat_map(|kind| kind.check(options)));
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let ranges = [
        ("hash_bits", i64::from(options.hash_bits), HASH_BITS),
        ("bins", options.bins as i64, BINS),
        ("shards", options.shards as i64, SHARDS),
        ("min_examples", whole(options.min_examples), MIN_EXAMPLES),
        ("min_count", whole(options.preparing.min_count), MIN_COUNT),
        ("expire", whole(options.preparing.expire), EXPIRE),
        ("ngrams", options.preparing.ngrams as i64, NGRAMS),
    ];
    errors.extend(ranges.into_iter().filter_map(|(name, found, range)| out_of_range(name, found, &range)));
    // The numbers of a layout are only sensible within the ranges.
    if let Some(kind) = kind.filter(|_| errors.is_empty()) {
        match kind.layout(inputs, options) {
            Ok(layout) => errors.extend(kind.check_inputs(&layout)),
            Err(wrong) => errors.extend(wrong),
        }
    }
    if let (Some(gate), Some(kind)) = (&options.publish, kind) {
        errors.extend(check_gate(gate, kind, options.ranking.is_some()));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Returns what is wrong with a gate of a kind, whose examples are scored in lists or not.
fn check_gate(gate: &Gate, kind: &ModelKind, in_lists: bool) -> Vec<ModelError> {
    let mut errors = Vec::new();
    let metrics: Vec<&str> = kind.gate_metrics(in_lists).collect();
    if !metrics.contains(&gate.metric.as_str()) {
        let names = metrics.join(", ");
        let expected = if names.is_empty() { "none, since they are not scored".to_owned() } else { names };
        errors.push(ModelError::UnknownMetric { found: gate.metric.clone(), expected });
    }
    let mut wrong = |name: &str, found: f64, expected: &str| {
        errors.push(ModelError::OutOfRange { name: name.to_owned(), found, expected: expected.to_owned() });
    };
    if !Gate::admits_tolerance(gate.tolerance) {
        wrong("tolerance", gate.tolerance, Gate::TOLERANCE);
    }
    if !Gate::admits_holdout(gate.holdout) {
        wrong("holdout", gate.holdout, Gate::HOLDOUT);
    }
    errors.extend(out_of_range("windows", gate.windows as i64, &GATE_WINDOWS));
    errors
}

/// Describes a value outside the range of an option, if it is.
fn out_of_range(name: &str, found: i64, range: &RangeInclusive<i64>) -> Option<ModelError> {
    let expected = || format!("{} to {}", range.start(), range.end());
    let error = || ModelError::OutOfRange { name: name.to_owned(), found: found as f64, expected: expected() };
    (!range.contains(&found)).then(error)
}
