//! Progress of one partition, as its reader reports it to the rest of the process.
//!
//! The reader of the partition is the only writer; the input frontier, the playback clock and the metrics read. Times
//! only move forward.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};

use arrow_array::UInt32Array;

use super::ledger::{EarlyCounts, RecordCounts};
use super::{EventClock, Evidence, SourcePlan, TumblingWindow, WindowOffsets};
use crate::time::{EventTime, Offset, PartitionId};
use crate::value::{AckToken, Batch};

/// The counts and offsets that a partition last reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionStats {
    pub counts: RecordCounts,
    pub early: EarlyCounts,
    pub in_flight: u64,
    /// The first offset that was never read.
    pub next_offset: Offset,
    /// Every record at a lower offset has been published to the online store if it was to be, or was in the state at the
    /// start.
    pub served_offset: Offset,
    /// Records that have not been read yet; `None` if the transport does not know.
    pub lag: Option<u64>,
    /// Number of records that arrived below the frontier.
    pub overtaken: u64,
}

/// Progress of one partition of one source.
#[derive(Debug)]
pub struct PartitionProgress {
    pub id: PartitionId,
    pub topic: String,
    lateness_ms: i64,
    clock: Arc<EventClock>,
    watermark: AtomicI64,
    newest: AtomicI64,
    emitted: AtomicI64,
    ended: AtomicBool,
    idle: AtomicBool,
    behind: AtomicBool,
    started: AtomicBool,
    live: AtomicBool,
    stats: Mutex<PartitionStats>,
    windows: Mutex<WindowOffsets>,
    first: OnceLock<Batch>,
}

impl PartitionProgress {
    /// Returns the progress of a partition that has not been read.
    pub(super) fn new(plan: &SourcePlan, partition: u32, clock: &Arc<EventClock>) -> Self {
        PartitionProgress {
            id: PartitionId { source: plan.source.clone(), partition },
            topic: plan.topic.clone(),
            lateness_ms: plan.lateness_ms,
            clock: clock.clone(),
            watermark: AtomicI64::new(EventTime::MIN),
            newest: AtomicI64::new(EventTime::MIN),
            emitted: AtomicI64::new(EventTime::MIN),
            ended: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            started: AtomicBool::new(false),
            live: AtomicBool::new(false),
            stats: Mutex::default(),
            windows: Mutex::default(),
            first: OnceLock::new(),
        }
    }

    /// Marks the partition as live: its records come as they are produced, so the first may be long in coming.
    pub fn set_live(&self) {
        self.live.store(true, SeqCst);
    }

    pub fn is_live(&self) -> bool {
        self.live.load(SeqCst)
    }

    /// Marks the partition as started: it has had a record, or has ended. Returns whether it was before.
    pub fn start(&self) -> bool {
        self.started.swap(true, SeqCst)
    }

    pub fn has_started(&self) -> bool {
        self.started.load(SeqCst)
    }

    /// Takes evidence of the brokers' clock into account.
    pub fn observe_broker_time(&self, evidence: Evidence) {
        self.clock.observe_broker_time(evidence);
    }

    /// Raises the watermark: no later record takes effect before it.
    pub fn advance(&self, watermark: EventTime) {
        self.watermark.fetch_max(watermark, SeqCst);
    }

    /// Observes the effective time of a record that has been read.
    pub fn observe(&self, time: EventTime) {
        self.newest.fetch_max(time, SeqCst);
    }

    /// Observes the effective time of a record that has been emitted into the graph.
    pub fn emitted(&self, time: EventTime) {
        self.emitted.fetch_max(time, SeqCst);
    }

    /// Marks the partition as ended: no record will follow.
    pub fn end(&self) {
        self.started.store(true, SeqCst);
        self.ended.store(true, SeqCst);
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    /// Sets whether the partition has had nothing to read for longer than the idleness policy allows.
    pub fn set_idle(&self, idle: bool) {
        self.idle.store(idle, SeqCst);
    }

    pub fn is_idle(&self) -> bool {
        self.idle.load(SeqCst)
    }

    /// Sets whether the partition has a backlog: a full read of records or more that are there already or, where the
    /// transport does not know, that the last read was full.
    pub fn set_behind(&self, behind: bool) {
        self.behind.store(behind, SeqCst);
    }

    pub fn is_behind(&self) -> bool {
        self.behind.load(SeqCst)
    }

    /// Returns the allowed lateness of the source.
    pub fn lateness_ms(&self) -> i64 {
        self.lateness_ms
    }

    /// Returns the watermark; the minimum before the first record.
    pub fn watermark(&self) -> EventTime {
        self.watermark.load(SeqCst)
    }

    /// Returns the newest event time that was read and is not held back by playback: the watermark without lateness.
    pub fn position(&self) -> EventTime {
        match self.watermark() {
            EventTime::MIN => EventTime::MIN,
            watermark => watermark.saturating_add(self.lateness_ms),
        }
    }

    /// Returns the newest effective time that was read; the minimum before the first record.
    pub fn newest(&self) -> EventTime {
        self.newest.load(SeqCst)
    }

    /// Returns the newest effective time that was emitted into the graph; the minimum before the first record.
    pub fn max_emitted_time(&self) -> EventTime {
        self.emitted.load(SeqCst)
    }

    /// Replaces the reported counts and offsets.
    pub fn report(&self, stats: PartitionStats) {
        *self.stats.lock().expect("no holder panics") = stats;
    }

    /// Returns the counts and offsets that were last reported.
    pub fn stats(&self) -> PartitionStats {
        *self.stats.lock().expect("no holder panics")
    }

    /// Replaces the reported offsets of windows.
    pub fn report_windows(&self, windows: WindowOffsets) {
        *self.windows.lock().expect("no holder panics") = windows;
    }

    /// Returns the least offset of a record at or after a window's end; the first offset never read if there is none.
    pub fn offset_at(&self, window: TumblingWindow, end: EventTime) -> Offset {
        let reached = self.windows.lock().expect("no holder panics").at(window, end);
        reached.unwrap_or_else(|| self.stats().next_offset)
    }

    /// Keeps the first record of a batch, unless one is kept already.
    pub fn keep_first(&self, batch: &Batch) {
        if self.first.get().is_none() && !batch.is_empty() {
            // A copy: a slice would hold on to the whole batch.
            let first = batch.take(&UInt32Array::from_iter_values([0]));
            let _ = self.first.set(Batch { ack: AckToken::default(), ..first });
        }
    }

    /// Returns the partition's first record as a batch of one; `None` before there is one.
    pub fn first(&self) -> Option<&Batch> {
        self.first.get()
    }
}
