//! Sliding windows of invertible aggregates: a running total an entity, from which whole panes are subtracted.
//!
//! Panes are kept by pane, not by entity: one bucket of (slot, accumulator) for each hop that holds records. An entity
//! remembers its position in the bucket that it last added to, so a record in the same pane as the one before is two
//! insertions. Subtracting a pane as it expires costs one step an entity in it, and nothing is scheduled a record.
//!
//! A snapshot shares the chunks of the buckets; one that is added to while a snapshot of it is held is copied first. Totals
//! are not saved: they are the sums of the buckets.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::closed::{ClosedWindow, Expired, LineUpdates, Single, Update};
use super::pane_bucket::{PaneBucket, PaneEntry, SharedChunks};
use super::panes::Sliding;
use crate::aggregate::algebra::Invertible;
use crate::aggregate::assumed_records::AssumedRecords;
use crate::aggregate::entities::PREFETCHED;
use crate::aggregate::heap::{sampled, sum_of};
use crate::aggregate::snapshot::{Encoder, encoded, remap_slot};
use crate::aggregate::state_codec::StateReader;
use crate::aggregate::step_budget::StepBudget;
use crate::time::EventTime;

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

/// The entities up to which their totals are in the processor's cache anyway.
const MANY: usize = 16_384;

/// The accumulators of an invertible aggregate in a sliding window, for every entity.
pub struct Subtracting<A: Invertible> {
    window: Sliding,
    aggregate: A,
    /// By slot.
    totals: Vec<RunningTotal<A::Acc>>,
    /// By pane, ascending.
    buckets: VecDeque<(i64, PaneBucket<A::Acc>)>,
    /// True if entries of dropped entities may be left.
    has_void: bool,
}

impl<A: Invertible> Subtracting<A> {
    /// The bytes of an entity.
    pub fn bytes_per_entity(window: Sliding, aggregate: &A, records: &AssumedRecords) -> usize {
        let panes = records.filled_of(window.most_panes());
        let heap = |records: &AssumedRecords| aggregate.estimated_heap(records);
        let pane = heap(records).saturating_add(size_of::<PaneEntry<A::Acc>>());
        let all = AssumedRecords { panes, ..*records };
        sum_of([size_of::<RunningTotal<A::Acc>>(), heap(&all), panes.saturating_mul(pane)])
    }

    pub fn new(window: Sliding, aggregate: A) -> Self {
        Subtracting { window, aggregate, totals: Vec::new(), buckets: VecDeque::new(), has_void: false }
    }

    /// The position of a pane's bucket, nearly always the last.
    fn bucket(&mut self, pane: i64) -> usize {
        match self.buckets.back() {
            Some((newest, _)) if *newest == pane => self.buckets.len() - 1,
            Some((newest, _)) if *newest > pane => {
                let at = self.buckets.partition_point(|(known, _)| *known < pane);
                if self.buckets[at].0 != pane {
                    self.buckets.insert(at, (pane, PaneBucket::default()));
                }
                at
            }
            _ => {
                // Only late records are added to the one before from now on.
                self.buckets.back_mut().into_iter().for_each(|(_, filled)| filled.shrink());
                self.buckets.push_back((pane, PaneBucket::default()));
                self.buckets.len() - 1
            }
        }
    }
}

/// Adds to a slot's total and to its entry in the bucket of a pane.
fn add_to_pane<T: Clone + Default>(
    total: &mut RunningTotal<T>,
    bucket: &mut PaneBucket<T>,
    (slot, pane): (u32, i64),
    add: impl Fn(&mut T),
) {
    add(&mut total.total);
    if total.pane == pane {
        add(&mut bucket.get_mut(total.at).acc);
    } else {
        let mut acc = T::default();
        add(&mut acc);
        total.pane = pane;
        total.at = bucket.push(PaneEntry { slot, generation: total.generation, acc });
    }
}

/// Brings the totals of updates of a pane, and their entries in its bucket, into the processor's cache; ignore the result.
fn prefetch<T: Clone>(totals: &[RunningTotal<T>], bucket: &PaneBucket<T>, pane: i64, piece: &[Update]) -> u32 {
    let mut places = [0; PREFETCHED];
    for (place, update) in places.iter_mut().zip(piece) {
        let total = &totals[update.slot as usize];
        *place = if total.pane == pane { total.at } else { u32::MAX };
    }
    places.iter().take(piece.len()).fold(0, |read, at| read ^ bucket.get(*at).map_or(0, |entry| entry.slot))
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
        let totals = &mut self.totals;
        for (pane, bucket) in &mut self.buckets {
            bucket.retain(|entry| totals[entry.slot as usize].generation == entry.generation);
            for (at, entry) in (0u32..).zip(bucket.iter()) {
                let total = &mut totals[entry.slot as usize];
                if total.pane == *pane {
                    total.at = at;
                }
            }
        }
    }

    fn admits(&self, event_time: EventTime, time: EventTime) -> bool {
        self.window.admits(event_time, time)
    }

    fn insert(&mut self, updates: LineUpdates<'_>, sequence: i64, rejected: &mut Vec<u32>) {
        let (window, aggregate, is_large) = (self.window, self.aggregate, self.totals.len() > MANY);
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
                let bucket = &mut self.buckets[at].1;
                for (row, (update, sequence)) in (first..).zip(numbered) {
                    if is_large && row.is_multiple_of(PREFETCHED) {
                        let piece = &run[row..run.len().min(row + PREFETCHED)];
                        std::hint::black_box(prefetch(&self.totals, bucket, pane, piece));
                    }
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
            let bucket = &mut self.buckets[at].1;
            let total = &mut self.totals[slot as usize];
            add_to_pane(total, bucket, (slot, pane), |acc| aggregate.merge(acc, &single.acc));
        }
        counts
    }

    fn advance(&mut self, asof: EventTime, budget: &mut StepBudget, expired: &mut Expired) {
        while let Some((_, bucket)) = self.buckets.front_mut().filter(|(pane, _)| self.window.expires_at(*pane) <= asof)
        {
            let (aggregate, totals) = (self.aggregate, &mut self.totals);
            let is_empty = bucket.leave(budget, |PaneEntry { slot, generation, acc }| {
                let total = &mut totals[*slot as usize];
                if total.generation != *generation {
                    return;
                }
                aggregate.remove(&mut total.total, acc);
                expired.changed.push(*slot);
                if aggregate.is_empty(&total.total) {
                    expired.emptied.push(*slot);
                }
            });
            if !is_empty {
                return;
            }
            self.buckets.pop_front();
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

    fn save(&mut self) -> Encoder {
        let aggregate = self.aggregate;
        let shared = |(pane, bucket): &mut (i64, PaneBucket<A::Acc>)| (*pane, bucket.share());
        let buckets: Vec<(i64, SharedChunks<A::Acc>)> = self.buckets.iter_mut().map(shared).collect();
        let generations = self.has_void.then(|| self.totals.iter().map(|total| total.generation).collect::<Vec<_>>());
        Box::new(move || {
            let counts = |entry: &&PaneEntry<A::Acc>| {
                generations.as_ref().is_none_or(|known| known[entry.slot as usize] == entry.generation)
            };
            encoded(buckets.iter(), |to, (pane, chunks)| {
                to.value(pane);
                let all = chunks.iter().flat_map(|chunk| chunk.iter());
                let entries: Vec<&PaneEntry<A::Acc>> = all.filter(counts).collect();
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
            let bucket = &mut self.buckets[at].1;
            for (slot, acc) in mine {
                let total = &mut self.totals[slot as usize];
                add_to_pane(total, bucket, (slot, pane), |into| aggregate.merge(into, &acc));
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let heap = |acc: &A::Acc| self.aggregate.heap_bytes(acc);
        let entries: usize = self.buckets.iter().map(|(_, bucket)| bucket.len()).sum();
        let bucket = |bucket: &PaneBucket<A::Acc>| bucket.bytes(entries, |entry| heap(&entry.acc));
        let buckets: usize = self.buckets.iter().map(|(_, panes)| bucket(panes)).sum();
        let totals = self.totals.capacity() * size_of::<RunningTotal<A::Acc>>();
        buckets + totals + sampled(self.totals.len(), |slot| heap(&self.totals[slot].total))
    }
}
