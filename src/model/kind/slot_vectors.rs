//! Vectors of slots, trained by AdaGrad: latent factors, and the weights of hidden units.
//!
//! A slot gets its vector when it is first learnt, so that memory follows the slots in use. A vector starts at random
//! numbers that are a function of seed and slot alone, so it does not depend on when or on which shard that is.
//!
//! Shards are averaged slot by slot; on a shard that has not learnt a slot, its vector is where it started.

use std::collections::BTreeMap;

use crate::model::preparation::mix;
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

/// A vector for each slot that has been learnt, and AdaGrad's sums of squared gradients.
#[derive(Clone)]
pub(super) struct SlotVectors {
    width: usize,
    start: VectorStart,
    /// By slot, one more than the position of its vector; 0 of a slot without one.
    positions: Vec<u32>,
    /// Slots, in the order in which they were first learnt.
    slots: Vec<u32>,
    /// (vectors, width).
    values: Vec<f64>,
    /// (vectors, width).
    squares: Vec<f64>,
}

impl SlotVectors {
    /// Vectors of `width` numbers for up to `slots` slots.
    pub fn new(slots: usize, width: usize, start: VectorStart) -> Self {
        let (positions, none) = (vec![0; slots], Vec::new);
        SlotVectors { width, start, positions, slots: Vec::new(), values: none(), squares: none() }
    }

    /// Returns the position of the vector of a slot, which gets one if it has none.
    pub fn position(&mut self, slot: u32) -> usize {
        if self.positions[slot as usize] == 0 {
            self.slots.push(slot);
            self.positions[slot as usize] = self.slots.len() as u32;
            self.values.extend((0..self.width).map(|at| self.start.number(slot, at)));
            self.squares.resize(self.values.len(), 0.0);
        }
        self.positions[slot as usize] as usize - 1
    }

    /// Returns the vector at a position.
    pub fn vector(&self, position: usize) -> &[f64] {
        &self.values[position * self.width..][..self.width]
    }

    /// Moves the vector at a position against a gradient: `gradient(at, value)` returns that of one of its numbers.
    pub fn step(&mut self, position: usize, rate: f64, gradient: impl Fn(usize, f64) -> f64) {
        let cells = position * self.width..(position + 1) * self.width;
        let numbers = self.values[cells.clone()].iter_mut().zip(&mut self.squares[cells]);
        for (at, (value, squares)) in numbers.enumerate() {
            adagrad_step(value, squares, rate, gradient(at, *value));
        }
    }

    /// Adds to one number of the vector at a position.
    pub fn add(&mut self, position: usize, at: usize, amount: f64) {
        self.values[position * self.width + at] += amount;
    }

    /// Multiplies one number of every vector.
    pub fn scale(&mut self, at: usize, factor: f64) {
        self.values.iter_mut().skip(at).step_by(self.width).for_each(|value| *value *= factor);
    }

    /// Removes the vectors of slots.
    pub fn forget(&mut self, slots: &[u32]) {
        if slots.iter().all(|slot| self.positions[*slot as usize] == 0) {
            return;
        }
        let all = std::mem::replace(self, SlotVectors::new(self.positions.len(), self.width, self.start));
        for (at, slot) in all.slots.iter().enumerate().filter(|(_, slot)| !slots.contains(slot)) {
            let (from, to) = (at * all.width, (at + 1) * all.width);
            self.slots.push(*slot);
            self.positions[*slot as usize] = self.slots.len() as u32;
            self.values.extend_from_slice(&all.values[from..to]);
            self.squares.extend_from_slice(&all.squares[from..to]);
        }
    }

    /// Removes all vectors.
    pub fn clear(&mut self) {
        *self = SlotVectors::new(self.positions.len(), self.width, self.start);
    }

    /// Returns the number of slots that there are.
    pub fn slots(&self) -> usize {
        self.positions.len()
    }

    /// Returns the numbers of all vectors, in the order in which they were first learnt.
    #[cfg(test)]
    pub fn values_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }

    /// Returns the sums of squared gradients, in the same order.
    #[cfg(test)]
    pub fn squares(&self) -> &[f64] {
        &self.squares
    }

    /// Returns the positions of all vectors, by slot.
    fn ascending(&self) -> impl Iterator<Item = usize> + Clone {
        let mut positions: Vec<usize> = (0..self.slots.len()).collect();
        positions.sort_unstable_by_key(|at| self.slots[*at]);
        positions.into_iter()
    }

    /// Adds the tensors `{prefix}.slot`, `{prefix}.value` and `{prefix}.square`, by slot.
    pub fn save(&self, prefix: &str, tensors: &mut Tensors) {
        self.freeze().save(prefix, tensors);
        let squares = self.ascending().flat_map(|at| &self.squares[at * self.width..][..self.width]);
        tensors.insert(format!("{prefix}.square"), matrix(self.width, squares.copied().collect()));
    }

    /// Reads the tensors that [`SlotVectors::save`] added.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit.
    pub fn load(&mut self, prefix: &str, tensors: &Tensors) -> Result<(), ModelError> {
        let FrozenVectors { slots, values, .. } =
            FrozenVectors::load(prefix, tensors, self.width, self.positions.len())?;
        let squares = tensor::floats(tensors, &format!("{prefix}.square"), Some(values.len()))?;
        *self = SlotVectors::new(self.positions.len(), self.width, self.start);
        slots.iter().zip(1..).for_each(|(slot, position)| self.positions[*slot as usize] = position);
        (self.slots, self.values, self.squares) = (slots, values, squares.to_vec());
        Ok(())
    }

    /// Replaces these by the average of those that were saved with a prefix, weighted by the examples of each state.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit.
    pub fn average(&mut self, prefix: &str, states: &[(Tensors, u64)]) -> Result<(), ModelError> {
        let total: u64 = states.iter().map(|(_, examples)| examples).sum();
        let empty = SlotVectors::new(self.positions.len(), self.width, self.start);
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
        let slots: BTreeMap<u32, ()> =
            shards.iter().flat_map(|(shard, _)| &shard.slots).map(|slot| (*slot, ())).collect();
        for slot in slots.into_keys() {
            let own = self.position(slot) * self.width;
            for at in 0..self.width {
                let (mut value, mut square) = (0.0, 0.0);
                for (shard, weight) in &shards {
                    match shard.positions[slot as usize] as usize {
                        0 => value += weight * self.start.number(slot, at),
                        position => {
                            let cell = (position - 1) * self.width + at;
                            value += weight * shard.values[cell];
                            square += weight * shard.squares[cell];
                        }
                    }
                }
                (self.values[own + at], self.squares[own + at]) = (value, square);
            }
        }
        Ok(())
    }

    /// Returns a copy that predicts.
    pub fn freeze(&self) -> FrozenVectors {
        let slots = self.ascending().map(|at| self.slots[at]).collect();
        FrozenVectors {
            width: self.width,
            slots,
            values: self.ascending().flat_map(|at| self.vector(at)).copied().collect(),
        }
    }
}

/// Moves a number against a gradient (Duchi, Hazan, Singer 2011).
#[inline]
pub(super) fn adagrad_step(value: &mut f64, squares: &mut f64, rate: f64, gradient: f64) {
    *squares += gradient * gradient;
    if *squares > 0.0 {
        *value -= rate * gradient / squares.sqrt();
    }
}

/// Vectors that do not change any more.
#[derive(Clone, Debug)]
pub(super) struct FrozenVectors {
    width: usize,
    /// Slots, ascending.
    slots: Vec<u32>,
    /// (vectors, width).
    values: Vec<f64>,
}

impl FrozenVectors {
    /// Returns the vector of a slot. None of a slot that has not been learnt.
    pub fn get(&self, slot: u32) -> Option<&[f64]> {
        let at = self.slots.binary_search(&slot).ok()?;
        Some(&self.values[at * self.width..][..self.width])
    }

    /// Adds the tensors `{prefix}.slot` and `{prefix}.value`.
    pub fn save(&self, prefix: &str, tensors: &mut Tensors) {
        tensors.insert(format!("{prefix}.slot"), Tensor::indices(self.slots.clone()));
        tensors.insert(format!("{prefix}.value"), matrix(self.width, self.values.clone()));
    }

    /// Reads the tensors that [`FrozenVectors::save`] added.
    ///
    /// # Errors
    /// If a tensor is missing, of another size, or lists a slot that does not exist or is repeated.
    pub fn load(prefix: &str, tensors: &Tensors, width: usize, slots: usize) -> Result<Self, ModelError> {
        let name = format!("{prefix}.slot");
        let own = tensor::integers(tensors, &name, None)?;
        if !own.is_sorted_by(|one, other| one < other) || own.last().is_some_and(|last| *last as usize >= slots) {
            return Err(tensor::misfit(&name, "its slots are not ascending within the weights"));
        }
        let values = tensor::floats(tensors, &format!("{prefix}.value"), own.len().checked_mul(width))?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(tensor::misfit(prefix, "a number is not finite"));
        }
        Ok(FrozenVectors { width, slots: own.to_vec(), values: values.to_vec() })
    }
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
        assert!(one.values.iter().all(|value| value.abs() <= 0.5) && one.values[0] != one.values[1]);
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
        assert_eq!((mean.slots.clone(), mean.get(50)), (vec![1, 2, 3], None));
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
