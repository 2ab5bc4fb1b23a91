//! Stability of inputs and predictions: how far a window's values are from those of the champion's training window.
//!
//! The population stability index of two samples, over groups with shares p of one and q of the other, is
//! ```text
//! PSI = Σ (q − p) · ln(q / p)
//! ```
//! By convention, below 0.1 nothing has changed and above 0.25 much has (Siddiqi 2006). Groups are neighbouring values that
//! together had at least a tenth of the training window; half a value is added to each, so that none is empty. Nulls are a
//! group of their own. Beyond [`WHOLE`] examples of a window, one of [`SAMPLED`], chosen by its key, stands for all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::preparation::{Observations, SlotLayout, mix};

/// Examples of a window that all count.
const WHOLE: u64 = 1_000;

/// One in this many of the examples beyond [`WHOLE`] counts, with this weight.
const SAMPLED: u64 = 16;

/// Examples that a window needs for a comparison.
const LEAST: u64 = 100;

/// Groups of the training window, at most.
const GROUPS: u64 = 10;

/// Categories are counted by some bits of their hash.
const CATEGORY_BITS: u32 = 6;

/// Values of a number that agree in sign, exponent and the leading three bits of the mantissa count as one.
const DROPPED_BITS: u32 = 49;

/// The largest key of a value, and that of nulls.
const NULL: u32 = u32::MAX;

/// Counts of values by their keys, which are in the order of the values.
type ValueCounts = BTreeMap<u32, u64>;

/// The values of a window, by input, and its predictions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct WindowValues {
    examples: u64,
    numbers: Vec<ValueCounts>,
    categories: Vec<ValueCounts>,
    /// By number of a prediction.
    predictions: Vec<ValueCounts>,
    predicted: u64,
}

/// The indices of a window against the champion's training window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stability {
    /// Indices of the inputs, by name.
    pub inputs: BTreeMap<String, f64>,
    /// Index of the predictions, the largest of all classes. `None` if either window has too few.
    pub predictions: Option<f64>,
}

impl Stability {
    /// The index above which much has changed.
    pub const MUCH: f64 = 0.25;

    /// Returns the inputs of which much has changed, with their indices.
    pub fn changed(&self) -> impl Iterator<Item = (&str, f64)> {
        let indices = self.inputs.iter().map(|(input, index)| (input.as_str(), *index));
        indices.filter(|(_, index)| *index > Self::MUCH)
    }
}

impl WindowValues {
    /// Adds an example. `prediction` is empty before the first version.
    pub fn add(&mut self, observations: &Observations, row: usize, hash: u64, prediction: &[f64]) {
        const SAMPLE: u64 = 4;
        let weight = match self.examples < WHOLE {
            true => 1,
            false if mix(hash, SAMPLE).is_multiple_of(SAMPLED) => SAMPLED,
            false => return,
        };
        let (numbers, categories) = (observations.numbers(row), observations.categories(row));
        self.numbers.resize(numbers.len(), ValueCounts::new());
        self.categories.resize(categories.len(), ValueCounts::new());
        for (counts, value) in self.numbers.iter_mut().zip(numbers) {
            *counts.entry(key_of(*value)).or_insert(0) += weight;
        }
        for (counts, category) in self.categories.iter_mut().zip(categories) {
            *counts.entry((category >> (u64::BITS - CATEGORY_BITS)) as u32).or_insert(0) += weight;
        }
        self.examples += weight;
        if !prediction.is_empty() {
            self.predictions.resize(prediction.len().max(self.predictions.len()), ValueCounts::new());
            for (counts, value) in self.predictions.iter_mut().zip(prediction) {
                *counts.entry(key_of(*value)).or_insert(0) += weight;
            }
            self.predicted += weight;
        }
    }

    /// Returns the indices against the training window of the champion.
    pub fn against(&self, training: &WindowValues, layout: &SlotLayout) -> Stability {
        let mut stability = Stability::default();
        if self.examples < LEAST || training.examples < LEAST {
            return stability;
        }
        let numbers = layout.number_names().zip(training.numbers.iter().zip(&self.numbers));
        let categories = layout.category_names().zip(training.categories.iter().zip(&self.categories));
        for (name, (before, now)) in numbers.chain(categories) {
            let index = stability_index(before, now);
            // An input may be both a number and a category, of its bins.
            let known = stability.inputs.entry(name.to_owned()).or_insert(index);
            *known = known.max(index);
        }
        if self.predicted >= LEAST && training.predicted >= LEAST {
            let indices =
                training.predictions.iter().zip(&self.predictions).map(|(before, now)| stability_index(before, now));
            stability.predictions = indices.reduce(f64::max);
        }
        stability
    }

    /// Returns whether these can be the values of a layout.
    pub fn fits(&self, layout: &SlotLayout) -> bool {
        let is_width = |counts: &[ValueCounts], width: usize| counts.is_empty() || counts.len() == width;
        let total = |counts: &ValueCounts| counts.values().try_fold(0_u64, |total, count| total.checked_add(*count));
        is_width(&self.numbers, layout.number_names().count())
            && is_width(&self.categories, layout.category_names().count())
            && self.numbers.iter().chain(&self.categories).all(|counts| total(counts) == Some(self.examples))
            && self.predictions.iter().all(|counts| total(counts).is_some_and(|total| total <= self.predicted))
    }
}

/// Returns the key of a number: its leading bits, in the order of numbers.
fn key_of(value: f64) -> u32 {
    if value.is_nan() {
        return NULL;
    }
    // Zeros are equal; negative numbers come before positive ones, in their order.
    let bits = if value == 0.0 { 0 } else { value.to_bits() };
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    (ordered >> DROPPED_BITS) as u32
}

/// Returns the population stability index of two samples, the groups being those of the first.
fn stability_index(before: &ValueCounts, now: &ValueCounts) -> f64 {
    let total = |counts: &ValueCounts| counts.values().sum::<u64>();
    let (all_before, all_now) = (total(before), total(now));
    // Close a group once it has its share of the first sample; nulls are always apart.
    let mut keys: Vec<u32> = before.keys().chain(now.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    let (mut groups, mut open) = (Vec::new(), ValueGroup::default());
    for key in keys {
        if key == NULL && !open.is_empty() {
            groups.push(std::mem::take(&mut open));
        }
        open.before += before.get(&key).copied().unwrap_or(0);
        open.now += now.get(&key).copied().unwrap_or(0);
        if open.before * GROUPS >= all_before {
            groups.push(std::mem::take(&mut open));
        }
    }
    if !open.is_empty() {
        groups.push(open);
    }
    let (all_before, all_now) = (all_before as f64, all_now as f64);
    let smoothed = |count: u64, all: f64| (count as f64 + 0.5) / (all + 0.5 * groups.len() as f64);
    let part = |group: &ValueGroup| {
        let (p, q) = (smoothed(group.before, all_before), smoothed(group.now, all_now));
        (q - p) * libm::log(q / p)
    };
    groups.iter().map(part).sum()
}

/// The values of both samples in a group.
#[derive(Clone, Copy, Debug, Default)]
struct ValueGroup {
    before: u64,
    now: u64,
}

impl ValueGroup {
    fn is_empty(self) -> bool {
        self.before == 0 && self.now == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(values: impl IntoIterator<Item = f64>) -> ValueCounts {
        let mut counts = ValueCounts::new();
        values.into_iter().for_each(|value| *counts.entry(key_of(value)).or_insert(0) += 1);
        counts
    }

    #[test]
    fn keys_are_in_the_order_of_values() {
        let values = [f64::NEG_INFINITY, -1e300, -2.0, -1.0, -1e-300, 0.0, 1e-300, 0.5, 1.0, 2.0, 1e300, f64::INFINITY];
        let keys: Vec<u32> = values.iter().map(|value| key_of(*value)).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
        assert_eq!((key_of(-0.0), key_of(f64::NAN)), (key_of(0.0), NULL));
        assert!(keys.iter().all(|key| *key < 1 << 15));
    }

    #[test]
    fn the_index_is_small_for_equal_samples_and_grows_with_a_shift() {
        let uniform = |from: f64| counts((0..1000).map(move |n| from + f64::from(n) / 10.0));
        let index = |shift: f64| stability_index(&uniform(10.0), &uniform(10.0 + shift));
        assert_eq!(index(0.0), 0.0);
        assert!(index(1.0) < 0.1 && index(30.0) > 0.25 && index(60.0) > index(30.0), "{} {}", index(1.0), index(30.0));
        // Nulls are a group of their own.
        let nulls = counts((0..1000).map(|n| if n % 4 == 0 { f64::NAN } else { 10.0 + f64::from(n) / 10.0 }));
        assert!(stability_index(&uniform(10.0), &nulls) > 0.25);
        // Two halves against one quarter and three: 0.25 ln 3.
        let halves = |low: usize| counts((0..100).map(|n| if n < low { 1.0 } else { 2.0 }));
        let expected = (0.25_f64 * 3.0_f64.ln() - stability_index(&halves(50), &halves(25))).abs();
        assert!(expected < 0.01, "{expected}");
    }
}
