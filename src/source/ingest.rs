//! Ingestion of one partition: the verdict on each record, and the batch that accepted records make.
//!
//! A transport pushes records in offset order. Each is decoded into the columns at once and judged: it is accepted at
//! its effective time ([`Watermark`]), refused as a [`DeadLetter`], or skipped because it takes effect outside the range
//! that is wanted. A verdict depends on the log alone, never on arrival, batch sizes or other partitions. The one
//! exception is counted and reported: a record below the closed frontier, as after an idle partition wakes, is
//! *overtaken* and takes effect at the frontier.
//!
//! Where the event time is an expression, the records of a read wait for it until the read ends ([`RecordTime`]).
//!
//! A record of a file that runs ahead of those before it is judged only with the records after it ([`OutlierRule`]). Until
//! then it and they wait; to the outside, they have not been read yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::advice::{Advice, SourceAdvice};
use super::growing_batch::{GrowingBatch, IngestedBatch, OvertakenRecord, Row};
use super::judge::{EffectiveTime, Judge, RecordVerdict};
use super::order::TotalOrder;
use super::refusal::Refusal;
use super::untimed::{UntimedRecord, UntimedRecords};
use super::verdicts::{Arrival, WaitingRecords};
use super::{
    Evidence, OutlierRule, Position, RawMessage, RecordTime, SourcePlan, TumblingWindow, Watermark, WindowOffsets,
};
use crate::time::{EventTime, Offset};
use crate::value::{ColumnBuilder, FieldError, FieldFault};

/// The bytes of text and dead letters from which on a batch is full. With [`MOST_RECORD_BYTES`], it keeps the offsets of
/// a text column within 32 bits.
const FULL_BATCH: usize = 8 << 20;

/// The largest record that a config may allow, in bytes.
pub const MOST_RECORD_BYTES: usize = 256 << 20;

/// The default of the config's `max_record_bytes`.
pub const DEFAULT_RECORD_BYTES: usize = 8 << 20;

/// Decides on the records of one partition and gathers them into batches.
pub struct Ingest {
    plan: Arc<SourcePlan>,
    partition: u32,
    order: TotalOrder,
    judge: Judge,
    growing: GrowingBatch,
    waiting: WaitingRecords,
    /// Records whose event times are still to be computed; they come after those that wait for a verdict.
    untimed: UntimedRecords,

    // The position in the log.
    /// The first offset that was not judged after those below it.
    at: Offset,
    /// The first offset that was never read.
    next: Offset,

    max_record_bytes: usize,
    /// The newest evidence of the brokers' clock that messages gave.
    evidence: Option<Evidence>,
    advice: SourceAdvice,
}

impl Ingest {
    /// Returns the ingestion of a partition from its beginning.
    pub fn new(plan: Arc<SourcePlan>, partition: u32) -> Self {
        let advice = SourceAdvice::new(&plan);
        Ingest {
            judge: Judge::new(&plan),
            order: TotalOrder::of(&plan),
            growing: GrowingBatch::new(&plan.schema),
            plan,
            partition,
            waiting: WaitingRecords::default(),
            untimed: UntimedRecords::default(),
            at: 0,
            next: 0,
            max_record_bytes: DEFAULT_RECORD_BYTES,
            evidence: None,
            advice,
        }
    }

    /// Continues from where a partition stood.
    pub fn resume(&mut self, position: &Position) {
        self.judge.watermark = Watermark::resuming(self.plan.lateness_ms, position.newest);
        self.judge.already_counted = position.next;
        self.next = position.next;
        self.at = position.resume;
        if position.at_end {
            self.waiting.resume_at_end(position.next);
        }
    }

    /// Sets effective times of records that were overtaken in an earlier run: they take effect no earlier now.
    pub fn override_times(&mut self, overrides: BTreeMap<Offset, EventTime>) {
        self.judge.overrides = overrides;
    }

    /// Refuses event times that are more than `max_ahead_ms` ahead of their message's own time.
    pub fn limit_ahead(&mut self, max_ahead_ms: i64) {
        self.judge.max_ahead_ms = max_ahead_ms;
    }

    /// Refuses event times that run more than `max_ahead_ms` ahead of the records before and after them; see
    /// [`OutlierRule`].
    pub fn refuse_outliers(&mut self, max_ahead_ms: i64) {
        self.waiting.judge_by(OutlierRule::new(max_ahead_ms, self.plan.lateness_ms));
    }

    /// Keeps evidence of the brokers' clock until [`Ingest::take_evidence`].
    pub fn observe_broker_time(&mut self, evidence: Evidence) {
        self.evidence = Some(evidence);
    }

    /// Returns the newest evidence of the brokers' clock, once.
    pub fn take_evidence(&mut self) -> Option<Evidence> {
        self.evidence.take()
    }

    /// Sets the size beyond which transports refuse a record.
    pub fn limit_records(&mut self, max_record_bytes: usize) {
        self.max_record_bytes = max_record_bytes;
    }

    /// Returns the size beyond which a record is to be refused, by [`Ingest::push_too_large`].
    pub fn max_record_bytes(&self) -> usize {
        self.max_record_bytes
    }

    /// Skips everything before `start`, without counting it. From `start` on, the watermark and so what is late are
    /// the same wherever reading begins, provided that everything at or after `start` is read.
    pub fn begin_at(&mut self, start: EventTime) {
        self.judge.range.start = start;
    }

    /// Skips everything at or after `end`, without counting it. When the watermark reaches `end`, no later record can be
    /// before it: from then on, records are not even decoded.
    pub fn end_at(&mut self, end: EventTime) {
        self.judge.range.end = end;
    }

    /// Returns whether no further record can be accepted.
    pub fn has_ended(&self) -> bool {
        self.judge.has_ended()
    }

    /// Records the offsets at which these windows are first reached.
    pub fn observe_windows(&mut self, windows: &[TumblingWindow]) {
        self.judge.observe_windows(windows);
    }

    /// Returns the offsets of windows if a new one has been reached since the last call.
    pub fn changed_windows(&mut self) -> Option<&WindowOffsets> {
        self.judge.changed_windows()
    }

    /// Returns advice on the declaration of the source, each once. `is_end` says that no further record will come.
    pub fn take_advice(&mut self, is_end: bool) -> Vec<Advice> {
        self.advice.take(is_end)
    }

    /// Raises the closed frontier. It never moves back.
    pub fn advance_frontier(&mut self, closed: EventTime) {
        self.judge.frontier = self.judge.frontier.max(closed);
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
        self.at < self.judge.already_counted
    }

    pub fn watermark(&self) -> &Watermark {
        &self.judge.watermark
    }

    pub fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    /// Returns the number of records judged since the last [`Ingest::take`].
    pub fn len(&self) -> usize {
        self.growing.rows.len()
    }

    /// Returns whether no record has been judged since the last [`Ingest::take`].
    pub fn is_empty(&self) -> bool {
        self.growing.rows.is_empty()
    }

    /// Returns whether records have been pushed that are not judged yet.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns whether the batch has as many bytes as one may have: a transport should push no more.
    pub fn is_full(&self) -> bool {
        self.growing.bytes() + self.waiting.raw_bytes() + self.untimed.raw_bytes() >= FULL_BATCH
    }

    /// Computes the event times that are expressions, and judges their records. To be called after each read of the
    /// transport, before anything is asked of what was read.
    pub fn end_read(&mut self) {
        if self.untimed.is_empty() {
            return;
        }
        let untimed = self.untimed.take();
        let plan = self.plan.clone();
        let RecordTime::Computed(time) = &plan.time else { return };
        let times = self.growing.times(time, untimed.len());
        for (row, UntimedRecord { offset, message_time, decoded, raw }) in untimed.into_iter().enumerate() {
            if self.has_ended() {
                return;
            }
            let decoded = decoded.and_then(|known| known.map_or_else(|| times.get(row, time, &plan.schema), Ok));
            self.arrive(offset, message_time, decoded, || raw);
        }
    }

    /// Judges the records that wait, as no further one will come.
    pub fn end_input(&mut self) {
        self.end_read();
        self.waiting.end_input();
        self.settle();
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
        self.push_record(offset, message_time, None, raw, decode);
    }

    /// Pushes the message of a table that deletes a row, at its message's own time. `decode` sets the columns of the key
    /// and, if the event time is a column, that column to the same time.
    pub fn push_delete(
        &mut self,
        offset: Offset,
        message_time: Option<EventTime>,
        raw: impl FnOnce() -> RawMessage,
        decode: impl FnOnce(&mut [ColumnBuilder], &mut Vec<bool>) -> Result<(), FieldError>,
    ) {
        self.push_record(offset, message_time, message_time, raw, decode);
    }

    /// Pushes one record, whose event time may be `known` already.
    fn push_record(
        &mut self,
        offset: Offset,
        message_time: Option<EventTime>,
        known: Option<EventTime>,
        raw: impl FnOnce() -> RawMessage,
        decode: impl FnOnce(&mut [ColumnBuilder], &mut Vec<bool>) -> Result<(), FieldError>,
    ) {
        if self.has_ended() {
            return;
        }
        let decoded = self.growing.decode(&self.plan, known, decode);
        let decoded = decoded.map_err(|error| Refusal::of_field(&error, &self.plan));
        if let Ok(time) = decoded {
            self.advice.observe(time, self.growing.present());
        }
        if self.plan.time.column().is_none() {
            return self.untimed.push(UntimedRecord { offset, message_time, decoded, raw: raw() });
        }
        let decoded = decoded.map(|time| time.expect("a column's time is known at once"));
        self.arrive(offset, message_time, decoded, raw);
    }

    /// Judges a record, unless its verdict depends on those after it or it comes after one that waits.
    fn arrive(
        &mut self,
        offset: Offset,
        message_time: Option<EventTime>,
        decoded: Result<EventTime, Refusal>,
        raw: impl FnOnce() -> RawMessage,
    ) {
        if self.waiting.is_empty() && !self.waiting.is_ahead(self.judge.watermark.newest(), &decoded) {
            return self.admit(offset, message_time, decoded, raw);
        }
        self.waiting.push(Arrival { offset, message_time, decoded, raw: raw() });
        self.settle();
    }

    /// Pushes a record of more than [`Ingest::max_record_bytes`] bytes, which becomes a dead letter. `head` returns its
    /// beginning.
    pub fn push_too_large(
        &mut self,
        offset: Offset,
        message_time: Option<EventTime>,
        bytes: u64,
        head: impl FnOnce() -> RawMessage,
    ) {
        let most = self.max_record_bytes;
        self.push_malformed(offset, message_time, head, || {
            format!("{bytes} bytes, more than max_record_bytes = {most}; only the beginning is kept")
        });
    }

    /// Pushes a record that cannot be decoded, which becomes a dead letter for the reason that `why` returns.
    pub fn push_malformed(
        &mut self,
        offset: Offset,
        message_time: Option<EventTime>,
        raw: impl FnOnce() -> RawMessage,
        why: impl FnOnce() -> String,
    ) {
        self.push(offset, message_time, raw, |columns, present| {
            columns.iter_mut().for_each(ColumnBuilder::append_null);
            present.clear();
            present.resize(columns.len(), false);
            Err(FieldError { column: None, fault: FieldFault::Malformed(why()) })
        });
    }

    /// Judges the records that wait, as far as those after them suffice.
    fn settle(&mut self) {
        while let Some(arrival) = self.waiting.next_judged(self.judge.watermark.newest()) {
            let Arrival { offset, message_time, decoded, raw } = arrival;
            self.admit(offset, message_time, decoded, || raw);
            if self.has_ended() {
                // Records after the end are dropped, as if they had not been pushed.
                self.waiting.clear();
            }
        }
    }

    /// Judges the next record and adds it to the batch.
    fn admit(
        &mut self,
        offset: Offset,
        message_time: Option<EventTime>,
        decoded: Result<EventTime, Refusal>,
        raw: impl FnOnce() -> RawMessage,
    ) {
        let event_time = decoded.as_ref().copied().unwrap_or_default();
        let verdict = match decoded {
            Ok(time) => self.judge.judge(offset, time, message_time),
            Err(refusal) => self.judge.refuse(refusal),
        };
        self.next = self.next.max(offset + 1);
        self.at = offset + 1;
        let recounted = u64::from(offset < self.judge.already_counted);
        let mut row = Row { offset, event_time, effective: 0, late: false, accepted: false, is_incomplete: false };
        match verdict {
            RecordVerdict::Effective(EffectiveTime { time, late, is_overtaken, is_wanted }) => {
                if is_overtaken {
                    self.growing.overtaken.push(OvertakenRecord { offset, effective: time });
                }
                self.growing.last = self.growing.last.max(Some(time));
                row = Row { effective: time, late: late && is_wanted, accepted: is_wanted, ..row };
                self.growing.recounted.read += if is_wanted { recounted } else { 0 };
                self.growing.out_of_range += u64::from(!is_wanted);
            }
            RecordVerdict::Refused(refusal) => {
                row.is_incomplete = refusal.is_incomplete();
                self.growing.recounted.read += recounted;
                self.growing.recounted.dead_letter += recounted;
                // The earlier run has written the letter.
                if recounted == 0 {
                    let raw = raw();
                    self.growing.raw_bytes += raw.bytes();
                    self.growing.letters.push(refusal.into_letter(&self.plan, self.partition, offset, raw));
                }
            }
            RecordVerdict::Skipped => self.growing.out_of_range += 1,
        }
        self.growing.rows.push(row);
    }

    /// Returns the batch under way, in the total order, and starts a new one.
    pub fn take(&mut self) -> IngestedBatch {
        let taken = self.take_unsorted();
        IngestedBatch { batch: self.order.sorted(taken.batch), offsets: Vec::new(), ..taken }
    }

    /// Returns the batch under way, in the order of offsets, and starts a new one.
    pub fn take_unsorted(&mut self) -> IngestedBatch {
        self.end_read();
        let Ingest { plan, order, growing, waiting, judge, .. } = self;
        growing.take(plan, order, judge.already_counted, waiting.len())
    }
}
