//! The frozen preparation of one version: observations to rows.
//!
//! A number x becomes z = (x − mean)/stddev, clipped to ±[`CLIP`] so that one wild value cannot throw the weights; a
//! number that never varied becomes 0; a null becomes 0 and its indicator 1. With bins, the bin of x is 1 beside it.
//! For kinds that learn weights by steps, x is first clamped to the range of the numbers that the version has seen: its
//! weights say nothing about values beyond, and the stddev of a single window may be far too small for the next one, as that
//! of the hour of the day is. With `winsorise` the range is the one between two quantiles, and mean and stddev are those of
//! the clamped numbers.
//! A category's slot is the top bits of its hash, and an item that a bag does not have counts 0 there; a cross's those of its
//! parts' hashes mixed in order. A category of a map has the slot of its hash, too, and there its number divided by the root
//! of the mean square of all numbers of the map, clipped: a category that a map does not have is 0, and so 0 stays 0.

use std::sync::Arc;

use super::admission::{AdmittedSlots, CROSS, cross_of_categories, rare_of};
use super::layout::CrossPart;
use super::moments::LARGEST;
use super::sketch::WinsorisedMoments;
use super::values::{mix, null_of};
use super::{ClassWeigher, LabelScale, LabelStatistics, Observations, SlotLayout, Statistics};
use crate::model::tensor::{self, Tensor, Tensors};
use crate::model::{Classes, ModelError, SparseRows};

/// Standardised numbers are clipped to this many standard deviations either way.
pub const CLIP: f64 = 10.0;

/// Moments and quantiles that a version knows of its inputs, in the order of the layout's numbers. Saved as the tensors
/// `preparation.*`.
#[derive(Clone, Debug)]
pub struct Preparation {
    layout: Arc<SlotLayout>,
    mean: Vec<f64>,
    /// 1/stddev; 0 of a number that never varied.
    scale: Vec<f64>,
    /// The numbers between which each is brought.
    low: Vec<f64>,
    high: Vec<f64>,
    /// By map whose categories have entries: 1 / the root of the mean square of its numbers; 0 if all were 0.
    map_scale: Vec<f64>,
    /// The inner edges of each number's bins, ascending.
    edges: Vec<Vec<f64>>,
    /// Mean and stddev of the label, for kinds that learn it standardised.
    label: [f64; 2],
    /// The labels from whose base rate an untrained model starts. Not saved: what is read back only predicts.
    labels: LabelStatistics,
    /// The slots of categories that have one of their own; `None` if all have.
    admitted: Option<AdmittedSlots>,
}

/// The moments and bounds of a number, as a version knows them.
struct KnownNumber {
    mean: f64,
    variance: f64,
    bounds: [f64; 2],
}

impl Preparation {
    /// Freezes the statistics of the examples seen so far.
    pub fn new(layout: &Arc<SlotLayout>, statistics: &Statistics) -> Self {
        let scale = |variance: f64| if variance > 0.0 { 1.0 / variance.sqrt() } else { 0.0 };
        let scale_of_map = |square: f64| if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 };
        let edges = |number: usize| match statistics.sketches.get(number) {
            Some(sketch) if layout.numbers[number].bins.is_some() => sketch.edges(layout.options.bins),
            _ => Vec::new(),
        };
        let known: Vec<KnownNumber> = (0..layout.numbers.len()).map(|at| known(layout, statistics, at)).collect();
        let least = layout.options.preparing.min_count;
        Preparation {
            layout: Arc::clone(layout),
            low: known.iter().map(|number| number.bounds[0]).collect(),
            high: known.iter().map(|number| number.bounds[1]).collect(),
            mean: known.iter().map(|number| number.mean).collect(),
            scale: known.iter().map(|number| scale(number.variance)).collect(),
            admitted: (least > 1).then(|| statistics.uses.admitted(layout, least)),
            map_scale: statistics.maps.iter().map(|moments| scale_of_map(moments.mean_square())).collect(),
            edges: (0..layout.numbers.len()).map(edges).collect(),
            label: statistics.labels.mean_and_deviation(),
            labels: statistics.labels.clone(),
        }
    }

    /// Returns the weights of classes, of those that are given.
    pub(in crate::model) fn weigher<'a>(&'a self, classes: Option<&'a Classes>) -> ClassWeigher<'a> {
        ClassWeigher { sampling: &self.layout.options.sampling, labels: &self.labels, classes }
    }

    /// Returns a label in standard deviations from the mean label; 0 where labels never varied.
    pub fn standardise_label(&self, label: f64) -> f64 {
        let LabelScale { mean, stddev } = self.label_scale();
        if stddev > 0.0 { (label - mean) / stddev } else { 0.0 }
    }

    /// Returns mean and standard deviation of the labels that the version knows.
    pub(in crate::model) fn label_scale(&self) -> LabelScale {
        let [mean, stddev] = self.label;
        LabelScale { mean, stddev }
    }

    pub fn layout(&self) -> &Arc<SlotLayout> {
        &self.layout
    }

    /// Returns whether every version of this layout encodes an example in the same way.
    pub(super) fn is_fixed(&self) -> bool {
        self.layout.numbers.is_empty() && self.layout.maps.is_empty() && self.admitted.is_none()
    }

    /// Replaces `rows` by the selected observations, in the order of `select`.
    pub fn encode(&self, observations: &Observations, select: &[u32], rows: &mut SparseRows) {
        let width = self.layout.width();
        if self.layout.maps.is_empty() {
            for (row, (index, value)) in select.iter().zip(rows.reset(width, select.len())) {
                self.encode_row(observations, *row as usize, index, value);
            }
            return;
        }
        let layout = &*self.layout;
        let widths = select.iter().map(|row| width + observations.entries(*row as usize).len());
        for (row, (index, value)) in select.iter().zip(rows.reset_to(widths)) {
            let (index, slots) = index.split_at_mut(width);
            let (value, numbers) = value.split_at_mut(width);
            self.encode_row(observations, *row as usize, index, value);
            let cells = slots.iter_mut().zip(numbers);
            for (entry, (slot, number)) in observations.entries(*row as usize).iter().zip(cells) {
                *slot = self.own_slot(entry.hash, layout.maps[entry.map as usize].seed);
                *number = (entry.number * self.map_scale[entry.map as usize]).clamp(-CLIP, CLIP);
            }
        }
    }

    /// Writes the entries of a row that are not of maps.
    #[inline]
    fn encode_row(&self, observations: &Observations, row: usize, index: &mut [u32], value: &mut [f64]) {
        let layout = &*self.layout;
        let categories = observations.categories(row);
        index[0] = 0;
        value.fill(1.0);
        let at = self.encode_numbers(observations.numbers(row), index, value);
        let alone = layout.categories.iter().zip(categories).filter(|(category, _)| category.alone);
        let slots = alone.map(|(category, hash)| self.own_slot(*hash, category.seed));
        let crosses = (0_u64..).zip(&layout.crosses).map(|(at, parts)| match cross_of_categories(parts, categories) {
            Some(hash) => self.own_slot(hash, CROSS + 1 + at),
            None => layout.slot(self.cross(parts, observations, row)),
        });
        for (cell, slot) in index[at..].iter_mut().zip(slots.chain(crosses)) {
            *cell = slot;
        }
        // Categories without a slot of their own are the last.
        for (number, (category, hash)) in layout.categories.iter().zip(categories).enumerate() {
            if category.alone && category.in_bag && *hash == null_of(category.seed) {
                value[at + number] = 0.0;
            }
        }
    }

    /// Writes the entries of the numbers and of their bins, and returns the position after them.
    #[inline]
    fn encode_numbers(&self, numbers: &[f64], index: &mut [u32], value: &mut [f64]) -> usize {
        let own = index[1..].iter_mut().zip(&mut value[1..]);
        for (number, (x, (slot, cell))) in numbers.iter().zip(own).enumerate() {
            let null = x.is_nan();
            *slot = 1 + 2 * number as u32 + u32::from(null);
            *cell = if null { 1.0 } else { self.standardise(number, *x) };
        }
        let mut at = 1 + numbers.len();
        for (number, (bins, edges)) in self.layout.numbers.iter().zip(&self.edges).enumerate() {
            let Some(first) = bins.bins else { continue };
            match bin(edges, numbers[number]) {
                Some(bin) => index[at] = first + bin,
                // The indicator takes the place of the bin, and the value is 0, its mean.
                None => {
                    index[at] = 2 + 2 * number as u32;
                    index[1 + number] = 1 + 2 * number as u32;
                    value[1 + number] = 0.0;
                }
            }
            at += 1;
        }
        at
    }

    /// Returns a number that is not null in standard deviations from its mean.
    #[inline]
    fn standardise(&self, number: usize, x: f64) -> f64 {
        let known = x.clamp(self.low[number], self.high[number]);
        ((known - self.mean[number]) * self.scale[number]).clamp(-CLIP, CLIP)
    }

    /// Returns the hash of a combination: the hashes of its parts, mixed in order.
    #[inline]
    fn cross(&self, parts: &[CrossPart], observations: &Observations, row: usize) -> u64 {
        parts.iter().fold(CROSS, |hash, part| match part {
            CrossPart::Category(at) => mix(hash, observations.categories(row)[*at]),
            CrossPart::Number(at) => {
                let bin = bin(&self.edges[*at], observations.numbers(row)[*at]);
                mix(hash, mix(self.layout.numbers[*at].seed, bin.map_or(u64::MAX, u64::from)))
            }
        })
    }

    /// Returns the slot of a category of the input or cross that has the hash `seed`, or the one that all its rare ones share.
    #[inline]
    fn own_slot(&self, hash: u64, seed: u64) -> u32 {
        let slot = self.layout.slot(hash);
        match &self.admitted {
            Some(admitted) if !admitted.contains(slot) => self.layout.slot(rare_of(seed)),
            _ => slot,
        }
    }

    /// Adds the tensors that [`Preparation::load`] reads.
    pub fn save(&self, tensors: &mut Tensors) {
        let ends = self.edges.iter().scan(0, |end, edges| {
            *end += edges.len() as u32;
            Some(*end)
        });
        tensors.insert(EDGE_ENDS.to_owned(), Tensor::indices(ends.collect()));
        tensors.insert(EDGES.to_owned(), Tensor::vector(self.edges.concat()));
        tensors.insert(LABEL.to_owned(), Tensor::vector(self.label.to_vec()));
        tensors.insert(MEAN.to_owned(), Tensor::vector(self.mean.clone()));
        tensors.insert(SCALE.to_owned(), Tensor::vector(self.scale.clone()));
        tensors.insert(LOW.to_owned(), Tensor::vector(self.low.clone()));
        tensors.insert(HIGH.to_owned(), Tensor::vector(self.high.clone()));
        if let Some(admitted) = &self.admitted {
            tensors.insert(ADMITTED.to_owned(), Tensor::indices(admitted.slots()));
        }
        if !self.map_scale.is_empty() {
            tensors.insert(MAP_SCALE.to_owned(), Tensor::vector(self.map_scale.clone()));
        }
    }

    /// Reads the tensors that [`Preparation::save`] added.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the layout.
    pub fn load(layout: &Arc<SlotLayout>, tensors: &Tensors) -> Result<Self, ModelError> {
        let numbers = Some(layout.numbers.len());
        let mean = tensor::floats(tensors, MEAN, numbers)?.to_vec();
        let scale = tensor::floats(tensors, SCALE, numbers)?.to_vec();
        let low = tensor::floats(tensors, LOW, numbers)?.to_vec();
        let high = tensor::floats(tensors, HIGH, numbers)?.to_vec();
        if low.iter().zip(&high).any(|(low, high)| low.is_nan() || high.is_nan() || low > high) {
            return Err(tensor::misfit(LOW, "a range ends before it begins"));
        }
        let map_scale = match layout.maps.len() {
            0 => Vec::new(),
            maps => tensor::floats(tensors, MAP_SCALE, Some(maps))?.to_vec(),
        };
        let all = tensor::floats(tensors, EDGES, None)?;
        let label = tensor::floats(tensors, LABEL, Some(2))?;
        if mean.iter().chain(&scale).chain(&map_scale).chain(all).chain(label).any(|x| !x.is_finite()) {
            return Err(tensor::misfit(MEAN, "a mean, a scale or an edge is not finite"));
        }
        let mut edges = Vec::with_capacity(layout.numbers.len());
        let mut start = 0;
        for end in tensor::integers(tensors, EDGE_ENDS, numbers)? {
            let most = layout.options.bins.saturating_sub(1);
            let cut = all.get(start..*end as usize).filter(|cut| cut.len() <= most);
            edges.push(cut.ok_or_else(|| tensor::misfit(EDGE_ENDS, "it does not fit the edges"))?.to_vec());
            start = *end as usize;
        }
        let admitted = (layout.options.preparing.min_count > 1).then(|| read_admitted(layout, tensors)).transpose()?;
        let (layout, label, labels) = (Arc::clone(layout), [label[0], label[1]], LabelStatistics::default());
        Ok(Preparation { layout, mean, scale, low, high, map_scale, edges, label, labels, admitted })
    }
}

const LABEL: &str = "preparation.label";
const MEAN: &str = "preparation.mean";
const SCALE: &str = "preparation.scale";
const LOW: &str = "preparation.low";
const HIGH: &str = "preparation.high";
const MAP_SCALE: &str = "preparation.map_scale";
const EDGES: &str = "preparation.edges";
const EDGE_ENDS: &str = "preparation.edge_ends";

const ADMITTED: &str = "preparation.admitted";

/// Returns what statistics say of a number.
fn known(layout: &SlotLayout, statistics: &Statistics, number: usize) -> KnownNumber {
    let share = layout.options.preparing.winsorise;
    let sketch = statistics.sketches.get(number).filter(|_| share > 0.0);
    match sketch.and_then(|sketch| sketch.winsorised(share)) {
        Some(WinsorisedMoments { low, high, mean, variance }) => KnownNumber { mean, variance, bounds: [low, high] },
        None => {
            let (moments, range) = (&statistics.numbers[number], statistics.ranges[number]);
            let bounds = if layout.is_ranged { range.bounds() } else { [-LARGEST, LARGEST] };
            KnownNumber { mean: moments.mean(), variance: moments.variance(), bounds }
        }
    }
}

fn read_admitted(layout: &SlotLayout, tensors: &Tensors) -> Result<AdmittedSlots, ModelError> {
    let slots = tensor::integers(tensors, ADMITTED, None)?;
    if slots.iter().any(|slot| *slot as usize >= layout.slots()) {
        return Err(tensor::misfit(ADMITTED, "a slot does not exist"));
    }
    Ok(AdmittedSlots::new(layout.slots(), slots.iter().copied()))
}

/// Returns the bin of a number: how many edges are not above it. None for null.
#[inline]
fn bin(edges: &[f64], x: f64) -> Option<u32> {
    (!x.is_nan()).then(|| edges.iter().map(|edge| u32::from(*edge <= x)).sum())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, StringArray};

    use super::*;
    use crate::model::{InputColumn, ModelOptions, Task};
    use crate::value::Type;

    fn prepared(bins: usize) -> (Preparation, Observations) {
        let inputs = [InputColumn::new("x", Type::Float), InputColumn::new("s", Type::String)];
        let crosses = if bins > 1 { vec![vec!["x".to_owned(), "s".to_owned()]] } else { vec![] };
        let options = ModelOptions { bins, crosses, hash_bits: 6, ..ModelOptions::default() };
        let layout = Arc::new(SlotLayout::new(&inputs, &options).unwrap());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(vec![Some(1.0), Some(2.0), Some(3.0), None, Some(1e17)])),
            Arc::new(StringArray::from(vec!["a", "a", "b", "b", "a"])),
        ];
        let seen = Observations::decode(&layout, &columns, 5);
        let mut statistics = Statistics::new(&layout, Task::Regression);
        statistics.observe(&seen, &[0.0; 5], &[0, 1, 2, 3]);
        (Preparation::new(&layout, &statistics), seen)
    }

    #[test]
    fn numbers_are_standardised_clipped_and_nulls_indicated() {
        let (preparation, seen) = prepared(0);
        let mut rows = SparseRows::default();
        preparation.encode(&seen, &[0, 1, 2, 3, 4], &mut rows);
        let numbers: Vec<(u32, f64)> = rows.iter().map(|row| (row.index[1], row.value[1])).collect();
        assert_eq!(numbers, [(1, -1.0), (1, 0.0), (1, 1.0), (2, 1.0), (1, CLIP)]);
        assert_eq!(rows.row(0).index[2], rows.row(1).index[2]);
        assert!(rows.iter().all(|row| row.index[0] == 0 && row.index[2] >= 3));
    }

    #[test]
    fn a_bin_is_one_beside_the_number_and_null_takes_its_place() {
        let (preparation, seen) = prepared(3);
        let mut rows = SparseRows::default();
        preparation.encode(&seen, &[0, 2, 3, 4], &mut rows);
        let cells: Vec<[u32; 2]> = rows.iter().map(|row| [row.index[1], row.index[2]]).collect();
        assert_eq!(cells, [[1, 3], [1, 5], [1, 2], [1, 5]]);
        assert_eq!(rows.row(2).value, [1.0, 0.0, 1.0, 1.0, 1.0]);
        assert!(rows.iter().all(|row| row.index.len() == 5));
    }

    #[test]
    fn a_number_beyond_those_that_are_known_is_brought_to_the_nearest_of_them() {
        let layout = SlotLayout::new(&[InputColumn::new("x", Type::Float)], &ModelOptions::default()).unwrap();
        let layout = Arc::new(layout.ranged());
        let column: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0, 1e17, -1e17]));
        let seen = Observations::decode(&layout, &[column], 5);
        let mut statistics = Statistics::new(&layout, Task::Regression);
        statistics.observe(&seen, &[0.0; 5], &[0, 1, 2]);
        let mut rows = SparseRows::default();
        Preparation::new(&layout, &statistics).encode(&seen, &[3, 4], &mut rows);
        assert_eq!([rows.row(0).value[1], rows.row(1).value[1]], [1.0, -1.0]);
    }

    #[test]
    fn tensors_carry_everything() {
        let (preparation, _) = prepared(3);
        let mut tensors = Tensors::new();
        preparation.save(&mut tensors);
        let back = Preparation::load(preparation.layout(), &tensors).unwrap();
        let mut again = Tensors::new();
        back.save(&mut again);
        assert_eq!(tensors, again);
    }
}
