//! The queue of the mirror: which keys are to be written, in rounds.
//!
//! A *round* takes all keys that are dirty and writes their vectors, batch by batch. Once it is over, Redis has everything
//! up to the times at which the round began. A round is *full* if everything was dirty when it began: once it is over, Redis
//! has all that the store had.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::Mirror;
use super::part::MirroredPart;
use crate::metrics::Metrics;
use crate::store::{StoreTimes, Vector};
use crate::time::EventTime;
use crate::value::Key;

/// The largest number of entities in a batch.
const BATCH: usize = 1000;

/// The parts of a mirror and their keys that are to be written.
pub struct MirrorQueue {
    pub parts: Vec<MirroredPart>,
    /// By part, keys of the round that are not written yet.
    pending: Vec<Vec<Key>>,
    /// By part, keys that the server refuses.
    refused: Vec<HashSet<Key>>,
    /// By part, keys that were written before anything was closed, without a watermark.
    without_watermark: Vec<HashSet<Key>>,
    /// True if this user may write for replicas, and is to.
    pub for_replicas: bool,
    /// True once everything has been marked dirty, until a round takes it.
    is_requeued: bool,
    /// True once a full round is over, until everything is dirty again.
    has_everything: bool,
    /// The newest round; `None` if it has failed.
    round: Option<MirrorRound>,
    metrics: Arc<Metrics>,
}

/// A round.
#[derive(Clone, Copy, Debug)]
struct MirrorRound {
    /// The times at which it began.
    times: StoreTimes,
    /// True if everything is written by it.
    is_full: bool,
}

/// An entity or row in a batch.
pub struct BatchedEntity {
    /// The position of the part.
    pub part: usize,
    pub key: Key,
    pub vector: Option<Vector>,
}

impl MirrorQueue {
    pub fn new(mirror: &Mirror) -> Self {
        let parts = MirroredPart::all(mirror);
        MirrorQueue {
            pending: vec![Vec::new(); parts.len()],
            refused: vec![HashSet::new(); parts.len()],
            without_watermark: vec![HashSet::new(); parts.len()],
            parts,
            for_replicas: mirror.replicas.is_some(),
            is_requeued: true,
            has_everything: false,
            round: None,
            metrics: mirror.metrics.clone(),
        }
    }

    /// Marks everything dirty.
    pub fn requeue_everything(&mut self) {
        self.parts.iter().for_each(|part| part.table.mark_all_dirty());
        (self.is_requeued, self.has_everything) = (true, false);
    }

    /// Returns whether everything is to be written and no round has begun with it.
    pub fn is_requeued(&self) -> bool {
        self.is_requeued
    }

    /// Marks the keys that the server has refused as changed.
    pub fn retry_refused(&mut self) {
        for (part, refused) in self.parts.iter().zip(&mut self.refused) {
            part.table.requeue(refused.drain());
        }
    }

    /// Marks the keys that were written without a watermark as changed.
    pub fn retry_without_watermark(&mut self) {
        for (part, keys) in self.parts.iter().zip(&mut self.without_watermark) {
            part.table.requeue(keys.drain());
        }
    }

    /// Takes the next keys of the round. If it is over, a new one begins, at the times that `now` returns: it is called
    /// before any vector is read.
    pub fn next_batch(&mut self, now: impl FnOnce() -> StoreTimes) -> Vec<BatchedEntity> {
        if self.is_over() {
            self.round = Some(MirrorRound { times: now(), is_full: std::mem::take(&mut self.is_requeued) });
            for (part, pending) in self.parts.iter().zip(&mut self.pending) {
                *pending = part.table.drain_dirty();
            }
        }
        let mut batch: Vec<BatchedEntity> = Vec::new();
        for (index, (part, pending)) in self.parts.iter().zip(&mut self.pending).enumerate() {
            let some = pending.len().min(BATCH - batch.len());
            batch.extend(pending.drain(pending.len() - some..).map(|key| {
                let vector = part.table.get(&key);
                BatchedEntity { part: index, key, vector }
            }));
        }
        batch
    }

    /// Returns whether the round is over.
    fn is_over(&self) -> bool {
        self.pending.iter().all(Vec::is_empty)
    }

    /// Returns the times as of which Redis has everything that changed since the round before, if the round is over.
    pub fn finished(&self) -> Option<StoreTimes> {
        self.round.filter(|_| self.is_over()).map(|round| round.times)
    }

    /// Returns whether Redis has all that the store had, at the times of the newest round or earlier.
    pub fn is_complete(&self) -> bool {
        self.has_everything && self.refused.iter().all(HashSet::is_empty)
    }

    /// Ends the round after a batch that could not be written: its keys are dirty again, so that what has changed in the
    /// meantime is written once, not twice.
    pub fn fail(&mut self, batch: Vec<BatchedEntity>) {
        batch.into_iter().for_each(|entity| self.pending[entity.part].push(entity.key));
        for (part, pending) in self.parts.iter().zip(&mut self.pending) {
            part.table.requeue(pending.drain(..));
        }
        self.is_requeued |= self.round.take().is_some_and(|round| round.is_full);
    }

    /// Counts the entities of a batch that is done, and keeps those that the server refuses, by their positions in it,
    /// and those that were written as of no time.
    pub fn settle(&mut self, batch: &[BatchedEntity], refused: &BTreeSet<usize>, asof: EventTime) {
        for (index, BatchedEntity { part, key, .. }) in batch.iter().enumerate() {
            if asof == EventTime::MIN && self.parts[*part].rows().is_none() {
                self.without_watermark[*part].insert(key.clone());
            }
            if refused.contains(&index) {
                self.refused[*part].insert(key.clone());
            } else {
                self.refused[*part].remove(key.as_bytes());
                if self.parts[*part].rows().is_some() && !self.for_replicas {
                    continue;
                }
                self.metrics.redis_written.with_label_values(&[self.parts[*part].label.as_str()]).inc();
            }
        }
        self.has_everything |= self.is_over() && self.round.is_some_and(|round| round.is_full);
    }

    /// Counts a refusal.
    pub fn count_refusal(&self, part: usize, code: &str) {
        self.metrics.redis_refused.with_label_values(&[self.parts[part].label.as_str(), code]).inc();
    }

    /// Returns the number of keys whose newest vector is not in Redis.
    pub fn pending(&self) -> usize {
        (0..self.parts.len()).map(|part| self.pending_of(part)).sum()
    }

    fn pending_of(&self, part: usize) -> usize {
        self.parts[part].table.dirty_len() + self.pending[part].len() + self.refused[part].len()
    }

    pub fn update_gauges(&self) {
        for (index, part) in self.parts.iter().enumerate() {
            let pending = i64::try_from(self.pending_of(index)).unwrap_or(i64::MAX);
            self.metrics.redis_pending.with_label_values(&[part.label.as_str()]).set(pending);
        }
    }
}
