//! Bins of inputs: quantiles of numbers, and a bounded vocabulary of categories.
//!
//! | bin | number x | category |
//! |---|---|---|
//! | 0 | null | every category that the vocabulary lacks |
//! | b >= 1 | cut b − 2 < x <= cut b − 1 | entry b − 1 of the vocabulary |

use std::collections::HashMap;

use crate::model::kind::example_buffer::ExampleBuffer;
use crate::model::kind::number_cuts::{between, cuts_of_parts};

/// Bins of an input: one byte tells them apart.
pub(super) const BINS: usize = 256;

/// Examples from which the cuts of a number are taken: every k-th of more, at equal distances.
const MOST_SORTED: usize = 1 << 16;

/// Returns at most `bins` − 1 cuts between the numbers of a column, ascending: at quantiles, and in the middle between two
/// neighbouring numbers.
pub(super) fn quantile_cuts(examples: &ExampleBuffer, column: usize, bins: usize) -> Vec<f64> {
    let step = examples.len().div_ceil(MOST_SORTED).max(1);
    let all = examples.pieces().flat_map(|piece| piece.numbers(examples.shape(), column));
    let mut sorted: Vec<f64> = all.step_by(step).filter(|x| !x.is_nan()).map(|x| x + 0.0).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut distinct = 1;
    let is_small = sorted.windows(2).all(|pair| {
        distinct += usize::from(pair[0] < pair[1]);
        distinct <= bins
    });
    if is_small {
        let steps = sorted.windows(2).filter(|pair| pair[0] < pair[1]);
        return steps.map(|pair| between(pair[0], pair[1])).collect();
    }
    cuts_of_parts(&sorted, bins)
}

/// Returns the bin of a number.
#[inline]
pub(super) fn bin_of_number(cuts: &[f64], x: f64) -> u8 {
    if x.is_nan() { 0 } else { 1 + cuts.partition_point(|cut| *cut < x) as u8 }
}

/// The categories of an input that trees tell apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Vocabulary {
    /// Hashes by bin, from bin 1 on.
    hashes: Vec<u64>,
    /// Hashes and their bins, ascending.
    sorted: Vec<(u64, u8)>,
}

impl Vocabulary {
    /// A vocabulary of hashes by bin. None if there are too many, or one twice.
    pub fn new(hashes: Vec<u64>) -> Option<Self> {
        let mut vocabulary = Vocabulary { hashes, sorted: Vec::new() };
        vocabulary.sort();
        let distinct = vocabulary.sorted.windows(2).all(|pair| pair[0].0 < pair[1].0);
        (distinct && vocabulary.hashes.len() < BINS).then_some(vocabulary)
    }

    fn sort(&mut self) {
        self.sorted = self.hashes.iter().zip(1_u32..).map(|(hash, bin)| (*hash, bin as u8)).collect();
        self.sorted.sort_unstable();
    }

    /// Adds the categories of a column that are new, the most frequent first, as long as there is room.
    pub fn extend(&mut self, examples: &ExampleBuffer, column: usize) {
        let mut counts: HashMap<u64, u32> = HashMap::new();
        for piece in examples.pieces() {
            piece.categories(examples.shape(), column).for_each(|hash| *counts.entry(hash).or_default() += 1);
        }
        let mut new: Vec<(u32, u64)> = counts
            .into_iter()
            .filter(|(hash, _)| self.bin(*hash) == 0)
            .map(|(hash, count)| (u32::MAX - count, hash))
            .collect();
        new.sort_unstable();
        let room = BINS - 1 - self.hashes.len();
        self.hashes.extend(new.into_iter().take(room).map(|(_, hash)| hash));
        self.sort();
    }

    /// Returns the bin of a category.
    #[inline]
    pub fn bin(&self, hash: u64) -> u8 {
        self.sorted.binary_search_by_key(&hash, |(known, _)| *known).map_or(0, |at| self.sorted[at].1)
    }

    /// Returns the hashes by bin, from bin 1 on.
    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }
}
