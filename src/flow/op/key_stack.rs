//! Stacks of keys that grow without moving what they have.

use crate::value::Key;

/// Keys in a chunk.
const CHUNK: usize = 1024;

/// A stack of keys, in chunks: a vector of a million keys would be copied as it grows, which takes milliseconds.
#[derive(Debug, Default)]
pub struct KeyStack {
    /// Chunks of keys, none of them empty.
    chunks: Vec<Vec<Key>>,
}

impl KeyStack {
    /// Adds a key.
    pub fn push(&mut self, key: Key) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(key),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(key);
                self.chunks.push(chunk);
            }
        }
    }

    /// Removes up to this many of the newest keys, at least one unless there is none.
    pub fn pop_some(&mut self, most: usize) -> Vec<Key> {
        let Some(newest) = self.chunks.last_mut() else { return Vec::new() };
        let popped = newest.split_off(newest.len().saturating_sub(most.max(1)));
        if newest.is_empty() {
            self.chunks.pop();
        }
        popped
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Memory held, without that of the keys' bytes.
    pub fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Key>() + self.chunks.capacity() * size_of::<Vec<Key>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_popped_once() {
        let key = |number: u32| Key::from_bytes(&number.to_le_bytes());
        let (mut keys, mut popped) = (KeyStack::default(), Vec::new());
        (0..3000).for_each(|number| keys.push(key(number)));
        popped.extend(keys.pop_some(7));
        keys.push(key(3000));
        while !keys.is_empty() {
            let some = keys.pop_some(100);
            assert!((1..=100).contains(&some.len()));
            popped.extend(some);
        }
        popped.sort_unstable();
        let mut expected: Vec<Key> = (0..=3000).map(key).collect();
        expected.sort_unstable();
        assert_eq!((popped, keys.pop_some(1)), (expected, Vec::new()));
    }
}
