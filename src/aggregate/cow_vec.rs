//! A vector of values by slot that is cheap to clone: a snapshot of state that goes on changing.
//!
//! Cloning costs a reference count a chunk; a chunk is copied when it is written to while a clone of it is held.

use std::sync::Arc;

/// Slots in a chunk: few enough that copying one is short, many enough that cloning all is.
const CHUNK: usize = 256;

/// A copy-on-write vector with a value for every slot.
#[derive(Clone)]
pub struct CowVec<T> {
    chunks: Vec<Arc<[T]>>,
}

impl<T> Default for CowVec<T> {
    fn default() -> Self {
        CowVec { chunks: Vec::new() }
    }
}

impl<T: Clone + Default> CowVec<T> {
    /// Makes room for this many slots.
    pub fn grow(&mut self, slots: usize) {
        self.chunks.resize_with(slots.div_ceil(CHUNK).max(self.chunks.len()), || {
            std::iter::repeat_with(T::default).take(CHUNK).collect()
        });
    }

    /// The value of a slot.
    ///
    /// # Panics
    /// If there is no room for it.
    pub fn get(&self, slot: u32) -> &T {
        &self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    /// The same as [`CowVec::get`], mutable.
    pub fn get_mut(&mut self, slot: u32) -> &mut T {
        &mut Arc::make_mut(&mut self.chunks[slot as usize / CHUNK])[slot as usize % CHUNK]
    }

    /// All values, by slot.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// The number of slots that there is room for.
    pub fn capacity(&self) -> usize {
        self.chunks.len() * CHUNK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_does_not_see_what_is_written_later() {
        let mut values: CowVec<i32> = CowVec::default();
        values.grow(CHUNK + 1);
        (0..CHUNK as u32 + 1).for_each(|slot| *values.get_mut(slot) = slot as i32);
        let before = values.clone();
        *values.get_mut(3) = -1;
        values.grow(3 * CHUNK);
        assert_eq!((*before.get(3), *values.get(3), *values.get(CHUNK as u32)), (3, -1, CHUNK as i32));
        assert_eq!((before.capacity(), values.capacity()), (2 * CHUNK, 3 * CHUNK));
        assert!(Arc::ptr_eq(&before.chunks[1], &values.chunks[1]));
    }
}
