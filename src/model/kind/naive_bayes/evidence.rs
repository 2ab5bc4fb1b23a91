//! Counts and moments of one class.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::model::preparation::{ExactMoments, Observation};
use crate::model::tensor::{self, Tensor};
use crate::model::{ModelError, SparseRow, Tensors};

/// The names of tensors.
const EXAMPLES: &str = "examples";
const MOMENTS: &str = "moments";
const ENTRY: &str = "entry";
const SLOT: &str = "slot";
const COUNT: &str = "count";

/// A category: an entry of the rows, and the slot that it has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CategorySlot {
    pub entry: u32,
    pub slot: u32,
}

/// The counts and moments of one class.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ClassEvidence {
    pub examples: u64,
    /// By number among the inputs.
    pub numbers: Vec<ExactMoments>,
    /// Examples by category.
    pub categories: BTreeMap<CategorySlot, u64>,
}

impl ClassEvidence {
    pub fn new(numbers: usize) -> Self {
        ClassEvidence { numbers: vec![ExactMoments::default(); numbers], ..ClassEvidence::default() }
    }

    pub fn learn(&mut self, observation: Observation<'_>, row: SparseRow<'_>, entries: Range<usize>) {
        self.examples += 1;
        for (moments, x) in self.numbers.iter_mut().zip(observation.numbers).filter(|(_, x)| !x.is_nan()) {
            moments.add(*x);
        }
        for entry in entries {
            let category = CategorySlot { entry: entry as u32, slot: row.index[entry] };
            *self.categories.entry(category).or_default() += 1;
        }
    }

    /// Adds everything that `other` has seen.
    pub fn merge(&mut self, other: &ClassEvidence) {
        self.examples = self.examples.wrapping_add(other.examples);
        self.numbers.iter_mut().zip(&other.numbers).for_each(|(all, more)| all.merge(more));
        for (category, count) in &other.categories {
            let own = self.categories.entry(*category).or_default();
            *own = own.wrapping_add(*count);
        }
    }

    /// Takes away what `other` has seen, all of which this has, too.
    pub fn subtract(&mut self, other: &ClassEvidence) {
        self.examples = self.examples.wrapping_sub(other.examples);
        self.numbers.iter_mut().zip(&other.numbers).for_each(|(all, less)| all.subtract(less));
        for (category, count) in &other.categories {
            let own = self.categories.entry(*category).or_default();
            *own = own.wrapping_sub(*count);
        }
    }

    pub fn save(&self) -> Tensors {
        let halves = |count: u64| [count as u32, (count >> 32) as u32];
        let column = |of: fn(&CategorySlot) -> u32| Tensor::indices(self.categories.keys().map(of).collect());
        let named = [
            (EXAMPLES, Tensor::indices(halves(self.examples).to_vec())),
            (MOMENTS, Tensor::indices(self.numbers.iter().flat_map(ExactMoments::to_words).collect())),
            (ENTRY, column(|category| category.entry)),
            (SLOT, column(|category| category.slot)),
            (COUNT, Tensor::indices(self.categories.values().flat_map(|count| halves(*count)).collect())),
        ];
        named.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect()
    }

    /// Reads the tensors that [`ClassEvidence::save`] returned.
    pub fn load(tensors: &Tensors, numbers: usize) -> Result<Self, ModelError> {
        let whole = |halves: &[u32]| u64::from(halves[0]) | u64::from(halves[1]) << 32;
        let examples = whole(tensor::integers(tensors, EXAMPLES, Some(2))?);
        let words = tensor::integers(tensors, MOMENTS, Some(numbers * ExactMoments::WORDS))?;
        let numbers = words.chunks_exact(ExactMoments::WORDS).map(ExactMoments::from_words).collect();
        let entries = tensor::integers(tensors, ENTRY, None)?;
        let slots = tensor::integers(tensors, SLOT, Some(entries.len()))?;
        let counts = tensor::integers(tensors, COUNT, Some(2 * entries.len()))?;
        let keys = entries.iter().zip(slots).map(|(entry, slot)| CategorySlot { entry: *entry, slot: *slot });
        let categories = keys.zip(counts.chunks_exact(2).map(whole)).collect();
        Ok(ClassEvidence { examples, numbers, categories })
    }
}
