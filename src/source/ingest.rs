//! Ingestion of one partition: the verdict on each record, and the batch that accepted records make.
//!
//! A transport pushes records in offset order. Each is decoded into the columns at once and judged: it is accepted at
//! its effective time ([`Watermark`]), refused as a [`DeadLetter`], or skipped because it takes effect outside the range
//! that is wanted. A verdict depends on the log alone, never on arrival, batch sizes or other partitions. The one
//! exception is counted and reported: a record below the closed frontier, as after an idle partition wakes, is
//! *overtaken* and takes effect at the frontier.
//!
//! A record of a file that runs ahead of those before it is judged only with the records after it ([`OutlierRule`]). Until
//! then it and they wait; to the outside, they have not been read yet.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::advice::{Advice, SourceAdvice};
use super::growing_batch::{GrowingBatch, IngestedBatch, OvertakenRecord, Row};
use super::order::TotalOrder;
use super::refusal::Refusal;
use super::verdicts::{Arrival, WaitingRecords};
use super::{Evidence, OutlierRule, Position, RawMessage, SourcePlan, TumblingWindow, Watermark, WindowOffsets};
use crate::time::{EventTime, Offset, in_range};
use crate::value::{ColumnBuilder, FieldError, FieldFault};

/// The bytes of text and dead letters from which on a batch is full. With [`MOST_RECORD_BYTES`], it keeps the offsets of
/// a text column within 32 bits.
const FULL_BATCH: usize = 8 << 20;

/// The largest record that a config may allow, in bytes.
pub const MOST_RECORD_BYTES: usize = 256 << 20;

/// The default of the config's `max_record_bytes`.
pub const DEFAULT_RECORD_BYTES: usize = 8 << 20;

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

/// Decides on the records of one partition and gathers them into batches.
pub struct Ingest {
    plan: Arc<SourcePlan>,
    partition: u32,
    order: TotalOrder,
    watermark: Watermark,
    growing: GrowingBatch,
    waiting: WaitingRecords,

    // The position in the log.
    /// The first offset that was not judged after those below it.
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
    max_record_bytes: usize,
    /// The closed frontier: records below it are overtaken.
    frontier: EventTime,
    /// Effective times of records that were overtaken in an earlier run.
    overrides: BTreeMap<Offset, EventTime>,

    /// The newest evidence of the brokers' clock that messages gave.
    evidence: Option<Evidence>,
    windows: WindowOffsets,
    /// True if `windows` has changed since it was last taken.
    windows_changed: bool,
    advice: SourceAdvice,
}

impl Ingest {
    /// Returns the ingestion of a partition from its beginning.
    pub fn new(plan: Arc<SourcePlan>, partition: u32) -> Self {
        let advice = SourceAdvice::new(&plan);
        Ingest {
            watermark: Watermark::new(plan.lateness_ms),
            order: TotalOrder::of(&plan),
            growing: GrowingBatch::new(&plan.schema),
            plan,
            partition,
            waiting: WaitingRecords::default(),
            at: 0,
            next: 0,
            already_counted: 0,
            range: EventTime::MIN..EventTime::MAX,
            max_ahead_ms: i64::MAX,
            max_record_bytes: DEFAULT_RECORD_BYTES,
            frontier: EventTime::MIN,
            overrides: BTreeMap::new(),
            evidence: None,
            windows: WindowOffsets::default(),
            windows_changed: false,
            advice,
        }
    }

    /// Continues from where a partition stood.
    pub fn resume(&mut self, position: &Position) {
        self.watermark = Watermark::resuming(self.plan.lateness_ms, position.newest);
        self.already_counted = position.next;
        self.next = position.next;
        self.at = position.resume;
        if position.at_end {
            self.waiting.resume_at_end(position.next);
        }
    }

    /// Sets effective times of records that were overtaken in an earlier run: they take effect no earlier now.
    pub fn override_times(&mut self, overrides: BTreeMap<Offset, EventTime>) {
        self.overrides = overrides;
    }

    /// Refuses event times that are more than `max_ahead_ms` ahead of their message's own time.
    pub fn limit_ahead(&mut self, max_ahead_ms: i64) {
        self.max_ahead_ms = max_ahead_ms;
    }

    /// Refuses event times that run more than `max_ahead_ms` ahead of the records before and after them; see
    /// [`OutlierRule`].
    pub fn refuse_outliers(&mut self, max_ahead_ms: i64) {
        self.waiting.judge_by(OutlierRule::new(max_ahead_ms, self.plan.lateness_ms));
    }

    /// Keeps evidence of the brokers' clock until it is taken.
    pub fn witness(&mut self, evidence: Evidence) {
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

    /// Returns advice on the declaration of the source, each once. `is_end` says that no further record will come.
    pub fn take_advice(&mut self, is_end: bool) -> Vec<Advice> {
        self.advice.take(is_end)
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
        self.growing.bytes() + self.waiting.raw_bytes() >= FULL_BATCH
    }

    /// Judges the records that wait, as no further one will come.
    pub fn end_input(&mut self) {
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
        if self.has_ended() {
            return;
        }
        let decoded = self.growing.decode(&self.plan, decode);
        let decoded = decoded.map_err(|error| Refusal::of_field(&error, &self.plan));
        if let Ok(time) = decoded {
            self.advice.observe(time, self.growing.present());
        }
        if self.waiting.is_empty() && !self.waiting.is_ahead(self.watermark.newest(), &decoded) {
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
        while let Some(arrival) = self.waiting.next_judged(self.watermark.newest()) {
            let Arrival { offset, message_time, decoded, raw } = arrival;
            self.admit(offset, message_time, decoded, || raw);
            if self.has_ended() {
                // What comes after the end is as if it had not been pushed.
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
        let verdict = match decoded {
            Ok(time) => self.judge(offset, time, message_time),
            Err(refusal) => self.refuse(self.watermark.time(), refusal),
        };
        self.next = self.next.max(offset + 1);
        self.at = offset + 1;
        let recounted = u64::from(offset < self.already_counted);
        let mut row = Row { offset, effective: 0, late: false, accepted: false, is_incomplete: false };
        match verdict {
            Admission::Accept { effective, late } => {
                row = Row { effective, late, accepted: true, ..row };
                self.growing.recounted.read += recounted;
            }
            Admission::Refuse(refusal) => {
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
            Admission::Skip => self.growing.out_of_range += 1,
        }
        self.growing.rows.push(row);
    }

    /// Decides on a decoded record, and advances the watermark unless it is refused.
    fn judge(&mut self, offset: Offset, time: EventTime, message_time: Option<EventTime>) -> Admission {
        let watermark = self.watermark.time();
        let limit = message_time.map(|message| message.saturating_add(self.max_ahead_ms));
        if !in_range(time) {
            return self.refuse(watermark, Refusal::out_of_range(time));
        }
        if limit.is_some_and(|limit| time > limit) {
            return self.refuse(watermark, Refusal::ahead_of_message(time, self.max_ahead_ms));
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
            self.growing.overtaken.push(OvertakenRecord { offset, effective });
        }
        // A record outside the range still reaches windows and moves the end of the job.
        self.windows_changed |= self.windows.observe(effective, offset);
        self.growing.last = self.growing.last.max(Some(effective));
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
        IngestedBatch { batch: self.order.sorted(taken.batch), offsets: Vec::new(), ..taken }
    }

    /// Returns the batch under way, in the order of offsets, and starts a new one.
    pub fn take_unsorted(&mut self) -> IngestedBatch {
        let Ingest { plan, order, growing, waiting, already_counted, .. } = self;
        growing.take(plan, order, *already_counted, waiting.len())
    }
}
