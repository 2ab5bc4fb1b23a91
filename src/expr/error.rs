//! Mistakes in expressions, with their positions.

use std::ops::Range;

use thiserror::Error;

/// A mistake in the text of an expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ExprError {
    /// Position of the mistake, in bytes of the text.
    pub span: Range<usize>,
    pub message: String,
    /// Description of a right text, to follow the word "expected".
    pub expected: Option<String>,
    /// The nearest valid name.
    pub suggestion: Option<String>,
}

impl ExprError {
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        ExprError { span, message: message.into(), expected: None, suggestion: None }
    }

    pub fn expected(mut self, what: impl Into<String>) -> Self {
        self.expected = Some(what.into());
        self
    }

    pub fn suggest(mut self, name: Option<String>) -> Self {
        self.suggestion = name;
        self
    }
}

/// Returns the candidate nearest to a misspelt name by the Damerau-Levenshtein distance, ignoring letter case. The
/// distance may be a third of the name's letters (at least 1); `None` if no candidate is that near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = name.to_lowercase();
    let limit = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != name)
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        assert_eq!(nearest("delya", ["delay", "dest"]), Some("delay".to_owned()));
        assert_eq!(nearest("Delay", ["delay"]), Some("delay".to_owned()));
        assert_eq!(nearest("x", ["delay", "dest"]), None);
    }
}
