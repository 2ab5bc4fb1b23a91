//! The order in which the entities of a group have had their newest records.
//!
//! Of each part of a bound, a doubly linked list of slots: the one longest without a record first. A record moves its slot
//! to the end in a few steps. Links are copy-on-write, so that a snapshot is taken without walking them.

use super::cow_vec::CowVec;
use super::entity_bound::EntityBound;

/// No slot.
const NONE: u32 = u32::MAX;

/// The neighbours of a slot in the list of its part.
#[derive(Clone, Copy, Debug)]
struct RecencyLink {
    older: u32,
    newer: u32,
    is_linked: bool,
}

impl Default for RecencyLink {
    fn default() -> Self {
        RecencyLink { older: NONE, newer: NONE, is_linked: false }
    }
}

/// The list of a part.
#[derive(Clone, Copy, Debug)]
struct PartEnds {
    oldest: u32,
    newest: u32,
    len: u64,
}

/// The slots of a group with a bound, by part, in the order of their newest records.
pub struct Recency {
    bound: EntityBound,
    links: CowVec<RecencyLink>,
    parts: Vec<PartEnds>,
    /// Parts that may have more entities than their share.
    full: Vec<u64>,
}

impl Recency {
    pub fn new(bound: EntityBound) -> Self {
        let none = PartEnds { oldest: NONE, newest: NONE, len: 0 };
        Recency { bound, links: CowVec::default(), parts: vec![none; bound.parts()], full: Vec::new() }
    }

    /// Makes a slot the one with the newest record of its part.
    pub fn touch(&mut self, slot: u32, hash: u64) {
        self.links.grow(slot as usize + 1);
        let part = self.bound.part_of(hash);
        if self.parts[part as usize].newest == slot {
            return;
        }
        self.remove(slot, hash);
        let ends = &mut self.parts[part as usize];
        *self.links.get_mut(slot) = RecencyLink { older: ends.newest, newer: NONE, is_linked: true };
        match ends.newest {
            NONE => ends.oldest = slot,
            newest => self.links.get_mut(newest).newer = slot,
        }
        ends.newest = slot;
        ends.len += 1;
        if ends.len > self.bound.entities_in(part) {
            self.full.push(part);
        }
    }

    /// Returns whether a slot is in the order.
    pub fn has(&self, slot: u32) -> bool {
        (slot as usize) < self.links.capacity() && self.links.get(slot).is_linked
    }

    /// Removes a slot whose entity is released.
    pub fn remove(&mut self, slot: u32, hash: u64) {
        if !self.has(slot) {
            return;
        }
        let RecencyLink { older, newer, .. } = std::mem::take(self.links.get_mut(slot));
        let ends = &mut self.parts[self.bound.part_of(hash) as usize];
        match older {
            NONE => ends.oldest = newer,
            older => self.links.get_mut(older).newer = newer,
        }
        match newer {
            NONE => ends.newest = older,
            newer => self.links.get_mut(newer).older = older,
        }
        ends.len -= 1;
    }

    /// Returns the slot longest without a record, of a part that has more entities than its share, if there is one.
    pub fn excess(&mut self) -> Option<u32> {
        while let Some(part) = self.full.last() {
            let ends = &self.parts[*part as usize];
            if ends.len > self.bound.entities_in(*part) {
                return Some(ends.oldest);
            }
            self.full.pop();
        }
        None
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        self.links.capacity() * size_of::<RecencyLink>() + self.parts.capacity() * size_of::<PartEnds>()
    }

    /// The order as it is now.
    pub fn snapshot(&self) -> RecencySnapshot {
        RecencySnapshot { links: self.links.clone(), oldest: self.parts.iter().map(|ends| ends.oldest).collect() }
    }
}

/// The order as of one moment.
pub struct RecencySnapshot {
    links: CowVec<RecencyLink>,
    /// By part.
    oldest: Vec<u32>,
}

impl RecencySnapshot {
    /// The slots part by part, the one longest without a record first.
    pub fn slots(&self) -> Vec<u32> {
        let next = |slot: &u32| Some(self.links.get(*slot).newer).filter(|newer| *newer != NONE);
        let oldest = self.oldest.iter().filter(|slot| **slot != NONE);
        oldest.flat_map(|slot| std::iter::successors(Some(*slot), next)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn oracle_the_order_is_that_of_a_plain_list(steps in prop::collection::vec((0u32..12, 0u8..8), 0..80)) {
            let bound = EntityBound::new(3);
            let (mut recency, mut plain) = (Recency::new(bound), Vec::new());
            for (slot, step) in steps {
                plain.retain(|known| *known != slot);
                if step == 0 {
                    recency.remove(slot, 0);
                } else {
                    recency.touch(slot, 0);
                    plain.push(slot);
                }
                if step > 5 {
                    while let Some(excess) = recency.excess() {
                        prop_assert!(plain.len() > 3);
                        prop_assert_eq!(excess, plain.remove(0));
                        recency.remove(excess, 0);
                    }
                    prop_assert!(plain.len() <= 3);
                }
                prop_assert_eq!(&recency.snapshot().slots(), &plain);
            }
        }
    }
}
