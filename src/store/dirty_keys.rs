//! The keys of an online table whose newest vectors a mirror does not have.
//!
//! They are kept in parts by hash, each with a lock of its own: a table of a million keys that grows is copied for as long
//! as a worker of the graph may wait, and one part of it is not.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::Mutex;

use crate::value::Key;

/// Parts of a set. Their number is chosen by other bits of the hash than those that place a key in its part.
const PARTS: usize = 256;
const PART_SHIFT: u32 = 32;

/// A set of keys that is written by the workers of the graph and drained by a mirror.
#[derive(Debug)]
pub struct DirtyKeys<S> {
    hasher: S,
    parts: Vec<Mutex<HashTable<Key>>>,
}

impl<S: BuildHasher> DirtyKeys<S> {
    /// No keys.
    pub fn new(hasher: S) -> Self {
        DirtyKeys { hasher, parts: (0..PARTS).map(|_| Mutex::default()).collect() }
    }

    /// Adds a key.
    pub fn insert(&self, key: &Key) {
        let hash = self.hasher.hash_one(key);
        let part = &self.parts[(hash >> PART_SHIFT) as usize % PARTS];
        if let Entry::Vacant(place) = part.lock().entry(hash, |known| known == key, |known| self.hasher.hash_one(known))
        {
            place.insert(key.clone());
        }
    }

    /// Removes all keys and returns them.
    pub fn drain(&self) -> Vec<Key> {
        self.parts.iter().flat_map(|part| std::mem::take(&mut *part.lock())).collect()
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::*;

    #[test]
    fn each_key_is_drained_once() {
        let dirty = DirtyKeys::new(RandomState::new());
        let key = |number: u32| Key::from_bytes(&number.to_le_bytes());
        (0..10_000).chain(5_000..12_000).for_each(|number| dirty.insert(&key(number)));
        assert_eq!(dirty.len(), 12_000);
        let mut drained = dirty.drain();
        drained.sort_unstable();
        let mut expected: Vec<Key> = (0..12_000).map(key).collect();
        expected.sort_unstable();
        assert_eq!((drained, dirty.len()), (expected, 0));
        dirty.insert(&key(1));
        assert_eq!(dirty.drain(), [key(1)]);
    }
}
