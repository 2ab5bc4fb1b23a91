//! The ledger: what became of every record that was read.
//!
//! At every frontier, per source and partition: read = applied + filtered + duplicate + late + dead_letter +
//! in_flight. Outcomes exclude each other and are decided at the source; a record is in flight until the frontier
//! passes its effective time.

use std::collections::VecDeque;

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
    /// Effective times of batches, each ascending, with the number closed of it.
    batches: VecDeque<(ScalarBuffer<EventTime>, usize)>,
    /// Effective times of the late ones among them, likewise.
    late: VecDeque<EventTime>,
    open: u64,
}

impl InFlight {
    /// Takes in a batch: all its effective times, and those of its late records, ascending.
    pub fn push(&mut self, times: ScalarBuffer<EventTime>, late: &[EventTime]) {
        self.open += times.len() as u64;
        self.batches.push_back((times, 0));
        self.late.extend(late);
        self.late.make_contiguous().sort_unstable();
    }

    /// Closes what is below the frontier into the tally.
    pub fn close(&mut self, frontier: EventTime, tally: &mut Tally) {
        let mut closed = 0;
        for (times, done) in &mut self.batches {
            let now = times.partition_point(|time| *time < frontier);
            closed += now.saturating_sub(*done) as u64;
            *done = now.max(*done);
        }
        while self.batches.front().is_some_and(|(times, done)| times.len() == *done) {
            self.batches.pop_front();
        }
        let mut late = 0;
        while self.late.front().is_some_and(|time| *time < frontier) {
            self.late.pop_front();
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
