//! The entities that a group holds: from keys to slots, which are reused once an entity has left all windows.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::cow_vec::CowVec;
use super::heap::make_room;
use crate::value::Key;

/// Slots by key. A look-up is one probe; a key is stored once.
pub struct Entities {
    /// The slots, divided by hash: one table or, of many entities, [`TABLES`]. A full table is rebuilt whole, which is long for
    /// a million entities.
    tables: Vec<HashTable<u32>>,
    keys: CowVec<Option<Key>>,
    /// Per slot, the key's length and first 16 bytes: usually enough to compare without following its pointer.
    prefixes: Vec<KeyPrefix>,
    hashes: Vec<u64>,
    free: Vec<u32>,
    /// The lengths of all keys, added up.
    key_bytes: usize,
}

/// The most keys, and updates of them, that are prefetched at once.
pub const PREFETCHED: usize = 32;

/// The number of tables of many entities, and the most that one table has.
const TABLES: usize = 64;
const MOST_IN_ONE: usize = 16_384;

/// Returns the table of a hash. Neither the bits by which workers share keys nor those of the place in the table decide.
fn table_of(tables: usize, hash: u64) -> usize {
    (hash >> 32) as usize % tables
}

impl Default for Entities {
    fn default() -> Self {
        Entities {
            tables: vec![HashTable::new()],
            keys: CowVec::default(),
            prefixes: Vec::new(),
            hashes: Vec::new(),
            free: Vec::new(),
            key_bytes: 0,
        }
    }
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
        let table = &self.tables[table_of(self.tables.len(), hash)];
        table.find(hash, |slot| is_at(&self.prefixes, &self.keys, *slot, &prefix, key)).copied()
    }

    /// Brings what [`Entities::slot`] reads for the keys of up to [`PREFETCHED`] hashes into the processor's cache; ignore the
    /// result. Few entities are there anyway.
    pub fn prefetch(&self, hashes: &[u64]) -> usize {
        if self.tables.len() == 1 {
            return 0;
        }
        // Reads of one pass do not depend on each other, so the processor waits for memory about once a pass.
        let mut slots = [0; PREFETCHED];
        for (slot, hash) in slots.iter_mut().zip(hashes) {
            *slot = self.tables[table_of(self.tables.len(), *hash)].find(*hash, |_| true).copied().unwrap_or(0);
        }
        slots.iter().take(hashes.len()).fold(0, |read, slot| read ^ self.prefixes[*slot as usize].len)
    }

    /// The slot of a key, which gets one if it has none.
    pub fn slot(&mut self, key: &[u8], hash: u64) -> u32 {
        if self.tables.len() == 1 && self.tables[0].len() == MOST_IN_ONE {
            self.divide();
        }
        let (keys, prefixes, hashes) = (&mut self.keys, &mut self.prefixes, &mut self.hashes);
        let prefix = KeyPrefix::of(key);
        let is_it = |slot: &u32| is_at(prefixes, keys, *slot, &prefix, key);
        let table = table_of(self.tables.len(), hash);
        match self.tables[table].entry(hash, is_it, |slot| hashes[*slot as usize]) {
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

    /// Divides the slots among many tables.
    fn divide(&mut self) {
        let hashes = &self.hashes;
        let mut tables: Vec<HashTable<u32>> = (0..TABLES).map(|_| HashTable::new()).collect();
        for slot in self.tables.drain(..).flatten() {
            let hash = hashes[slot as usize];
            tables[table_of(TABLES, hash)].insert_unique(hash, slot, |slot| hashes[*slot as usize]);
        }
        self.tables = tables;
    }

    /// Removes the entity in a slot, which is free then.
    pub fn release(&mut self, slot: u32) {
        if let Some(key) = self.keys.get_mut(slot).take() {
            self.key_bytes -= key.as_bytes().len();
            let hash = self.hashes[slot as usize];
            let table = table_of(self.tables.len(), hash);
            if let Ok(entry) = self.tables[table].find_entry(hash, |other| *other == slot) {
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
        let table: usize = self.tables.iter().map(HashTable::allocation_size).sum();
        let by_slot = self.prefixes.capacity() * size_of::<KeyPrefix>() + self.hashes.capacity() * size_of::<u64>();
        keys + table + by_slot + self.free.capacity() * size_of::<u32>()
    }

    /// The keys by slot, as they are now.
    pub fn keys(&self) -> CowVec<Option<Key>> {
        self.keys.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entity_is_found_in_its_slot_however_many_there_are() {
        let key = |number: usize| number.to_be_bytes();
        let hash = |number: usize| Key::hash_of(&key(number));
        let mut entities = Entities::default();
        let slots: Vec<u32> = (0..40_000).map(|number| entities.slot(&key(number), hash(number))).collect();
        assert_eq!((entities.tables.len(), entities.len()), (TABLES, 40_000));
        let is_found =
            |entities: &Entities, number: usize| entities.find(&key(number), hash(number)) == Some(slots[number]);
        assert!((0..40_000).all(|number| is_found(&entities, number)));
        assert_eq!(entities.slot(&key(7), hash(7)), slots[7], "a known key keeps its slot");
        (0..40_000).step_by(2).for_each(|number| entities.release(slots[number]));
        assert!((0..40_000).all(|number| is_found(&entities, number) == (number % 2 == 1)));
        assert_eq!(entities.len(), 20_000);
    }
}
