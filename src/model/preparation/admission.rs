//! Admission of categories: rare ones share a slot, and those that no longer come are forgotten.
//!
//! Uses are counted by hashed slot, so memory is bounded by the number of slots, and categories that collide in a slot
//! count as one. Counts are those of the windows up to a version; like all statistics they do not depend on order.
//! A cross of numbers is not counted, since its bins change from version to version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::layout::CrossPart;
use super::values::{mix, null_of};
use super::{Observations, SlotLayout};

/// The uses of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SlotUse {
    examples: u64,
    /// The number of the newest window in which it was used.
    window: u64,
}

/// The uses of hashed slots; none if they are not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SlotUses {
    slots: BTreeMap<u32, SlotUse>,
    /// Windows that have ended.
    windows: u64,
}

impl SlotUses {
    /// Counts the categories of the selected examples.
    pub fn observe(&mut self, layout: &SlotLayout, observations: &Observations, select: &[u32]) {
        let mut count = |slot: u32| self.slots.entry(slot).or_default().examples += 1;
        for row in select {
            let hashes = observations.categories(*row as usize);
            for (category, hash) in layout.categories.iter().zip(hashes) {
                if category.alone && !(category.in_bag && *hash == null_of(category.seed)) {
                    count(layout.slot(*hash));
                }
            }
            let crosses = layout.crosses.iter().filter_map(|parts| cross_of_categories(parts, hashes));
            crosses.for_each(|hash| count(layout.slot(hash)));
            observations.entries(*row as usize).iter().for_each(|entry| count(layout.slot(entry.hash)));
        }
    }

    /// Adds everything that `other` has seen.
    pub fn merge(&mut self, other: &SlotUses) {
        self.windows = self.windows.max(other.windows);
        for (slot, more) in &other.slots {
            let own = self.slots.entry(*slot).or_default();
            own.examples += more.examples;
            own.window = own.window.max(more.window);
        }
    }

    /// Ends the window in which these were seen, and adds those of the windows before.
    pub fn follow(&mut self, earlier: &SlotUses) {
        self.windows = earlier.windows + 1;
        self.slots.values_mut().for_each(|used| used.window = self.windows);
        self.merge(earlier);
    }

    /// Removes the slots that were not used in the newest `windows` windows, and returns them.
    pub fn expire(&mut self, windows: u64) -> Vec<u32> {
        let now = self.windows;
        let old: Vec<u32> =
            self.slots.iter().filter(|(_, used)| now - used.window >= windows).map(|(slot, _)| *slot).collect();
        old.iter().for_each(|slot| _ = self.slots.remove(slot));
        old
    }

    /// Returns the slots that at least so many examples have used.
    pub fn admitted(&self, layout: &SlotLayout, least: u64) -> AdmittedSlots {
        let used = self.slots.iter().filter(|(_, used)| used.examples >= least).map(|(slot, _)| *slot);
        AdmittedSlots::new(layout.slots(), used)
    }

    /// Returns whether these can be the uses of a layout's slots.
    pub fn fits(&self, layout: &SlotLayout) -> bool {
        let is_hashed = |slot: &u32| (layout.dense()..layout.slots()).contains(&(*slot as usize));
        self.slots.iter().all(|(slot, used)| is_hashed(slot) && used.window <= self.windows)
            && (self.slots.is_empty() || layout.options.preparing.counts_slots())
            && self.windows < u64::MAX >> 1
    }
}

/// Returns the hash of a cross of categories; `None` if a part is a number.
pub(super) fn cross_of_categories(parts: &[CrossPart], categories: &[u64]) -> Option<u64> {
    parts.iter().try_fold(CROSS, |hash, part| match part {
        CrossPart::Category(at) => Some(mix(hash, categories[*at])),
        CrossPart::Number(_) => None,
    })
}

/// The initial hash of every cross.
pub(super) const CROSS: u64 = 0x6372_6F73_7300_0000;

/// Returns the hash of all rare categories of the input or cross that has the hash `seed`.
pub(super) fn rare_of(seed: u64) -> u64 {
    const RARE: u64 = 0x7261_7265;
    mix(seed, RARE)
}

/// A set of slots: a bit for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AdmittedSlots {
    bits: Vec<u64>,
}

impl AdmittedSlots {
    /// Slots of so many.
    pub fn new(slots: usize, admitted: impl Iterator<Item = u32>) -> Self {
        let mut bits = vec![0_u64; slots.div_ceil(64)];
        admitted.for_each(|slot| bits[slot as usize / 64] |= 1 << (slot % 64));
        AdmittedSlots { bits }
    }

    #[inline]
    pub fn contains(&self, slot: u32) -> bool {
        self.bits[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    /// Returns the slots, ascending.
    pub fn slots(&self) -> Vec<u32> {
        (0..self.bits.len() as u32 * 64).filter(|slot| self.contains(*slot)).collect()
    }
}
