//! Errors as one line of text, and the places of mistakes in texts.

use std::error::Error;
use std::fmt;

/// A place in a text: its line and its column in characters, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineColumn {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for LineColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Returns an error with its causes, the outermost first, separated by `: `.
///
/// ```
/// use tidemill::error::chain;
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("the registry cannot be written")]
/// struct Outer(#[source] std::fmt::Error);
///
/// let text = chain(&Outer(std::fmt::Error));
/// assert_eq!(text, format!("the registry cannot be written: {}", std::fmt::Error));
/// ```
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
