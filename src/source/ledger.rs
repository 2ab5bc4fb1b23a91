//! The ledger: what became of every record that was read.
//!
//! At every frontier, per source and partition: read = applied + filtered + duplicate + late + dead_letter +
//! in_flight. Outcomes exclude each other and are decided at the source; a record is in flight until the frontier
//! passes its effective time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use arrow_buffer::ScalarBuffer;
use serde::{Deserialize, Serialize};

use crate::time::EventTime;

/// What became of a record.
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

    /// The label of the metric.
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

/// Counts of records: of one partition, or of many added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub read: u64,
    pub applied: u64,
    pub filtered: u64,
    pub duplicate: u64,
    pub late: u64,
    pub dead_letter: u64,
}

impl Tally {
    pub fn of(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Applied => self.applied,
            Outcome::Filtered => self.filtered,
            Outcome::Duplicate => self.duplicate,
            Outcome::Late => self.late,
            Outcome::DeadLetter => self.dead_letter,
        }
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: &Tally) {
        self.read += other.read;
        self.applied += other.applied;
        self.filtered += other.filtered;
        self.duplicate += other.duplicate;
        self.late += other.late;
        self.dead_letter += other.dead_letter;
    }

    /// Records whose outcome is not decided yet, if the ledger closes.
    pub fn undecided(&self) -> u64 {
        self.read - Outcome::ALL.iter().map(|outcome| self.of(*outcome)).sum::<u64>()
    }
}

/// Records of a partition that the frontier has not passed.
#[derive(Debug, Default)]
pub struct InFlight {
    /// By the next time of each.
    batches: BinaryHeap<Reverse<Rest>>,
    /// Effective times of the late ones among them.
    late: BinaryHeap<Reverse<EventTime>>,
    open: u64,
}

/// What is left of a batch: its effective times, ascending, of which so many have closed.
#[derive(Debug)]
struct Rest {
    times: ScalarBuffer<EventTime>,
    closed: usize,
}

impl Rest {
    fn next(&self) -> EventTime {
        self.times[self.closed]
    }
}

impl PartialEq for Rest {
    fn eq(&self, other: &Self) -> bool {
        self.next() == other.next()
    }
}

impl Eq for Rest {}

impl PartialOrd for Rest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rest {
    fn cmp(&self, other: &Self) -> Ordering {
        self.next().cmp(&other.next())
    }
}

impl InFlight {
    /// Takes in a batch: all its effective times, ascending, and those of its late records.
    pub fn push(&mut self, times: ScalarBuffer<EventTime>, late: &[EventTime]) {
        self.open += times.len() as u64;
        if !times.is_empty() {
            self.batches.push(Reverse(Rest { times, closed: 0 }));
        }
        self.late.extend(late.iter().copied().map(Reverse));
    }

    /// Closes what is below the frontier into the tally.
    pub fn close(&mut self, frontier: EventTime, tally: &mut Tally) {
        let mut closed = 0;
        while let Some(mut first) = self.batches.peek_mut().filter(|first| first.0.next() < frontier) {
            let Rest { times, closed: before } = &mut first.0;
            let now = times.partition_point(|time| *time < frontier);
            closed += (now - *before) as u64;
            *before = now;
            if now == times.len() {
                PeekMut::pop(first);
            }
        }
        let mut late = 0;
        while self.late.peek().is_some_and(|Reverse(time)| *time < frontier) {
            self.late.pop();
            late += 1;
        }
        tally.late += late;
        tally.applied += closed - late;
        self.open -= closed;
    }

    /// How many records are in flight.
    pub fn len(&self) -> u64 {
        self.open
    }

    pub fn is_empty(&self) -> bool {
        self.open == 0
    }
}
