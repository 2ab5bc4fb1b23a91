//! A small hash table by slot.

/// The slot of an unused cell.
const EMPTY: u32 = u32::MAX;

/// Values of some slots: open addressing, each at its home or after it.
#[derive(Clone, Debug)]
pub(super) struct SlotTable<T> {
    /// Cells, as many as a power of two, of which at most half are used.
    cells: Box<[(u32, T)]>,
}

impl<T: Copy + Default> SlotTable<T> {
    /// A table of these slots, each of which occurs once.
    pub fn new(entries: impl ExactSizeIterator<Item = (u32, T)>) -> Self {
        let capacity = (entries.len() * 2 + 1).next_power_of_two();
        let mut cells = vec![(EMPTY, T::default()); capacity];
        for entry in entries {
            let mut at = home(entry.0, capacity);
            while cells[at].0 != EMPTY {
                at = (at + 1) & (capacity - 1);
            }
            cells[at] = entry;
        }
        SlotTable { cells: cells.into() }
    }

    /// Returns the value of a slot.
    #[inline]
    pub fn get(&self, slot: u32) -> Option<T> {
        let mut at = home(slot, self.cells.len());
        loop {
            match self.cells[at] {
                (found, value) if found == slot => return Some(value),
                (EMPTY, _) => return None,
                _ => at = (at + 1) & (self.cells.len() - 1),
            }
        }
    }

    /// Returns all slots with their values.
    pub fn iter(&self) -> impl Iterator<Item = (u32, T)> {
        self.cells.iter().filter(|(slot, _)| *slot != EMPTY).copied()
    }
}

#[inline]
fn home(slot: u32, capacity: usize) -> usize {
    (u64::from(slot).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & (capacity - 1)
}
