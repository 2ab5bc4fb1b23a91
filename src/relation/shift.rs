//! `at`: a view whose records take effect later than those that they are made from.
//!
//! A fact that becomes known later is a record at the time at which it does: a chargeback six hours after its payment, a
//! forecast at the hour that it is for. A record of effective time e and event time t whose `at` is a becomes one of event
//! time max(a, t) and effective time max(a, e). So it never takes effect before it was there: where a lies before t, t
//! stands, counted; where the record was late, it takes effect no earlier than it did. A record whose `at` is null, or no
//! time that an event may have, is dropped and counted. From here on it is a record like any other of its new time;
//! records of one time keep their order.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, UInt32Array};

use super::{CanonicalText, DeclaredTexts, RelationOp, ShiftedBatch, StreamId, TrainingGraph, ViewReads};
use crate::example::ProgramBuilder;
use crate::expr::{EvalStats, Expr};
use crate::time::in_range;
use crate::value::{Batch, Schema};

/// The records of a stream at later times.
#[derive(Clone, Debug)]
pub struct Shift {
    pub input: StreamId,
    /// A timestamp, over the input's columns.
    pub at: Expr,
}

impl Shift {
    /// Returns the records of a batch at their new times.
    pub fn apply(&self, batch: &Batch, failed: &mut EvalStats) -> ShiftedBatch {
        let at = self.at.eval(&batch.columns, batch.len(), failed);
        let at = at.as_primitive::<TimestampMillisecondType>();
        let wanted = |row: &usize| at.is_valid(*row) && in_range(at.value(*row));
        let mut rows: Vec<usize> = (0..batch.len()).filter(wanted).collect();
        let new_time = |row: usize| batch.times[row].max(at.value(row));
        let is_sorted = rows.is_sorted_by_key(|row| new_time(*row));
        if !is_sorted {
            // Rows of one new time may come from several old ones, so their sort keys need not be in order.
            rows.sort_by(|a, b| {
                let keys = || batch.sort_key.value(*a).cmp(batch.sort_key.value(*b));
                new_time(*a).cmp(&new_time(*b)).then_with(keys)
            });
        }
        let times = rows.iter().map(|row| new_time(*row)).collect();
        let event_times = rows.iter().map(|row| batch.event_times[*row].max(at.value(*row))).collect();
        let early = rows.iter().filter(|row| at.value(**row) < batch.event_times[**row]).count() as u64;
        let dropped = (batch.len() - rows.len()) as u64;
        let is_whole = dropped == 0 && is_sorted;
        let numbers: Vec<u32> = rows.into_iter().map(|row| row as u32).collect();
        let kept = if is_whole { batch.clone() } else { batch.take(&UInt32Array::from(numbers)) };
        ShiftedBatch { batch: Batch { times, event_times, ..kept }, dropped, early }
    }
}

impl RelationOp for Shift {
    fn inputs(&self) -> Vec<StreamId> {
        vec![self.input]
    }

    fn schema(&self, inputs: &[&Schema]) -> Schema {
        inputs[0].clone()
    }

    fn canonical(&self, mut inputs: Vec<CanonicalText>, _declared: &DeclaredTexts) -> CanonicalText {
        let input = inputs.remove(0).into_text();
        CanonicalText::complete(format!("at({input} {})", self.at.canonical()))
    }

    fn describe(&self, inputs: &[String]) -> String {
        format!("{}, at {}", inputs[0], self.at.text())
    }

    fn add_reads(&self, reads: &mut ViewReads) {
        reads.at = Some(self.at.text().into_owned());
    }

    /// Records wait for their new times.
    fn saves_state(&self) -> bool {
        true
    }

    fn render<G: TrainingGraph>(&self, name: &str, mut inputs: Vec<G::Stream>, graph: &mut G) -> G::Stream {
        let shift = self.clone();
        graph.shift(inputs.remove(0), self.input, name, move |batch, failed| shift.apply(batch, failed))
    }

    /// Adds nothing: a prediction is about the record in the request, whenever it takes effect.
    fn serve(&self, _schema: &Schema, _program: &mut ProgramBuilder) {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, BinaryArray, TimestampMillisecondArray};

    use super::*;
    use crate::expr::Scope;
    use crate::relation::{Relations, SourceRecords};
    use crate::value::{Column, Type};

    fn shift() -> Shift {
        let schema = Schema::new(vec![Column::new("known", Type::Timestamp, true)]);
        let at = Expr::parse("known", &Scope::of("a", &schema)).unwrap();
        let mut relations = Relations::default();
        let input = relations.add_source(SourceRecords { source: 0, name: "a".to_owned(), schema, time: Some(0) });
        Shift { input, at }
    }

    /// Shifts records given by effective time, event time, sort key and `at`.
    fn shifted(records: &[(i64, i64, &str, Option<i64>)]) -> (Vec<(i64, i64, String)>, u64, u64) {
        let known: ArrayRef = Arc::new(TimestampMillisecondArray::from_iter(records.iter().map(|record| record.3)));
        let batch = Batch {
            times: records.iter().map(|record| record.0).collect(),
            event_times: records.iter().map(|record| record.1).collect(),
            sort_key: BinaryArray::from_iter_values(records.iter().map(|record| record.2.as_bytes())),
            columns: vec![known],
            ..Batch::default()
        };
        let ShiftedBatch { batch, dropped, early } = shift().apply(&batch, &mut EvalStats::default());
        let key = |row| String::from_utf8(batch.sort_key.value(row).to_vec()).unwrap();
        let row = |row: usize| (batch.times[row], batch.event_times[row], key(row));
        ((0..batch.len()).map(row).collect(), dropped, early)
    }

    #[test]
    fn records_take_effect_at_the_later_of_their_own_time_and_the_new_one() {
        let key = |times: (i64, i64), key: &str| (times.0, times.1, key.to_owned());
        let (records, dropped, early) = shifted(&[
            (10, 10, "b", Some(100)),
            (20, 20, "a", Some(100)),
            (30, 30, "c", Some(40)),
            (40, 40, "d", Some(39)),
            (50, 45, "e", Some(48)),
            (60, 60, "f", None),
            (70, 70, "g", Some(i64::MAX)),
        ]);
        let expected =
            [key((40, 40), "c"), key((40, 40), "d"), key((50, 48), "e"), key((100, 100), "a"), key((100, 100), "b")];
        assert_eq!((records.as_slice(), dropped, early), (&expected[..], 2, 1));
    }

    #[test]
    fn a_batch_that_stays_in_order_keeps_its_columns() {
        let (records, dropped, early) = shifted(&[(1, 1, "a", Some(5)), (2, 2, "b", Some(6))]);
        assert_eq!(records, [(5, 5, "a".to_owned()), (6, 6, "b".to_owned())]);
        assert_eq!((dropped, early), (0, 0));
    }
}
