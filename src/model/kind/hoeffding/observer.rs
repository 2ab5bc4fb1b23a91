//! Statistics of the targets of one leaf by the values of one input, and the best split that they show.

use serde::{Deserialize, Serialize};

use crate::model::kind::target_form::TargetForm;

/// Most bins of a number and most categories that a leaf tells apart.
pub(super) const BINS: usize = 16;

/// The least share of the known targets on either side of a split.
const LEAST_BRANCH: f64 = 0.01;

/// The values of an input that are told apart.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum InputGrid {
    /// A number: bins between cuts, which belong to the bin below, and the least and the largest value seen.
    Cuts { cuts: Vec<f64>, low: f64, high: f64 },
    /// A category: hashes in the order in which they came; further ones share a cell.
    Keys(Vec<u64>),
}

/// One value of an input.
#[derive(Clone, Copy, Debug)]
pub(super) enum InputValue {
    /// NaN is null.
    Number(f64),
    Category(u64),
}

/// A test that sends an example to the left. A null is sent to the heavier side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum SplitTest {
    /// The number is not above this.
    UpTo(f64),
    /// The category is this.
    Is(u64),
}

/// The best split by one input.
#[derive(Clone, Debug)]
pub(super) struct FoundSplit {
    /// The impurity that the split takes away, times the share of targets whose value is known.
    pub merit: f64,
    pub test: SplitTest,
    /// Cells of either side, without nulls.
    pub left: Vec<f64>,
    pub right: Vec<f64>,
}

/// Cells of targets by the values of one input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct InputObserver {
    grid: InputGrid,
    /// A cell for each bin; or for each category, and one for all others.
    cells: Vec<f64>,
    /// The cell of all targets whose value is not null.
    known: Vec<f64>,
    nulls: Vec<f64>,
}

impl InputObserver {
    fn new(form: TargetForm, grid: InputGrid) -> Self {
        let bins = match &grid {
            InputGrid::Cuts { cuts, .. } => cuts.len() + 1,
            InputGrid::Keys(_) => BINS + 1,
        };
        let width = form.width();
        InputObserver { grid, cells: vec![0.0; bins * width], known: vec![0.0; width], nulls: vec![0.0; width] }
    }

    /// An observer of a number, with cuts at quantiles of a sample.
    pub fn of_numbers(form: TargetForm, sample: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = sample.filter(|x| !x.is_nan()).map(|x| x + 0.0).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let mut cuts: Vec<f64> = Vec::new();
        for part in 1..BINS {
            let Some(below) = (sorted.len() * part / BINS).checked_sub(1).map(|at| sorted[at]) else { continue };
            let next = sorted.get(sorted.partition_point(|x| *x <= below));
            let cut = next.map(|above| between(below, *above));
            cuts.extend(cut.filter(|cut| cuts.last().is_none_or(|last| last < cut)));
        }
        Self::new(form, InputGrid::Cuts { cuts, low: f64::INFINITY, high: f64::NEG_INFINITY })
    }

    /// An observer of a category.
    pub fn of_categories(form: TargetForm) -> Self {
        Self::new(form, InputGrid::Keys(Vec::new()))
    }

    /// An observer of a child's examples: the categories of this one, or its cuts, made finer where most examples are.
    /// `within` is the test on the same input that made the child, and whether the child is on its left.
    pub fn of_child(&self, form: TargetForm, within: Option<(SplitTest, bool)>) -> Self {
        let grid = match &self.grid {
            InputGrid::Keys(keys) => InputGrid::Keys(keys.clone()),
            InputGrid::Cuts { cuts, low, high } => {
                let weights = self.cells.chunks_exact(form.width()).map(|cell| form.weight(cell)).collect();
                let cuts = finer_cuts(cuts, *low, *high, weights, within);
                InputGrid::Cuts { cuts, low: f64::INFINITY, high: f64::NEG_INFINITY }
            }
        };
        Self::new(form, grid)
    }

    /// Returns the cell of a value. None of a null.
    #[inline]
    pub fn bin(&self, value: InputValue) -> Option<usize> {
        match (&self.grid, value) {
            (InputGrid::Cuts { cuts, .. }, InputValue::Number(x)) if !x.is_nan() => {
                Some(cuts.iter().fold(0, |bin, cut| bin + usize::from(*cut < x)))
            }
            (InputGrid::Keys(keys), InputValue::Category(hash)) => {
                Some(keys.iter().position(|key| *key == hash).unwrap_or(BINS))
            }
            _ => None,
        }
    }

    /// Returns the targets of a cell.
    #[inline]
    pub fn cell(&self, form: TargetForm, bin: usize) -> &[f64] {
        &self.cells[bin * form.width()..(bin + 1) * form.width()]
    }

    /// Returns the targets of all values that are not null.
    #[inline]
    pub fn known(&self) -> &[f64] {
        &self.known
    }

    pub fn nulls(&self) -> &[f64] {
        &self.nulls
    }

    /// Returns how many cells there are.
    #[inline]
    pub fn bins(&self) -> usize {
        match &self.grid {
            InputGrid::Cuts { cuts, .. } => cuts.len() + 1,
            InputGrid::Keys(_) => BINS + 1,
        }
    }

    /// Adds a target at a value, whose cell is `bin` so far.
    #[inline]
    pub fn observe(&mut self, form: TargetForm, value: InputValue, bin: Option<usize>, target: f64, weight: f64) {
        let mut bin = bin;
        match (&mut self.grid, value) {
            (InputGrid::Cuts { low, high, .. }, InputValue::Number(x)) => {
                if x < *low {
                    *low = x;
                }
                if x > *high {
                    *high = x;
                }
            }
            (InputGrid::Keys(keys), InputValue::Category(hash)) if keys.len() < BINS && bin == Some(BINS) => {
                bin = Some(keys.len());
                keys.push(hash);
            }
            _ => {}
        }
        match bin {
            Some(bin) => {
                let width = form.width();
                form.add(&mut self.cells[bin * width..(bin + 1) * width], target, weight);
                form.add(&mut self.known, target, weight);
            }
            None => form.add(&mut self.nulls, target, weight),
        }
    }

    /// Returns the split that takes away most impurity, the first of equals. None if no split leaves targets on both
    /// sides.
    pub fn best_split(&self, form: TargetForm) -> Option<FoundSplit> {
        let candidates: Vec<SplitTest> = match &self.grid {
            InputGrid::Cuts { cuts, .. } => cuts.iter().map(|cut| SplitTest::UpTo(*cut)).collect(),
            InputGrid::Keys(keys) => keys.iter().map(|key| SplitTest::Is(*key)).collect(),
        };
        let by_order = matches!(self.grid, InputGrid::Cuts { .. });
        let cells: Vec<&[f64]> = (0..self.bins()).map(|bin| self.cell(form, bin)).collect();
        // The cells to the right of each cut, merged from the right.
        let mut above = vec![vec![0.0; form.width()]; cells.len()];
        for bin in (1..cells.len()).rev().filter(|_| by_order) {
            let mut sum = above[bin].clone();
            form.merge(&mut sum, cells[bin]);
            above[bin - 1] = sum;
        }
        let (known, unknown) = (form.weight(&self.known), form.weight(&self.nulls));
        let impurity = form.impurity(&self.known);
        let mut best: Option<FoundSplit> = None;
        let mut below = vec![0.0; form.width()];
        for (bin, test) in candidates.into_iter().enumerate() {
            let (left, right) = if by_order {
                form.merge(&mut below, cells[bin]);
                (below.clone(), above[bin].clone())
            } else {
                let mut others = vec![0.0; form.width()];
                let rest = cells.iter().enumerate().filter(|(other, _)| *other != bin);
                rest.for_each(|(_, cell)| form.merge(&mut others, cell));
                (cells[bin].to_vec(), others)
            };
            let (on_left, on_right) = (form.weight(&left), form.weight(&right));
            if on_left.min(on_right) < LEAST_BRANCH * known || on_left.min(on_right) <= 0.0 {
                continue;
            }
            let left_over = on_left * form.impurity(&left) + on_right * form.impurity(&right);
            let merit = (impurity - left_over / known) * known / (known + unknown);
            if best.as_ref().is_none_or(|best| merit > best.merit) {
                best = Some(FoundSplit { merit, test, left, right });
            }
        }
        best
    }

    /// Makes room for more classes.
    pub fn widen(&mut self, from: usize, to: usize) {
        if from == 0 {
            self.cells = vec![0.0; self.bins() * to];
            (self.known, self.nulls) = (vec![0.0; to], vec![0.0; to]);
            return;
        }
        for cells in [&mut self.cells, &mut self.known, &mut self.nulls] {
            TargetForm::widen(cells, from, to);
        }
    }

    /// Returns whether this is a consistent observer of a number, or of a category.
    pub fn fits(&self, form: TargetForm, is_number: bool) -> bool {
        let grid = match &self.grid {
            InputGrid::Cuts { cuts, low, high } => {
                is_number
                    && cuts.len() < BINS
                    && cuts.iter().all(|cut| cut.is_finite())
                    && cuts.is_sorted_by(|one, other| one < other)
                    && !low.is_nan()
                    && !high.is_nan()
            }
            InputGrid::Keys(keys) => !is_number && keys.len() <= BINS,
        };
        let width = form.width();
        grid && self.cells.len() == self.bins() * width
            && self.known.len() == width
            && self.nulls.len() == width
            && [&self.cells, &self.known, &self.nulls].into_iter().all(|cells| form.fits(cells))
    }
}

/// Returns a number from `below` on and less than `above`, in the middle if there is one.
fn between(below: f64, above: f64) -> f64 {
    let middle = below + (above - below) / 2.0;
    if middle < above { middle } else { below }
}

/// Returns the cuts of a child: those of its parent that lie within the child, without those between empty bins, and
/// then the middle of the heaviest bin again and again.
fn finer_cuts(cuts: &[f64], low: f64, high: f64, weights: Vec<f64>, within: Option<(SplitTest, bool)>) -> Vec<f64> {
    let (low, high) = match within {
        Some((SplitTest::UpTo(cut), true)) => (low, high.min(cut)),
        Some((SplitTest::UpTo(cut), false)) => (low.max(cut), high),
        _ => (low, high),
    };
    if low >= high {
        return Vec::new();
    }
    // The bins within the child: upper edges and weights.
    let edges = cuts.iter().copied().chain([f64::INFINITY]).zip(weights);
    let mut bins: Vec<(f64, f64)> = Vec::with_capacity(BINS);
    let mut lower = f64::NEG_INFINITY;
    for (upper, weight) in edges {
        if upper > low && lower < high {
            match bins.last_mut() {
                Some(last) if last.1 <= 0.0 && weight <= 0.0 => last.0 = upper.min(high),
                _ => bins.push((upper.min(high), weight)),
            }
        }
        lower = upper;
    }
    // Halve the heaviest that can be halved.
    while bins.len() < BINS {
        let lower = |at: usize| if at == 0 { low } else { bins[at - 1].0 };
        let middle = |at: usize| Some(between(lower(at), bins[at].0)).filter(|middle| *middle > lower(at));
        let heaviest = (0..bins.len()).filter(|at| bins[*at].1 > 0.0 && middle(*at).is_some());
        let Some(at) = heaviest.reduce(|best, at| if bins[at].1 > bins[best].1 { at } else { best }) else { break };
        let (middle, half) = (middle(at).expect("it can be halved"), bins[at].1 / 2.0);
        bins[at].1 = half;
        bins.insert(at, (middle, half));
    }
    bins.pop();
    bins.into_iter().map(|(upper, _)| upper).collect()
}
