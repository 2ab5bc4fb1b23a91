//! The places of a config's keys: in its file, or among the overrides of the command line.

use std::fmt;

use toml::de::{DeTable, DeValue};

use crate::error::LineColumn;

/// The file and the overrides that a config was read from.
#[derive(Clone, Default)]
pub struct Origin {
    /// The name of the file in messages.
    label: String,
    text: String,
    /// The paths of overridden keys, with the flags that did it.
    overrides: Vec<Override>,
}

#[derive(Clone)]
struct Override {
    path: Vec<String>,
    flag: String,
}

/// Shows no text of the file, which may contain secrets.
impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").field("label", &self.label).finish_non_exhaustive()
    }
}

impl Origin {
    /// The origin of a config that is a file.
    pub fn new(label: &str, text: &str) -> Self {
        Origin { label: label.to_owned(), text: text.to_owned(), overrides: Vec::new() }
    }

    /// Records that a flag has set a key.
    pub fn overridden(&mut self, path: Vec<String>, flag: String) {
        self.overrides.push(Override { path, flag });
    }

    /// Returns the place of a key, to begin an error with: `FILE:LINE:COLUMN`, or the flag that set it. The place of a key
    /// that is not set is that of the table around it, and else the file.
    pub fn place(&self, path: &[&str]) -> String {
        let sets = |change: &&Override| {
            let common = change.path.len().min(path.len());
            change.path[..common].iter().map(String::as_str).eq(path[..common].iter().copied())
        };
        if let Some(change) = self.overrides.iter().rev().find(sets) {
            return change.flag.clone();
        }
        let Some(at) = self.start_of(path) else { return self.label.clone() };
        format!("{}:{}", self.label, position(&self.text, at))
    }

    fn start_of(&self, path: &[&str]) -> Option<usize> {
        let table = DeTable::parse(&self.text).ok()?;
        let mut found = None;
        let mut table = table.get_ref();
        for name in path {
            let Some((key, value)) = table.get_key_value(*name) else { break };
            found = Some(key.span().start);
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => break,
            }
        }
        found
    }
}

/// Returns the line and the column of a byte offset in a text.
pub fn position(text: &str, at: usize) -> LineColumn {
    let before = &text[..text.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    LineColumn { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}
