//! Statistics of the targets of one leaf by the values of its inputs.
//!
//! All of a leaf's numbers are in one vector, input after input, so that learning an example reads memory in its order. Of an
//! input there are, with w numbers a cell of targets:
//!
//! | numbers | content |
//! |---|---|
//! | 16 | the cuts of a number, ascending, and infinities after them; the bits of the hashes of a category |
//! | 1 | how many cuts or hashes there are |
//! | 2 | the least and the largest value of a number |
//! | 2 w | the targets of all values that are not null, and those of nulls |
//! | 17 w | a cell for each bin of a number; or for each category, and one for all others |
//!
//! Inputs that are numbers come first.

use super::cuts::{BINS, finer_cuts, quantile_cuts};
use super::split_test::{SplitBranch, SplitTest};
use crate::model::kind::target_form::TargetForm;

/// Positions of the numbers of an input.
const COUNT: usize = BINS;
const LOW: usize = COUNT + 1;
const HIGH: usize = LOW + 1;
const KNOWN: usize = HIGH + 1;

/// One value of an input.
#[derive(Clone, Copy, Debug)]
pub(super) enum InputValue {
    /// NaN is null.
    Number(f64),
    Category(u64),
}

/// The cell of a value: [`NO_BIN`] of a null.
pub(in crate::model::kind) type Bin = u8;

pub(super) const NO_BIN: Bin = Bin::MAX;

/// The cell that categories without one share.
const OTHERS: Bin = BINS as Bin;

/// Cells of targets by the values of each input of a leaf.
#[derive(Clone, Debug)]
pub(super) struct LeafInputs {
    /// Numbers of a cell.
    width: usize,
    /// The number of inputs that are numbers; categories come after them.
    numbers: usize,
    inputs: usize,
    cells: Vec<f64>,
}

/// The numbers of one input.
#[derive(Clone, Copy)]
pub(super) struct InputCells<'a> {
    pub width: usize,
    is_number: bool,
    cells: &'a [f64],
}

impl LeafInputs {
    /// Statistics of no inputs.
    pub fn new(width: usize) -> Self {
        LeafInputs { width, numbers: 0, inputs: 0, cells: Vec::new() }
    }

    /// Returns the number of inputs.
    #[inline]
    pub fn len(&self) -> usize {
        self.inputs
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.inputs == 0
    }

    /// Returns whether there are inputs that are categories.
    pub fn has_categories(&self) -> bool {
        self.numbers < self.inputs
    }

    #[inline]
    fn stride(&self) -> usize {
        KNOWN + (2 + BINS + 1) * self.width
    }

    /// Sets the range and the targets of the input that was added last: those that are known, those of nulls, and the cells.
    pub fn restore_last(&mut self, [low, high]: [f64; 2], [known, nulls, all]: [&[f64]; 3]) {
        let (from, width) = (self.cells.len() - self.stride(), self.width);
        let (own, targets) = self.cells[from..].split_at_mut(KNOWN);
        (own[LOW], own[HIGH]) = (low, high);
        targets[..width].copy_from_slice(known);
        targets[width..2 * width].copy_from_slice(nulls);
        targets[2 * width..2 * width + all.len()].copy_from_slice(all);
    }

    /// Removes all inputs.
    pub fn clear(&mut self) {
        *self = LeafInputs::new(self.width);
    }

    /// Adds a number with these cuts. Numbers come before categories.
    pub fn push_cuts(&mut self, cuts: &[f64]) {
        debug_assert!(self.numbers == self.inputs && cuts.len() < BINS);
        let from = self.cells.len();
        self.numbers += 1;
        self.push_zeros();
        let own = &mut self.cells[from..];
        own[..BINS].fill(f64::INFINITY);
        own[..cuts.len()].copy_from_slice(cuts);
        own[COUNT] = cuts.len() as f64;
        (own[LOW], own[HIGH]) = (f64::INFINITY, f64::NEG_INFINITY);
    }

    /// Adds a number with cuts at quantiles of a sample.
    pub fn push_sampled(&mut self, sample: impl Iterator<Item = f64>) {
        self.push_cuts(&quantile_cuts(sample));
    }

    /// Adds a category that tells these hashes apart so far.
    pub fn push_keys(&mut self, keys: impl ExactSizeIterator<Item = u64>) {
        let from = self.cells.len();
        self.push_zeros();
        let own = &mut self.cells[from..];
        own[COUNT] = keys.len() as f64;
        own[..BINS].iter_mut().zip(keys).for_each(|(cell, key)| *cell = f64::from_bits(key));
    }

    fn push_zeros(&mut self) {
        self.inputs += 1;
        self.cells.resize(self.inputs * self.stride(), 0.0);
    }

    /// Returns the numbers of an input.
    #[inline]
    pub fn input(&self, input: usize) -> InputCells<'_> {
        let stride = self.stride();
        let cells = &self.cells[input * stride..(input + 1) * stride];
        InputCells { width: self.width, is_number: input < self.numbers, cells }
    }

    /// Returns the numbers of all inputs, in their order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = InputCells<'_>> {
        let (width, numbers) = (self.width, self.numbers);
        let each = self.cells.chunks_exact(self.stride()).enumerate();
        each.map(move |(input, cells)| InputCells { width, is_number: input < numbers, cells })
    }

    /// Returns the statistics of a child's examples, which are none yet: the categories of this leaf, and its cuts, made finer
    /// where most examples are. `branch` is the one that the child is on.
    pub fn of_child(&self, form: TargetForm, branch: SplitBranch) -> Self {
        let mut child = LeafInputs::new(self.width);
        child.cells.reserve_exact(self.cells.len());
        for (at, input) in self.iter().enumerate() {
            if !input.is_number {
                child.push_keys(input.keys());
                continue;
            }
            let weights = (0..=input.count()).map(|bin| form.weight(input.cell(bin as Bin))).collect();
            let range = [input.cells[LOW], input.cells[HIGH]];
            let range = match branch {
                SplitBranch { input, test: SplitTest::UpTo(cut), is_left } if input == at => match is_left {
                    true => [range[0], range[1].min(cut)],
                    false => [range[0].max(cut), range[1]],
                },
                _ => range,
            };
            child.push_cuts(&finer_cuts(input.cuts(), range, weights));
        }
        child
    }

    /// Adds a target at the value of an input, whose cell is `bin` so far.
    #[inline]
    pub fn observe(&mut self, form: TargetForm, input: usize, value: InputValue, bin: Bin, target: f64, weight: f64) {
        let (width, stride) = (self.width, self.stride());
        let cells = &mut self.cells[input * stride..(input + 1) * stride];
        let mut bin = bin;
        match value {
            InputValue::Number(x) => {
                if x < cells[LOW] {
                    cells[LOW] = x;
                }
                if x > cells[HIGH] {
                    cells[HIGH] = x;
                }
            }
            InputValue::Category(hash) if bin == OTHERS && cells[COUNT] < BINS as f64 => {
                bin = cells[COUNT] as Bin;
                cells[usize::from(bin)] = f64::from_bits(hash);
                cells[COUNT] += 1.0;
            }
            InputValue::Category(_) => {}
        }
        let targets = &mut cells[KNOWN..];
        if bin == NO_BIN {
            return form.add(&mut targets[width..2 * width], target, weight);
        }
        form.add(&mut targets[..width], target, weight);
        let at = (2 + usize::from(bin)) * width;
        form.add(&mut targets[at..at + width], target, weight);
    }

    /// Makes room for more classes.
    pub fn widen(&mut self, to: usize) {
        let mut wider = LeafInputs { width: to, numbers: self.numbers, inputs: self.inputs, cells: Vec::new() };
        wider.cells.resize(wider.inputs * wider.stride(), 0.0);
        let stride = wider.stride();
        for (own, all) in self.cells.chunks_exact(self.stride()).zip(wider.cells.chunks_exact_mut(stride)) {
            all[..KNOWN].copy_from_slice(&own[..KNOWN]);
            if self.width > 0 {
                let cells = own[KNOWN..].chunks_exact(self.width).zip(all[KNOWN..].chunks_exact_mut(to));
                cells.for_each(|(own, all)| all[..own.len()].copy_from_slice(own));
            }
        }
        *self = wider;
    }
}

impl<'a> InputCells<'a> {
    #[inline]
    pub fn is_number(self) -> bool {
        self.is_number
    }

    /// Returns how many cuts or categories there are.
    #[inline]
    pub fn count(self) -> usize {
        self.cells[COUNT] as usize
    }

    /// Returns the cuts of a number.
    pub fn cuts(self) -> &'a [f64] {
        &self.cells[..self.count()]
    }

    /// Returns the hashes of a category, in the order in which they came.
    pub fn keys(self) -> impl ExactSizeIterator<Item = u64> + use<'a> {
        self.cells[..self.count()].iter().map(|key| key.to_bits())
    }

    /// Returns the least and the largest value of a number.
    pub fn range(self) -> [f64; 2] {
        [self.cells[LOW], self.cells[HIGH]]
    }

    /// Returns how many cells there are, as a float.
    #[inline]
    pub fn bins(self) -> f64 {
        if self.is_number { self.cells[COUNT] + 1.0 } else { (BINS + 1) as f64 }
    }

    /// Returns the cell of a value.
    #[inline]
    pub fn bin(self, value: InputValue) -> Bin {
        match value {
            InputValue::Number(x) if x.is_nan() => NO_BIN,
            // All sixteen, so that they are compared several at a time.
            InputValue::Number(x) => self.cells[..BINS].iter().fold(0_i64, |bin, cut| bin + i64::from(*cut < x)) as Bin,
            InputValue::Category(hash) => {
                self.keys().position(|key| key == hash).map_or(OTHERS, |position| position as Bin)
            }
        }
    }

    /// Returns the targets of a cell.
    #[inline]
    pub fn cell(self, bin: Bin) -> &'a [f64] {
        let at = KNOWN + (2 + usize::from(bin)) * self.width;
        &self.cells[at..at + self.width]
    }

    /// Returns the targets of all cells, one after another.
    pub fn all(self) -> &'a [f64] {
        let cells = if self.is_number { self.count() + 1 } else { BINS + 1 };
        let from = KNOWN + 2 * self.width;
        &self.cells[from..from + cells * self.width]
    }

    /// Returns the targets of all values that are not null.
    #[inline]
    pub fn known(self) -> &'a [f64] {
        &self.cells[KNOWN..KNOWN + self.width]
    }

    pub fn nulls(self) -> &'a [f64] {
        &self.cells[KNOWN + self.width..KNOWN + 2 * self.width]
    }

    /// Returns whether these are consistent, of a number or of a category.
    pub fn fits(self, form: TargetForm, is_number: bool) -> bool {
        let [low, high] = self.range();
        let has_cuts = self.cuts().iter().all(|cut| cut.is_finite())
            && self.cuts().is_sorted_by(|one, other| one < other)
            && !low.is_nan()
            && !high.is_nan();
        self.is_number == is_number
            && (!is_number || has_cuts)
            && [self.all(), self.known(), self.nulls()].into_iter().all(|cells| form.fits(cells))
    }
}
