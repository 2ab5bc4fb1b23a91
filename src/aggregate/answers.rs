//! The vector that the windows of a group write their features into.

use std::ops::{Index, IndexMut};

use super::feature::Feature;

/// A vector being written, and the number of its features that have no valid result.
pub struct Answers<'a> {
    features: &'a mut [Feature],
    overflows: u64,
    /// The positions written since [`Answers::mark`], while they are marked.
    marked: Option<Vec<usize>>,
}

impl<'a> Answers<'a> {
    pub fn new(features: &'a mut [Feature]) -> Self {
        Answers { features, overflows: 0, marked: None }
    }

    /// Writes null at a position, for an int sum that does not fit 64 bits.
    pub fn set_overflow(&mut self, position: usize) {
        self[position] = Feature::NULL;
        self.overflows += 1;
    }

    /// Adds to the number of features that are null because an int sum does not fit.
    pub fn add_overflows(&mut self, overflows: u64) {
        self.overflows += overflows;
    }

    /// Returns the number of features that are null because an int sum does not fit.
    pub fn overflows(&self) -> u64 {
        self.overflows
    }

    /// Marks the positions that are written from now on.
    pub fn mark(&mut self) {
        self.marked = Some(Vec::new());
    }

    /// Ends marking, and returns the positions written since, each once.
    pub fn take_marked(&mut self) -> Vec<usize> {
        let mut marked = self.marked.take().unwrap_or_default();
        marked.sort_unstable();
        marked.dedup();
        marked
    }
}

impl Index<usize> for Answers<'_> {
    type Output = Feature;

    fn index(&self, position: usize) -> &Feature {
        &self.features[position]
    }
}

impl IndexMut<usize> for Answers<'_> {
    fn index_mut(&mut self, position: usize) -> &mut Feature {
        if let Some(marked) = &mut self.marked {
            marked.push(position);
        }
        &mut self.features[position]
    }
}
