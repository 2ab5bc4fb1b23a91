//! Labels whose value depends on the example as well as on the record that has it.

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_select::interleave::interleave;
use arrow_select::take::take;

use super::label_form::LabelForm;
use crate::expr::{EvalStats, Expr};
use crate::value::{Batch, Scalar};

/// The expression of a label over a record and an example.
#[derive(Clone, Debug)]
pub struct LabelPairs {
    /// The value, over the record's columns from `record_from` on, then the columns of the example.
    pub value: Expr,
    /// The columns of a record before this one are those of its key.
    pub record_from: usize,
    /// The columns of an example that the expression reads.
    pub example_columns: Vec<usize>,
}

/// Pairs that are evaluated at a time: the columns of as many examples are copied.
const PAIRS: usize = 1024;

impl LabelPairs {
    /// Returns the labels that a record has for some examples, `None` where the value is null. Record and examples are given
    /// by batch and row.
    pub fn labels(
        &self,
        record: (&Batch, usize),
        examples: &[(&Batch, usize)],
        form: LabelForm,
        failed: &mut EvalStats,
    ) -> Vec<Option<Scalar>> {
        let mut labels = Vec::with_capacity(examples.len());
        for examples in examples.chunks(PAIRS) {
            let rows = UInt32Array::from(vec![record.1 as u32; examples.len()]);
            let repeated = |column: &ArrayRef| take(column, &rows, None).expect("the row is of this batch");
            let mut columns: Vec<ArrayRef> = record.0.columns[self.record_from..].iter().map(repeated).collect();
            let places: Vec<(usize, usize)> = examples.iter().enumerate().map(|(at, (_, row))| (at, *row)).collect();
            columns.extend(self.example_columns.iter().map(|column| {
                let of_each: Vec<&dyn Array> =
                    examples.iter().map(|(batch, _)| batch.columns[*column].as_ref()).collect();
                interleave(&of_each, &places).expect("all are examples of one model")
            }));
            labels.extend(form.labels(&self.value.eval(&columns, examples.len(), failed)));
        }
        labels
    }
}
