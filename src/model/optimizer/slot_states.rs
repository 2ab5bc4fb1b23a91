//! The numbers that an optimizer keeps for each slot, side by side, in pages that copies share.

use crate::model::ModelError;
use crate::model::shared_pages::SharedPages;
use crate::model::tensor::{Tensor, Tensors, floats};

/// Base-2 logarithm of the slots of a page.
const PAGE_BITS: u32 = 9;

/// `WIDTH` numbers for each slot, which are all zero at first.
#[derive(Clone)]
pub(super) struct SlotStates<const WIDTH: usize>(SharedPages<[f64; WIDTH]>);

impl<const WIDTH: usize> SlotStates<WIDTH> {
    pub fn new(slots: usize) -> Self {
        SlotStates(SharedPages::filled(slots, [0.0; WIDTH], PAGE_BITS))
    }

    /// Returns the number of slots.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the numbers of a slot.
    #[inline]
    pub fn get(&self, slot: u32) -> &[f64; WIDTH] {
        self.0.cell(slot as usize)
    }

    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> &mut [f64; WIDTH] {
        self.0.cell_mut(slot as usize)
    }

    /// Puts a slot back to where it started.
    pub fn forget(&mut self, slot: u32) {
        *self.get_mut(slot) = [0.0; WIDTH];
    }

    /// Returns a copy that shares what neither changes.
    pub fn share(&mut self) -> Self {
        SlotStates(self.0.share())
    }

    /// Reads the first number of slots, so that what is not in the cache is fetched together. The result means nothing.
    pub fn touch(&self, slots: &[u32]) -> u64 {
        slots.iter().fold(0, |bits, slot| bits ^ self.get(*slot)[0].to_bits())
    }

    /// Appends the first number of each slot.
    pub fn append_first(&self, numbers: &mut Vec<f64>) {
        self.0.pages().for_each(|page| numbers.extend(page.iter().map(|cells| cells[0])));
    }

    /// Returns one number of each slot.
    pub fn column(&self, column: usize) -> Tensor {
        Tensor::vector(self.0.pages().flatten().map(|cells| cells[column]).collect())
    }

    /// Reads one number of each slot from a tensor.
    ///
    /// # Errors
    /// If there is no such tensor, or it is of another size.
    pub fn read<'a>(&self, tensors: &'a Tensors, name: &str) -> Result<&'a [f64], ModelError> {
        floats(tensors, name, Some(self.0.len()))
    }

    /// Replaces the numbers by those of tensors, one for each column.
    ///
    /// # Errors
    /// If a tensor is missing or of another size.
    pub fn load(&mut self, tensors: &Tensors, names: &[&str; WIDTH]) -> Result<(), ModelError> {
        let mut states = Self::new(self.0.len());
        for (column, name) in names.iter().enumerate() {
            let set = self.read(tensors, name)?.iter().zip(0..).filter(|(value, _)| value.to_bits() != 0);
            set.for_each(|(value, slot)| states.get_mut(slot)[column] = *value);
        }
        *self = states;
        Ok(())
    }
}
