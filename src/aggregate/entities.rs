//! The entities that a group holds: key -> slot, slots reused when an entity has left all windows.

use hashbrown::HashTable;

use crate::value::Key;

/// Slots by key. A look-up is one probe; a key is stored once.
#[derive(Default)]
pub struct Entities {
    slots: HashTable<u32>,
    keys: Vec<Option<Key>>,
    hashes: Vec<u64>,
    free: Vec<u32>,
}

impl Entities {
    /// The slot of a key.
    pub fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        self.slots.find(hash, |slot| self.is_at(*slot, key)).copied()
    }

    /// The slot of a key, given one if it has none.
    pub fn slot(&mut self, key: &[u8], hash: u64) -> u32 {
        let (keys, hashes) = (&mut self.keys, &mut self.hashes);
        let entry = self.slots.entry(
            hash,
            |slot| keys[*slot as usize].as_ref().is_some_and(|known| known.as_bytes() == key),
            |slot| hashes[*slot as usize],
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(known) => *known.get(),
            hashbrown::hash_table::Entry::Vacant(place) => {
                let slot = self.free.pop().unwrap_or(keys.len() as u32);
                if slot as usize == keys.len() {
                    keys.push(None);
                    hashes.push(0);
                }
                keys[slot as usize] = Some(Key::from_bytes(key));
                hashes[slot as usize] = hash;
                place.insert(slot);
                slot
            }
        }
    }

    /// Forgets the entity in a slot.
    pub fn release(&mut self, slot: u32) {
        if self.keys[slot as usize].take().is_some() {
            let hash = self.hashes[slot as usize];
            if let Ok(entry) = self.slots.find_entry(hash, |other| *other == slot) {
                entry.remove();
            }
            self.free.push(slot);
        }
    }

    /// The key in a slot; `None` where it is free.
    pub fn key(&self, slot: u32) -> Option<&Key> {
        self.keys[slot as usize].as_ref()
    }

    /// Slots in use or free: the size that arrays by slot must have.
    pub fn capacity(&self) -> usize {
        self.keys.len()
    }

    /// Entities held.
    pub fn len(&self) -> usize {
        self.keys.len() - self.free.len()
    }

    /// Every slot in use.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Key)> {
        self.keys.iter().enumerate().filter_map(|(slot, key)| Some((slot as u32, key.as_ref()?)))
    }

    fn is_at(&self, slot: u32, key: &[u8]) -> bool {
        self.keys[slot as usize].as_ref().is_some_and(|known| known.as_bytes() == key)
    }
}
