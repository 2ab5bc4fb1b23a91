//! Buckets: what a pane has of each entity, in chunks.
//!
//! A bucket may have an entry for each of a million entities. In chunks it grows without being moved, is copied chunk by
//! chunk where a snapshot shares it, and gives its memory back piece by piece as it leaves. No step of that is long.

use std::sync::Arc;

use crate::aggregate::heap::sampled_of;
use crate::aggregate::step_budget::StepBudget;

/// Entries in a chunk, all but the last.
const CHUNK: usize = 512;

/// The part of a pane that is of one entity.
#[derive(Clone)]
pub struct PaneEntry<T> {
    pub slot: u32,
    /// The number of entities that had been dropped from the slot. The entry is void once there are more.
    pub generation: u32,
    pub acc: T,
}

/// The entries of a pane, in the order in which they were added.
pub struct PaneBucket<T> {
    /// All but the last are full, and none is empty.
    chunks: Vec<BucketChunk<T>>,
    /// Entries of the last chunk, the last ones, that have left already: a snapshot shares it.
    left: usize,
}

/// A chunk. One that no snapshot has is written to without counting references.
enum BucketChunk<T> {
    Own(Vec<PaneEntry<T>>),
    Shared(Arc<Vec<PaneEntry<T>>>),
}

/// The chunks of a bucket in a snapshot.
pub type SharedChunks<T> = Vec<Arc<Vec<PaneEntry<T>>>>;

impl<T: Clone> BucketChunk<T> {
    fn entries(&self) -> &Vec<PaneEntry<T>> {
        match self {
            BucketChunk::Own(entries) => entries,
            BucketChunk::Shared(entries) => entries,
        }
    }

    fn own(&mut self) -> &mut Vec<PaneEntry<T>> {
        if let BucketChunk::Shared(shared) = self {
            *self = BucketChunk::Own(Arc::unwrap_or_clone(std::mem::take(shared)));
        }
        match self {
            BucketChunk::Own(entries) => entries,
            BucketChunk::Shared(_) => unreachable!("it was made its own"),
        }
    }

    fn share(&mut self) -> Arc<Vec<PaneEntry<T>>> {
        if let BucketChunk::Own(entries) = self {
            *self = BucketChunk::Shared(Arc::new(std::mem::take(entries)));
        }
        match self {
            BucketChunk::Shared(shared) => shared.clone(),
            BucketChunk::Own(_) => unreachable!("it was shared"),
        }
    }
}

impl<T> Default for PaneBucket<T> {
    fn default() -> Self {
        PaneBucket { chunks: Vec::new(), left: 0 }
    }
}

impl<T: Clone> PaneBucket<T> {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.entries().len())
    }

    /// All entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = &PaneEntry<T>> {
        self.chunks.iter().flat_map(|chunk| chunk.entries())
    }

    /// The entry at a position; `None` if there is none.
    pub fn get(&self, at: u32) -> Option<&PaneEntry<T>> {
        self.chunks.get(at as usize / CHUNK)?.entries().get(at as usize % CHUNK)
    }

    /// The entry at a position.
    ///
    /// # Panics
    /// If there is none.
    pub fn get_mut(&mut self, at: u32) -> &mut PaneEntry<T> {
        &mut self.chunks[at as usize / CHUNK].own()[at as usize % CHUNK]
    }

    /// Adds an entry; returns its position.
    pub fn push(&mut self, entry: PaneEntry<T>) -> u32 {
        let at = self.len();
        if at.is_multiple_of(CHUNK) {
            // The first of a bucket grows, so that a pane of few entities is small.
            self.chunks.push(BucketChunk::Own(Vec::with_capacity(if at == 0 { 1 } else { CHUNK })));
        }
        self.chunks[at / CHUNK].own().push(entry);
        at as u32
    }

    /// Frees the room behind the last entry.
    pub fn shrink(&mut self) {
        if let Some(BucketChunk::Own(last)) = self.chunks.last_mut() {
            last.shrink_to_fit();
        }
    }

    /// Keeps the entries that fulfil a condition.
    pub fn retain(&mut self, keep: impl Fn(&PaneEntry<T>) -> bool) {
        for mut chunk in std::mem::take(&mut self.chunks) {
            for entry in chunk.own().drain(..).filter(&keep) {
                self.push(entry);
            }
        }
        self.shrink();
    }

    /// Takes entries out, one for each step of the budget; returns whether none is left.
    pub fn leave(&mut self, budget: &mut StepBudget, mut leaving: impl FnMut(&PaneEntry<T>)) -> bool {
        while let Some(last) = self.chunks.last_mut() {
            let kept = last.entries().len() - self.left;
            let from = kept - budget.take_up_to(kept);
            last.entries()[from..kept].iter().for_each(&mut leaving);
            match last {
                // Piece by piece: accumulators may hold memory of their own.
                BucketChunk::Own(entries) => entries.truncate(from),
                BucketChunk::Shared(_) => self.left += kept - from,
            }
            if from > 0 {
                return false;
            }
            self.chunks.pop();
            self.left = 0;
        }
        true
    }

    /// The chunks as they are now, to be kept.
    pub fn share(&mut self) -> SharedChunks<T> {
        self.chunks.iter_mut().map(BucketChunk::share).collect()
    }

    /// Memory held: with that of the entries outside themselves, of which some are looked at. `all` is the number of
    /// entries in all buckets that are measured.
    pub fn bytes(&self, all: usize, heap: impl Fn(&PaneEntry<T>) -> usize) -> usize {
        let room: usize = self.chunks.iter().map(|chunk| chunk.entries().capacity()).sum();
        let of_entry = |at: usize| heap(&self.chunks[at / CHUNK].entries()[at % CHUNK]);
        let chunks = self.chunks.capacity() * size_of::<BucketChunk<T>>();
        room * size_of::<PaneEntry<T>>() + chunks + sampled_of(self.len(), all, of_entry)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn oracle_a_bucket_is_a_list_that_a_snapshot_keeps(
            filled in 0u32..1_600,
            saved in any::<bool>(),
            added in prop::collection::vec(0u32..1_600, 0..9),
            kept in 1u32..5,
            pieces in prop::collection::vec(1usize..700, 40),
        ) {
            let entry = |slot: u32| PaneEntry { slot, generation: 0, acc: u64::from(slot) };
            let accs = |bucket: &PaneBucket<u64>| bucket.iter().map(|entry| entry.acc).collect::<Vec<_>>();
            let (mut bucket, mut plain) = (PaneBucket::default(), Vec::new());
            for slot in 0..filled {
                prop_assert_eq!(bucket.push(entry(slot)), slot);
                plain.push(u64::from(slot));
            }
            let snapshot = saved.then(|| (bucket.share(), plain.clone()));
            for at in added.iter().filter(|at| **at < filled) {
                bucket.get_mut(*at).acc += 7;
                plain[*at as usize] += 7;
            }
            prop_assert_eq!(accs(&bucket), &plain[..]);
            bucket.retain(|entry| entry.slot % kept == 0);
            let plain: Vec<u64> = plain.into_iter().zip(0..).filter(|(_, slot)| slot % kept == 0).map(|(acc, _)| acc).collect();
            prop_assert_eq!((bucket.len(), accs(&bucket)), (plain.len(), plain.clone()));
            let again = saved.then(|| (bucket.share(), plain.clone()));
            let (mut left, mut is_empty) = (std::cell::RefCell::new(Vec::new()), false);
            for piece in pieces {
                let before = left.get_mut().len();
                is_empty = bucket.leave(&mut StepBudget::new(piece), |entry| left.borrow_mut().push(entry.acc));
                prop_assert!(is_empty || left.get_mut().len() == before + piece);
            }
            while !is_empty {
                is_empty = bucket.leave(&mut StepBudget::new(900), |entry| left.borrow_mut().push(entry.acc));
            }
            let mut left = left.into_inner();
            left.sort_unstable();
            let mut expected = plain;
            expected.sort_unstable();
            prop_assert_eq!(left, expected);
            for (shared, known) in snapshot.into_iter().chain(again) {
                let found: Vec<u64> = shared.iter().flat_map(|chunk| chunk.iter()).map(|entry| entry.acc).collect();
                prop_assert_eq!(found, known);
            }
        }
    }
}
