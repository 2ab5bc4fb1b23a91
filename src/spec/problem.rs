//! Problems of a file, collected and reported together in the order of the file.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use thiserror::Error;

use super::toml_text::{self, Text};
use crate::disk::TextError;
use crate::error::LineColumn;
use crate::expr::{ExprError, Positions};

/// A mistake; its span is in bytes of the file.
pub type Mistake = ExprError;

/// One problem of a dataflow file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `None` if the file could not be read at all.
    pub place: Option<LineColumn>,
    pub message: String,
    pub expected: Option<String>,
    pub suggestion: Option<String>,
    pub severity: Severity,
}

/// The weight of a problem: whether the file can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but may not do what is meant.
    Warning,
}

/// All problems of a file, displayed one a line: `PATH:LINE:COLUMN: error: what is wrong; expected …; did you mean …?`
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct SpecErrors {
    pub path: String,
    /// Problems, in the order of their positions.
    pub problems: Vec<Problem>,
}

impl SpecErrors {
    /// The problem of a file that cannot be read.
    pub fn unreadable(path: &str, error: &TextError) -> Self {
        let message = match error.place {
            Some(_) => error.source.to_string(),
            None => format!("this file cannot be read: {}", error.source),
        };
        let problem =
            Problem { place: error.place, message, expected: None, suggestion: None, severity: Severity::Error };
        SpecErrors { path: path.to_owned(), problems: vec![problem] }
    }
}

impl fmt::Display for SpecErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let line_break = if at == 0 { "" } else { "\n" };
            write!(f, "{line_break}{}:{problem}", self.path)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "{place}:")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, " {severity}: {}", self.message)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; did you mean {suggestion}?")?;
        }
        Ok(())
    }
}

/// The mistakes found so far in a file.
#[derive(Debug)]
pub struct Problems<'a> {
    file: &'a str,
    positions: Positions<'a>,
    found: RefCell<Vec<Mistake>>,
    warnings: RefCell<Vec<Mistake>>,
}

impl<'a> Problems<'a> {
    pub fn of(file: &'a str) -> Self {
        Problems { file, positions: Positions::of(file), found: RefCell::default(), warnings: RefCell::default() }
    }

    pub fn add(&self, mistake: Mistake) {
        self.found.borrow_mut().push(mistake);
    }

    /// Adds a warning: of something that is no mistake by itself, but is probably not meant.
    pub fn warn(&self, span: Range<usize>, message: impl Into<String>, expected: impl Into<String>) {
        self.warnings.borrow_mut().push(Mistake::new(span, message).expected(expected));
    }

    /// Returns all warnings, sorted by position.
    pub fn warnings(&self) -> Vec<Problem> {
        self.sorted(&self.warnings, Severity::Warning)
    }

    fn sorted(&self, mistakes: &RefCell<Vec<Mistake>>, severity: Severity) -> Vec<Problem> {
        let mut mistakes = mistakes.borrow().clone();
        mistakes.sort_by_key(|mistake| mistake.span.start);
        mistakes.dedup();
        let problem = |mistake: Mistake| Problem {
            place: Some(self.positions.line_column(mistake.span.start)),
            message: mistake.message,
            expected: mistake.expected,
            suggestion: mistake.suggestion,
            severity,
        };
        mistakes.into_iter().map(problem).collect()
    }

    /// Adds a mistake with a description of what was expected.
    pub fn expected(&self, span: Range<usize>, message: impl Into<String>, expected: impl Into<String>) {
        self.add(Mistake::new(span, message).expected(expected));
    }

    /// Adds mistakes whose spans are bytes of the decoded value of a string of the file.
    pub fn add_inside(&self, text: &Text, mistakes: impl IntoIterator<Item = ExprError>) {
        for mistake in mistakes {
            let start = toml_text::place(self.file, &text.span, mistake.span.start);
            self.add(Mistake { span: start..start, ..mistake });
        }
    }

    /// Returns the line and column of a byte of the file.
    pub fn line_column(&self, at: usize) -> LineColumn {
        self.positions.line_column(at)
    }

    /// Returns the number of mistakes so far.
    pub fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// Returns all mistakes as problems, sorted by position; `Ok` if there are none.
    pub fn into_result(self, path: &str) -> Result<(), SpecErrors> {
        let problems = self.sorted(&self.found, Severity::Error);
        if problems.is_empty() { Ok(()) } else { Err(SpecErrors { path: path.to_owned(), problems }) }
    }
}
