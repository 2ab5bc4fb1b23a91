//! A quantile sketch of log-linear buckets with exact counts.
//!
//! A bucket is a sign, an exponent and the top 7 bits of the mantissa of the float itself: buckets are at most 1/128 of
//! their values wide, integers up to 128 have one each, and no logarithm is taken (as in HdrHistogram, Tene 2012;
//! mergeable like DDSketch, Masson et al. 2019). Counts are integers, so a sketch does not depend on order.
//!
//! A page of 128 buckets (1 KiB) exists for each power of two that occurred: 20 for a usual input.

use serde::{Deserialize, Serialize};

const PAGE: usize = 128;
const SHIFT: u32 = 52 - 7;

/// Counts by bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SavedSketch")]
pub struct Sketch {
    /// Sign and exponent of each page, ascending.
    pages: Vec<u16>,
    /// 128 counts a page.
    counts: Vec<u64>,
    total: u64,
}

/// A sketch as it is saved, before it is checked.
#[derive(Deserialize)]
struct SavedSketch {
    pages: Vec<u16>,
    counts: Vec<u64>,
    total: u64,
}

impl TryFrom<SavedSketch> for Sketch {
    type Error = &'static str;

    fn try_from(SavedSketch { pages, counts, total }: SavedSketch) -> Result<Self, Self::Error> {
        let sum = counts.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count));
        let is_whole = pages.len().checked_mul(PAGE) == Some(counts.len())
            && pages.is_sorted_by(|one, other| one < other)
            && sum == Some(total);
        if is_whole { Ok(Sketch { pages, counts, total }) } else { Err("a sketch's counts do not fit its pages") }
    }
}

impl Sketch {
    /// Counts a number. NaN is not counted.
    #[inline]
    pub fn add(&mut self, x: f64) {
        if x.is_nan() {
            return;
        }
        let bucket = ordered(x) >> SHIFT;
        let page = self.page((bucket / PAGE as u64) as u16);
        self.counts[page * PAGE + (bucket % PAGE as u64) as usize] += 1;
        self.total += 1;
    }

    fn page(&mut self, key: u16) -> usize {
        let at = self.pages.partition_point(|page| *page < key);
        if self.pages.get(at) != Some(&key) {
            self.pages.insert(at, key);
            self.counts.splice(at * PAGE..at * PAGE, [0; PAGE]);
        }
        at
    }

    /// Adds everything that `other` has counted.
    pub fn merge(&mut self, other: &Sketch) {
        for (key, counts) in other.pages.iter().zip(other.counts.chunks_exact(PAGE)) {
            let at = self.page(*key) * PAGE;
            self.counts[at..at + PAGE].iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        self.total += other.total;
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns `(lower bound, count)` of the buckets that are not empty, ascending.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let page = |(key, counts): (&u16, &'_ [u64])| {
            let key = u64::from(*key);
            let counts = counts.to_vec();
            counts
                .into_iter()
                .enumerate()
                .filter(|(_, count)| *count > 0)
                .map(move |(cell, count)| (from_ordered((key * PAGE as u64 + cell as u64) << SHIFT), count))
        };
        self.pages.iter().zip(self.counts.chunks_exact(PAGE)).flat_map(page)
    }

    /// Returns the inner edges of `parts` parts of about equal count, ascending and distinct; fewer where one bucket
    /// holds more than a part. A number belongs to the part after as many edges as are not above it.
    pub fn edges(&self, parts: usize) -> Vec<f64> {
        let mut edges: Vec<f64> = Vec::new();
        let mut below: u128 = 0;
        let mut part = 1;
        for (bound, count) in self.buckets() {
            below += u128::from(count);
            while part < parts && below * parts as u128 > u128::from(self.total) * part as u128 {
                if edges.last().is_none_or(|last| *last < bound) {
                    edges.push(bound);
                }
                part += 1;
            }
        }
        edges
    }
}

/// The numbers between which a share of all is, with the mean and variance of the numbers that are brought in between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct WinsorisedMoments {
    pub low: f64,
    pub high: f64,
    pub mean: f64,
    pub variance: f64,
}

impl Sketch {
    /// Returns the moments of the numbers with a share of them at either end brought to the bounds of the buckets there.
    /// `None` if no number is beyond these bounds, so that nothing is to be brought. Numbers of a bucket are taken to be spread
    /// evenly over it.
    pub(super) fn winsorised(&self, share: f64) -> Option<WinsorisedMoments> {
        let buckets: Vec<(f64, u64)> = self.buckets().collect();
        let most = (share * self.total as f64).floor() as u64;
        let beyond = |counts: &mut dyn Iterator<Item = u64>| {
            let mut below = 0;
            counts
                .take_while(|count| {
                    below += count;
                    below <= most
                })
                .count()
        };
        let first = beyond(&mut buckets.iter().map(|(_, count)| *count));
        let last = buckets.len().checked_sub(1 + beyond(&mut buckets.iter().rev().map(|(_, count)| *count)))?;
        if first > last || (first == 0 && last + 1 == buckets.len()) {
            return None;
        }
        let (low, high) = (buckets[first].0, end_of(buckets[last].0));
        let parts = buckets.iter().enumerate().map(|(at, (start, count))| {
            let (x, width) = match at {
                at if at < first => (low, 0.0),
                at if at > last => (high, 0.0),
                _ => ((start + end_of(*start)) / 2.0, end_of(*start) - start),
            };
            (x, width, *count as f64)
        });
        let total = self.total as f64;
        let mean = parts.clone().fold(0.0, |sum, (x, _, count)| sum + x * count / total);
        let variance = parts
            .fold(0.0, |sum, (x, width, count)| sum + ((x - mean) * (x - mean) + width * width / 12.0) * count / total);
        Some(WinsorisedMoments { low, high, mean, variance })
    }
}

/// Returns the end of the bucket that starts at a number.
fn end_of(start: f64) -> f64 {
    from_ordered(((ordered(start) >> SHIFT) + 1) << SHIFT)
}

/// Returns the bits of a float, arranged so that they compare as the floats do; both zeros are equal.
#[inline]
fn ordered(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

fn from_ordered(bits: u64) -> f64 {
    f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn laws_order_and_batching_do_not_matter(
            mut xs in prop::collection::vec(any::<f64>(), 0..60),
            at in 0..60_usize,
        ) {
            let mut all = Sketch::default();
            xs.iter().for_each(|x| all.add(*x));
            xs.sort_by(f64::total_cmp);
            let (mut one, mut other) = (Sketch::default(), Sketch::default());
            let (left, right) = xs.split_at(at.min(xs.len()));
            right.iter().for_each(|x| one.add(*x));
            left.iter().for_each(|x| other.add(*x));
            one.merge(&other);
            prop_assert_eq!(one, all);
        }

        #[test]
        fn a_bucket_holds_its_lower_bound_and_is_narrow(x in -1e12..1e12_f64) {
            let mut sketch = Sketch::default();
            sketch.add(x);
            let (bound, count) = sketch.buckets().next().unwrap();
            prop_assert_eq!(count, 1);
            prop_assert!(bound <= x && x - bound <= x.abs() / 64.0);
        }
    }

    #[test]
    fn edges_cut_uniform_numbers_into_equal_parts() {
        let mut sketch = Sketch::default();
        (0..100).for_each(|x| sketch.add(f64::from(x)));
        assert_eq!(sketch.edges(4), [25.0, 50.0, 75.0]);
        assert_eq!(Sketch::default().edges(4), [0.0; 0]);
    }

    #[test]
    fn a_share_of_the_numbers_at_either_end_is_brought_in() {
        let mut sketch = Sketch::default();
        (0..100).for_each(|x| sketch.add(f64::from(x)));
        [-1e12, 1e12].into_iter().for_each(|x| sketch.add(x));
        let found = sketch.winsorised(0.02).unwrap();
        // Two of 102 at either end; a bucket is half a unit wide there.
        assert_eq!((found.low, found.high), (1.0, 98.5), "{found:?}");
        assert!((found.mean - 49.5).abs() < 1.0 && (found.variance.sqrt() - 29.0).abs() < 1.0, "{found:?}");
        // Nothing is beyond the bucket in which all are.
        let mut narrow = Sketch::default();
        (0..100).for_each(|x| narrow.add(2000.0 + f64::from(x) / 100.0));
        assert_eq!(narrow.winsorised(0.05), None);
        assert_eq!(Sketch::default().winsorised(0.05), None);
    }

    #[test]
    fn a_value_that_fills_several_parts_is_one_edge() {
        let mut sketch = Sketch::default();
        (0..90).for_each(|_| sketch.add(0.0));
        (1..=10).for_each(|x| sketch.add(f64::from(x)));
        assert_eq!(sketch.edges(5), [0.0]);
    }
}
