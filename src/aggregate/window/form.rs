//! The form of a window's answers: one or a list of them, as of the asking time or before it.

use crate::aggregate::answers::Answers;
use crate::aggregate::feature::Feature;
use crate::value::Scalar;

/// The form of a window's answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnswerForm {
    /// True if an answer is a list of those of several accumulators.
    pub is_series: bool,
    /// The time before the asking time as of which answers are.
    pub lag_ms: i64,
}

impl AnswerForm {
    /// Returns whether an answer is that of one accumulator as of the asking time.
    pub fn is_plain(self) -> bool {
        !self.is_series && self.lag_ms == 0
    }

    /// A writer of answers into a vector.
    pub fn writer<'r, 'a>(self, row: &'r mut Answers<'a>) -> AnswerWriter<'r, 'a> {
        row.mark();
        AnswerWriter { form: self, row, lists: Vec::new() }
    }
}

/// Writes answers of some form into a vector.
pub struct AnswerWriter<'r, 'a> {
    form: AnswerForm,
    row: &'r mut Answers<'a>,
    /// By position of a feature in the vector, the answers of the steps so far.
    lists: Vec<(usize, Vec<Scalar>)>,
}

impl<'a> AnswerWriter<'_, 'a> {
    /// Writes the answers of one accumulator, those of the next step of a series. Answers that are lists, as the records of
    /// each step are, become one.
    pub fn write(&mut self, finish: impl FnOnce(&mut Answers<'a>)) {
        finish(self.row);
        for position in self.row.take_marked() {
            let answer = std::mem::replace(&mut self.row[position], Feature::NULL).lagged(self.form.lag_ms);
            if !self.form.is_series {
                self.row[position] = answer;
                continue;
            }
            if self.lists.iter().all(|(known, _)| *known != position) {
                self.lists.push((position, Vec::new()));
            }
            let lists = self.lists.iter_mut().filter(|(known, _)| *known == position);
            lists.for_each(|(_, list)| match &answer {
                Feature::Value(answer) => list.push(answer.clone()),
                Feature::List(answers) => list.extend_from_slice(answers),
                other => panic!("no series is of an op with the answer {other:?}"),
            });
        }
        self.row.mark();
    }

    /// Writes what is complete now.
    pub fn end(self) {
        self.row.take_marked();
        for (position, list) in self.lists {
            self.row[position] = Feature::List(list.into());
        }
    }
}
