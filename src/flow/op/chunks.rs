//! Batches that wait for their times to close.
//!
//! What closes is found by the next time of each batch, so that an activation costs what closes in it and not all that
//! waits: [`Chunks::begin`] finds the chunks that have something, which then have places from 0 on in the order in which
//! they came, and [`Chunks::finish`] is done with it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_select::concat::concat;
use hashbrown::HashMap;
use timely::dataflow::operators::Capability;

use crate::time::EventTime;
use crate::value::{AckToken, Batch};

/// A batch, whatever was worked out about it on arrival, and how much of it is done.
pub struct Chunk<X> {
    pub capability: Option<Capability<EventTime>>,
    pub batch: Batch,
    pub extra: X,
    /// Rows before this are done.
    pub done: usize,
    /// Rows before this close now.
    closing: usize,
}

impl<X> Chunk<X> {
    /// The rows that close now.
    pub fn closing(&self) -> std::ops::Range<usize> {
        self.done..self.closing
    }
}

/// Batches in order of arrival, worked off in order of time.
pub struct Chunks<X = ()> {
    /// Those that wait, by number in order of arrival.
    waiting: HashMap<u64, Box<Chunk<X>>>,
    /// The number of the next.
    number: u64,
    /// The next time of each that waits, with its number.
    next: BinaryHeap<Reverse<(EventTime, u64)>>,
    /// Those that have something that closes now, with their numbers, ascending.
    closing: Vec<(u64, Box<Chunk<X>>)>,
}

impl<X> Default for Chunks<X> {
    fn default() -> Self {
        Chunks { waiting: HashMap::new(), number: 0, next: BinaryHeap::new(), closing: Vec::new() }
    }
}

impl<X> Chunks<X> {
    /// Takes in a batch and gives its number, unless it is empty; its capability, if any, is held at the first row not
    /// done. Nobody waits until it is shown, unless that is kept as `extra`.
    pub fn push(&mut self, capability: Option<Capability<EventTime>>, mut batch: Batch, extra: X) -> Option<u64> {
        batch.ack = AckToken::default();
        let first = *batch.times.first()?;
        let capability = capability.map(|capability| capability.delayed(&first));
        let number = self.number;
        self.number += 1;
        self.wait(number, Box::new(Chunk { capability, batch, extra, done: 0, closing: 0 }));
        Some(number)
    }

    fn wait(&mut self, number: u64, chunk: Box<Chunk<X>>) {
        self.next.push(Reverse((chunk.batch.times[chunk.done], number)));
        self.waiting.insert(number, chunk);
    }

    /// The chunk with a number, if it is not done and nothing of it closes now.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut Chunk<X>> {
        self.waiting.get_mut(&number).map(AsMut::as_mut)
    }

    /// The least time that waits.
    pub fn next(&self) -> Option<EventTime> {
        self.next.peek().map(|Reverse((time, _))| *time)
    }

    /// What is before `upto` closes now.
    pub fn begin(&mut self, upto: EventTime) {
        debug_assert!(self.closing.is_empty());
        while let Some(Reverse((_, number))) = self.next.peek().copied().filter(|Reverse((time, _))| *time < upto) {
            self.next.pop();
            let mut chunk = self.waiting.remove(&number).expect("what has a next time waits");
            chunk.closing = chunk.batch.times.partition_point(|time| *time < upto);
            self.closing.push((number, chunk));
        }
        self.closing.sort_unstable_by_key(|(number, _)| *number);
    }

    /// The chunk in a place of those that have something that closes now.
    pub fn at(&self, place: u32) -> &Chunk<X> {
        &self.closing[place as usize].1
    }

    /// As [`Chunks::at`], to be changed.
    pub fn at_mut(&mut self, place: u32) -> &mut Chunk<X> {
        &mut self.closing[place as usize].1
    }

    /// How many have something that closes now.
    pub fn places(&self) -> u32 {
        self.closing.len() as u32
    }

    /// The chunks that have something that closes now.
    pub fn iter(&self) -> impl Iterator<Item = &Chunk<X>> {
        self.closing.iter().map(|(_, chunk)| chunk.as_ref())
    }

    /// Every row that closes now, as (time, place, row), in order of places.
    pub fn rows(&self) -> impl Iterator<Item = (EventTime, u32, u32)> {
        (0u32..)
            .zip(self.iter())
            .flat_map(|(place, chunk)| chunk.closing().map(move |row| (chunk.batch.times[row], place, row as u32)))
    }

    /// Marks what closes now as done, forgets chunks that are done and holds the others' capabilities on.
    pub fn finish(&mut self) {
        for (number, mut chunk) in std::mem::take(&mut self.closing) {
            chunk.done = chunk.closing;
            if let Some(next) = chunk.batch.times.get(chunk.done) {
                if let Some(capability) = &mut chunk.capability {
                    capability.downgrade(next);
                }
                self.wait(number, chunk);
            }
        }
    }

    /// The given rows as one batch, in the given order.
    pub fn gather(&self, rows: &[(EventTime, u32, u32)]) -> Batch {
        let mut first = 0u32;
        let starts: Vec<u32> = self
            .iter()
            .map(|chunk| {
                let start = first;
                first += chunk.batch.len() as u32;
                start
            })
            .collect();
        let batches: Vec<&Batch> = self.iter().map(|chunk| &chunk.batch).collect();
        let join = |column: &dyn Fn(&Batch) -> ArrayRef| {
            let arrays: Vec<ArrayRef> = batches.iter().map(|batch| column(batch)).collect();
            let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            concat(&arrays).expect("chunks of one stream have the same columns")
        };
        let whole = Batch {
            times: batches.iter().flat_map(|batch| batch.times.iter().copied()).collect::<Vec<_>>().into(),
            event_times: batches.iter().flat_map(|batch| batch.event_times.iter().copied()).collect::<Vec<_>>().into(),
            sort_key: join(&|batch| Arc::new(batch.sort_key.clone())).as_binary().clone(),
            columns: (0..batches[0].columns.len()).map(|column| join(&|batch| batch.columns[column].clone())).collect(),
            ack: AckToken::default(),
        };
        let picks = rows.iter().map(|(_, place, row)| starts[*place as usize] + row);
        whole.take(&UInt32Array::from_iter_values(picks))
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
            let mut chunks: Chunks<usize> = Chunks::default();
            let mut waiting: Vec<(EventTime, usize, u32)> = Vec::new();
            let mut upto = 0;
            for (step, round) in steps.iter().zip(0..) {
                let batch_of_round = batches.iter().enumerate().filter(|(index, _)| index % steps.len() == round);
                for (index, times) in batch_of_round {
                    let mut times: Vec<EventTime> = times.iter().map(|time| time + upto).collect();
                    times.sort_unstable();
                    waiting.extend(times.iter().zip(0..).map(|(time, row)| (*time, index, row)));
                    chunks.push(None, batch(&times), index);
                }
                upto += step;
                chunks.begin(upto);
                let mut closed: Vec<_> =
                    chunks.rows().map(|(time, place, row)| (time, chunks.at(place).extra, row)).collect();
                chunks.finish();
                closed.sort_unstable();
                let mut expected: Vec<_> = waiting.extract_if(.., |(time, _, _)| *time < upto).collect();
                expected.sort_unstable();
                prop_assert_eq!(closed, expected);
                prop_assert_eq!(chunks.next(), waiting.iter().map(|(time, _, _)| *time).min());
            }
        }
    }
}
