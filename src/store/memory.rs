//! The online store in the process: a concurrent map for each feature group and table.
//!
//! Written by the graph's workers, read by requests. A reader copies the shared vector out and drops the guard at once.
//! Every key has a cell of its own: a writer keeps the cells that it writes often and looks no key up, and a vector that
//! no reader holds is overwritten in place.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use parking_lot::RwLock;
use twox_hash::XxHash3_64;

use super::dirty_keys::DirtyKeys;
use super::{ChangeTap, StoreTimes, Taps, Upsert, Vector};
use crate::aggregate::Feature;
use crate::metrics::Freshness;
use crate::time::EventTime;
use crate::value::{Key, KeyCodec, Type};

/// The newest vectors of one feature group, or rows of one table.
#[derive(Debug)]
pub struct OnlineTable {
    codec: KeyCodec,
    cells: DashMap<Key, Arc<OnlineCell>, Seeded>,
    /// Keys whose newest vector a mirror does not have yet; unset without a mirror.
    dirty: OnceLock<DirtyKeys<Seeded>>,
    freshness: OnceLock<Freshness>,
    tap: ChangeTap,
}

/// The newest vector of one key.
#[derive(Debug)]
pub struct OnlineCell(RwLock<Vector>);

impl OnlineCell {
    fn get(&self) -> Vector {
        self.0.read().clone()
    }

    /// Brings the cell into the processor's cache; ignore the result.
    pub fn prefetch(&self) -> bool {
        self.0.is_locked()
    }

    fn set(&self, row: &[Feature]) {
        let mut vector = self.0.write();
        match Arc::get_mut(&mut vector) {
            Some(values) if values.len() == row.len() => values.clone_from_slice(row),
            _ => *vector = row.into(),
        }
    }
}

/// Hashes encoded keys by XXH3, from a seed drawn when the process starts, so that no client can send keys that collide.
#[derive(Clone, Debug)]
struct Seeded(u64);

struct KeyHasher(u64);

impl BuildHasher for Seeded {
    type Hasher = KeyHasher;
    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(self.0)
    }
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = XxHash3_64::oneshot_with_seed(self.0, bytes);
    }

    /// Skips the length before the bytes of a key, which adds nothing to them.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Parts of a table, each of which is rebuilt whole when it is full: few enough keys that this is short.
const SHARDS: usize = 256;

impl OnlineTable {
    fn new(key: &[Type]) -> Self {
        let seeded = Seeded(RandomState::new().hash_one(key.len()));
        OnlineTable {
            codec: KeyCodec::new(key),
            cells: DashMap::with_hasher_and_shard_amount(seeded, SHARDS),
            dirty: OnceLock::new(),
            freshness: OnceLock::new(),
            tap: ChangeTap::default(),
        }
    }

    /// The codec of its keys.
    pub fn codec(&self) -> &KeyCodec {
        &self.codec
    }

    /// The newest vector of a key.
    pub fn get(&self, key: &Key) -> Option<Vector> {
        self.get_encoded(key.as_bytes())
    }

    /// The same as [`OnlineTable::get`], by the bytes of a key.
    pub fn get_encoded(&self, key: &[u8]) -> Option<Vector> {
        self.cells.get(key).map(|cell| cell.get())
    }

    /// Writes or removes the newest vector of a key.
    pub fn apply(&self, upsert: Upsert) {
        match upsert.vector {
            Some(vector) => self.write(&upsert.key, &mut None, &vector),
            None => self.remove(&upsert.key),
        }
    }

    /// Writes the newest vector of a key. Its cell is looked up, and returned in `cell`, unless it is given there; a cell
    /// may be used until its key is removed.
    pub fn write(&self, key: &Key, cell: &mut Option<Arc<OnlineCell>>, row: &[Feature]) {
        match cell {
            Some(cell) => cell.set(row),
            None => {
                let found = match self.cells.get(key) {
                    Some(found) => found.clone(),
                    None => self
                        .cells
                        .entry(key.clone())
                        .or_insert_with(|| Arc::new(OnlineCell(RwLock::new(row.into()))))
                        .clone(),
                };
                found.set(row);
                *cell = Some(found);
            }
        }
        self.mark_dirty(key);
        self.tap.note(key);
    }

    /// Removes a key.
    pub fn remove(&self, key: &Key) {
        self.cells.remove(key);
        self.mark_dirty(key);
        self.tap.note(key);
    }

    /// The tap of its changes.
    pub fn tap(&self) -> &ChangeTap {
        &self.tap
    }

    fn mark_dirty(&self, key: &Key) {
        if let Some(dirty) = self.dirty.get() {
            dirty.insert(key);
        }
    }

    /// Tracks keys that change for a mirror, from now on; at first, all keys are dirty.
    pub fn track_changes(&self) {
        self.dirty.get_or_init(|| DirtyKeys::new(self.cells.hasher().clone()));
        self.mark_all_dirty();
    }

    /// Marks all keys dirty: the mirror has lost them.
    pub fn mark_all_dirty(&self) {
        self.cells.iter().for_each(|cell| self.mark_dirty(cell.key()));
    }

    /// Marks keys dirty again that were drained and could not be mirrored.
    pub fn requeue(&self, keys: impl IntoIterator<Item = Key>) {
        keys.into_iter().for_each(|key| self.mark_dirty(&key));
    }

    /// Removes the dirty keys and returns them.
    pub fn drain_dirty(&self) -> Vec<Key> {
        self.dirty.get().map_or_else(Vec::new, DirtyKeys::drain)
    }

    /// The number of dirty keys.
    pub fn dirty_len(&self) -> usize {
        self.dirty.get().map_or(0, DirtyKeys::len)
    }

    /// Measures freshness from now on.
    pub fn measure(&self, freshness: Freshness) {
        let _ = self.freshness.set(freshness);
    }

    /// Returns whether freshness is measured.
    pub fn is_measured(&self) -> bool {
        self.freshness.get().is_some()
    }

    /// Observes the freshness of records that are served from now on, given their newest event time.
    pub fn observe_freshness(&self, newest: EventTime) {
        if let Some(freshness) = self.freshness.get() {
            freshness.observe(newest);
        }
    }

    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// The newest vectors of all keys, in no order.
    ///
    /// # Errors
    /// The number of keys if that is more than `most`.
    pub fn vectors(&self, most: usize) -> Result<Vec<Vector>, usize> {
        match self.cells.len() {
            keys if keys > most => Err(keys),
            _ => Ok(self.cells.iter().map(|cell| cell.value().get()).collect()),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

/// Everything that serving looks up.
#[derive(Debug)]
pub struct Online {
    groups: HashMap<String, Arc<OnlineTable>>,
    tables: HashMap<String, Arc<OnlineTable>>,
    watermark: AtomicI64,
    newest: AtomicI64,
    /// Unset in a store without streams.
    taps: OnceLock<Taps>,
}

impl Online {
    /// An empty store for these groups and tables, each with the types of its key.
    pub fn new(
        groups: impl IntoIterator<Item = (String, Vec<Type>)>,
        tables: impl IntoIterator<Item = (String, Vec<Type>)>,
    ) -> Arc<Self> {
        let table = |(name, key): (String, Vec<Type>)| (name, Arc::new(OnlineTable::new(&key)));
        Arc::new(Online {
            groups: groups.into_iter().map(table).collect(),
            tables: tables.into_iter().map(table).collect(),
            watermark: AtomicI64::new(EventTime::MIN),
            newest: AtomicI64::new(EventTime::MIN),
            taps: OnceLock::new(),
        })
    }

    /// Sets the taps of the streams from which the store is filled. A second call has no effect.
    pub fn set_taps(&self, taps: Taps) {
        let _ = self.taps.set(taps);
    }

    /// Returns the taps of all streams, by name.
    pub fn taps(&self) -> Option<&Taps> {
        self.taps.get()
    }

    /// The vectors of a feature group.
    pub fn group(&self, name: &str) -> Option<&Arc<OnlineTable>> {
        self.groups.get(name)
    }

    /// The rows of a table.
    pub fn table(&self, name: &str) -> Option<&Arc<OnlineTable>> {
        self.tables.get(name)
    }

    /// Moves the watermark: everything before it is closed and processed. It never goes back.
    pub fn advance(&self, watermark: EventTime) {
        self.watermark.fetch_max(watermark, Relaxed);
    }

    /// Registers the time of a record that has arrived.
    pub fn note(&self, time: EventTime) {
        self.newest.fetch_max(time, Relaxed);
    }

    /// The time before which everything is closed.
    pub fn watermark(&self) -> EventTime {
        self.watermark.load(Relaxed)
    }

    /// The newest time of a record, `EventTime::MIN` before the first.
    pub fn newest(&self) -> EventTime {
        self.newest.load(Relaxed)
    }

    /// Both times.
    pub fn times(&self) -> StoreTimes {
        StoreTimes { watermark: self.watermark(), newest: self.newest() }
    }
}
