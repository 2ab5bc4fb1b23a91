//! Windows that lag: those as of a fixed time before the asking time.
//!
//! A record waits for the lag, as the accumulator that has it alone, and enters the window as of `a` once it took effect
//! before a − lag: exactly what the window without a lag had then. Records wait in the total order, in one queue of all
//! entities; a snapshot shares all chunks of it but the newest. An entity is kept while anything of it waits. Provisional
//! records do not show: they are newer than what does.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use super::closed::{ClosedWindow, ContinuedWindow, Expired, LineUpdates, Single};
use crate::aggregate::algebra::Aggregate;
use crate::aggregate::heap::sampled;
use crate::aggregate::snapshot::{Encoder, remap_slot};
use crate::aggregate::state_codec::{StateReader, StateWriter};
use crate::aggregate::step_budget::StepBudget;
use crate::time::EventTime;

/// Records in a chunk of the queue, and those of them of which memory is measured.
const CHUNK: usize = 1024;
const SAMPLED: usize = 16;

/// A record that waits.
#[derive(Clone)]
struct Waiting<T> {
    /// The slot of its entity, and the number of entities that had been dropped from it: it is void once there are more.
    slot: u32,
    generation: u32,
    single: Single<T>,
}

/// The records of all entities that wait, in the order in which they take effect.
struct WaitingQueue<T> {
    /// Chunks of waiting records, none of them empty.
    chunks: VecDeque<Arc<Vec<Waiting<T>>>>,
    /// Records of the first chunk that have left.
    left: usize,
}

impl<T: Clone> WaitingQueue<T> {
    fn new() -> Self {
        WaitingQueue { chunks: VecDeque::new(), left: 0 }
    }

    fn push(&mut self, waiting: Waiting<T>) {
        match self.chunks.back_mut() {
            Some(chunk) if chunk.len() < CHUNK => Arc::make_mut(chunk).push(waiting),
            _ => self.chunks.push_back(Arc::new(vec![waiting])),
        }
    }

    fn first(&self) -> Option<&Waiting<T>> {
        self.chunks.front().map(|chunk| &chunk[self.left])
    }

    /// Drops the first record.
    fn pop(&mut self) {
        self.left += 1;
        if self.chunks.front().is_some_and(|chunk| chunk.len() == self.left) {
            (_, self.left) = (self.chunks.pop_front(), 0);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Waiting<T>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).skip(self.left)
    }
}

/// A window as of some time before the asking time.
pub struct Lagged<A: Aggregate> {
    aggregate: A,
    lag_ms: i64,
    inner: Box<dyn ClosedWindow<A>>,
    queue: WaitingQueue<A::Acc>,
    /// By slot.
    counts: Vec<WaitingCount>,
}

/// The records of a slot that wait.
#[derive(Clone, Copy, Default)]
struct WaitingCount {
    records: u32,
    /// The number of entities that have been dropped from the slot.
    generation: u32,
}

impl WaitingCount {
    /// Counts one more record of a slot, and returns it.
    fn add<T>(&mut self, slot: u32, single: Single<T>) -> Waiting<T> {
        self.records += 1;
        Waiting { slot, generation: self.generation, single }
    }
}

impl<A: Aggregate> Lagged<A> {
    pub fn new(aggregate: A, lag_ms: i64, inner: Box<dyn ClosedWindow<A>>) -> Self {
        Lagged { aggregate, lag_ms, inner, queue: WaitingQueue::new(), counts: Vec::new() }
    }

    /// Returns whether the entity of a record that waits has not been dropped.
    fn counts(&self, waiting: &Waiting<A::Acc>) -> bool {
        self.counts[waiting.slot as usize].generation == waiting.generation
    }
}

impl<A: Aggregate> ClosedWindow<A> for Lagged<A> {
    fn grow(&mut self, slots: usize) {
        self.inner.grow(slots);
        self.counts.resize(slots.max(self.counts.len()), WaitingCount::default());
    }

    fn clear(&mut self, slot: u32) {
        self.inner.clear(slot);
    }

    fn drop_entity(&mut self, slot: u32) {
        self.inner.drop_entity(slot);
        let count = &mut self.counts[slot as usize];
        *count = WaitingCount { records: 0, generation: count.generation.wrapping_add(1) };
    }

    fn compact(&mut self) {
        self.inner.compact();
        let queue = std::mem::replace(&mut self.queue, WaitingQueue::new());
        for waiting in queue.iter().filter(|waiting| self.counts(waiting)).cloned().collect::<Vec<_>>() {
            self.queue.push(waiting);
        }
    }

    fn admits(&self, event_time: EventTime, time: EventTime) -> bool {
        self.inner.admits(event_time, time)
    }

    fn insert(&mut self, updates: LineUpdates<'_>, sequence: i64, rejected: &mut Vec<u32>) {
        for (update, sequence) in updates.updates.iter().zip(sequence..) {
            let counts = self.inner.admits(update.event_time, update.time);
            match updates.observed(self.aggregate.reads(), update, sequence).filter(|_| counts) {
                Some(record) => {
                    let single = Single::of(&self.aggregate, update.time, record);
                    self.queue.push(self.counts[update.slot as usize].add(update.slot, single));
                }
                None => rejected.push(update.slot),
            }
        }
    }

    fn insert_single(&mut self, slot: u32, single: &Single<A::Acc>) -> bool {
        let counts = self.inner.admits(single.event_time, single.time);
        if counts {
            self.queue.push(self.counts[slot as usize].add(slot, single.clone()));
        }
        counts
    }

    fn advance(&mut self, asof: EventTime, budget: &mut StepBudget, expired: &mut Expired) {
        let asof = asof.saturating_sub(self.lag_ms);
        while let Some(waiting) = self.queue.first().filter(|waiting| waiting.single.time < asof) {
            if !budget.take() {
                return;
            }
            let slot = waiting.slot;
            let count = &mut self.counts[slot as usize];
            if count.generation == waiting.generation {
                self.inner.insert_single(slot, &waiting.single);
                count.records -= 1;
                expired.changed.push(slot);
                // One that does not count may have been the last that its entity had.
                if self.is_empty(slot) {
                    expired.emptied.push(slot);
                }
            }
            self.queue.pop();
        }
        self.inner.advance(asof, budget, expired);
    }

    fn next_expiry(&self) -> EventTime {
        let enters = self.queue.first().map_or(EventTime::MAX, |waiting| waiting.single.time + 1);
        enters.min(self.inner.next_expiry()).saturating_add(self.lag_ms)
    }

    fn is_empty(&self, slot: u32) -> bool {
        self.counts[slot as usize].records == 0 && self.inner.is_empty(slot)
    }

    fn accumulated(&self, slot: u32) -> Cow<'_, A::Acc> {
        self.inner.accumulated(slot)
    }

    fn visit(&self, slot: Option<u32>, visit: &mut dyn FnMut(&A::Acc)) {
        self.inner.visit(slot, visit);
    }

    /// The first record of all that wait, if it is of the slot; the others are like it.
    fn visit_hidden(&self, slot: u32, visit: &mut dyn FnMut(&A::Acc)) {
        self.inner.visit_hidden(slot, visit);
        let own = self.queue.first().filter(|waiting| waiting.slot == slot && self.counts(waiting));
        own.into_iter().for_each(|waiting| visit(&waiting.single.acc));
    }

    fn save(&mut self) -> Encoder {
        let (inner, left, chunks) = (self.inner.save(), self.queue.left, self.queue.chunks.clone());
        let aggregate = self.aggregate;
        let generations: Vec<u32> = self.counts.iter().map(|count| count.generation).collect();
        Box::new(move || {
            let all = chunks.iter().flat_map(|chunk| chunk.iter()).skip(left);
            let counted = all.filter(|waiting| generations[waiting.slot as usize] == waiting.generation);
            let mut writer = StateWriter::default();
            writer.value(&inner());
            writer.all(counted.collect::<Vec<_>>().into_iter(), |to, waiting| {
                to.value(&waiting.slot);
                waiting.single.write(&aggregate, to);
            });
            writer.into_bytes()
        })
    }

    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error> {
        const FARTHEST: i64 = 1 << 60;
        let (mut reader, aggregate) = (StateReader::new(bytes), self.aggregate);
        let inner: Vec<u8> = reader.value()?;
        let saved: Vec<(u32, _)> = reader.all(|from| Ok((from.value()?, Single::read(&aggregate, from)?)))?;
        self.inner.load(&inner, slots)?;
        let is_time = |time: &EventTime| (-FARTHEST..=FARTHEST).contains(time);
        let is_single = |single: &Single<A::Acc>| {
            let is_record = self.aggregate.admits(&single.acc) && !self.aggregate.is_empty(&single.acc);
            is_time(&single.time) && is_time(&single.event_time) && is_record
        };
        if !saved.iter().all(|(_, single)| is_single(single)) {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        let mut all: Vec<Waiting<A::Acc>> = self.queue.iter().cloned().collect();
        for (slot, single) in saved {
            let Some(slot) = remap_slot(slots, slot)? else { continue };
            let is_alike = |acc: &A::Acc| self.aggregate.is_empty(acc) || self.aggregate.are_alike(acc, &single.acc);
            let is_first = all.is_empty() && !self.inner.is_empty(slot);
            if is_first && !is_alike(&self.inner.accumulated(slot))
                || all.first().is_some_and(|waiting| !is_alike(&waiting.single.acc))
            {
                return Err(postcard::Error::DeserializeBadEncoding);
            }
            all.push(self.counts[slot as usize].add(slot, single));
        }
        // Of one entity, all records are from one worker, in their order.
        all.sort_by_key(|waiting| waiting.single.time);
        self.queue = WaitingQueue::new();
        all.into_iter().for_each(|waiting| self.queue.push(waiting));
        Ok(())
    }

    fn bytes(&self) -> usize {
        let chunk = |chunk: &Arc<Vec<Waiting<A::Acc>>>| {
            let heap = sampled(chunk.len().min(SAMPLED), |at| self.aggregate.heap_bytes(&chunk[at].single.acc));
            chunk.capacity() * size_of::<Waiting<A::Acc>>() + heap * chunk.len() / chunk.len().clamp(1, SAMPLED)
        };
        let chunks = &self.queue.chunks;
        let waiting = sampled(chunks.len(), |at| chunk(&chunks[at]));
        self.inner.bytes() + waiting + self.counts.capacity() * size_of::<WaitingCount>()
    }
}

impl<A: Aggregate> ContinuedWindow<A> for Lagged<A> {
    fn visit_continued(
        &self,
        slot: Option<u32>,
        _provisional: &[Single<A::Acc>],
        _asof: EventTime,
        visit: &mut dyn FnMut(&A::Acc),
    ) {
        self.inner.visit(slot, visit);
    }
}
