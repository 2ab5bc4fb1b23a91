//! The ledger: counts of records by outcome.
//!
//! Invariant, per source and partition and at every frontier: read = applied + filtered + duplicate + late +
//! dead_letter + in_flight. Outcomes exclude each other and are decided at the source; a record is in flight until the
//! frontier passes its effective time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use arrow_buffer::ScalarBuffer;
use serde::{Deserialize, Serialize};

use crate::time::EventTime;

/// The outcome of a record that has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Applied,
    Filtered,
    Duplicate,
    Late,
    DeadLetter,
}

impl Outcome {
    pub const ALL: [Outcome; 5] =
        [Outcome::Applied, Outcome::Filtered, Outcome::Duplicate, Outcome::Late, Outcome::DeadLetter];

    /// Returns the value of the metric's `outcome` label.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Filtered => "filtered",
            Outcome::Duplicate => "duplicate",
            Outcome::Late => "late",
            Outcome::DeadLetter => "dead_letter",
        }
    }
}

/// Counts of records by outcome, of one partition or summed over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordCounts {
    pub read: u64,
    pub applied: u64,
    pub filtered: u64,
    pub duplicate: u64,
    pub late: u64,
    pub dead_letter: u64,
}

impl RecordCounts {
    /// Returns the number of records with an outcome.
    pub fn of(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Applied => self.applied,
            Outcome::Filtered => self.filtered,
            Outcome::Duplicate => self.duplicate,
            Outcome::Late => self.late,
            Outcome::DeadLetter => self.dead_letter,
        }
    }

    /// Adds other counts to these.
    pub fn add(&mut self, other: &RecordCounts) {
        self.read += other.read;
        self.applied += other.applied;
        self.filtered += other.filtered;
        self.duplicate += other.duplicate;
        self.late += other.late;
        self.dead_letter += other.dead_letter;
    }

    /// Returns the number of records that have no outcome yet.
    ///
    /// # Panics
    /// In debug builds, if there are more outcomes than records.
    pub fn in_flight(&self) -> u64 {
        self.read - Outcome::ALL.iter().map(|outcome| self.of(*outcome)).sum::<u64>()
    }
}

/// The number of records of a source by which its share of dead letters is judged.
pub const EARLY_RECORDS: u64 = 10_000;

/// Counts of the first [`EARLY_RECORDS`] records of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EarlyCounts {
    pub read: u64,
    pub dead_letter: u64,
}

impl EarlyCounts {
    /// Returns the counts of a partition that was read before. If that were more records, none of them is counted as bad:
    /// the run before has judged them.
    pub fn resuming(counts: &RecordCounts) -> Self {
        match counts.read {
            EARLY_RECORDS.. => EarlyCounts { read: EARLY_RECORDS, dead_letter: 0 },
            read => EarlyCounts { read, dead_letter: counts.dead_letter },
        }
    }

    /// Counts the next records. `dead_letters` returns how many of the first of them are dead letters.
    pub fn observe(&mut self, read: u64, dead_letters: impl FnOnce(u64) -> u64) {
        let counted = read.min(EARLY_RECORDS.saturating_sub(self.read));
        if counted > 0 {
            self.dead_letter += dead_letters(counted);
            self.read += counted;
        }
    }

    /// Adds the counts of another partition.
    pub fn add(&mut self, other: &EarlyCounts) {
        self.read += other.read;
        self.dead_letter += other.dead_letter;
    }
}

/// Effective times of the records of a partition that the frontier has not passed.
#[derive(Debug, Default)]
pub struct InFlight {
    /// Batches with open records, the one with the least open time on top.
    batches: BinaryHeap<Reverse<OpenBatch>>,
    /// Effective times of the late records among them.
    late: BinaryHeap<Reverse<EventTime>>,
    open: u64,
    /// Bytes of the batches with open records.
    bytes: u64,
}

/// A batch with at least one open record; ordered by its least open time.
#[derive(Debug)]
struct OpenBatch {
    /// Effective times, ascending.
    times: ScalarBuffer<EventTime>,
    /// Number of leading times that are closed.
    closed: usize,
    /// The memory of the batch, which is held until the last record is closed.
    bytes: u64,
}

impl OpenBatch {
    fn next(&self) -> EventTime {
        self.times[self.closed]
    }
}

impl PartialEq for OpenBatch {
    fn eq(&self, other: &Self) -> bool {
        self.next() == other.next()
    }
}

impl Eq for OpenBatch {}

impl PartialOrd for OpenBatch {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OpenBatch {
    fn cmp(&self, other: &Self) -> Ordering {
        self.next().cmp(&other.next())
    }
}

impl InFlight {
    /// Adds a batch of this many bytes: all its effective times, ascending, and those of its late records.
    pub fn push(&mut self, times: ScalarBuffer<EventTime>, late: &[EventTime], bytes: u64) {
        self.open += times.len() as u64;
        if !times.is_empty() {
            self.bytes += bytes;
            self.batches.push(Reverse(OpenBatch { times, closed: 0, bytes }));
        }
        self.late.extend(late.iter().copied().map(Reverse));
    }

    /// Closes the records below the frontier and adds them to `counts` as applied or late.
    pub fn close(&mut self, frontier: EventTime, counts: &mut RecordCounts) {
        let mut closed = 0;
        while let Some(mut first) = self.batches.peek_mut().filter(|first| first.0.next() < frontier) {
            let OpenBatch { times, closed: before, bytes } = &mut first.0;
            let now = times.partition_point(|time| *time < frontier);
            closed += (now - *before) as u64;
            *before = now;
            if now == times.len() {
                self.bytes -= *bytes;
                PeekMut::pop(first);
            }
        }
        let mut late = 0;
        while self.late.peek().is_some_and(|Reverse(time)| *time < frontier) {
            self.late.pop();
            late += 1;
        }
        counts.late += late;
        counts.applied += closed - late;
        self.open -= closed;
    }

    /// Returns the bytes of the batches that have records in flight.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the number of records in flight.
    pub fn len(&self) -> u64 {
        self.open
    }

    pub fn is_empty(&self) -> bool {
        self.open == 0
    }
}
