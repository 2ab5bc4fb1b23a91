//! Reader of one partition: from the transport to batches that may be emitted into the graph.
//!
//! It owns everything that is counted by partition: what has been read ahead, what is in flight, which offsets are
//! unacknowledged, and where a restart resumes. It knows nothing of timely; the source operator drives it:
//! [`PartitionReader::read`] if [`PartitionReader::may_read`], [`PartitionReader::release`] until there is no more, then
//! [`PartitionReader::report_progress`] and, when the frontier has been advanced, [`PartitionReader::close`].
//!
//! Invariant: a record is counted as read before it is emitted, and every record of a batch is in flight until the
//! frontier passes its effective time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{
    Advice, DeadLetter, EarlyCounts, FilePlace, InFlight, Ingest, IngestedBatch, InputStatus, OffsetIndex,
    OvertakenRecord, Partition, PartitionProgress, PartitionStats, PlaybackClock, Position, ReadAhead, ReadBatch,
    RecordCounts, SlowestPositions, SourceError, TumblingWindow, UnackedOffsets, Volume,
};
use crate::expr::EvalStats;
use crate::time::{EventTime, Offset};
use crate::value::Batch;

/// Records taken from a partition in one read.
const READ: usize = 8192;

/// Records by which a partition with a backlog may be ahead of the slowest other one: what the workers of a graph have
/// under way at a time.
const ALIGNED: u64 = 2 * READ as u64;

/// Polls that an idle period must span. One poll credits at most `idle_after / MIN_IDLE_POLLS`, and a gap of
/// `idle_after` or more restarts the count, so a stalled process cannot call a partition idle without having polled it.
const MIN_IDLE_POLLS: u32 = 4;

/// A partition, ready to be read by a worker.
pub struct AssignedPartition {
    partition: Box<dyn Partition>,
    ingest: Ingest,
    progress: Arc<PartitionProgress>,
    /// Its position in the state that the graph starts from; `None` if it is read from its beginning.
    position: Option<Position>,
}

impl AssignedPartition {
    /// Returns a partition that is read from its beginning.
    pub fn new(partition: Box<dyn Partition>, ingest: Ingest, progress: Arc<PartitionProgress>) -> Self {
        if partition.is_live() {
            progress.set_live();
        }
        AssignedPartition { partition, ingest, progress, position: None }
    }

    /// Resumes from a position. The transport must have been opened at its `resume` offset.
    #[must_use]
    pub fn resuming(mut self, position: Position) -> Self {
        self.ingest.resume(&position);
        self.progress.observe(position.newest_effective);
        self.progress.emitted(position.newest_effective);
        self.position = Some(position);
        self
    }

    /// Repeats the effective times of records that were overtaken in an earlier run.
    #[must_use]
    pub fn overriding(mut self, overtaken: BTreeMap<Offset, EventTime>) -> Self {
        self.ingest.override_times(overtaken);
        self
    }
}

/// Settings that the readers of a job share.
#[derive(Clone, Debug)]
pub struct ReaderOptions {
    /// Back pressure: a partition with this many records or bytes in flight is read on only if the graph waits for it.
    pub max_in_flight: Volume,
    /// The time before which everything is in the state that the graph starts from.
    pub resume: EventTime,
    /// The time at or after which everything is skipped.
    pub until: EventTime,
    /// The time that a partition has nothing to read before it is idle; `None` if it never is.
    pub idle_after: Option<Duration>,
    /// The training windows whose offsets are recorded.
    pub windows: Vec<TumblingWindow>,
}

/// The outcome of one read.
#[derive(Default)]
pub struct ReadOutcome {
    /// True if there were records, or the partition has ended.
    pub progressed: bool,
    pub letters: Vec<DeadLetter>,
    pub overtaken: Vec<OvertakenRecord>,
    pub advice: Vec<Advice>,
    /// Counts of what the source's filter could not compute.
    pub failed: EvalStats,
    /// The error that has ended the partition for good. It holds the frontier back until the job is stopped, since it is
    /// not known which records it would have had.
    pub error: Option<SourceError>,
}

/// The state of a partition between two records.
#[derive(Clone, Default)]
struct ReadMark {
    /// The offset of the record after it; `None` if that is the first of the batch under way.
    first: Option<Offset>,
    /// The newest event time before it.
    newest: EventTime,
    /// The place in the files, if they are files.
    place: Option<FilePlace>,
}

/// A partition being read.
pub struct PartitionReader {
    partition: Box<dyn Partition>,
    ingest: Ingest,
    progress: Arc<PartitionProgress>,
    options: Arc<ReaderOptions>,
    /// Batches that have been read but are ahead of the playback clock.
    waiting: VecDeque<Batch>,
    in_flight: InFlight,
    ahead: ReadAhead,
    index: OffsetIndex,
    unacked: UnackedOffsets,
    counts: RecordCounts,
    early: EarlyCounts,
    overtaken: u64,
    /// The state at the first record that is not in a batch yet.
    mark: ReadMark,
    /// True if the last read had as many records as one may have.
    is_full: bool,
    ended: bool,
    failed: bool,
    /// The time for which there has been nothing to read, by the times of the polls; `None` if there was at the last poll.
    idle_for: Option<Duration>,
    last_poll: Instant,
}

impl PartitionReader {
    pub fn new(assigned: AssignedPartition, options: &Arc<ReaderOptions>) -> Self {
        let AssignedPartition { partition, mut ingest, progress, position } = assigned;
        ingest.observe_windows(&options.windows);
        ingest.end_at(options.until);
        let (counts, overtaken) =
            position.map_or_else(Default::default, |position| (position.counts, position.overtaken));
        PartitionReader {
            partition,
            ingest,
            progress,
            options: options.clone(),
            waiting: VecDeque::new(),
            in_flight: InFlight::default(),
            ahead: ReadAhead::new(options.max_in_flight.records),
            index: OffsetIndex::default(),
            unacked: UnackedOffsets::default(),
            early: EarlyCounts::resuming(&counts),
            counts,
            overtaken,
            mark: ReadMark::default(),
            is_full: false,
            ended: false,
            failed: false,
            idle_for: None,
            last_poll: Instant::now(),
        }
    }

    pub fn progress(&self) -> &PartitionProgress {
        &self.progress
    }

    /// Returns whether back pressure allows a read. `is_processed` says whether the graph has processed everything that is
    /// closed.
    ///
    /// A partition may read while less than `max_in_flight` of it is in flight. If the graph has nothing left to do, it may
    /// also read while less than that is ahead of the slowest partition, or if it is the slowest itself: so what is in
    /// flight is bounded except for what lateness keeps open, and the slowest can always go on.
    ///
    /// Of partitions that have a backlog, those that are ahead by `ALIGNED` records wait for the others. What they would
    /// read could not be closed yet, and a record that closes soon after it is read costs the least.
    pub fn may_read(&mut self, slowest: SlowestPositions, is_processed: bool) -> bool {
        let limit = &self.options.max_in_flight;
        let ahead = self.ahead.beyond(slowest.active);
        let in_flight = Volume { records: self.in_flight.len(), bytes: self.in_flight.bytes() };
        let position = self.progress.position();
        let is_slowest = position <= slowest.active;
        !(self.ended || self.failed)
            && self.waiting.is_empty()
            && (in_flight.is_below(limit) || is_processed && (ahead.is_below(limit) || is_slowest))
            && !(self.progress.is_behind()
                && position > slowest.behind
                && self.ahead.is_beyond(slowest.behind, ALIGNED))
    }

    /// Reads the next records and queues them. Records below `closed` are overtaken.
    pub fn read(&mut self, closed: EventTime, clock: &PlaybackClock) -> ReadOutcome {
        let mut outcome = ReadOutcome::default();
        self.ingest.advance_frontier(closed.max(self.options.resume));
        // Records that wait from the read before belong to the next batch.
        if !self.ingest.is_waiting() {
            self.mark = self.current_mark();
        }
        let status = self.partition.read(READ, &mut self.ingest);
        self.ingest.end_read();
        match status {
            Ok(InputStatus::EndOfInput) => {
                self.ingest.end_input();
                self.ended = true;
            }
            Ok(InputStatus::MoreAvailable | InputStatus::NothingAvailable) => self.ended = self.ingest.has_ended(),
            Err(error) => {
                outcome.error = Some(error);
                self.failed = true;
            }
        }
        self.ingest.take_evidence().into_iter().for_each(|evidence| self.progress.observe_broker_time(evidence));
        self.is_full = self.ingest.len() >= READ;
        self.count_idle_time();
        outcome.advice = self.ingest.take_advice(self.ended);
        if self.ingest.is_empty() {
            outcome.progressed = self.ended || self.ingest.is_waiting();
            return outcome;
        }
        if let Some(windows) = self.ingest.changed_windows() {
            self.progress.report_windows(windows.clone());
        }
        let batch = self.ingest.take();
        self.enqueue(batch, clock, &mut outcome);
        // A batch must be reported as read before it is emitted.
        self.report();
        outcome.progressed = true;
        outcome
    }

    /// Adds the time since the last poll to the idle time if there was and is nothing to read.
    fn count_idle_time(&mut self) {
        let before = std::mem::replace(&mut self.last_poll, Instant::now());
        if !self.ingest.is_empty() {
            self.idle_for = None;
            return;
        }
        let idle_after = self.options.idle_after.unwrap_or(Duration::MAX);
        let passed = self.last_poll.duration_since(before);
        let idle_for = self.idle_for.filter(|_| passed < idle_after);
        let credit = passed.min(idle_after / MIN_IDLE_POLLS);
        let nothing_left = self.partition.lag() == Some(0);
        self.idle_for = nothing_left.then(|| idle_for.map_or(Duration::ZERO, |before| before + credit));
    }

    /// Counts a batch and queues it. Records that are in the graph's state already are dropped; the counts that were
    /// saved with the state include them.
    fn enqueue(&mut self, batch: IngestedBatch, clock: &PlaybackClock, outcome: &mut ReadOutcome) {
        let IngestedBatch { batch, offsets: _, counts, mut late, letters, first, last, overtaken, failed } = batch;
        outcome.failed.merge(failed);
        self.overtaken += overtaken.len() as u64;
        self.early.observe(counts.read, |read| match first {
            Some(first) if read < counts.read => {
                letters.iter().filter(|letter| letter.offset < first + read).count() as u64
            }
            _ => counts.dead_letter,
        });
        (outcome.letters, outcome.overtaken) = (letters, overtaken);
        if let (Some(first), Some(until)) = (first, last) {
            let first = *self.mark.first.get_or_insert(first);
            let ReadMark { newest: newest_before, place, .. } = self.mark.clone();
            self.index.push(ReadBatch { first, place, newest_before, until });
        }

        let (_, mut batch) = batch.split(self.options.resume);
        late.retain(|time| *time >= self.options.resume);
        self.counts.add(&counts);
        let bytes = batch.bytes() as u64;
        self.in_flight.push(batch.times.clone(), &late, bytes);
        if let Some(newest) = last {
            // Filtered records count, too: the end of a job must not depend on which records a source keeps.
            self.progress.observe(newest);
            self.ahead.push(newest, batch.len() as u64, bytes);
        }
        if let (Some(time), Some(first)) = (batch.times.first(), first) {
            clock.start(&self.progress, *time);
            self.progress.keep_first(&batch);
            batch.ack = self.unacked.push(first);
            self.waiting.push_back(batch);
        }
    }

    /// Returns the next records that the playback clock allows to be emitted; `None` if there are none.
    pub fn release(&mut self, now: EventTime) -> Option<Batch> {
        let batch = self.waiting.pop_front()?;
        let (ready, ahead) = if now == EventTime::MAX { (batch, Batch::default()) } else { batch.split(now) };
        if !ahead.is_empty() {
            self.waiting.push_front(ahead);
        }
        if let Some(newest) = ready.times.last() {
            self.progress.emitted(*newest);
        }
        Some(ready).filter(|ready| !ready.is_empty())
    }

    /// Reports the watermark, and whether the partition has ended or is idle.
    pub fn report_progress(&mut self) {
        if self.ended && self.waiting.is_empty() {
            self.progress.end();
        } else {
            self.progress.advance(self.watermark());
        }
        if let Some(idle_after) = self.options.idle_after {
            self.progress.set_idle(self.idle_for.is_some_and(|time| time >= idle_after));
        }
    }

    /// Returns the time before which no record will be emitted any more.
    fn watermark(&self) -> EventTime {
        let waiting = self.waiting.front().map_or(EventTime::MAX, |batch| batch.times[0]);
        let read = if self.ended { EventTime::MAX } else { self.ingest.watermark().time() };
        waiting.min(read)
    }

    /// Returns the position as of `time`, which must not be closed here yet.
    pub fn position(&mut self, time: EventTime) -> Position {
        self.in_flight.close(time, &mut self.counts);
        let next = self.ingest.next_offset();
        let mark = match self.index.find(time) {
            Some(ReadBatch { first, place, newest_before, .. }) => {
                ReadMark { first: Some(*first), newest: *newest_before, place: place.clone() }
            }
            None if self.ingest.is_waiting() => self.mark.clone(),
            None => self.current_mark(),
        };
        Position {
            partition: self.progress.id.partition,
            resume: mark.first.unwrap_or(next),
            place: mark.place,
            read: self.partition.place(),
            next,
            at_end: self.ended && !self.ingest.has_ended(),
            newest: mark.newest,
            newest_effective: self.progress.newest(),
            counts: self.counts,
            overtaken: self.overtaken,
        }
    }

    /// Returns the state after everything that was pushed.
    fn current_mark(&self) -> ReadMark {
        let place = self.partition.place();
        ReadMark { first: place.as_ref().map(|place| place.offset), newest: self.ingest.watermark().newest(), place }
    }

    /// Closes the records below the frontier and reports the counts, and whether there is a backlog. Between a read and
    /// its release the batch waits, which says nothing of a backlog.
    pub fn close(&mut self, frontier: EventTime) {
        self.in_flight.close(frontier, &mut self.counts);
        self.index.close(frontier);
        self.progress.set_behind(self.has_backlog());
        self.report();
    }

    fn has_backlog(&self) -> bool {
        let is_behind = self.partition.lag().map_or(self.is_full, |lag| lag >= READ as u64);
        // Records that wait for the playback clock are no backlog.
        is_behind && self.waiting.is_empty() && !self.ended && !self.failed
    }

    fn report(&mut self) {
        let read_up_to = if self.ended { Offset::MAX } else { self.ingest.offset() };
        let is_catching_up = self.ingest.is_catching_up();
        self.progress.report(PartitionStats {
            counts: self.counts,
            early: self.early,
            // Records that an earlier run has counted and this one has not read again yet are in flight, too.
            in_flight: if is_catching_up { self.counts.in_flight() } else { self.in_flight.len() },
            next_offset: self.ingest.next_offset(),
            served_offset: self.unacked.first().unwrap_or(read_up_to),
            lag: self.partition.lag(),
            overtaken: self.overtaken,
        });
    }
}
