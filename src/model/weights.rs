//! Frozen weights: the dense slots as they are, the hashed ones in as little memory as they need.
//!
//! Of 2^18 hashed slots a model usually touches a few thousand, and versions are kept by the dozen. So the hashed part
//! is a small open-addressing table while fewer than an eighth of its slots are set, and a plain vector beyond that.
//! Both give the same bits: an unset slot is +0.0 in either.

use super::optimizer::Optimizer;
use super::score_sum::ScoreSum;
use super::slot_table::SlotTable;
use super::tensor::{self, Tensor, Tensors};
use super::{ModelError, SparseRow};

/// A weight for each slot: the dense ones first, then the hashed ones.
#[derive(Clone, Debug)]
pub struct Weights {
    dense: Box<[f64]>,
    hashed: Hashed,
    slots: usize,
}

#[derive(Clone, Debug)]
enum Hashed {
    Table(SlotTable<f64>),
    Plain(Box<[f64]>),
}

impl Weights {
    /// Freezes the weights of an optimizer of `slots` slots, of which the first `dense` are not hashed.
    pub fn of_optimizer(optimizer: &dyn Optimizer, dense: usize, slots: usize) -> Self {
        let mut weights = Vec::with_capacity(slots);
        optimizer.append_weights(&mut weights);
        Self::of_all(weights, dense)
    }

    /// Weights of all slots in order, of which the first `dense` are not hashed.
    pub fn new(weights: impl Iterator<Item = f64>, dense: usize, slots: usize) -> Self {
        let weights: Vec<f64> = weights.collect();
        debug_assert_eq!(weights.len(), slots);
        Self::of_all(weights, dense)
    }

    /// Weights of all slots, of which the first `dense` are not hashed.
    fn of_all(mut weights: Vec<f64>, dense: usize) -> Self {
        // A sum of zeros is +0.0.
        weights.iter_mut().for_each(|weight| *weight += 0.0);
        let (slots, hashed) = (weights.len(), weights.split_off(dense));
        let used = hashed.iter().filter(|weight| **weight != 0.0).count();
        if used * 8 >= hashed.len() {
            return Weights { dense: weights.into(), hashed: Hashed::Plain(hashed.into()), slots };
        }
        let mut rest = Vec::with_capacity(used);
        let set = hashed.iter().enumerate().filter(|(_, weight)| **weight != 0.0);
        rest.extend(set.map(|(at, weight)| ((dense + at) as u32, *weight)));
        Self::from_parts(weights.into(), &rest, slots)
    }

    /// Adds to the weight of the bias, which is 1 in every row.
    pub fn plus_bias(mut self, base: f64) -> Self {
        self.dense[0] += base;
        self
    }

    fn from_parts(dense: Box<[f64]>, rest: &[(u32, f64)], slots: usize) -> Self {
        let size = slots - dense.len();
        let hashed = if rest.len() * 8 >= size {
            let mut plain = vec![0.0; size];
            rest.iter().for_each(|(slot, weight)| plain[*slot as usize - dense.len()] = *weight);
            Hashed::Plain(plain.into())
        } else {
            Hashed::Table(SlotTable::new(rest.iter().copied()))
        };
        Weights { dense, hashed, slots }
    }

    /// Returns the weight of a slot.
    #[inline]
    pub fn get(&self, slot: u32) -> f64 {
        if let Some(weight) = self.dense.get(slot as usize) {
            return *weight;
        }
        match &self.hashed {
            Hashed::Plain(plain) => plain.get(slot as usize - self.dense.len()).copied().unwrap_or(0.0),
            Hashed::Table(table) => table.get(slot).unwrap_or(0.0),
        }
    }

    /// Returns the terms of a row's weighted sum, one for each entry.
    #[inline]
    pub(super) fn terms(&self, row: SparseRow<'_>) -> impl Iterator<Item = f64> {
        row.index.iter().zip(row.value).map(|(slot, value)| self.get(*slot) * value)
    }

    /// Reads the hashed weights of slots, so that what is not in the cache is fetched together. The result means nothing.
    pub(super) fn touch(&self, slots: &[u32]) -> u64 {
        let hashed = slots.iter().filter(|slot| **slot as usize >= self.dense.len());
        hashed.fold(0, |bits, slot| bits ^ self.get(*slot).to_bits())
    }

    /// Returns the weighted sum of a row, added up from the left.
    #[inline]
    pub(super) fn dot(&self, row: SparseRow<'_>) -> ScoreSum {
        let mut sum = ScoreSum::default();
        let first = self.dense.len();
        match &self.hashed {
            // Most slots are hashed in a model of many categories; a plain vector holds whatever follows the dense ones.
            Hashed::Plain(plain) => {
                for (slot, value) in row.index.iter().zip(row.value) {
                    let slot = *slot as usize;
                    let weight = match slot.checked_sub(first) {
                        Some(hashed) => plain[hashed],
                        None => self.dense[slot],
                    };
                    sum.add(weight * value);
                }
            }
            Hashed::Table(_) => self.terms(row).for_each(|term| sum.add(term)),
        }
        sum
    }

    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Adds the tensors `{prefix}.dense`, `{prefix}.slot` (of the hashed weights that are not zero) and `{prefix}.hashed`.
    pub fn save(&self, prefix: &str, tensors: &mut Tensors) {
        let first = self.dense.len();
        let mut rest: Vec<(u32, f64)> = match &self.hashed {
            Hashed::Table(table) => table.iter().collect(),
            Hashed::Plain(plain) => plain
                .iter()
                .enumerate()
                .filter(|(_, weight)| **weight != 0.0)
                .map(|(at, weight)| ((first + at) as u32, *weight))
                .collect(),
        };
        rest.sort_unstable_by_key(|(slot, _)| *slot);
        let (slots, weights) = rest.into_iter().unzip();
        tensors.insert(format!("{prefix}.dense"), Tensor::vector(self.dense.to_vec()));
        tensors.insert(format!("{prefix}.slot"), Tensor::indices(slots));
        tensors.insert(format!("{prefix}.hashed"), Tensor::vector(weights));
    }

    /// Reads the tensors that [`Weights::save`] added.
    ///
    /// # Errors
    /// If a tensor is missing, of another size, or lists a slot that is not hashed or is repeated.
    pub fn load(prefix: &str, tensors: &Tensors, dense: usize, slots: usize) -> Result<Self, ModelError> {
        let first = tensor::floats(tensors, &format!("{prefix}.dense"), Some(dense))?;
        let name = format!("{prefix}.slot");
        let at = tensor::integers(tensors, &name, None)?;
        let rest = tensor::floats(tensors, &format!("{prefix}.hashed"), Some(at.len()))?;
        let ascending = at.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = at.iter().all(|slot| (dense..slots).contains(&(*slot as usize)));
        if !ascending || !inside {
            return Err(tensor::misfit(&name, "its slots are not ascending within the hashed part"));
        }
        if first.iter().chain(rest).any(|weight| !weight.is_finite()) {
            return Err(tensor::misfit(prefix, "a weight is not finite"));
        }
        let rest: Vec<(u32, f64)> = at.iter().copied().zip(rest.iter().copied()).collect();
        Ok(Self::from_parts(first.into(), &rest, slots))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_hashed_weights_read_the_same() {
        for every in [1, 3, 7, 50, 5000] {
            let all: Vec<f64> = (0..4100).map(|i| if i % every == 0 { f64::from(i) + 0.5 } else { 0.0 }).collect();
            let weights = Weights::new(all.iter().copied(), 4, 4100);
            let mut tensors = Tensors::new();
            weights.save("w", &mut tensors);
            let back = Weights::load("w", &tensors, 4, 4100).unwrap();
            for (slot, weight) in all.iter().enumerate() {
                assert_eq!(weights.get(slot as u32).to_bits(), weight.to_bits());
                assert_eq!(back.get(slot as u32).to_bits(), weight.to_bits());
            }
        }
    }
}
