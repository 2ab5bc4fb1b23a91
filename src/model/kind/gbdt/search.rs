//! The best split of a node, from its histogram.
//!
//! With G and H the sums of a side, a split gains (Chen and Guestrin 2016)
//! ```text
//! G_l²/(H_l + λ) + G_r²/(H_r + λ) − G²/(H + λ)
//! ```
//! Numbers are cut between bins, with nulls on the side that gains more. Categories are one against the rest where a node
//! has few; else they are ordered by G/(H + 10), and some of the first or of the last go left (Fisher 1958; as LightGBM,
//! with 10 more for λ). The first of equal splits is taken: by input, then by bin.

use super::grid::BINS;
use super::histogram::{CurvatureUnit, GradientHistogram, GradientSum};

/// Categories of a node up to which each is tried against the rest.
const FEW: usize = 4;

/// Added to the curvature of a category in the order, and to λ where categories are split.
const SMOOTHING: f64 = 10.0;

/// Least examples of a category that is ordered, and most categories on the left.
const LEAST_CATEGORY: u32 = 10;
const MOST_LEFT: usize = 32;

/// Bins as a set.
pub(super) type BinSet = [u64; BINS / 64];

/// The side of each bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SplitBins {
    /// Numbers up to a bin go left, and nulls.
    UpTo { bin: u8, nulls_left: bool },
    /// Categories of a set go left.
    In(BinSet),
}

impl SplitBins {
    /// Returns whether the examples of a bin go left.
    #[inline]
    pub fn goes_left(&self, bin: u8) -> bool {
        match self {
            SplitBins::UpTo { nulls_left, .. } if bin == 0 => *nulls_left,
            SplitBins::UpTo { bin: most, .. } => bin <= *most,
            SplitBins::In(set) => contains(set, bin),
        }
    }
}

/// Returns whether a set has a bin.
#[inline]
pub(super) fn contains(set: &BinSet, bin: u8) -> bool {
    set[bin as usize / 64] >> (bin % 64) & 1 == 1
}

fn insert(set: &mut BinSet, bin: usize) {
    set[bin / 64] |= 1 << (bin % 64);
}

/// The best split of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BestSplit {
    pub gain: f64,
    pub input: u32,
    pub bins: SplitBins,
    /// The sum of the left side.
    pub left: GradientSum,
}

/// The rule by which splits are compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct SplitRule {
    /// The number λ, which is added to every curvature.
    pub l2: f64,
    /// Least examples on either side.
    pub least: u32,
    pub unit: CurvatureUnit,
}

impl SplitRule {
    fn score(&self, sum: GradientSum, more: f64) -> f64 {
        sum.gradient() * sum.gradient() / (sum.curvature(self.unit) + self.l2 + more)
    }

    /// Returns the gain of a left side of a node. None if either side has too few examples.
    #[inline]
    fn gain(&self, left: GradientSum, node: GradientSum, more: f64) -> Option<f64> {
        let right = node.without(left);
        if left.count() < self.least || right.count() < self.least {
            return None;
        }
        Some(self.score(left, more) + self.score(right, more) - self.score(node, 0.0)).filter(|gain| *gain > 0.0)
    }

    /// Returns the value of a node: the step that is best for the sum of its examples.
    pub fn value(&self, sum: GradientSum) -> f64 {
        let curvature = sum.curvature(self.unit) + self.l2;
        if curvature > 0.0 { -sum.gradient() / curvature } else { 0.0 }
    }

    /// Returns the best split of a node with that sum; the first inputs are `numbers`. None if no split gains.
    pub fn best(
        &self,
        histogram: &GradientHistogram,
        numbers: usize,
        inputs: usize,
        node: GradientSum,
    ) -> Option<BestSplit> {
        let mut best = None;
        for input in 0..inputs {
            let bins = histogram.input(input);
            match input < numbers {
                true => self.cut_numbers(input, bins, node, &mut best),
                false => self.split_categories(input, bins, node, &mut best),
            }
        }
        best
    }

    fn cut_numbers(&self, input: usize, bins: &[GradientSum; BINS], node: GradientSum, best: &mut Option<BestSplit>) {
        let nulls = bins[0];
        let mut known = GradientSum::default();
        for (bin, sum) in bins.iter().enumerate().skip(1) {
            if sum.count() == 0 {
                continue;
            }
            known.add(*sum);
            let mut with_nulls = known;
            with_nulls.add(nulls);
            // Without nulls in the node, those to come go with the heavier side.
            let sides: &[(GradientSum, bool)] = match nulls.count() {
                0 => &[(known, known.count() * 2 >= node.count())],
                _ => &[(known, false), (with_nulls, true)],
            };
            for (left, nulls_left) in sides {
                let bins = SplitBins::UpTo { bin: bin as u8, nulls_left: *nulls_left };
                self.offer(best, input, *left, node, 0.0, || bins);
            }
        }
    }

    fn split_categories(
        &self,
        input: usize,
        bins: &[GradientSum; BINS],
        node: GradientSum,
        best: &mut Option<BestSplit>,
    ) {
        let present: Vec<usize> = (0..BINS).filter(|bin| bins[*bin].count() > 0).collect();
        if present.len() <= FEW {
            for bin in present {
                let mut set = BinSet::default();
                insert(&mut set, bin);
                self.offer(best, input, bins[bin], node, 0.0, || SplitBins::In(set));
            }
            return;
        }
        let key = |bin: usize| bins[bin].gradient() / (bins[bin].curvature(self.unit) + SMOOTHING);
        let mut ordered: Vec<(f64, usize)> =
            present.into_iter().filter(|bin| bins[*bin].count() >= LEAST_CATEGORY).map(|bin| (key(bin), bin)).collect();
        ordered.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        for _ in 0..2 {
            let (mut set, mut left) = (BinSet::default(), GradientSum::default());
            for (_, bin) in ordered.iter().take(MOST_LEFT.min(ordered.len().saturating_sub(1))) {
                insert(&mut set, *bin);
                left.add(bins[*bin]);
                self.offer(best, input, left, node, SMOOTHING, || SplitBins::In(set));
            }
            ordered.reverse();
        }
    }

    /// Takes a split that gains more than the best so far.
    #[inline]
    fn offer(
        &self,
        best: &mut Option<BestSplit>,
        input: usize,
        left: GradientSum,
        node: GradientSum,
        more: f64,
        bins: impl Fn() -> SplitBins,
    ) {
        let Some(gain) = self.gain(left, node, more) else { return };
        if best.is_none_or(|best| gain > best.gain) {
            *best = Some(BestSplit { gain, input: input as u32, bins: bins(), left });
        }
    }
}
