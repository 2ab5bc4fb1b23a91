//! The entities that a group holds: from keys to slots, which are reused once an entity has left all windows.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::cow_vec::CowVec;
use super::heap::make_room;
use crate::value::Key;

/// Slots by key. A look-up is one probe; a key is stored once.
#[derive(Default)]
pub struct Entities {
    slots: HashTable<u32>,
    keys: CowVec<Option<Key>>,
    /// Per slot, the key's length and first 16 bytes: usually enough to compare without following its pointer.
    prefixes: Vec<KeyPrefix>,
    hashes: Vec<u64>,
    free: Vec<u32>,
    /// The lengths of all keys, added up.
    key_bytes: usize,
}

/// The length of a key and its first bytes, zeros after its end.
#[derive(Clone, Copy, Default, PartialEq)]
struct KeyPrefix {
    len: usize,
    bytes: [u8; KeyPrefix::BYTES],
}

impl KeyPrefix {
    const BYTES: usize = 16;

    fn of(key: &[u8]) -> KeyPrefix {
        let mut prefix = KeyPrefix { len: key.len(), bytes: [0; KeyPrefix::BYTES] };
        let known = key.len().min(KeyPrefix::BYTES);
        prefix.bytes[..known].copy_from_slice(&key[..known]);
        prefix
    }
}

/// Returns whether the key in a slot is this one.
fn is_at(prefixes: &[KeyPrefix], keys: &CowVec<Option<Key>>, slot: u32, prefix: &KeyPrefix, key: &[u8]) -> bool {
    let rest = |known: &Key| known.as_bytes()[KeyPrefix::BYTES..] == key[KeyPrefix::BYTES..];
    prefixes[slot as usize] == *prefix && (prefix.len <= KeyPrefix::BYTES || keys.get(slot).as_ref().is_some_and(rest))
}

impl Entities {
    /// Bytes of an entity whose key has 16, about: a table of slots has room for a half more than are in it.
    pub const BYTES: usize = {
        let key = size_of::<Option<Key>>() + 2 * size_of::<usize>() + 16;
        let table = (size_of::<u32>() + 1) * 3 / 2;
        key + table + size_of::<KeyPrefix>() + size_of::<u64>()
    };

    /// The slot of a key.
    pub fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        let prefix = KeyPrefix::of(key);
        self.slots.find(hash, |slot| is_at(&self.prefixes, &self.keys, *slot, &prefix, key)).copied()
    }

    /// The slot of a key, which gets one if it has none.
    pub fn slot(&mut self, key: &[u8], hash: u64) -> u32 {
        let (keys, prefixes, hashes) = (&mut self.keys, &mut self.prefixes, &mut self.hashes);
        let prefix = KeyPrefix::of(key);
        let is_it = |slot: &u32| is_at(prefixes, keys, *slot, &prefix, key);
        match self.slots.entry(hash, is_it, |slot| hashes[*slot as usize]) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                let slot = self.free.pop().unwrap_or(prefixes.len() as u32);
                if slot as usize == prefixes.len() {
                    keys.grow(prefixes.len() + 1);
                    make_room(prefixes);
                    prefixes.push(prefix);
                    make_room(hashes);
                    hashes.push(0);
                }
                self.key_bytes += key.len();
                *keys.get_mut(slot) = Some(Key::from_bytes(key));
                prefixes[slot as usize] = prefix;
                hashes[slot as usize] = hash;
                place.insert(slot);
                slot
            }
        }
    }

    /// Removes the entity in a slot, which is free then.
    pub fn release(&mut self, slot: u32) {
        if let Some(key) = self.keys.get_mut(slot).take() {
            self.key_bytes -= key.as_bytes().len();
            let hash = self.hashes[slot as usize];
            if let Ok(entry) = self.slots.find_entry(hash, |other| *other == slot) {
                entry.remove();
            }
            self.free.push(slot);
        }
    }

    /// The key in a slot; `None` where it is free.
    pub fn key(&self, slot: u32) -> Option<&Key> {
        self.keys.get(slot).as_ref()
    }

    /// The key in a slot with its hash; `None` where it is free.
    pub fn entity(&self, slot: u32) -> Option<(&Key, u64)> {
        Some((self.key(slot)?, self.hashes[slot as usize]))
    }

    /// Slots in use or free: the size that arrays by slot must have.
    pub fn capacity(&self) -> usize {
        self.prefixes.len()
    }

    /// Entities held.
    pub fn len(&self) -> usize {
        self.prefixes.len() - self.free.len()
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        // A key is shared bytes with two counts before them.
        let keys =
            self.keys.capacity() * size_of::<Option<Key>>() + self.len() * 2 * size_of::<usize>() + self.key_bytes;
        let table = self.slots.allocation_size();
        let by_slot = self.prefixes.capacity() * size_of::<KeyPrefix>() + self.hashes.capacity() * size_of::<u64>();
        keys + table + by_slot + self.free.capacity() * size_of::<u32>()
    }

    /// The keys by slot, as they are now.
    pub fn keys(&self) -> CowVec<Option<Key>> {
        self.keys.clone()
    }
}
