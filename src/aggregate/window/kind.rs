//! Kinds of windows: how one is written, and what it keeps.

use super::maintained::WindowState;
use super::parts::StateParts;
use crate::aggregate::algebra::{Aggregate, Invertible};
use crate::aggregate::answers::Answers;
use crate::aggregate::assumed_records::AssumedRecords;
use crate::time::{DAY_MS, format_duration};

/// A row of the reference.
#[derive(Clone, Copy, Debug)]
pub struct WindowForm {
    pub name: &'static str,
    /// Spellings in a dataflow file, as Markdown.
    pub written: &'static str,
    /// The end of feature names.
    pub suffix: &'static str,
    /// The records in the window as of t, among those that took effect before t.
    pub records: &'static str,
    /// The state of an entity.
    pub state: &'static str,
    /// Its paragraph after the table, as Markdown; empty if the row says all.
    pub notes: &'static str,
}

/// The place that a record at the asking time has in a window, behind all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnPlace {
    /// Outside the window, which ends before.
    Outside,
    /// In the window, beside all records that are; of a series, in the newest step.
    Beside,
    /// In the window, which others may leave for it.
    Displacing,
}

/// A kind of window.
pub trait WindowKind: Copy {
    /// Its row in the reference.
    const FORM: WindowForm;

    /// The window that a text of a dataflow file stands for, if it is one of this kind.
    fn parse(_text: &str) -> Option<Self> {
        None
    }
    /// The end of the names of its features, given the text of its length.
    fn suffix(self, written: &str) -> String;
    /// Its records, in words: "the last 3h".
    fn describe(self) -> String;
    /// Its size, for the plan: "3h".
    fn size(self) -> String;
    /// Its other properties, for the plan: "hop 5m".
    fn details(self) -> Option<String>;
    /// Its properties as data, by name. Times in ms.
    fn properties(self) -> Vec<(&'static str, serde_json::Value)>;
    /// A text that two windows share if and only if they are the same.
    fn canonical(self) -> String;
    /// The length of the time that it spans, in ms; `None` if that depends on the records or the asking time.
    fn length_ms(self) -> Option<i64>;
    /// The longest time after its event time that a record can be in it, in ms; `None` if it stays for ever.
    fn reach_ms(self) -> Option<i64>;
    /// The longest time after its event time that a record can matter to an answer, in ms; `None` if it always can.
    fn history_ms(self) -> Option<i64> {
        self.reach_ms()
    }
    /// The time whose records an estimate assumes that an entity has in it, in ms.
    fn assumed_ms(self) -> i64 {
        self.reach_ms().unwrap_or(30 * DAY_MS)
    }
    /// The most panes that an entity can have; `None` if it has no panes.
    fn panes(self) -> Option<i64> {
        None
    }
    /// The time that a pane spans, in ms; `None` if that depends on the records.
    fn pane_ms(self) -> Option<i64> {
        None
    }
    /// The name of panes in the plan.
    fn pane_name(self) -> &'static str {
        "panes"
    }
    /// The number of answers in a feature, if it is a list of them.
    fn steps(self) -> Option<usize> {
        None
    }
    /// Returns whether its records depend on the order of records of equal time.
    fn is_ordered(self) -> bool {
        false
    }
    /// The place of a record at the asking time.
    fn own_place(self) -> OwnPlace {
        OwnPlace::Outside
    }

    /// The state of an aggregate whose records can be subtracted.
    fn invertible<A: Invertible, F>(self, parts: StateParts<A, F>) -> Box<dyn WindowState>
    where
        F: Fn(&A::Acc, &mut Answers<'_>) + 'static,
    {
        self.any(parts)
    }

    /// The state of any aggregate.
    fn any<A: Aggregate, F>(self, parts: StateParts<A, F>) -> Box<dyn WindowState>
    where
        F: Fn(&A::Acc, &mut Answers<'_>) + 'static;

    /// The bytes of an entity in the state of an aggregate whose records can be subtracted.
    fn invertible_bytes<A: Invertible>(self, aggregate: &A, records: &AssumedRecords) -> usize {
        self.any_bytes(aggregate, records)
    }

    /// The bytes of an entity in the state of any aggregate.
    fn any_bytes<A: Aggregate>(self, aggregate: &A, records: &AssumedRecords) -> usize;
}

/// The text of a duration at the end of names, or its shortest spelling where the text has a dot: names of features have
/// none.
pub fn end_of_names(written: &str, ms: i64) -> String {
    if written.contains('.') { format_duration(ms) } else { written.to_owned() }
}
