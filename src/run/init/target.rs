//! The label of a sample, and the kind of model that predicts it.

use std::collections::HashMap;

use super::column::GuessedColumn;
use super::names;
use super::timing::find;
use crate::run::Failure;
use crate::value::{Scalar, Type};

/// Words of names that tell of a label.
const LABEL_WORDS: [&str; 27] = [
    "label",
    "target",
    "y",
    "class",
    "outcome",
    "fraud",
    "click",
    "clicked",
    "churn",
    "churned",
    "converted",
    "conversion",
    "purchased",
    "bought",
    "default",
    "defaulted",
    "spam",
    "anomaly",
    "survived",
    "cancelled",
    "canceled",
    "late",
    "rating",
    "stars",
    "score",
    "success",
    "failed",
];

/// The most classes of a label; a column with more is no label unless one asks for it.
const MOST_CLASSES: usize = 100;

/// Whole numbers of more different values are amounts rather than classes.
const MOST_INT_CLASSES: usize = 20;

/// A column of at most this many different values is tried as one that reveals the label, in a sample of at least so
/// many rows.
const MOST_REVEALING: usize = 50;
const LEAST_ROWS: usize = 100;

/// The guessed label.
#[derive(Clone, Debug)]
pub struct GuessedTarget {
    pub column: usize,
    /// The kind of model.
    pub kind: &'static str,
    pub why: String,
    pub why_kind: String,
    pub doubt: Option<String>,
    /// Columns from whose values the label follows; they are no inputs.
    pub revealing: Vec<usize>,
}

impl GuessedTarget {
    /// Returns the label that was asked for.
    ///
    /// # Errors
    /// If there is no such column, or no kind of model predicts its values.
    pub fn of_name(name: &str, columns: &[GuessedColumn]) -> Result<Self, Failure> {
        let at = find(name, columns, "--label")?;
        Self::new(at, columns, "--label says so".to_owned(), None, usize::MAX).ok_or_else(|| {
            let (ty, why) = (columns[at].column.ty, &columns[at].why);
            Failure::Usage(format!(
                "error: --label: {name:?} is of type {ty} ({why}); expected a bool, a number or a string of several values"
            ))
        })
    }

    /// Guesses the label among columns that are neither the time nor an entity; `None` if none may be one.
    pub fn guess(columns: &[GuessedColumn], excluded: &[usize]) -> Option<Self> {
        // A column of one value is a label only where no other may be one.
        let mut best: Option<(bool, u8, usize)> = None;
        for (at, column) in columns.iter().enumerate().filter(|(at, _)| !excluded.contains(at)) {
            let words = names::words(column.own_name());
            let is_label = |word: &String| LABEL_WORDS.contains(&word.as_str());
            let strength = match words.iter().rposition(is_label) {
                Some(_) if words.len() == 1 => 3,
                Some(last) if last + 1 == words.len() || column.is_binary() => 2,
                Some(_) => 1,
                None => 0,
            };
            let varies = column.distinct > 1;
            if strength > 0 && best.is_none_or(|(known, most, _)| (varies, strength) > (known, most)) {
                best = Some((varies, strength, at));
            }
        }
        if let Some((_, strength, at)) = best {
            let doubt = (strength < 2).then(|| "a word of its name alone tells of a label".to_owned());
            return Self::new(at, columns, "by its name".to_owned(), doubt, MOST_CLASSES);
        }
        // Otherwise the last column may be one, if it is yes or no.
        let last = columns.len().checked_sub(1).filter(|last| !excluded.contains(last))?;
        let is_label = columns[last].is_binary() && columns[last].distinct == 2;
        let doubt = Some("no name tells of a label".to_owned());
        is_label.then(|| Self::new(last, columns, "the last column, of two values".to_owned(), doubt, MOST_CLASSES))?
    }

    fn new(
        at: usize,
        columns: &[GuessedColumn],
        why: String,
        doubt: Option<String>,
        most_classes: usize,
    ) -> Option<Self> {
        let column = &columns[at];
        let (kind, why_kind) = match column.column.ty {
            _ if column.distinct == 0 => return None,
            _ if column.is_binary() => ("logistic", "of two values"),
            Type::Float => ("linear", "numbers"),
            Type::Int if column.distinct > MOST_INT_CLASSES => ("linear", "numbers"),
            Type::Int => ("softmax", "few whole numbers; linear takes them for amounts"),
            Type::String if column.distinct <= most_classes => ("softmax", "several classes"),
            Type::Bool | Type::String | Type::Timestamp => return None,
        };
        let doubt = doubt.or_else(|| (column.distinct == 1).then(|| "the sample has one value of it".to_owned()));
        let mut target =
            GuessedTarget { column: at, kind, why, why_kind: why_kind.to_owned(), doubt, revealing: Vec::new() };
        if kind != "linear" {
            let others = (0..columns.len()).filter(|other| *other != at);
            target.revealing = others.filter(|other| reveals(&columns[*other], column)).collect();
        }
        Some(target)
    }
}

/// Returns whether each value of a column occurs with one value of the label alone.
fn reveals(column: &GuessedColumn, label: &GuessedColumn) -> bool {
    let few = (2..=MOST_REVEALING).contains(&column.distinct);
    if !few || label.distinct < 2 || label.values.len() < LEAST_ROWS || column.column.ty == Type::Timestamp {
        return false;
    }
    let mut known: HashMap<String, &Scalar> = HashMap::new();
    column.values.iter().zip(&label.values).all(|(value, label)| {
        let before = known.entry(value.to_text()).or_insert(label);
        *before == label
    })
}
