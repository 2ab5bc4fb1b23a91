//! The batch that a partition's records are gathered in: one row and one value in each column for each record.
//!
//! Records are decoded into the columns before they are judged. So the values of records that wait for their verdict come
//! after those of the rows, and stay behind when the batch is taken.

use arrow_array::builder::ArrayBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, ArrayRef, BooleanArray, TimestampMillisecondArray};
use arrow_buffer::{ScalarBuffer, bit_util};

use super::ledger::RecordCounts;
use super::order::TotalOrder;
use super::refusal::Refusal;
use super::{ComputedTime, DeadLetter, RecordTime, SourcePlan};
use crate::expr::EvalStats;
use crate::time::{EventTime, Offset};
use crate::value::{AckToken, Batch, ColumnBuilder, FieldError, FieldFault, Scalar, Schema};

/// A batch of records that were pushed, with what there is to know of them.
pub struct IngestedBatch {
    /// The records that were accepted and not filtered out. In the total order, or in that of offsets.
    pub batch: Batch,
    /// The offsets of these records; empty if they are in the total order.
    pub offsets: Vec<Offset>,
    /// Records that were read, filtered and refused. The others are in flight.
    pub counts: RecordCounts,
    /// Effective times of the late records in the batch, ascending.
    pub late: Vec<EventTime>,
    pub letters: Vec<DeadLetter>,
    /// The first offset that was pushed; `None` if there was none.
    pub first: Option<Offset>,
    /// The newest effective time, including records that were skipped or filtered; `None` if all were refused.
    pub last: Option<EventTime>,
    pub overtaken: Vec<OvertakenRecord>,
    /// Counts of what the source's filter could not compute of the accepted records.
    pub failed: EvalStats,
}

/// A record that arrived below the closed frontier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OvertakenRecord {
    pub offset: Offset,
    /// The frontier at which it takes effect.
    pub effective: EventTime,
}

/// A record that has been judged.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub offset: Offset,
    /// Meaningless unless accepted.
    pub event_time: EventTime,
    /// Meaningless unless accepted.
    pub effective: EventTime,
    pub late: bool,
    pub accepted: bool,
    /// True if it was refused only because columns are missing or its time is no time: the source's filter may exclude it
    /// all the same.
    pub is_incomplete: bool,
}

/// The event times of some records, by an expression.
pub(super) struct ComputedTimes {
    times: TimestampMillisecondArray,
    /// The columns from which they were computed.
    columns: Vec<ArrayRef>,
}

impl ComputedTimes {
    /// Returns the event time of a record.
    ///
    /// # Errors
    /// If it has none.
    pub fn get(&self, row: usize, time: &ComputedTime, schema: &Schema) -> Result<EventTime, Refusal> {
        if self.times.is_valid(row) {
            return Ok(self.times.value(row));
        }
        let read = time.columns().iter().zip(&self.columns);
        let nulls = read.filter(|(_, values)| values.is_null(row));
        let nulls: Vec<&str> = nulls.map(|(column, _)| schema.columns[*column].name.as_str()).collect();
        Err(Refusal::without_time(time, &nulls))
    }
}

/// The batch under way.
pub(super) struct GrowingBatch {
    pub rows: Vec<Row>,
    columns: Vec<ColumnBuilder>,
    /// Flags of the columns that the last record has; reused.
    present: Vec<bool>,
    pub letters: Vec<DeadLetter>,
    /// Bytes of the letters.
    pub raw_bytes: usize,
    pub overtaken: Vec<OvertakenRecord>,
    /// The records of the batch that an earlier run has counted: read and refused.
    pub recounted: RecordCounts,
    /// Number of records of the batch that take effect outside the wanted range.
    pub out_of_range: u64,
    /// The newest effective time of the batch.
    pub last: Option<EventTime>,
}

impl GrowingBatch {
    /// Returns an empty batch of these columns.
    pub fn new(schema: &Schema) -> Self {
        GrowingBatch {
            rows: Vec::new(),
            columns: schema.columns.iter().map(|column| ColumnBuilder::new(column.ty)).collect(),
            present: Vec::new(),
            letters: Vec::new(),
            raw_bytes: 0,
            overtaken: Vec::new(),
            recounted: RecordCounts::default(),
            out_of_range: 0,
            last: None,
        }
    }

    /// Returns which columns the last record has.
    pub fn present(&self) -> &[bool] {
        &self.present
    }

    /// Returns the bytes of text and letters.
    pub fn bytes(&self) -> usize {
        self.raw_bytes + self.columns.iter().map(ColumnBuilder::text_bytes).sum::<usize>()
    }

    /// Decodes a record into the columns and returns its event time; `None` if that is an expression, which is computed
    /// later ([`GrowingBatch::times`]). The time of a delete may be `known` from its message.
    ///
    /// # Errors
    /// The fault of the record, or that a column is missing that must be there: for a delete, the key and the time; else
    /// every one that is not nullable.
    pub fn decode(
        &mut self,
        plan: &SourcePlan,
        known: Option<EventTime>,
        decode: impl FnOnce(&mut [ColumnBuilder], &mut Vec<bool>) -> Result<(), FieldError>,
    ) -> Result<Option<EventTime>, FieldError> {
        decode(&mut self.columns, &mut self.present)?;
        let deleted = plan.is_table
            && match self.columns.last() {
                Some(ColumnBuilder::Bool(flags)) => bit_util::get_bit(flags.values_slice(), flags.len() - 1),
                _ => false,
            };
        let needed = |index: usize| !deleted || plan.key.contains(&index) || known.is_none() && plan.time.reads(index);
        for (index, column) in plan.schema.columns.iter().enumerate() {
            if !column.nullable && !self.present[index] && needed(index) {
                return Err(FieldError { column: Some(column.name.clone()), fault: FieldFault::Missing });
            }
        }
        let Some(time) = plan.time.column() else { return Ok(known) };
        match &self.columns[time] {
            ColumnBuilder::Timestamp(times) => Ok(Some(*times.values_slice().last().expect("a row was just appended"))),
            _ => unreachable!("the spec admits only a timestamp as event time"),
        }
    }

    /// Computes the event times of the last `rows` records that were decoded.
    pub fn times(&self, time: &ComputedTime, rows: usize) -> ComputedTimes {
        let last = |column: &usize| {
            let whole = self.columns[*column].finish_cloned();
            whole.slice(whole.len() - rows, rows)
        };
        let columns: Vec<ArrayRef> = time.columns().iter().map(last).collect();
        ComputedTimes { times: time.eval(&columns, rows), columns }
    }

    /// Returns the rows, in the order of offsets, and starts a new batch with the values of the last `waiting` records.
    /// Records below `already_counted` are left out of the counts.
    pub fn take(
        &mut self,
        plan: &SourcePlan,
        order: &TotalOrder,
        already_counted: Offset,
        waiting: usize,
    ) -> IngestedBatch {
        let mut rows = self.take_rows();
        let mut columns = self.finish_columns(rows.len(), waiting);
        let first = rows.first().map(|row| row.offset);

        // Apply the source's filter to the accepted rows, and to those of which nothing is known to be wrong.
        let mut keep: Vec<bool> = rows.iter().map(|row| row.accepted).collect();
        let mut excluded = Vec::new();
        let mut failed = EvalStats::default();
        if let Some(filter) = &plan.filter {
            let passed = filter.eval(&columns, rows.len(), &mut failed);
            if !failed.is_clean() && keep.contains(&false) {
                // Records that were refused have no values that could fail.
                failed = EvalStats::default();
                let accepted = BooleanArray::from(keep.clone());
                let narrow = |column: &ArrayRef| {
                    arrow_select::filter::filter(column, &accepted).expect("the mask has a bit a row")
                };
                let narrow: Vec<ArrayRef> = columns.iter().map(narrow).collect();
                filter.eval(&narrow, accepted.true_count(), &mut failed);
            }
            let passed = passed.as_boolean();
            keep.iter_mut().enumerate().for_each(|(row, keep)| *keep &= passed.is_valid(row) && passed.value(row));
            // Missing columns are null, so the condition is false only if no value of theirs could make it true.
            let is_excluded = |at: &usize| rows[*at].is_incomplete && passed.is_valid(*at) && !passed.value(*at);
            excluded.extend((0..rows.len()).filter(is_excluded).map(|at| rows[at].offset));
            self.letters.retain(|letter| excluded.binary_search(&letter.offset).is_err());
        }
        let counts = self.take_counts(&rows, &keep, &excluded, already_counted);

        // Drop the other rows.
        if keep.contains(&false) {
            let mask = BooleanArray::from(keep.clone());
            for column in &mut columns {
                *column = arrow_select::filter::filter(column, &mask).expect("the mask has a bit a row");
            }
            let mut keep = keep.iter();
            rows.retain(|_| *keep.next().expect("one flag a row"));
        }

        // Build the batch.
        let offsets: Vec<Offset> = rows.iter().map(|row| row.offset).collect();
        let sort_key = order.sort_keys(&columns, &offsets);
        let event_times = match &plan.time {
            RecordTime::Column(time) => columns[*time].as_primitive::<TimestampMillisecondType>().values().clone(),
            RecordTime::Computed(_) => rows.iter().map(|row| row.event_time).collect(),
        };
        let times: ScalarBuffer<EventTime> = rows.iter().map(|row| row.effective).collect();
        let mut late: Vec<EventTime> = rows.iter().filter(|row| row.late).map(|row| row.effective).collect();
        late.sort_unstable();
        IngestedBatch {
            batch: Batch { times, event_times, sort_key, columns, ack: AckToken::default() },
            offsets,
            counts,
            late,
            letters: self.take_letters(),
            first,
            last: self.last.take(),
            overtaken: std::mem::take(&mut self.overtaken),
            failed,
        }
    }

    /// Returns the rows, and makes room for as many again.
    fn take_rows(&mut self) -> Vec<Row> {
        let next = Vec::with_capacity(self.rows.len());
        std::mem::replace(&mut self.rows, next)
    }

    fn take_letters(&mut self) -> Vec<DeadLetter> {
        self.raw_bytes = 0;
        std::mem::take(&mut self.letters)
    }

    /// Returns the columns of the rows, and leaves the values of the last `waiting` records in the builders.
    fn finish_columns(&mut self, rows: usize, waiting: usize) -> Vec<ArrayRef> {
        let finish = |builder: &mut ColumnBuilder| {
            let whole = builder.finish_and_reserve();
            (rows..rows + waiting).for_each(|row| builder.append(&Scalar::of(&whole, row)));
            if whole.len() == rows { whole } else { whole.slice(0, rows) }
        };
        self.columns.iter_mut().map(finish).collect()
    }

    /// Returns the counts of the rows without what an earlier run has counted, and resets them. `excluded` has the offsets
    /// of refused rows that are filtered, ascending.
    fn take_counts(
        &mut self,
        rows: &[Row],
        keep: &[bool],
        excluded: &[Offset],
        already_counted: Offset,
    ) -> RecordCounts {
        let recounted = std::mem::take(&mut self.recounted);
        let in_range = rows.len() as u64 - std::mem::take(&mut self.out_of_range);
        let accepted = rows.iter().filter(|row| row.accepted).count() as u64;
        let is_filtered = |(row, keep): &(&Row, &bool)| row.accepted && !**keep && row.offset >= already_counted;
        let new_excluded = excluded.iter().filter(|offset| **offset >= already_counted).count() as u64;
        RecordCounts {
            read: in_range - recounted.read,
            filtered: rows.iter().zip(keep).filter(is_filtered).count() as u64 + new_excluded,
            // The refused rows, those that are filtered included, less the ones that were counted before.
            dead_letter: in_range - accepted - recounted.dead_letter - new_excluded,
            ..RecordCounts::default()
        }
    }
}
