//! Queues of records of an entity, of which the oldest leaves as one is added.
//!
//! Of an aggregate whose records can be subtracted, a running total and a ring of single records; of any other, two stacks:
//! the older part, each record merged with all that follow in it, so that the oldest leaves by dropping one accumulator, and
//! the younger part with its total. A record is merged three times at most.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::aggregate::algebra::{Aggregate, Invertible};
use crate::aggregate::assumed_records::AssumedRecords;
use crate::aggregate::heap::{grown, sum_of};
use crate::aggregate::state_codec::{StateReader, StateWriter};

/// A queue of records, each an accumulator that has it alone.
pub trait RecordQueue<A: Aggregate>: Clone + Default + Send + Sync + 'static {
    /// Adds a record, and drops the oldest beyond the last `n`.
    fn push(&mut self, aggregate: &A, n: usize, single: A::Acc);
    /// The number of records.
    fn len(&self) -> usize;
    /// The accumulator of the newest `n` records.
    fn newest(&self, aggregate: &A, n: usize) -> Cow<'_, A::Acc>;
    /// The bytes that it holds outside itself.
    fn heap_bytes(&self, aggregate: &A) -> usize;
    /// Appends the queue as [`SavedRecords::read`] reads it.
    fn write(&self, aggregate: &A, to: &mut StateWriter);
    /// The queue that was saved.
    fn load(aggregate: &A, saved: SavedRecords<A::Acc>) -> Self;
}

/// A queue as it is saved, oldest first.
#[derive(Clone, Debug)]
pub struct SavedRecords<T> {
    /// The records of the older part, each merged with all that follow in it.
    pub merged: Vec<T>,
    pub singles: Vec<T>,
}

impl<T> SavedRecords<T> {
    /// Reads a queue.
    ///
    /// # Errors
    /// If the bytes that follow are none of one.
    pub fn read<A: Aggregate<Acc = T>>(aggregate: &A, from: &mut StateReader<'_>) -> Result<Self, postcard::Error> {
        Ok(SavedRecords {
            merged: from.all(|from| aggregate.read(from))?,
            singles: from.all(|from| aggregate.read(from))?,
        })
    }
}

/// The bytes that accumulators hold outside themselves.
fn heap_of<'a, A: Aggregate>(aggregate: &A, accumulators: impl IntoIterator<Item = &'a A::Acc>) -> usize {
    accumulators.into_iter().map(|acc| aggregate.heap_bytes(acc)).sum()
}

/// A running total and a ring of single records.
#[derive(Clone, Default)]
pub struct Ring<T> {
    total: T,
    /// Oldest first.
    singles: VecDeque<T>,
}

impl<T: Default + Clone> Ring<T> {
    /// The bytes that a ring of `n` records holds outside itself.
    pub fn estimated_heap<A: Invertible<Acc = T>>(aggregate: &A, n: usize, records: &AssumedRecords) -> usize {
        let heap = |count| aggregate.estimated_heap(&AssumedRecords { a_pane: count, ..*records });
        sum_of([grown::<T>(n), n.saturating_mul(heap(1)), heap(n)])
    }
}

impl<A: Invertible> RecordQueue<A> for Ring<A::Acc> {
    fn push(&mut self, aggregate: &A, n: usize, single: A::Acc) {
        if self.singles.len() == n
            && let Some(oldest) = self.singles.pop_front()
        {
            aggregate.remove(&mut self.total, &oldest);
        }
        aggregate.merge(&mut self.total, &single);
        self.singles.push_back(single);
    }

    fn len(&self) -> usize {
        self.singles.len()
    }

    fn newest(&self, aggregate: &A, n: usize) -> Cow<'_, A::Acc> {
        let mut newest = Cow::Borrowed(&self.total);
        for leaving in self.singles.iter().take(self.singles.len().saturating_sub(n)) {
            aggregate.remove(newest.to_mut(), leaving);
        }
        newest
    }

    fn heap_bytes(&self, aggregate: &A) -> usize {
        let singles = self.singles.capacity() * size_of::<A::Acc>();
        singles + heap_of(aggregate, &self.singles) + aggregate.heap_bytes(&self.total)
    }

    fn write(&self, aggregate: &A, to: &mut StateWriter) {
        to.count(0);
        to.all(self.singles.iter(), |to, single| aggregate.write(single, to));
    }

    fn load(aggregate: &A, saved: SavedRecords<A::Acc>) -> Self {
        let mut queue = Ring::default();
        let n = saved.merged.len() + saved.singles.len();
        saved.merged.into_iter().chain(saved.singles).for_each(|single| queue.push(aggregate, n, single));
        queue
    }
}

/// Two stacks of accumulators.
#[derive(Clone, Default)]
pub struct TwoStacks<T> {
    /// The older part: each record merged with all that follow in it, newest first.
    front: Vec<T>,
    /// The younger part, oldest first, and its total.
    back: Vec<T>,
    total: T,
}

impl<T: Clone + Default> TwoStacks<T> {
    /// The bytes that stacks of `n` records hold outside themselves, on average: the front has from none to all of them,
    /// each merged with all that follow in it, and the back the others.
    pub fn estimated_heap<A: Aggregate<Acc = T>>(aggregate: &A, n: usize, records: &AssumedRecords) -> usize {
        let heap = |count| aggregate.estimated_heap(&AssumedRecords { a_pane: count, ..*records });
        let front = sum_of((1..=n).map(|records| (n + 1 - records).saturating_mul(heap(records)))) / n.max(1);
        sum_of([grown::<T>(n), grown::<T>(n), front, (n / 2).saturating_mul(heap(1)), heap(n / 2)])
    }
}

impl<A: Aggregate> RecordQueue<A> for TwoStacks<A::Acc> {
    fn push(&mut self, aggregate: &A, n: usize, single: A::Acc) {
        if RecordQueue::<A>::len(self) == n {
            if self.front.is_empty() {
                for mut single in self.back.drain(..).rev() {
                    self.front.last().into_iter().for_each(|later| aggregate.merge(&mut single, later));
                    self.front.push(single);
                }
                self.total = A::Acc::default();
            }
            self.front.pop();
        }
        aggregate.merge(&mut self.total, &single);
        self.back.push(single);
    }

    fn len(&self) -> usize {
        self.front.len() + self.back.len()
    }

    fn newest(&self, aggregate: &A, n: usize) -> Cow<'_, A::Acc> {
        if n < self.back.len() {
            return Cow::Owned(total(aggregate, &self.back[self.back.len() - n..]));
        }
        match self.front.len().min(n - self.back.len()) {
            0 => Cow::Borrowed(&self.total),
            older => {
                let mut newest = self.front[older - 1].clone();
                aggregate.merge(&mut newest, &self.total);
                Cow::Owned(newest)
            }
        }
    }

    fn heap_bytes(&self, aggregate: &A) -> usize {
        let records = (self.front.capacity() + self.back.capacity()) * size_of::<A::Acc>();
        let stacks = heap_of(aggregate, self.front.iter().chain(&self.back));
        records + stacks + aggregate.heap_bytes(&self.total)
    }

    fn write(&self, aggregate: &A, to: &mut StateWriter) {
        to.all(self.front.iter().rev(), |to, merged| aggregate.write(merged, to));
        to.all(self.back.iter(), |to, single| aggregate.write(single, to));
    }

    fn load(aggregate: &A, saved: SavedRecords<A::Acc>) -> Self {
        let total = total(aggregate, &saved.singles);
        TwoStacks { front: saved.merged.into_iter().rev().collect(), back: saved.singles, total }
    }
}

/// The accumulator of records, oldest first.
fn total<A: Aggregate>(aggregate: &A, singles: &[A::Acc]) -> A::Acc {
    singles.iter().fold(A::Acc::default(), |mut total, single| {
        aggregate.merge(&mut total, single);
        total
    })
}
