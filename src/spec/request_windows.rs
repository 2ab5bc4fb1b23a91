//! Windows that requests may ask for: those that the panes of a group's widest sliding windows make up.

use std::collections::BTreeMap;

use super::checker::Checker;
use super::reader::Fields;
use super::{Group, Line};
use crate::aggregate::{AggregateSpec, Divisible, RequestWindows, Sliding, Window, WindowShape};
use crate::value::Schema;

/// The name of an op's feature, without the end that the window has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeatureName {
    pub before: String,
    pub after: String,
}

impl FeatureName {
    /// The name of the feature in a window, by the end of its name.
    pub fn in_window(&self, suffix: &str) -> String {
        format!("{}{suffix}{}", self.before, self.after)
    }
}

impl Line {
    /// The names of the line's features, by op, given the columns of its group's stream.
    pub fn names(&self, schema: &Schema) -> impl Iterator<Item = FeatureName> {
        let after = self.by.map_or_else(String::new, |column| format!("_by_{}", schema.columns[column].name));
        self.ops.iter().map(move |op| {
            let part = op.suffix();
            let before = match (&self.stem, self.of.is_some()) {
                (Some(stem), true) => format!("{stem}_{part}_"),
                (Some(stem), false) => format!("{stem}_"),
                (None, _) => format!("{part}_"),
            };
            FeatureName { before, after: after.clone() }
        })
    }

    /// Keeps the panes of the widest sliding window of each hop for requests. Returns whether there is one.
    fn keep_panes(&mut self) -> bool {
        let sliding = |window: &Window| match window.shape {
            WindowShape::Sliding(sliding) if window.lag_ms == 0 => Some(sliding),
            _ => None,
        };
        let all: Vec<Sliding> = self.windows.iter().filter_map(sliding).collect();
        let is_widest =
            |window: &Sliding| all.iter().all(|it| it.hop_ms != window.hop_ms || it.size_ms <= window.size_ms);
        for window in &mut self.windows {
            if let Some(widest) = sliding(window).filter(is_widest) {
                *window = Divisible(widest).into();
            }
        }
        !all.is_empty()
    }
}

impl Group {
    /// The windows that requests may ask for.
    pub fn request_windows(&self) -> RequestWindows {
        let spec = |line: &Line| AggregateSpec { windows: line.windows.clone(), ..line.layout() };
        RequestWindows::new(self.lines.iter().map(spec).collect(), self.features.len())
    }
}

impl Checker<'_> {
    /// Reads `request_windows` of a group whose lines have been read.
    pub fn keep_panes(&self, fields: &Fields<'_>, group: &mut Group) {
        if !fields.bool("request_windows").unwrap_or(false) {
            return;
        }
        let schema = self.spec.stream_schema(group.from);
        let mut names: BTreeMap<FeatureName, usize> = BTreeMap::new();
        let mut has_windows = false;
        for (number, line) in group.lines.iter_mut().enumerate().filter(|(_, line)| !line.windows.is_empty()) {
            if !line.keep_panes() {
                continue;
            }
            has_windows = true;
            for name in line.names(schema) {
                if *names.entry(name.clone()).or_insert(number) != number {
                    let name = name.in_window("WINDOW");
                    let message =
                        format!("two aggregates of this group have a feature '{name}' in a window on request");
                    self.problems.expected(fields.span("request_windows"), message, "another name by 'as'");
                }
            }
        }
        if !has_windows {
            let message = "this group has no sliding window without a lag, whose panes could answer requests";
            let expected = "an aggregate in one, such as windows = [\"3h\"]";
            self.problems.expected(fields.span("request_windows"), message, expected);
        }
    }
}
