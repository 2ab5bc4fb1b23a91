//! The bound of a group: the most entities that it holds.
//!
//! Beyond the bound, the entities longest without a record are dropped: those whose newest records come first in the total
//! order. That must not depend on workers, so entities are dealt to parts by the hashes of their keys, and each part has
//! an equal share of the bound, which holds by itself; a part is of one worker. The number of parts follows from the bound
//! alone: one below 2,048 entities, so that small bounds are exact, and 64 at most.

/// The most parts, as a power of two, and the least entities that a part has if there are several.
const MOST_PART_BITS: u32 = 6;
const LEAST_IN_PART: u64 = 1_024;

/// The most entities of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityBound {
    entities: u64,
    /// Base-2 logarithm of the number of parts.
    part_bits: u32,
}

impl EntityBound {
    /// The bound of so many entities, one at least.
    pub fn new(entities: u64) -> Self {
        let part_bits = (entities / LEAST_IN_PART).max(1).ilog2().min(MOST_PART_BITS);
        EntityBound { entities: entities.max(1), part_bits }
    }

    /// Returns the most entities in all.
    pub fn entities(self) -> u64 {
        self.entities
    }

    /// Returns the number of parts.
    pub fn parts(self) -> usize {
        1 << self.part_bits
    }

    /// Returns the part of an entity, by the hash of its key.
    pub fn part_of(self, hash: u64) -> u64 {
        hash.checked_shr(u64::BITS - self.part_bits).unwrap_or(0)
    }

    /// Returns the most entities of a part.
    pub fn entities_in(self, part: u64) -> u64 {
        let parts = self.parts() as u64;
        self.entities / parts + u64::from(part < self.entities % parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_bounds_have_one_part_and_the_parts_of_large_ones_add_up() {
        for (entities, parts) in [(1, 1), (2_047, 1), (2_048, 2), (5_000, 4), (70_001, 64), (u64::MAX, 64)] {
            let bound = EntityBound::new(entities);
            assert_eq!(bound.parts(), parts, "{entities}");
            let sum: u64 = (0..parts as u64).map(|part| bound.entities_in(part)).sum();
            assert_eq!(sum, entities);
            assert!([0, 1, u64::MAX / 3, u64::MAX].iter().all(|hash| bound.part_of(*hash) < parts as u64));
        }
        assert_eq!(EntityBound::new(2_048).part_of(u64::MAX), 1);
    }
}
