//! The entities that a group holds: key -> slot, slots reused when an entity has left all windows.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::by_slot::BySlot;
use crate::value::Key;

/// Slots by key. A look-up is one probe; a key is stored once.
#[derive(Default)]
pub struct Entities {
    slots: HashTable<u32>,
    keys: BySlot<Option<Key>>,
    /// By slot: what nearly always tells keys apart without a look at their bytes elsewhere.
    heads: Vec<Head>,
    hashes: Vec<u64>,
    free: Vec<u32>,
}

/// The length of a key and its first bytes, zeros after its end.
#[derive(Clone, Copy, Default, PartialEq)]
struct Head {
    len: usize,
    bytes: [u8; Head::BYTES],
}

impl Head {
    const BYTES: usize = 16;

    fn of(key: &[u8]) -> Head {
        let mut head = Head { len: key.len(), bytes: [0; Head::BYTES] };
        let known = key.len().min(Head::BYTES);
        head.bytes[..known].copy_from_slice(&key[..known]);
        head
    }
}

/// Whether the key in a slot is this one.
fn is_at(heads: &[Head], keys: &BySlot<Option<Key>>, slot: u32, head: &Head, key: &[u8]) -> bool {
    let rest = |known: &Key| known.as_bytes()[Head::BYTES..] == key[Head::BYTES..];
    heads[slot as usize] == *head && (head.len <= Head::BYTES || keys.get(slot).as_ref().is_some_and(rest))
}

impl Entities {
    /// The slot of a key.
    pub fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        let head = Head::of(key);
        self.slots.find(hash, |slot| is_at(&self.heads, &self.keys, *slot, &head, key)).copied()
    }

    /// The slot of a key, given one if it has none.
    pub fn slot(&mut self, key: &[u8], hash: u64) -> u32 {
        let (keys, heads, hashes) = (&mut self.keys, &mut self.heads, &mut self.hashes);
        let head = Head::of(key);
        let is_it = |slot: &u32| is_at(heads, keys, *slot, &head, key);
        match self.slots.entry(hash, is_it, |slot| hashes[*slot as usize]) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                let slot = self.free.pop().unwrap_or(heads.len() as u32);
                if slot as usize == heads.len() {
                    keys.grow(heads.len() + 1);
                    heads.push(head);
                    hashes.push(0);
                }
                *keys.get_mut(slot) = Some(Key::from_bytes(key));
                heads[slot as usize] = head;
                hashes[slot as usize] = hash;
                place.insert(slot);
                slot
            }
        }
    }

    /// Forgets the entity in a slot.
    pub fn release(&mut self, slot: u32) {
        if self.keys.get_mut(slot).take().is_some() {
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
        self.heads.len()
    }

    /// Entities held.
    pub fn len(&self) -> usize {
        self.heads.len() - self.free.len()
    }

    /// The keys by slot, as they are now.
    pub fn keys(&self) -> BySlot<Option<Key>> {
        self.keys.clone()
    }
}
