//! Sets of slots that are emptied in ascending order, a few at a time, without ever being sorted.

/// A set of slots: a bit for each, in words, and a bit for each word with one.
///
/// Emptying it costs a step for each slot and one for every 4,096 slots there are.
#[derive(Debug, Default)]
pub struct SlotSet {
    words: Vec<u64>,
    /// Bit w of word v stands for `words[64 v + w]`.
    filled: Vec<u64>,
    /// Words of `filled` before this are zero.
    from: usize,
    len: usize,
}

impl SlotSet {
    /// Adds a slot.
    pub fn insert(&mut self, slot: u32) {
        let (word, bit) = (slot as usize / 64, 1 << (slot % 64));
        if word >= self.words.len() {
            self.words.resize((word + 1).next_power_of_two(), 0);
            self.filled.resize(self.words.len().div_ceil(64), 0);
        }
        let known = &mut self.words[word];
        self.len += usize::from(*known & bit == 0);
        *known |= bit;
        self.filled[word / 64] |= 1 << (word % 64);
        self.from = self.from.min(word / 64);
    }

    /// Returns whether a slot is in the set.
    pub fn contains(&self, slot: u32) -> bool {
        self.words.get(slot as usize / 64).is_some_and(|word| word & 1 << (slot % 64) != 0)
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Removes the least slots, up to this many, and appends them to `taken`.
    pub fn take_least(&mut self, most: usize, taken: &mut Vec<u32>) {
        for _ in 0..most.min(self.len) {
            while self.filled[self.from] == 0 {
                self.from += 1;
            }
            let filled = &mut self.filled[self.from];
            let at = self.from * 64 + filled.trailing_zeros() as usize;
            let word = &mut self.words[at];
            taken.push((at * 64) as u32 + word.trailing_zeros());
            *word &= *word - 1;
            if *word == 0 {
                *filled &= *filled - 1;
            }
            self.len -= 1;
        }
        if self.len == 0 {
            self.from = self.filled.len();
        }
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        (self.words.capacity() + self.filled.capacity()) * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn oracle_a_set_of_slots_is_that_of_an_ordered_set(
            steps in prop::collection::vec((any::<bool>(), prop_oneof![0u32..200, 0u32..20_000], 1usize..5), 0..200),
        ) {
            let (mut set, mut plain) = (SlotSet::default(), BTreeSet::new());
            for (takes, slot, most) in steps {
                if takes {
                    let mut taken = Vec::new();
                    set.take_least(most, &mut taken);
                    let expected: Vec<u32> = plain.iter().copied().take(most).collect();
                    expected.iter().for_each(|slot| _ = plain.remove(slot));
                    prop_assert_eq!(taken, expected);
                } else {
                    set.insert(slot);
                    plain.insert(slot);
                }
                prop_assert_eq!((set.contains(slot), set.is_empty()), (plain.contains(&slot), plain.is_empty()));
            }
        }
    }
}
