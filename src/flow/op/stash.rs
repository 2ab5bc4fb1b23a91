//! Batches that wait for their times to close.
//!
//! Closing rows are found by the next time of each batch, so an activation costs what closes in it and not all that
//! waits. [`Stash::close_before`] finds the batches that have closing rows; these are at positions from 0 on, in order of
//! arrival, until [`Stash::retire`] marks the rows as done.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashMap;
use timely::dataflow::operators::Capability;

use crate::time::EventTime;
use crate::value::{AckToken, Batch};

/// A batch, what was computed from it on arrival, and how many of its rows are done.
pub struct StashedBatch<X> {
    pub capability: Option<Capability<EventTime>>,
    pub batch: Batch,
    pub extra: X,
    /// Rows before this are done.
    pub done: usize,
    /// Rows before this are done or closing.
    closing: usize,
    number: u64,
}

impl<X> StashedBatch<X> {
    /// The closing rows.
    pub fn closing_rows(&self) -> std::ops::Range<usize> {
        self.done..self.closing
    }

    /// Its number in order of arrival.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns whether rows are left when the closing ones are done.
    pub fn stays(&self) -> bool {
        self.closing < self.batch.len()
    }
}

/// A closing row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClosingRow {
    pub time: EventTime,
    /// The position of its batch.
    pub batch: u32,
    pub row: u32,
}

/// Batches in order of arrival, closed in order of time.
pub struct Stash<X = ()> {
    /// Batches without closing rows, by number.
    waiting: HashMap<u64, Box<StashedBatch<X>>>,
    /// The number of the next batch.
    number: u64,
    /// The next time of each waiting batch, and its number.
    next: BinaryHeap<Reverse<(EventTime, u64)>>,
    /// Batches with closing rows, by number ascending.
    closing: Vec<Box<StashedBatch<X>>>,
}

impl<X> Default for Stash<X> {
    fn default() -> Self {
        Stash { waiting: HashMap::new(), number: 0, next: BinaryHeap::new(), closing: Vec::new() }
    }
}

impl<X> Stash<X> {
    /// Stashes a batch and returns its number; `None` if it is empty. The capability is downgraded to the first row that
    /// is not done. The batch's ack token is dropped; keep a clone in `extra` to delay the ack.
    pub fn push(&mut self, capability: Option<Capability<EventTime>>, mut batch: Batch, extra: X) -> Option<u64> {
        batch.ack = AckToken::default();
        let first = *batch.times.first()?;
        let capability = capability.map(|capability| capability.delayed(&first));
        let number = self.number;
        self.number += 1;
        self.wait(Box::new(StashedBatch { capability, batch, extra, done: 0, closing: 0, number }));
        Some(number)
    }

    fn wait(&mut self, stashed: Box<StashedBatch<X>>) {
        self.next.push(Reverse((stashed.batch.times[stashed.done], stashed.number)));
        self.waiting.insert(stashed.number, stashed);
    }

    /// The batch of a number, if it is not done and has no closing rows.
    pub fn waiting(&self, number: u64) -> Option<&StashedBatch<X>> {
        self.waiting.get(&number).map(AsRef::as_ref)
    }

    /// The least time of a row that is neither done nor closing.
    pub fn next_time(&self) -> Option<EventTime> {
        self.next.peek().map(|Reverse((time, _))| *time)
    }

    /// Copies of the rows that are neither done nor closing, by batch; they share the memory.
    pub fn waiting_rows(&self) -> Vec<Batch> {
        let rest = |stashed: &StashedBatch<X>| stashed.batch.slice(stashed.done, stashed.batch.len() - stashed.done);
        let mut numbers: Vec<u64> = self.waiting.keys().copied().collect();
        numbers.sort_unstable();
        numbers.iter().map(|number| rest(&self.waiting[number])).collect()
    }

    /// The values that were computed of the batches on arrival.
    pub fn extras(&self) -> impl Iterator<Item = &X> {
        self.waiting.values().chain(&self.closing).map(|stashed| &stashed.extra)
    }

    /// The memory of the rows that are not done, in bytes, without what was computed of them on arrival.
    pub fn bytes(&self) -> usize {
        let closing = self.closing.iter().map(|stashed| stashed.batch.bytes());
        self.waiting_rows().iter().map(Batch::bytes).chain(closing).sum()
    }

    /// Closes the rows before `upto`.
    pub fn close_before(&mut self, upto: EventTime) {
        debug_assert!(self.closing.is_empty());
        while let Some(Reverse((_, number))) = self.next.peek().copied().filter(|Reverse((time, _))| *time < upto) {
            self.next.pop();
            let mut stashed = self.waiting.remove(&number).expect("a batch with a next time waits");
            stashed.closing = stashed.batch.times.partition_point(|time| *time < upto);
            self.closing.push(stashed);
        }
        self.closing.sort_unstable_by_key(|stashed| stashed.number);
    }

    /// The batch with closing rows at a position.
    pub fn closing(&self, position: u32) -> &StashedBatch<X> {
        &self.closing[position as usize]
    }

    /// The same as [`Stash::closing`], mutable.
    pub fn closing_mut(&mut self, position: u32) -> &mut StashedBatch<X> {
        &mut self.closing[position as usize]
    }

    /// The number of batches with closing rows.
    pub fn closing_len(&self) -> u32 {
        self.closing.len() as u32
    }

    /// The batches with closing rows, by position.
    pub fn iter(&self) -> impl Iterator<Item = &StashedBatch<X>> {
        self.closing.iter().map(AsRef::as_ref)
    }

    /// Every closing row, by position of its batch.
    pub fn rows(&self) -> impl Iterator<Item = ClosingRow> {
        (0u32..).zip(self.iter()).flat_map(|(batch, stashed)| {
            let row = move |row| ClosingRow { time: stashed.batch.times[row], batch, row: row as u32 };
            stashed.closing_rows().map(row)
        })
    }

    /// Marks the closing rows as done. Batches that are done are dropped; the capabilities of others are downgraded.
    pub fn retire(&mut self) {
        for mut stashed in std::mem::take(&mut self.closing) {
            stashed.done = stashed.closing;
            if let Some(next) = stashed.batch.times.get(stashed.done) {
                if let Some(capability) = &mut stashed.capability {
                    capability.downgrade(next);
                }
                self.wait(stashed);
            }
        }
    }

    /// The given rows, in the given order, as batches of a bounded size: one unless they are large.
    pub fn gather(&self, rows: &[ClosingRow]) -> Vec<Batch> {
        let batches: Vec<&Batch> = self.iter().map(|stashed| &stashed.batch).collect();
        let picks: Vec<(usize, usize)> = rows.iter().map(|row| (row.batch as usize, row.row as usize)).collect();
        Batch::interleave(&batches, &picks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batch(times: &[EventTime]) -> Batch {
        Batch { times: times.to_vec().into(), event_times: times.to_vec().into(), ..Batch::default() }
    }

    proptest! {
        /// Each row closes once, at the first step after its time, whatever order batches come in.
        #[test]
        fn every_row_closes_once(
            batches in prop::collection::vec(prop::collection::vec(0i64..100, 1..6), 0..12),
            steps in prop::collection::vec(0i64..40, 1..8),
        ) {
            let mut stash: Stash<usize> = Stash::default();
            let mut waiting: Vec<(EventTime, usize, u32)> = Vec::new();
            let mut upto = 0;
            for (step, round) in steps.iter().zip(0..) {
                let batch_of_round = batches.iter().enumerate().filter(|(index, _)| index % steps.len() == round);
                for (index, times) in batch_of_round {
                    let mut times: Vec<EventTime> = times.iter().map(|time| time + upto).collect();
                    times.sort_unstable();
                    waiting.extend(times.iter().zip(0..).map(|(time, row)| (*time, index, row)));
                    stash.push(None, batch(&times), index);
                }
                upto += step;
                stash.close_before(upto);
                let mut closed: Vec<_> =
                    stash.rows().map(|row| (row.time, stash.closing(row.batch).extra, row.row)).collect();
                stash.retire();
                closed.sort_unstable();
                let mut expected: Vec<_> = waiting.extract_if(.., |(time, _, _)| *time < upto).collect();
                expected.sort_unstable();
                prop_assert_eq!(closed, expected);
                prop_assert_eq!(stash.next_time(), waiting.iter().map(|(time, _, _)| *time).min());
            }
        }
    }
}
