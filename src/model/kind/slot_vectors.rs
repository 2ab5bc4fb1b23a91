//! Vectors of slots, trained by AdaGrad: latent factors, and the weights of hidden units.
//!
//! A slot gets its vector when it is first learnt, so that memory follows the slots in use. A vector starts at random
//! numbers that are a function of seed and slot alone, so it does not depend on when or on which shard that is.
//!
//! Shards are averaged slot by slot; on a shard that has not learnt a slot, its vector is where it started.

use std::collections::BTreeSet;

use crate::model::preparation::mix;
use crate::model::shared_pages::SharedPages;
use crate::model::tensor::{self, Tensor};
use crate::model::{ModelError, Tensors};

/// The numbers that vectors start with: uniform within ±`spread`, by a seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct VectorStart {
    pub seed: u64,
    pub spread: f64,
}

impl VectorStart {
    fn number(&self, slot: u32, at: usize) -> f64 {
        let bits = mix(mix(self.seed, u64::from(slot)), at as u64) >> 11;
        self.spread * (bits as f64 / (1_u64 << 52) as f64 - 1.0)
    }
}

/// Vectors by slot. Copies share what neither of them changes.
#[derive(Clone, Debug)]
struct VectorTable {
    /// By slot, one more than the position of its vector; 0 of a slot without one.
    positions: SharedPages<u32>,
    /// By position, the numbers of a vector, and others that belong to them.
    cells: SharedPages<f64>,
}

/// Base-2 logarithms of the slots and of the vectors of a page.
const SLOT_BITS: u32 = 10;
const VECTOR_BITS: u32 = 6;

impl VectorTable {
    /// No vectors, of so many cells each, for up to `slots` slots.
    fn new(slots: usize, cells: usize) -> Self {
        VectorTable { positions: SharedPages::filled(slots, 0, SLOT_BITS), cells: SharedPages::new(cells, VECTOR_BITS) }
    }

    #[inline]
    fn position(&self, slot: u32) -> Option<usize> {
        Some(self.positions.cell(slot as usize).checked_sub(1)? as usize)
    }

    /// Adds a vector of zeros for a slot that has none, and returns its position.
    fn push(&mut self, slot: u32) -> usize {
        self.cells.push(0.0);
        *self.positions.cell_mut(slot as usize) = self.cells.len() as u32;
        self.cells.len() - 1
    }

    /// Returns the slots that have vectors, ascending, with their positions.
    fn ascending(&self) -> impl Iterator<Item = (u32, usize)> {
        (0..)
            .zip(self.positions.iter())
            .filter_map(|(slot, position)| Some((slot, position[0].checked_sub(1)? as usize)))
    }

    fn share(&mut self) -> Self {
        VectorTable { positions: self.positions.share(), cells: self.cells.share() }
    }
}

/// A vector for each slot that has been learnt, and AdaGrad's sums of squared gradients behind each.
#[derive(Clone)]
pub(super) struct SlotVectors {
    width: usize,
    start: VectorStart,
    /// In the order in which they were first learnt.
    table: VectorTable,
}

impl SlotVectors {
    /// Vectors of `width` numbers for up to `slots` slots.
    pub fn new(slots: usize, width: usize, start: VectorStart) -> Self {
        SlotVectors { width, start, table: VectorTable::new(slots, 2 * width) }
    }

    /// Returns the position of the vector of a slot, which gets one if it has none.
    #[inline]
    pub fn position(&mut self, slot: u32) -> usize {
        match self.table.position(slot) {
            Some(position) => position,
            None => self.add_slot(slot),
        }
    }

    #[cold]
    fn add_slot(&mut self, slot: u32) -> usize {
        let position = self.table.push(slot);
        let values = &mut self.table.cells.get_mut(position)[..self.width];
        values.iter_mut().enumerate().for_each(|(at, value)| *value = self.start.number(slot, at));
        position
    }

    /// Reads the vector at a position, so that what is not in the cache is fetched. The result means nothing.
    #[inline]
    pub fn touch(&self, position: usize) -> u64 {
        touch(self.table.cells.get(position))
    }

    /// Returns the vector at a position.
    #[inline]
    pub fn vector(&self, position: usize) -> &[f64] {
        &self.table.cells.get(position)[..self.width]
    }

    /// Returns the sums of squared gradients of the vector at a position.
    pub fn squares(&self, position: usize) -> &[f64] {
        &self.table.cells.get(position)[self.width..]
    }

    /// Moves the vector at a position against a gradient: `gradient(at, value)` returns that of one of its numbers.
    #[inline]
    pub fn step(&mut self, position: usize, rate: f64, gradient: impl Fn(usize, f64) -> f64) {
        let (values, squares) = self.table.cells.get_mut(position).split_at_mut(self.width);
        for (at, (value, squares)) in values.iter_mut().zip(squares).enumerate() {
            adagrad_step(value, squares, rate, gradient(at, *value));
        }
    }

    /// Adds to one number of the vector at a position.
    pub fn add(&mut self, position: usize, at: usize, amount: f64) {
        self.table.cells.get_mut(position)[at] += amount;
    }

    /// Multiplies one number of every vector.
    pub fn scale(&mut self, at: usize, factor: f64) {
        (0..self.table.cells.len()).for_each(|position| self.table.cells.get_mut(position)[at] *= factor);
    }

    /// Removes the vectors of slots.
    pub fn forget(&mut self, slots: &[u32]) {
        if slots.iter().all(|slot| self.table.position(*slot).is_none()) {
            return;
        }
        slots.iter().for_each(|slot| *self.table.positions.cell_mut(*slot as usize) = 0);
        // The others stay in their order.
        let mut left: Vec<(usize, u32)> = self.table.ascending().map(|(slot, position)| (position, slot)).collect();
        left.sort_unstable();
        let none = VectorTable::new(self.slots(), 2 * self.width);
        let all = std::mem::replace(&mut self.table, none);
        for (position, slot) in left {
            let own = self.table.push(slot);
            self.table.cells.get_mut(own).copy_from_slice(all.cells.get(position));
        }
    }

    /// Removes all vectors.
    pub fn clear(&mut self) {
        *self = SlotVectors::new(self.slots(), self.width, self.start);
    }

    /// Returns the number of slots that there are.
    pub fn slots(&self) -> usize {
        self.table.positions.len()
    }

    /// Returns a copy that shares what neither changes.
    pub fn share(&mut self) -> Self {
        SlotVectors { table: self.table.share(), ..*self }
    }

    /// Returns one number of the vector at a position.
    #[cfg(test)]
    pub fn number_mut(&mut self, position: usize, at: usize) -> &mut f64 {
        &mut self.table.cells.get_mut(position)[at]
    }

    /// Adds the tensors `{prefix}.slot`, `{prefix}.value` and `{prefix}.square`, by slot.
    pub fn save(&self, prefix: &str, tensors: &mut Tensors) {
        save(&self.table, self.width, prefix, tensors);
        let squares = self.table.ascending().flat_map(|(_, at)| self.squares(at));
        tensors.insert(format!("{prefix}.square"), matrix(self.width, squares.copied().collect()));
    }

    /// Reads the tensors that [`SlotVectors::save`] added.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit.
    pub fn load(&mut self, prefix: &str, tensors: &Tensors) -> Result<(), ModelError> {
        let (slots, values) = read(prefix, tensors, self.width, self.slots())?;
        let squares = tensor::floats(tensors, &format!("{prefix}.square"), Some(values.len()))?;
        self.clear();
        let cells = values.chunks_exact(self.width).zip(squares.chunks_exact(self.width));
        for (slot, (values, squares)) in slots.iter().zip(cells) {
            let position = self.table.push(*slot);
            let (own, sums) = self.table.cells.get_mut(position).split_at_mut(self.width);
            own.copy_from_slice(values);
            sums.copy_from_slice(squares);
        }
        Ok(())
    }

    /// Replaces these by the average of those that were saved with a prefix, weighted by the examples of each state.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit.
    pub fn average(&mut self, prefix: &str, states: &[(Tensors, u64)]) -> Result<(), ModelError> {
        let total: u64 = states.iter().map(|(_, examples)| examples).sum();
        let empty = SlotVectors::new(self.slots(), self.width, self.start);
        let mut shards = Vec::new();
        for (state, examples) in states.iter().filter(|(_, examples)| *examples > 0 || total == 0) {
            let mut shard = empty.clone();
            shard.load(prefix, state)?;
            shards.push((shard, if total == 0 { 1.0 } else { *examples as f64 / total as f64 }));
        }
        *self = empty;
        if total == 0 {
            shards.truncate(1);
        }
        let slots: BTreeSet<u32> =
            shards.iter().flat_map(|(shard, _)| shard.table.ascending()).map(|(slot, _)| slot).collect();
        for slot in slots {
            let own = self.position(slot);
            for at in 0..self.width {
                let (mut value, mut square) = (0.0, 0.0);
                for (shard, weight) in &shards {
                    match shard.table.position(slot) {
                        None => value += weight * self.start.number(slot, at),
                        Some(position) => {
                            value += weight * shard.vector(position)[at];
                            square += weight * shard.squares(position)[at];
                        }
                    }
                }
                let cells = self.table.cells.get_mut(own);
                (cells[at], cells[self.width + at]) = (value, square);
            }
        }
        Ok(())
    }

    /// Returns a copy that predicts.
    pub fn freeze(&self) -> FrozenVectors {
        FrozenVectors { width: self.width, table: self.table.clone() }
    }

    /// Returns a copy that predicts, and that shares what this does not change.
    pub fn freeze_shared(&mut self) -> FrozenVectors {
        FrozenVectors { width: self.width, table: self.table.share() }
    }
}

/// Moves a number against a gradient (Duchi, Hazan, Singer 2011).
#[inline]
pub(super) fn adagrad_step(value: &mut f64, squares: &mut f64, rate: f64, gradient: f64) {
    *squares += gradient * gradient;
    // Without a branch, so that several numbers are moved at a time.
    let step = rate * gradient / squares.sqrt();
    *value -= if *squares > 0.0 { step } else { 0.0 };
}

/// Vectors that do not change any more.
#[derive(Clone, Debug)]
pub(super) struct FrozenVectors {
    width: usize,
    table: VectorTable,
}

impl FrozenVectors {
    /// Returns the vector of a slot. None of a slot that has not been learnt.
    #[inline]
    pub fn get(&self, slot: u32) -> Option<&[f64]> {
        Some(&self.table.cells.get(self.table.position(slot)?)[..self.width])
    }

    /// Reads the vectors of slots, so that what is not in the cache is fetched together. The result means nothing.
    pub fn touch(&self, slots: &[u32]) -> u64 {
        let positions = slots.iter().filter_map(|slot| self.table.position(*slot));
        positions.fold(0, |bits, position| bits ^ touch(&self.table.cells.get(position)[..self.width]))
    }

    /// Adds the tensors `{prefix}.slot` and `{prefix}.value`.
    pub fn save(&self, prefix: &str, tensors: &mut Tensors) {
        save(&self.table, self.width, prefix, tensors);
    }

    /// Reads the tensors that [`FrozenVectors::save`] added.
    ///
    /// # Errors
    /// If a tensor is missing, of another size, or lists a slot that does not exist or is repeated.
    pub fn load(prefix: &str, tensors: &Tensors, width: usize, slots: usize) -> Result<Self, ModelError> {
        let (own, values) = read(prefix, tensors, width, slots)?;
        let mut table = VectorTable::new(slots, width);
        for (slot, values) in own.iter().zip(values.chunks_exact(width)) {
            let position = table.push(*slot);
            table.cells.get_mut(position).copy_from_slice(values);
        }
        Ok(FrozenVectors { width, table })
    }
}

/// Reads numbers, one of each line of the cache.
#[inline]
fn touch(cells: &[f64]) -> u64 {
    const LINE: usize = 8;
    cells.iter().step_by(LINE).fold(0, |bits, cell| bits ^ cell.to_bits())
}

/// Adds the slots and the first `width` numbers of each vector.
fn save(table: &VectorTable, width: usize, prefix: &str, tensors: &mut Tensors) {
    tensors.insert(format!("{prefix}.slot"), Tensor::indices(table.ascending().map(|(slot, _)| slot).collect()));
    let values = table.ascending().flat_map(|(_, at)| &table.cells.get(at)[..width]);
    tensors.insert(format!("{prefix}.value"), matrix(width, values.copied().collect()));
}

/// Reads slots and the numbers of their vectors.
fn read<'a>(
    prefix: &str,
    tensors: &'a Tensors,
    width: usize,
    slots: usize,
) -> Result<(&'a [u32], &'a [f64]), ModelError> {
    let name = format!("{prefix}.slot");
    let own = tensor::integers(tensors, &name, None)?;
    if !own.is_sorted_by(|one, other| one < other) || own.last().is_some_and(|last| *last as usize >= slots) {
        return Err(tensor::misfit(&name, "its slots are not ascending within the weights"));
    }
    let values = tensor::floats(tensors, &format!("{prefix}.value"), own.len().checked_mul(width))?;
    if values.iter().any(|value| !value.is_finite()) {
        return Err(tensor::misfit(prefix, "a number is not finite"));
    }
    Ok((own, values))
}

/// Returns numbers as a tensor of rows of `width`.
fn matrix(width: usize, cells: Vec<f64>) -> Tensor {
    Tensor::floats(&[cells.len() / width.max(1), width], cells).expect("vectors have one width")
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: VectorStart = VectorStart { seed: 3, spread: 0.5 };

    fn vectors(slots: &[u32]) -> SlotVectors {
        let mut vectors = SlotVectors::new(100, 2, START);
        for (step, slot) in slots.iter().enumerate() {
            let at = vectors.position(*slot);
            vectors.step(at, 0.1, |cell, value| value + cell as f64 + step as f64);
        }
        vectors
    }

    fn saved(vectors: &SlotVectors) -> Tensors {
        let mut tensors = Tensors::new();
        vectors.save("v", &mut tensors);
        tensors
    }

    #[test]
    fn a_saved_state_does_not_depend_on_the_order_in_which_slots_came() {
        let mut one = SlotVectors::new(100, 2, START);
        let mut other = one.clone();
        [7, 99, 0].into_iter().for_each(|slot| assert!(one.position(slot) < 3));
        [99, 0, 7].into_iter().for_each(|slot| assert!(other.position(slot) < 3));
        assert!(saved(&one) == saved(&other));
        assert!(one.vector(0).iter().all(|value| value.abs() <= 0.5) && one.vector(0)[0] != one.vector(0)[1]);
        let mut back = SlotVectors::new(100, 2, START);
        back.load("v", &saved(&vectors(&[5, 3, 5]))).unwrap();
        assert!(saved(&back) == saved(&vectors(&[5, 3, 5])));
        assert_eq!(back.freeze().get(3), Some(back.vector(0)));
        assert_eq!(back.freeze().get(4), None);
    }

    #[test]
    fn a_shard_that_does_not_know_a_slot_has_it_where_it_starts() {
        let (one, other) = (vectors(&[1, 2]), vectors(&[2, 3]));
        let mut mean = SlotVectors::new(100, 2, START);
        mean.average("v", &[(saved(&one), 1), (saved(&other), 3), (saved(&vectors(&[50])), 0)]).unwrap();
        let mean = mean.freeze();
        let slots: Vec<u32> = mean.table.ascending().map(|(slot, _)| slot).collect();
        assert_eq!((slots, mean.get(50)), (vec![1, 2, 3], None));
        let expected = 0.25 * one.freeze().get(1).unwrap()[0] + 0.75 * START.number(1, 0);
        assert!((mean.get(1).unwrap()[0] - expected).abs() < 1e-15);
        let expected = 0.25 * one.freeze().get(2).unwrap()[1] + 0.75 * other.freeze().get(2).unwrap()[1];
        assert!((mean.get(2).unwrap()[1] - expected).abs() < 1e-15);
    }

    #[test]
    fn damaged_vectors_are_refused() {
        let mut tensors = saved(&vectors(&[1, 2]));
        let mut back = SlotVectors::new(2, 2, START);
        assert!(back.load("v", &tensors).is_err(), "a slot that does not exist");
        tensors.insert("v.slot".into(), Tensor::indices(vec![2, 1]));
        assert!(FrozenVectors::load("v", &tensors, 2, 100).is_err(), "not ascending");
        tensors.insert("v.slot".into(), Tensor::indices(vec![2]));
        assert!(FrozenVectors::load("v", &tensors, 2, 100).is_err(), "too few");
        let mut tensors = saved(&vectors(&[1]));
        tensors.insert("v.value".into(), Tensor::vector(vec![0.0, f64::NAN]));
        assert!(FrozenVectors::load("v", &tensors, 2, 100).is_err(), "not finite");
    }
}
