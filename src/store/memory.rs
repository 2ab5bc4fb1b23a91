//! The online store in the process: a concurrent map for each feature group and table.
//!
//! Written by the graph's workers, read by requests. A reader copies the shared vector out and drops the guard at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use dashmap::DashMap;
use hashbrown::DefaultHashBuilder;

use super::{Upsert, Vector};
use crate::time::EventTime;
use crate::value::{Key, KeyCodec, Type};

/// The newest vectors of one feature group, or rows of one table.
#[derive(Debug)]
pub struct Shelf {
    codec: KeyCodec,
    vectors: DashMap<Key, Vector, DefaultHashBuilder>,
}

impl Shelf {
    fn new(key: &[Type]) -> Self {
        Shelf { codec: KeyCodec::new(key), vectors: DashMap::default() }
    }

    /// How its keys are encoded.
    pub fn codec(&self) -> &KeyCodec {
        &self.codec
    }

    /// The newest vector of a key.
    pub fn get(&self, key: &Key) -> Option<Vector> {
        self.vectors.get(key).map(|vector| vector.value().clone())
    }

    /// As [`Shelf::get`], by the bytes of a key.
    pub fn get_encoded(&self, key: &[u8]) -> Option<Vector> {
        self.vectors.get(key).map(|vector| vector.value().clone())
    }

    /// Takes in what is newest.
    pub fn apply(&self, upsert: Upsert) {
        match upsert.vector {
            Some(vector) => {
                self.vectors.insert(upsert.key, vector);
            }
            None => {
                self.vectors.remove(&upsert.key);
            }
        }
    }

    pub fn len(&self) -> usize {
        self.vectors.len()
    }

    pub fn is_empty(&self) -> bool {
        self.vectors.is_empty()
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
