//! Errors as one line of text.

use std::error::Error;

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
