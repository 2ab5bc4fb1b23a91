//! Sliding windows of invertible aggregates: a running total an entity, from which whole panes are subtracted.
//!
//! Panes are kept by pane, not by entity: one bucket of (slot, accumulator) for each hop that holds records. An entity
//! remembers its position in the bucket that it last added to, so a record in the same pane as the one before is two
//! insertions. Subtracting a pane as it expires costs one step an entity in it, and nothing is scheduled a record.
//!
//! A snapshot shares the buckets; one that is added to while a snapshot of it is held is copied first. Totals are not
//! saved: they are the sums of the buckets.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use super::closed::{ClosedWindow, Expired, LineUpdates, Single, Update};
use super::panes::Sliding;
use crate::aggregate::algebra::Invertible;
use crate::aggregate::assumed_records::AssumedRecords;
use crate::aggregate::heap::{sampled, sum_of};
use crate::aggregate::snapshot::{Encoder, encoded, remap_slot};
use crate::aggregate::state_codec::StateReader;
use crate::aggregate::step_budget::StepBudget;
use crate::time::EventTime;

/// A pane and what it adds to the entities that have records in it.
type Bucket<T> = (i64, Arc<Vec<PaneEntry<T>>>);

/// The part of a pane that is of one entity.
#[derive(Clone)]
struct PaneEntry<T> {
    slot: u32,
    /// The number of entities that had been dropped from the slot. The entry is void once there are more.
    generation: u32,
    acc: T,
}

/// The running total of one entity.
struct RunningTotal<T> {
    total: T,
    /// The pane that was last added to, and the entity's position in its bucket.
    pane: i64,
    at: u32,
    /// The number of entities that have been dropped from the slot.
    generation: u32,
}

impl<T: Default> RunningTotal<T> {
    /// The total of a slot that is empty.
    fn empty(generation: u32) -> Self {
        RunningTotal { total: T::default(), pane: i64::MIN, at: 0, generation }
    }
}

/// The accumulators of an invertible aggregate in a sliding window, for every entity.
pub struct Subtracting<A: Invertible> {
    window: Sliding,
    aggregate: A,
    /// By slot.
    totals: Vec<RunningTotal<A::Acc>>,
    /// By pane, ascending.
    buckets: VecDeque<Bucket<A::Acc>>,
    /// Entries of the oldest bucket, the last ones, that are subtracted already: it is leaving, and a snapshot shares it.
    subtracted: usize,
    /// An emptied bucket, for the next pane: its memory is as large as a pane needs.
    spare: Vec<PaneEntry<A::Acc>>,
    /// True if entries of dropped entities may be left.
    has_void: bool,
}

impl<A: Invertible> Subtracting<A> {
    /// The bytes of an entity.
    pub fn bytes_per_entity(window: Sliding, aggregate: &A, records: &AssumedRecords) -> usize {
        let panes = window.most_panes() as usize;
        let heap = |records: &AssumedRecords| aggregate.estimated_heap(records);
        let pane = heap(records).saturating_add(size_of::<PaneEntry<A::Acc>>());
        let all = AssumedRecords { panes, ..*records };
        sum_of([size_of::<RunningTotal<A::Acc>>(), heap(&all), panes.saturating_mul(pane)])
    }

    pub fn new(window: Sliding, aggregate: A) -> Self {
        let (totals, buckets, spare) = (Vec::new(), VecDeque::new(), Vec::new());
        Subtracting { window, aggregate, totals, buckets, subtracted: 0, spare, has_void: false }
    }

    /// The position of a pane's bucket, nearly always the last.
    fn bucket(&mut self, pane: i64) -> usize {
        match self.buckets.back() {
            Some((newest, _)) if *newest == pane => self.buckets.len() - 1,
            Some((newest, _)) if *newest > pane => {
                let at = self.buckets.partition_point(|(known, _)| *known < pane);
                if self.buckets[at].0 != pane {
                    self.buckets.insert(at, (pane, Arc::default()));
                }
                at
            }
            _ => {
                if let Some(filled) = self.buckets.back_mut().and_then(|(_, bucket)| Arc::get_mut(bucket)) {
                    // Only late records are added to it from now on.
                    filled.shrink_to(filled.len() + filled.len() / 16);
                }
                self.buckets.push_back((pane, Arc::new(std::mem::take(&mut self.spare))));
                self.buckets.len() - 1
            }
        }
    }
}

/// Adds to a slot's total and to its entry in the bucket of a pane.
fn add_to_pane<T: Default>(
    total: &mut RunningTotal<T>,
    bucket: &mut Vec<PaneEntry<T>>,
    (slot, pane): (u32, i64),
    add: impl Fn(&mut T),
) {
    add(&mut total.total);
    if total.pane == pane {
        add(&mut bucket[total.at as usize].acc);
    } else {
        (total.pane, total.at) = (pane, bucket.len() as u32);
        let mut acc = T::default();
        add(&mut acc);
        bucket.push(PaneEntry { slot, generation: total.generation, acc });
    }
}

impl<A: Invertible> ClosedWindow<A> for Subtracting<A> {
    fn grow(&mut self, slots: usize) {
        self.totals.reserve_exact(slots.saturating_sub(self.totals.len()));
        self.totals.resize_with(slots, || RunningTotal::empty(0));
    }

    fn clear(&mut self, slot: u32) {
        let total = &mut self.totals[slot as usize];
        *total = RunningTotal::empty(total.generation);
    }

    fn drop_entity(&mut self, slot: u32) {
        let total = &mut self.totals[slot as usize];
        *total = RunningTotal::empty(total.generation.wrapping_add(1));
        self.has_void = true;
    }

    fn compact(&mut self) {
        self.has_void = false;
        for (pane, bucket) in &mut self.buckets {
            // A bucket that a snapshot shares is compacted another time.
            let Some(bucket) = Arc::get_mut(bucket) else {
                self.has_void = true;
                continue;
            };
            bucket.retain(|entry| self.totals[entry.slot as usize].generation == entry.generation);
            for (at, entry) in (0u32..).zip(bucket.iter()) {
                let total = &mut self.totals[entry.slot as usize];
                if total.pane == *pane {
                    total.at = at;
                }
            }
            bucket.shrink_to(bucket.len() + bucket.len() / 8);
        }
    }

    fn admits(&self, event_time: EventTime, time: EventTime) -> bool {
        self.window.admits(event_time, time)
    }

    fn insert(&mut self, updates: LineUpdates<'_>, sequence: i64, rejected: &mut Vec<u32>) {
        let (window, aggregate) = (self.window, self.aggregate);
        let (mut rest, mut sequence) = (updates.updates, sequence);
        while let Some(first) = rest.first() {
            // Neighbours nearly always share a pane, and so its bucket.
            let pane = window.pane(first.event_time);
            let span = pane * window.hop_ms..(pane + 1) * window.hop_ms;
            let run = rest.iter().position(|update| !span.contains(&update.event_time)).unwrap_or(rest.len());
            let (run, after) = rest.split_at(run);
            let expires_at = window.expires_at(pane);
            let observed = |(update, sequence): (&Update, i64)| {
                if expires_at > update.time { updates.observed(aggregate.reads(), update, sequence) } else { None }
            };
            let mut numbered = run.iter().zip(sequence..);
            // A bucket is made only for a record that counts, and looked up once.
            let first = numbered.clone().position(|numbered| observed(numbered).is_some()).unwrap_or(run.len());
            rejected.extend(numbered.by_ref().take(first).map(|(update, _)| update.slot));
            if first < run.len() {
                let at = self.bucket(pane);
                let bucket = Arc::make_mut(&mut self.buckets[at].1);
                for (update, sequence) in numbered {
                    match observed((update, sequence)) {
                        Some(record) => {
                            let total = &mut self.totals[update.slot as usize];
                            add_to_pane(total, bucket, (update.slot, pane), |acc| aggregate.insert(acc, record));
                        }
                        None => rejected.push(update.slot),
                    }
                }
            }
            sequence += run.len() as i64;
            rest = after;
        }
    }

    fn insert_single(&mut self, slot: u32, single: &Single<A::Acc>) -> bool {
        let (aggregate, pane) = (self.aggregate, self.window.pane(single.event_time));
        let counts = self.window.expires_at(pane) > single.time;
        if counts {
            let at = self.bucket(pane);
            let bucket = Arc::make_mut(&mut self.buckets[at].1);
            let total = &mut self.totals[slot as usize];
            add_to_pane(total, bucket, (slot, pane), |acc| aggregate.merge(acc, &single.acc));
        }
        counts
    }

    fn advance(&mut self, asof: EventTime, budget: &mut StepBudget, expired: &mut Expired) {
        while self.buckets.front().is_some_and(|(pane, _)| self.window.expires_at(*pane) <= asof) {
            let (_, bucket) = &mut self.buckets[0];
            let kept = bucket.len() - self.subtracted;
            let from = kept - budget.take_up_to(kept);
            for PaneEntry { slot, generation, acc } in &bucket[from..kept] {
                let total = &mut self.totals[*slot as usize];
                if total.generation != *generation {
                    continue;
                }
                self.aggregate.remove(&mut total.total, acc);
                expired.changed.push(*slot);
                if self.aggregate.is_empty(&total.total) {
                    expired.emptied.push(*slot);
                }
            }
            self.subtracted += kept - from;
            if let Some(bucket) = Arc::get_mut(bucket) {
                // Piece by piece: accumulators may hold memory of their own.
                bucket.truncate(from);
                self.subtracted = 0;
            }
            if from > 0 {
                return;
            }
            self.subtracted = 0;
            let (_, bucket) = self.buckets.pop_front().expect("just seen");
            if let Ok(emptied) = Arc::try_unwrap(bucket) {
                self.spare = emptied;
            }
        }
    }

    fn next_expiry(&self) -> EventTime {
        self.buckets.front().map_or(EventTime::MAX, |(pane, _)| self.window.expires_at(*pane))
    }

    fn is_empty(&self, slot: u32) -> bool {
        self.aggregate.is_empty(&self.totals[slot as usize].total)
    }

    fn accumulated(&self, slot: u32) -> Cow<'_, A::Acc> {
        Cow::Borrowed(&self.totals[slot as usize].total)
    }

    fn save(&self) -> Encoder {
        let aggregate = self.aggregate;
        let buckets: Vec<Bucket<A::Acc>> = self.buckets.iter().cloned().collect();
        let generations = self.has_void.then(|| self.totals.iter().map(|total| total.generation).collect::<Vec<_>>());
        Box::new(move || {
            let counts = |entry: &&PaneEntry<A::Acc>| {
                generations.as_ref().is_none_or(|known| known[entry.slot as usize] == entry.generation)
            };
            encoded(buckets.iter(), |to, (pane, bucket)| {
                to.value(pane);
                let entries: Vec<&PaneEntry<A::Acc>> = bucket.iter().filter(counts).collect();
                to.all(entries.into_iter(), |to, entry| {
                    to.value(&entry.slot);
                    aggregate.write(&entry.acc, to);
                });
            })
        })
    }

    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error> {
        let aggregate = self.aggregate;
        let entry = |from: &mut StateReader<'_>| Ok((from.value::<u32>()?, aggregate.read(from)?));
        let saved: Vec<(i64, _)> = StateReader::new(bytes).all(|from| Ok((from.value()?, from.all(entry)?)))?;
        let accumulators = saved.iter().flat_map(|(_, saved)| saved.iter().map(|(_, acc)| acc));
        if !saved.iter().all(|(pane, _)| self.window.has_pane(*pane))
            || !saved.is_sorted_by(|(one, _), (other, _)| one < other)
            || !accumulators.into_iter().all(|acc| aggregate.admits(acc))
        {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        for (pane, saved) in saved {
            let mut mine = Vec::with_capacity(saved.len());
            for (slot, acc) in saved {
                mine.extend(remap_slot(slots, slot)?.map(|slot| (slot, acc)));
            }
            if mine.is_empty() {
                continue;
            }
            let at = self.bucket(pane);
            let bucket = Arc::make_mut(&mut self.buckets[at].1);
            for (slot, acc) in mine {
                let total = &mut self.totals[slot as usize];
                add_to_pane(total, bucket, (slot, pane), |into| aggregate.merge(into, &acc));
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let heap = |acc: &A::Acc| self.aggregate.heap_bytes(acc);
        let bucket = |bucket: &Vec<PaneEntry<A::Acc>>| {
            bucket.capacity() * size_of::<PaneEntry<A::Acc>>() + sampled(bucket.len(), |at| heap(&bucket[at].acc))
        };
        let buckets: usize = self.buckets.iter().map(|(_, panes)| bucket(panes)).sum();
        let totals = self.totals.capacity() * size_of::<RunningTotal<A::Acc>>();
        buckets + bucket(&self.spare) + totals + sampled(self.totals.len(), |slot| heap(&self.totals[slot].total))
    }
}
