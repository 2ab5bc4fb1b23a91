//! The form of a window's answers: one or a list of them, as of the asking time or before it.

use std::sync::Arc;

use crate::aggregate::answers::Answers;
use crate::aggregate::feature::{Feature, OpenFeature};
use crate::aggregate::open_window::{DisplacingAnswer, OpenSeries, OwnAnswer, append_step};
use crate::time::EventTime;
use crate::value::Scalar;

/// The form of a window's answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnswerForm {
    /// True if an answer is a list of those of several accumulators.
    pub is_series: bool,
    /// The time before the asking time as of which answers are.
    pub lag_ms: i64,
    /// True if answers are left open, and records may leave the window for the one that looks up.
    pub displaces: bool,
}

impl AnswerForm {
    /// Returns whether an answer is that of one accumulator as of the asking time.
    pub fn is_plain(self) -> bool {
        !self.is_series && self.lag_ms == 0 && !self.displaces
    }

    /// A writer of answers into a vector.
    pub fn writer<'r, 'a>(self, row: &'r mut Answers<'a>) -> AnswerWriter<'r, 'a> {
        row.mark();
        AnswerWriter { form: self, row, written: Vec::new() }
    }
}

/// Writes answers of some form into a vector.
pub struct AnswerWriter<'r, 'a> {
    form: AnswerForm,
    row: &'r mut Answers<'a>,
    /// By position of a feature in the vector.
    written: Vec<WrittenAnswer>,
}

/// The answers so far that become one feature.
struct WrittenAnswer {
    position: usize,
    /// Answers of the steps of a series before the newest, which are finished.
    older: Vec<Scalar>,
    newest: Feature,
    base: Option<OwnAnswer>,
}

impl<'a> AnswerWriter<'_, 'a> {
    /// Writes the answers of one accumulator, those of the next step of a series. Answers that are lists become one.
    pub fn write(&mut self, finish: impl FnOnce(&mut Answers<'a>)) {
        finish(self.row);
        for position in self.row.take_marked() {
            let newest = std::mem::replace(&mut self.row[position], Feature::NULL).lagged(self.form.lag_ms);
            match self.written.iter_mut().find(|written| written.position == position) {
                None => self.written.push(WrittenAnswer { position, older: Vec::new(), newest, base: None }),
                Some(written) => {
                    let before = std::mem::replace(&mut written.newest, newest);
                    append_step(&mut written.older, &before);
                }
            }
        }
        self.row.mark();
    }

    /// Writes the answers that are left open for a record at an asking time of `from` or later. All others are written.
    pub fn write_base(&mut self, from: EventTime, finish: impl FnOnce(&mut Answers<'a>)) {
        finish(self.row);
        for position in self.row.take_marked() {
            let base = std::mem::replace(&mut self.row[position], Feature::NULL);
            let written = self.written.iter_mut().find(|written| written.position == position);
            if let (Some(written), Feature::Open(answer)) = (written, base) {
                written.base = Some(OwnAnswer { from, answer });
            }
        }
        self.row.mark();
    }

    /// Writes the features.
    pub fn end(self) {
        self.row.take_marked();
        let AnswerForm { is_series, displaces, .. } = self.form;
        for WrittenAnswer { position, mut older, newest, base } in self.written {
            self.row[position] = match newest {
                Feature::Open(newest) if is_series => open(OpenSeries { older: older.into(), newest }),
                Feature::Open(answer) if displaces => open(DisplacingAnswer { answer, base }),
                newest if is_series => {
                    append_step(&mut older, &newest);
                    Feature::List(older.into())
                }
                newest => newest,
            };
        }
    }
}

fn open(feature: impl OpenFeature) -> Feature {
    Feature::Open(Arc::new(feature))
}
