//! The online store in the process: a concurrent map for each feature group and table.
//!
//! Written by the graph's workers, read by requests. A reader copies the shared vector out and drops the guard at once.
//! Every key has a place of its own: who writes one often keeps it and looks no key up, and a vector that no reader
//! holds is written over where it is.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};
use twox_hash::XxHash3_64;

use super::{Upsert, Vector};
use crate::metrics::Freshness;
use crate::time::EventTime;
use crate::value::{Key, KeyCodec, Scalar, Type};

/// The newest vectors of one feature group, or rows of one table.
#[derive(Debug)]
pub struct Shelf {
    codec: KeyCodec,
    places: DashMap<Key, Arc<Place>, Seeded>,
    /// Keys whose newest a mirror does not have yet; unset without a mirror.
    owed: OnceLock<Mutex<HashSet<Key, Seeded>>>,
    freshness: OnceLock<Freshness>,
}

/// Where the newest vector of one key is.
#[derive(Debug)]
pub struct Place(RwLock<Vector>);

impl Place {
    fn get(&self) -> Vector {
        self.0.read().clone()
    }

    /// Has the processor bring the place near; what it gives means nothing.
    pub fn fetch(&self) -> bool {
        self.0.is_locked()
    }

    fn set(&self, row: &[Scalar]) {
        let mut vector = self.0.write();
        match Arc::get_mut(&mut vector) {
            Some(values) if values.len() == row.len() => values.clone_from_slice(row),
            _ => *vector = row.into(),
        }
    }
}

/// Hashes encoded keys by XXH3, from a seed drawn when the process starts: nobody can send keys that collide.
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

    /// The length that comes before the bytes of a key says nothing that they do not.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Shelf {
    fn new(key: &[Type]) -> Self {
        let seeded = Seeded(RandomState::new().hash_one(key.len()));
        Shelf {
            codec: KeyCodec::new(key),
            places: DashMap::with_hasher(seeded),
            owed: OnceLock::new(),
            freshness: OnceLock::new(),
        }
    }

    /// How its keys are encoded.
    pub fn codec(&self) -> &KeyCodec {
        &self.codec
    }

    /// The newest vector of a key.
    pub fn get(&self, key: &Key) -> Option<Vector> {
        self.get_encoded(key.as_bytes())
    }

    /// As [`Shelf::get`], by the bytes of a key.
    pub fn get_encoded(&self, key: &[u8]) -> Option<Vector> {
        self.places.get(key).map(|place| place.get())
    }

    /// Takes in what is newest.
    pub fn apply(&self, upsert: Upsert) {
        match upsert.vector {
            Some(vector) => self.write(&upsert.key, &mut None, &vector),
            None => self.remove(&upsert.key),
        }
    }

    /// Takes in the newest vector of a key, whose place is found and left there if it is not given. A place is good
    /// until its key is removed.
    pub fn write(&self, key: &Key, place: &mut Option<Arc<Place>>, row: &[Scalar]) {
        match place {
            Some(place) => place.set(row),
            None => {
                let found = match self.places.get(key) {
                    Some(found) => found.clone(),
                    None => self
                        .places
                        .entry(key.clone())
                        .or_insert_with(|| Arc::new(Place(RwLock::new(row.into()))))
                        .clone(),
                };
                found.set(row);
                *place = Some(found);
            }
        }
        self.owe(key);
    }

    /// Says that there is nothing under a key any more.
    pub fn remove(&self, key: &Key) {
        self.places.remove(key);
        self.owe(key);
    }

    fn owe(&self, key: &Key) {
        if let Some(owed) = self.owed.get() {
            let mut owed = owed.lock();
            if !owed.contains(key) {
                owed.insert(key.clone());
            }
        }
    }

    /// From now on remembers what changes, until a mirror takes it; to begin with, that is everything.
    pub fn mirror(&self) {
        self.owed.get_or_init(|| Mutex::new(HashSet::with_hasher(self.places.hasher().clone())));
        self.owe_all();
    }

    /// Says that the mirror has nothing of what is here.
    pub fn owe_all(&self) {
        self.places.iter().for_each(|place| self.owe(place.key()));
    }

    /// Says that the mirror does not have these after all.
    pub fn owe_again(&self, keys: impl IntoIterator<Item = Key>) {
        if let Some(owed) = self.owed.get() {
            owed.lock().extend(keys);
        }
    }

    /// The keys that the mirror does not have the newest of; they count as taken care of.
    pub fn take_owed(&self) -> Vec<Key> {
        let take = |owed: &Mutex<HashSet<Key, Seeded>>| {
            let mut owed = owed.lock();
            let empty = HashSet::with_hasher(owed.hasher().clone());
            std::mem::replace(&mut *owed, empty)
        };
        self.owed.get().map(take).into_iter().flatten().collect()
    }

    /// How many keys the mirror does not have the newest of.
    pub fn owed(&self) -> usize {
        self.owed.get().map_or(0, |owed| owed.lock().len())
    }

    /// Has it measured how fresh it is, from now on.
    pub fn measure(&self, freshness: Freshness) {
        let _ = self.freshness.set(freshness);
    }

    /// Whether anyone asks how fresh it is.
    pub fn is_measured(&self) -> bool {
        self.freshness.get().is_some()
    }

    /// Says that records up to this event time show now that did not.
    pub fn shows(&self, newest: EventTime) {
        if let Some(freshness) = self.freshness.get() {
            freshness.observe(newest);
        }
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// All that serving looks up.
#[derive(Debug)]
pub struct Online {
    groups: HashMap<String, Arc<Shelf>>,
    tables: HashMap<String, Arc<Shelf>>,
    watermark: AtomicI64,
    newest: AtomicI64,
}

impl Online {
    /// An empty store for these groups and tables, each with the types of its key.
    pub fn new(
        groups: impl IntoIterator<Item = (String, Vec<Type>)>,
        tables: impl IntoIterator<Item = (String, Vec<Type>)>,
    ) -> Arc<Self> {
        let shelf = |(name, key): (String, Vec<Type>)| (name, Arc::new(Shelf::new(&key)));
        Arc::new(Online {
            groups: groups.into_iter().map(shelf).collect(),
            tables: tables.into_iter().map(shelf).collect(),
            watermark: AtomicI64::new(EventTime::MIN),
            newest: AtomicI64::new(EventTime::MIN),
        })
    }

    /// The vectors of a feature group.
    pub fn group(&self, name: &str) -> Option<&Arc<Shelf>> {
        self.groups.get(name)
    }

    /// The rows of a table.
    pub fn table(&self, name: &str) -> Option<&Arc<Shelf>> {
        self.tables.get(name)
    }

    /// Says up to where everything is closed and worked off.
    pub fn advance(&self, watermark: EventTime) {
        self.watermark.fetch_max(watermark, Relaxed);
    }

    /// Says that a record of this time has been seen.
    pub fn note(&self, time: EventTime) {
        self.newest.fetch_max(time, Relaxed);
    }

    /// Everything before this is closed.
    pub fn watermark(&self) -> EventTime {
        self.watermark.load(Relaxed)
    }

    /// The newest event time seen, the minimum before the first record.
    pub fn newest(&self) -> EventTime {
        self.newest.load(Relaxed)
    }
}
