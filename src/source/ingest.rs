//! Ingestion of one partition: the verdict on each record, and the batch that accepted records make.
//!
//! A transport pushes records in offset order. Each is decoded into the columns at once and judged: it is accepted at
//! its effective time ([`Watermark`]), refused as a [`DeadLetter`], or skipped because it takes effect outside the range
//! that is wanted. A verdict depends on the log alone, never on arrival, batch sizes or other partitions. The one
//! exception is counted and reported: a record below the closed frontier, as after an idle partition wakes, is
//! *overtaken* and takes effect at the frontier.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::ArrayBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, BooleanArray};
use arrow_buffer::{ScalarBuffer, bit_util};

use super::ledger::RecordCounts;
use super::order::TotalOrder;
use super::refusal::Refusal;
use super::{DeadLetter, Position, RawMessage, SourcePlan, TumblingWindow, Watermark, WindowOffsets};
use crate::expr::EvalStats;
use crate::time::{EventTime, Offset, in_range};
use crate::value::{AckToken, Batch, ColumnBuilder, FieldError, FieldFault};

/// A batch of records that were pushed, with what there is to know of them.
pub struct IngestedBatch {
    /// The records that were accepted and not filtered out. In the total order, or in that of offsets.
    pub batch: Batch,
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
}

/// A record that arrived below the closed frontier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OvertakenRecord {
    pub offset: Offset,
    /// The frontier at which it takes effect.
    pub effective: EventTime,
}

/// The decision on one record.
enum Admission {
    /// It takes effect at this time. It is late if that is not its event time.
    Accept {
        effective: EventTime,
        late: bool,
    },
    Refuse(Refusal),
    /// It takes effect outside the wanted range.
    Skip,
}

/// A record of the batch under way; its values are in the columns.
#[derive(Clone, Copy)]
struct Row {
    offset: Offset,
    /// Meaningless unless accepted.
    effective: EventTime,
    late: bool,
    accepted: bool,
}

/// Decides on the records of one partition and gathers them into batches.
pub struct Ingest {
    plan: Arc<SourcePlan>,
    partition: u32,
    order: TotalOrder,
    watermark: Watermark,

    // The batch under way: one row and one value in each column for each record.
    rows: Vec<Row>,
    columns: Vec<ColumnBuilder>,
    /// Which columns the last record has; kept to be reused.
    present: Vec<bool>,
    letters: Vec<DeadLetter>,
    overtaken: Vec<OvertakenRecord>,
    /// The records of the batch that an earlier run has counted: read and refused.
    recounted: RecordCounts,
    /// Number of records of the batch that take effect outside `range`.
    out_of_range: u64,
    /// The newest effective time of the batch.
    last: Option<EventTime>,

    // The position in the log.
    /// The offset to be read now.
    at: Offset,
    /// The first offset that was never read.
    next: Offset,
    /// Records below this offset were counted by an earlier run.
    already_counted: Offset,

    // Bounds on what is accepted.
    /// Wanted effective times. A refused record counts as being at the watermark before it.
    range: Range<EventTime>,
    /// The most that an event time may be ahead of its message's time, in ms.
    max_ahead_ms: i64,
    /// The closed frontier: records below it are overtaken.
    frontier: EventTime,
    /// Effective times of records that were overtaken in an earlier run.
    overrides: BTreeMap<Offset, EventTime>,

    windows: WindowOffsets,
    /// True if `windows` has changed since it was last taken.
    windows_changed: bool,
    stats: EvalStats,
}

impl Ingest {
    /// Returns the ingestion of a partition from its beginning.
    pub fn new(plan: Arc<SourcePlan>, partition: u32) -> Self {
        Ingest {
            watermark: Watermark::new(plan.lateness_ms),
            columns: plan.schema.columns.iter().map(|column| ColumnBuilder::new(column.ty)).collect(),
            order: TotalOrder::of(&plan),
            plan,
            partition,
            rows: Vec::new(),
            present: Vec::new(),
            letters: Vec::new(),
            overtaken: Vec::new(),
            recounted: RecordCounts::default(),
            out_of_range: 0,
            last: None,
            at: 0,
            next: 0,
            already_counted: 0,
            range: EventTime::MIN..EventTime::MAX,
            max_ahead_ms: i64::MAX,
            frontier: EventTime::MIN,
            overrides: BTreeMap::new(),
            windows: WindowOffsets::default(),
            windows_changed: false,
            stats: EvalStats::default(),
        }
    }

    /// Continues from where a partition stood.
    pub fn resume(&mut self, position: &Position) {
        self.watermark = Watermark::resuming(self.plan.lateness_ms, position.newest);
        self.already_counted = position.next;
        self.next = position.next;
        self.at = position.resume;
    }

    /// Sets effective times of records that were overtaken in an earlier run: they take effect no earlier now.
    pub fn override_times(&mut self, overrides: BTreeMap<Offset, EventTime>) {
        self.overrides = overrides;
    }

    /// Refuses event times that are more than `max_ahead_ms` ahead of their message's own time.
    pub fn limit_ahead(&mut self, max_ahead_ms: i64) {
        self.max_ahead_ms = max_ahead_ms;
    }

    /// Skips everything before `start`, without counting it. From `start` on, the watermark and so what is late are
    /// the same wherever reading begins, provided that everything at or after `start` is read.
    pub fn begin_at(&mut self, start: EventTime) {
        self.range.start = start;
    }

    /// Skips everything at or after `end`, without counting it. When the watermark reaches `end`, no later record can be
    /// before it: from then on, records are not even decoded.
    pub fn end_at(&mut self, end: EventTime) {
        self.range.end = end;
    }

    /// Returns whether no further record can be accepted.
    pub fn has_ended(&self) -> bool {
        self.watermark.time() >= self.range.end
    }

    /// Records the offsets at which these windows are first reached.
    pub fn observe_windows(&mut self, windows: &[TumblingWindow]) {
        self.windows = WindowOffsets::new(windows);
    }

    /// Returns the offsets of windows if a new one has been reached since the last call.
    pub fn changed_windows(&mut self) -> Option<&WindowOffsets> {
        std::mem::take(&mut self.windows_changed).then_some(&self.windows)
    }

    /// Raises the closed frontier. It never moves back.
    pub fn advance_frontier(&mut self, closed: EventTime) {
        self.frontier = self.frontier.max(closed);
    }

    /// Returns the first offset that was never read.
    pub fn next_offset(&self) -> Offset {
        self.next
    }

    /// Returns the offset to be read now. It is below [`Ingest::next_offset`] while records are read a second time.
    pub fn offset(&self) -> Offset {
        self.at
    }

    /// Returns whether records remain that were counted by an earlier run.
    pub fn is_catching_up(&self) -> bool {
        self.at < self.already_counted
    }

    pub fn watermark(&self) -> &Watermark {
        &self.watermark
    }

    pub fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    /// Returns the number of records pushed since the last [`Ingest::take`].
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Pushes one record. `message_time` is the message's own time, if it has one. `raw` returns the message as it was,
    /// for a dead letter. `decode` appends one row to the columns, even if it fails, and sets which columns are present.
    pub fn push(
        &mut self,
        offset: Offset,
        message_time: Option<EventTime>,
        raw: impl FnOnce() -> RawMessage,
        decode: impl FnOnce(&mut [ColumnBuilder], &mut Vec<bool>) -> Result<(), FieldError>,
    ) {
        if self.has_ended() {
            return;
        }
        let watermark = self.watermark.time();
        let decoded = decode(&mut self.columns, &mut self.present).and_then(|()| self.event_time());
        let verdict = match decoded {
            Ok(time) => self.judge(offset, time, message_time),
            Err(error) => self.refuse(watermark, Refusal::of_field(&error)),
        };
        self.next = self.next.max(offset + 1);
        self.at = offset + 1;
        let recounted = u64::from(offset < self.already_counted);
        let mut row = Row { offset, effective: 0, late: false, accepted: false };
        match verdict {
            Admission::Accept { effective, late } => {
                row = Row { offset, effective, late, accepted: true };
                self.recounted.read += recounted;
            }
            Admission::Refuse(refusal) => {
                self.recounted.read += recounted;
                self.recounted.dead_letter += recounted;
                // The earlier run has written the letter.
                if recounted == 0 {
                    self.letters.push(refusal.into_letter(&self.plan, self.partition, offset, raw()));
                }
            }
            Admission::Skip => self.out_of_range += 1,
        }
        self.rows.push(row);
    }

    /// Returns the event time of the row just decoded.
    ///
    /// # Errors
    /// If a column is missing that must be there: for a delete, the key and the time; else every one that is not
    /// nullable.
    fn event_time(&self) -> Result<EventTime, FieldError> {
        let deleted = self.plan.is_table
            && match self.columns.last() {
                Some(ColumnBuilder::Bool(flags)) => bit_util::get_bit(flags.values_slice(), flags.len() - 1),
                _ => false,
            };
        let needed = |index: usize| !deleted || index == self.plan.time || self.plan.key.contains(&index);
        for (index, column) in self.plan.schema.columns.iter().enumerate() {
            if !column.nullable && !self.present[index] && needed(index) {
                return Err(FieldError { column: Some(column.name.clone()), fault: FieldFault::Missing });
            }
        }
        match &self.columns[self.plan.time] {
            ColumnBuilder::Timestamp(times) => Ok(*times.values_slice().last().expect("a row was just appended")),
            _ => unreachable!("the spec admits only a timestamp as event time"),
        }
    }

    /// Decides on a decoded record, and advances the watermark unless it is refused.
    fn judge(&mut self, offset: Offset, time: EventTime, message_time: Option<EventTime>) -> Admission {
        let watermark = self.watermark.time();
        let limit = message_time.map(|message| message.saturating_add(self.max_ahead_ms));
        if !in_range(time) || limit.is_some_and(|limit| time > limit) {
            return self.refuse(watermark, Refusal::out_of_range(time));
        }
        if time < watermark && watermark - time > self.plan.retention_ms {
            return self.refuse(watermark, Refusal::too_late(time, watermark - time));
        }
        let mut effective = self.watermark.observe(time);
        let late = effective != time;
        // What an earlier run has overtaken takes effect as it did then.
        if let Some(overtaken) = self.overrides.remove(&offset) {
            effective = effective.max(overtaken);
        }
        if offset >= self.already_counted && effective < self.frontier {
            effective = self.frontier;
            self.overtaken.push(OvertakenRecord { offset, effective });
        }
        // A record outside the range still reaches windows and moves the end of the job.
        self.windows_changed |= self.windows.observe(effective, offset);
        self.last = self.last.max(Some(effective));
        match self.range.contains(&effective) {
            true => Admission::Accept { effective, late },
            false => Admission::Skip,
        }
    }

    fn refuse(&self, watermark: EventTime, refusal: Refusal) -> Admission {
        if self.range.contains(&watermark) { Admission::Refuse(refusal) } else { Admission::Skip }
    }

    /// Returns the batch under way, in the total order, and starts a new one.
    pub fn take(&mut self) -> IngestedBatch {
        let taken = self.take_unsorted();
        IngestedBatch { batch: self.order.sorted(taken.batch), ..taken }
    }

    /// Returns the batch under way, in the order of offsets, and starts a new one.
    pub fn take_unsorted(&mut self) -> IngestedBatch {
        let mut rows = std::mem::take(&mut self.rows);
        let mut columns: Vec<_> = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        let first = rows.first().map(|row| row.offset);

        // Apply the source's filter to the accepted rows.
        let mut keep: Vec<bool> = rows.iter().map(|row| row.accepted).collect();
        if let Some(filter) = &self.plan.filter {
            let passed = filter.eval(&columns, rows.len(), &mut self.stats);
            let passed = passed.as_boolean();
            keep.iter_mut().enumerate().for_each(|(row, keep)| *keep &= passed.is_valid(row) && passed.value(row));
        }
        let counts = self.take_counts(&rows, &keep);

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
        let sort_key = self.order.sort_keys(&columns, &offsets);
        let event_times = columns[self.plan.time].as_primitive::<TimestampMillisecondType>().values().clone();
        let times: ScalarBuffer<EventTime> = rows.iter().map(|row| row.effective).collect();
        let mut late: Vec<EventTime> = rows.iter().filter(|row| row.late).map(|row| row.effective).collect();
        late.sort_unstable();
        IngestedBatch {
            batch: Batch { times, event_times, sort_key, columns, ack: AckToken::default() },
            counts,
            late,
            letters: std::mem::take(&mut self.letters),
            first,
            last: self.last.take(),
            overtaken: std::mem::take(&mut self.overtaken),
        }
    }

    /// Returns the counts of the batch under way without what an earlier run has counted, and resets them.
    fn take_counts(&mut self, rows: &[Row], keep: &[bool]) -> RecordCounts {
        let recounted = std::mem::take(&mut self.recounted);
        let in_range = rows.len() as u64 - std::mem::take(&mut self.out_of_range);
        let accepted = rows.iter().filter(|row| row.accepted).count() as u64;
        let is_filtered = |(row, keep): &(&Row, &bool)| row.accepted && !**keep && row.offset >= self.already_counted;
        RecordCounts {
            read: in_range - recounted.read,
            filtered: rows.iter().zip(keep).filter(is_filtered).count() as u64,
            dead_letter: in_range - accepted - recounted.dead_letter,
            ..RecordCounts::default()
        }
    }
}
