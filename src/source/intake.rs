//! The intake of one partition: decides, record by record, what becomes of it, and gathers batches.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::ArrayBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, BooleanArray};
use arrow_buffer::{ScalarBuffer, bit_util};

use super::ledger::Tally;
use super::order::TotalOrder;
use super::{Crossings, DeadLetter, Grid, Position, Raw, Reason, Watermark};
use crate::expr::{EvalStats, Expr};
use crate::time::{EventTime, Offset, format_time, in_range};
use crate::value::{Batch, Column, ColumnBuilder, FieldError, Pending, Schema, Type};

/// The column that marks a delete in a table's records.
pub const DELETED: &str = "_deleted";

/// How the records of a topic are read.
#[derive(Debug)]
pub struct TopicReader {
    /// The source's or table's name in the dataflow file.
    pub source: String,
    pub topic: String,
    /// What is decoded: the declared columns; for a table also `_deleted`.
    pub schema: Schema,
    pub key: Vec<usize>,
    pub time: usize,
    pub lateness_ms: i64,
    pub filter: Option<Expr>,
    /// Set for a table: only key and time must be there in a delete.
    pub upsert: bool,
    /// Whether anything downstream depends on the order of records of equal time.
    pub ordered: bool,
    /// Event ms for which a record can matter to a window, a join or a label; a later one is too late.
    pub reach_ms: i64,
}

impl TopicReader {
    /// The schema that records of a table are decoded by.
    pub fn with_deletes(schema: &Schema) -> Schema {
        let mut schema = schema.clone();
        schema.columns.push(Column::new(DELETED, Type::Bool, true));
        schema
    }
}

/// What an intake has gathered.
pub struct Intaken {
    /// Sorted by effective time, then by the total order, unless taken as read.
    pub batch: Batch,
    /// Read, filtered and dead so far in this batch; the rest is in flight.
    pub tally: Tally,
    /// Effective times of the late records in the batch, ascending.
    pub late: Vec<EventTime>,
    pub letters: Vec<DeadLetter>,
    /// The first offset in it, if any.
    pub first: Option<Offset>,
    /// The newest effective time in it, taken or passed over.
    pub last: Option<EventTime>,
    /// Records that came below the floor, with the times at which they were folded in.
    pub overtaken: Vec<(Offset, EventTime)>,
}

/// Why a record is not taken in: stage, reason, event time, detail.
type Refusal = (&'static str, Reason, Option<EventTime>, String);

/// Gathers the records of one partition.
pub struct Intake {
    reader: Arc<TopicReader>,
    partition: u32,
    watermark: Watermark,
    columns: Vec<ColumnBuilder>,
    present: Vec<bool>,
    offsets: Vec<Offset>,
    effective: Vec<EventTime>,
    /// Whether each row is to be kept.
    good: Vec<bool>,
    late: Vec<bool>,
    letters: Vec<DeadLetter>,
    order: TotalOrder,
    stats: EvalStats,
    /// Records below this offset were counted before a restart.
    counted: Offset,
    /// Of the records gathered, how many of those were read, filtered and dead.
    again: Tally,
    /// What is taken, by effective time; a record that is refused stands at the watermark before it.
    range: Range<EventTime>,
    /// Of the records gathered, how many are outside it, and the newest effective time of all.
    passed: u64,
    last: Option<EventTime>,
    /// The first offset that was never read, and the one to be read now.
    next: Offset,
    at: Offset,
    /// Time that is closed: a record below it has been overtaken.
    floor: EventTime,
    overtaken: Vec<(Offset, EventTime)>,
    crossings: Crossings,
    has_crossed: bool,
    /// Records that were overtaken in an earlier run, and when they took effect.
    journal: BTreeMap<Offset, EventTime>,
}

impl Intake {
    pub fn new(reader: Arc<TopicReader>, partition: u32) -> Self {
        let columns = reader.schema.columns.iter().map(|column| ColumnBuilder::new(column.ty)).collect();
        Intake {
            watermark: Watermark::new(reader.lateness_ms),
            columns,
            present: Vec::new(),
            offsets: Vec::new(),
            effective: Vec::new(),
            good: Vec::new(),
            late: Vec::new(),
            letters: Vec::new(),
            order: TotalOrder::of(&reader),
            stats: EvalStats::default(),
            counted: 0,
            again: Tally::default(),
            range: EventTime::MIN..EventTime::MAX,
            passed: 0,
            last: None,
            next: 0,
            at: 0,
            floor: EventTime::MIN,
            overtaken: Vec::new(),
            crossings: Crossings::default(),
            has_crossed: false,
            journal: BTreeMap::new(),
            reader,
            partition,
        }
    }

    /// Has records take effect no earlier than this: those that were overtaken before.
    pub fn repeat(&mut self, journal: BTreeMap<Offset, EventTime>) {
        self.journal = journal;
    }

    /// Goes on where a partition stood.
    pub fn resume(&mut self, position: &Position) {
        self.watermark = Watermark::resuming(self.reader.lateness_ms, position.newest);
        self.counted = position.next;
        self.next = position.next;
        self.at = position.resume;
    }

    /// Has everything before `start` passed over, without being counted. From there on the watermark, and so what is
    /// late, is the same wherever reading begins, as long as everything of this time or later is read.
    pub fn begin_at(&mut self, start: EventTime) {
        self.range.start = start;
    }

    /// Has everything at or after `end` passed over, without being counted. Once the watermark is there, nothing to
    /// come can be before it: from the record on that brings it there, no record is looked at.
    pub fn end_at(&mut self, end: EventTime) {
        self.range.end = end;
    }

    /// Whether all that is to be taken in has been.
    pub fn has_ended(&self) -> bool {
        self.watermark.time() >= self.range.end
    }

    /// Has the ends of these windows looked out for.
    pub fn look_out_for(&mut self, grids: &[Grid]) {
        self.crossings = Crossings::new(grids);
    }

    /// The first records of windows, if there are new ones since the last call.
    pub fn crossings(&mut self) -> Option<&Crossings> {
        std::mem::take(&mut self.has_crossed).then_some(&self.crossings)
    }

    /// Says up to where time is closed: what comes below it is folded in there.
    pub fn raise_floor(&mut self, closed: EventTime) {
        self.floor = self.floor.max(closed);
    }

    /// The first offset that was never read.
    pub fn next_offset(&self) -> Offset {
        self.next
    }

    /// The offset to be read now.
    pub fn at(&self) -> Offset {
        self.at
    }

    /// Whether records are left that were counted before a restart.
    pub fn is_catching_up(&self) -> bool {
        self.at < self.counted
    }

    pub fn watermark(&self) -> &Watermark {
        &self.watermark
    }

    pub fn reader(&self) -> &TopicReader {
        &self.reader
    }

    /// Records gathered since the last [`Intake::take`].
    pub fn len(&self) -> usize {
        self.good.len()
    }

    pub fn is_empty(&self) -> bool {
        self.good.is_empty()
    }

    /// Takes in one record. `decode` appends one row to the columns, whatever happens, and says which columns it had;
    /// `raw` is the message as it was, for a dead letter. `newest` bounds the event time, where the transport knows.
    pub fn accept(
        &mut self,
        offset: Offset,
        newest: Option<EventTime>,
        raw: impl FnOnce() -> Raw,
        decode: impl FnOnce(&mut [ColumnBuilder], &mut Vec<bool>) -> Result<(), FieldError>,
    ) {
        if self.has_ended() {
            return;
        }
        let before = self.watermark.time();
        let decoded = decode(&mut self.columns, &mut self.present).and_then(|()| self.complete());
        let verdict = match decoded {
            Err(error) => Err(("decode", Reason::from(&error), None, error.to_string())),
            Ok(time) => self.place(offset, time, newest),
        };
        self.offsets.push(offset);
        self.next = self.next.max(offset + 1);
        self.at = offset + 1;
        let stands = verdict.as_ref().map_or(before, |(effective, _)| *effective);
        let taken = self.range.contains(&stands);
        let again = taken && offset < self.counted;
        self.passed += u64::from(!taken);
        self.again.read += u64::from(again);
        self.good.push(taken && verdict.is_ok());
        match verdict {
            Ok((effective, late)) => {
                self.has_crossed |= self.crossings.observe(effective, offset);
                self.last = self.last.max(Some(effective));
                self.effective.push(effective);
                self.late.push(late);
            }
            Err((stage, reason, time, detail)) => {
                self.effective.push(0);
                self.late.push(false);
                self.again.dead_letter += u64::from(again);
                if again || !taken {
                    return;
                }
                let Raw { key, value, headers } = raw();
                let (source, topic) = (self.reader.source.clone(), self.reader.topic.clone());
                self.letters.push(DeadLetter {
                    source,
                    topic,
                    partition: self.partition,
                    offset,
                    time,
                    stage,
                    reason,
                    detail,
                    key,
                    value,
                    headers,
                });
            }
        }
    }

    /// The event time of the row just decoded, if it has all that it must have.
    fn complete(&self) -> Result<EventTime, FieldError> {
        let deleted = self.reader.upsert
            && match self.columns.last() {
                Some(ColumnBuilder::Bool(flags)) => bit_util::get_bit(flags.values_slice(), flags.len() - 1),
                _ => false,
            };
        let needed = |index: usize| !deleted || index == self.reader.time || self.reader.key.contains(&index);
        for (index, column) in self.reader.schema.columns.iter().enumerate() {
            if !column.nullable && !self.present[index] && needed(index) {
                let fault = crate::value::FieldFault::Missing;
                return Err(FieldError { column: Some(column.name.clone()), fault });
            }
        }
        match &self.columns[self.reader.time] {
            ColumnBuilder::Timestamp(times) => Ok(*times.values_slice().last().expect("a row was just appended")),
            _ => unreachable!("the spec admits only a timestamp as event time"),
        }
    }

    /// The effective time of a record, and whether it is late.
    fn place(
        &mut self,
        offset: Offset,
        time: EventTime,
        newest: Option<EventTime>,
    ) -> Result<(EventTime, bool), Refusal> {
        if !in_range(time) || newest.is_some_and(|newest| time > newest) {
            let detail = format!("{} is outside what an event time may be", format_time(time));
            return Err(("watermark", Reason::TimeOutOfRange, Some(time), detail));
        }
        let before = self.watermark.time();
        if time < before && before - time > self.reader.reach_ms {
            let detail = format!(
                "{} is {} ms behind the watermark: nothing could still hold it",
                format_time(time),
                before - time
            );
            return Err(("watermark", Reason::TooLate, Some(time), detail));
        }
        let mut effective = self.watermark.observe(time);
        let late = effective != time;
        if let Some(before) = self.journal.remove(&offset) {
            effective = effective.max(before);
        }
        if offset >= self.counted && effective < self.floor {
            effective = self.floor;
            self.overtaken.push((offset, effective));
        }
        Ok((effective, late))
    }

    /// What has been gathered; the intake starts a new batch.
    pub fn take(&mut self) -> Intaken {
        let taken = self.take_as_read();
        Intaken { batch: self.order.sorted(taken.batch), ..taken }
    }

    /// The same with the records in the order in which they were read.
    pub fn take_as_read(&mut self) -> Intaken {
        let read = self.good.len();
        let mut columns: Vec<_> = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        let good = std::mem::take(&mut self.good);
        let mut keep = good.clone();
        if let Some(filter) = &self.reader.filter {
            let passed = filter.eval(&columns, read, &mut self.stats);
            let passed = passed.as_boolean();
            keep.iter_mut().enumerate().for_each(|(row, keep)| *keep &= passed.is_valid(row) && passed.value(row));
        }
        let count = |flags: &[bool]| flags.iter().filter(|flag| **flag).count();
        let (decided, kept) = (count(&good), count(&keep));
        let (again, passed) = (std::mem::take(&mut self.again), std::mem::take(&mut self.passed));
        let known = |row: &usize| self.offsets[*row] < self.counted;
        let filtered_again = (0..read).filter(|row| known(row) && good[*row] && !keep[*row]).count();
        let taken = read as u64 - passed;
        let tally = Tally {
            read: taken - again.read,
            filtered: (decided - kept - filtered_again) as u64,
            dead_letter: taken - decided as u64 - again.dead_letter,
            ..Tally::default()
        };
        let (first, last) = (self.offsets.first().copied(), self.last.take());
        let (mut effective, mut late) = (std::mem::take(&mut self.effective), std::mem::take(&mut self.late));
        let mut offsets = std::mem::take(&mut self.offsets);
        if kept < read {
            let mask = BooleanArray::from(keep.clone());
            for column in &mut columns {
                *column = arrow_select::filter::filter(column, &mask).expect("the mask has a bit a row");
            }
            retain(&mut effective, &keep);
            retain(&mut late, &keep);
            retain(&mut offsets, &keep);
        }
        let sort_key = self.order.places(&columns, &offsets);
        let event_times = columns[self.reader.time].as_primitive::<TimestampMillisecondType>().values().clone();
        let batch =
            Batch { times: ScalarBuffer::from(effective), event_times, sort_key, columns, pending: Pending::default() };
        let mut late: Vec<EventTime> =
            batch.times.iter().zip(&late).filter(|(_, late)| **late).map(|(time, _)| *time).collect();
        late.sort_unstable();
        let (letters, overtaken) = (std::mem::take(&mut self.letters), std::mem::take(&mut self.overtaken));
        Intaken { batch, tally, late, letters, first, last, overtaken }
    }
}

fn retain<T>(values: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    values.retain(|_| *keep.next().expect("one flag a value"));
}
