//! The best split that each input of a leaf shows.

use super::cuts::BINS;
use super::leaf_inputs::{Bin, InputCells, LeafInputs};
use super::split_test::SplitTest;
use crate::model::kind::target_form::TargetForm;

/// The least share of the known targets on either side of a split.
const LEAST_BRANCH: f64 = 0.01;

/// The merit of the best split by one input.
#[derive(Clone, Copy, Debug)]
pub(super) struct SplitMerit {
    /// The impurity that the split takes away, times the share of targets whose value is known.
    pub merit: f64,
    /// The cut after this bin, or this category.
    bin: usize,
}

/// A split by one input.
#[derive(Clone, Debug)]
pub(super) struct FoundSplit {
    pub test: SplitTest,
    /// Cells of either side, without nulls.
    pub left: Vec<f64>,
    pub right: Vec<f64>,
}

/// Working memory of a search.
#[derive(Debug, Default)]
pub(in crate::model::kind) struct SearchMemory {
    /// The cells to the right of each cut, merged from the right.
    above: Vec<f64>,
    left: Vec<f64>,
    right: Vec<f64>,
}

impl LeafInputs {
    /// Returns the split by an input at a merit that [`InputCells::best_split`] has found.
    pub fn split_at(&self, form: TargetForm, input: usize, found: SplitMerit) -> FoundSplit {
        let (input, mut memory) = (self.input(input), SearchMemory::default());
        memory.sides(form, input);
        (0..=found.bin).for_each(|bin| memory.pass(form, input, bin));
        let test = match input.is_number() {
            true => SplitTest::UpTo(input.cuts()[found.bin]),
            false => SplitTest::Is(input.keys().nth(found.bin).expect("a category that was found")),
        };
        FoundSplit { test, left: memory.left, right: memory.right }
    }
}

impl InputCells<'_> {
    /// Returns a number that no split of two classes has a higher merit than.
    pub fn most_merit(self, form: TargetForm) -> f64 {
        /// More than the error of [`TargetForm::least_impurity`] and of the arithmetic.
        const SLACK: f64 = 1e-5;
        let pair = |cell: &[f64]| [cell[0], cell[1]];
        let (all, unknown) = (pair(self.known()), form.weight(self.nulls()));
        let known = all[0] + all[1];
        let mut least = f64::INFINITY;
        let mut below = [0.0; 2];
        for cell in self.all().chunks_exact(2).take(self.count()) {
            let own = pair(cell);
            let left = match self.is_number() {
                true => [below[0] + own[0], below[1] + own[1]],
                false => own,
            };
            below = left;
            let right = [(all[0] - left[0]).max(0.0), (all[1] - left[1]).max(0.0)];
            least = least.min(TargetForm::least_impurity(left) + TargetForm::least_impurity(right));
        }
        (form.impurity(self.known()) - least / known) * known / (known + unknown) + SLACK
    }

    /// Returns the split that takes away most impurity, the first of equals. None if no split leaves targets on both
    /// sides.
    pub fn best_split(self, form: TargetForm, memory: &mut SearchMemory) -> Option<SplitMerit> {
        let (known, unknown) = (form.weight(self.known()), form.weight(self.nulls()));
        let impurity = form.impurity(self.known());
        memory.sides(form, self);
        let mut best: Option<SplitMerit> = None;
        for bin in 0..self.count() {
            memory.pass(form, self, bin);
            let (left, right) = (&memory.left, &memory.right);
            let (on_left, on_right) = (form.weight(left), form.weight(right));
            if on_left.min(on_right) < LEAST_BRANCH * known || on_left.min(on_right) <= 0.0 {
                continue;
            }
            let left_over = on_left * form.impurity(left) + on_right * form.impurity(right);
            let merit = (impurity - left_over / known) * known / (known + unknown);
            if best.is_none_or(|best| merit > best.merit) {
                best = Some(SplitMerit { merit, bin });
            }
        }
        best
    }
}

impl SearchMemory {
    /// Begins a search of the splits of an input, from the first bin on.
    fn sides(&mut self, form: TargetForm, input: InputCells<'_>) {
        let width = input.width;
        self.left.clear();
        self.left.resize(width, 0.0);
        self.right.clear();
        self.right.resize(width, 0.0);
        if !input.is_number() {
            return;
        }
        let last = input.count();
        self.above.clear();
        self.above.resize((last + 1) * width, 0.0);
        for bin in (1..=last).rev() {
            let (below, own) = self.above.split_at_mut(bin * width);
            let below = &mut below[(bin - 1) * width..];
            below.copy_from_slice(&own[..width]);
            form.merge(below, input.cell(bin as Bin));
        }
    }

    /// Sets the two sides of the split after the next bin, or by the next category.
    fn pass(&mut self, form: TargetForm, input: InputCells<'_>, bin: usize) {
        let width = input.width;
        if input.is_number() {
            form.merge(&mut self.left, input.cell(bin as Bin));
            self.right.copy_from_slice(&self.above[bin * width..(bin + 1) * width]);
            return;
        }
        self.left.copy_from_slice(input.cell(bin as Bin));
        self.right.fill(0.0);
        for other in (0..=BINS).filter(|other| *other != bin) {
            form.merge(&mut self.right, input.cell(other as Bin));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::leaf_inputs::InputValue;
    use super::*;

    proptest! {
        #[test]
        fn no_split_has_more_than_the_most_merit(
            examples in prop::collection::vec((0..20_u32, 0..20_u64, 0..2_u32, 1..4_u32), 1..200),
        ) {
            let form = TargetForm::Classes(2);
            let mut inputs = LeafInputs::new(form.width());
            inputs.push_sampled(examples.iter().map(|(x, ..)| f64::from(*x)));
            inputs.push_keys(std::iter::empty());
            for (x, category, class, weight) in &examples {
                let x = if *x == 7 { f64::NAN } else { f64::from(*x) };
                for (at, value) in [InputValue::Number(x), InputValue::Category(*category)].into_iter().enumerate() {
                    let bin = inputs.input(at).bin(value);
                    inputs.observe(form, at, value, bin, f64::from(*class), f64::from(*weight) / 6.0);
                }
            }
            for input in inputs.iter() {
                let most = input.most_merit(form);
                let found = input.best_split(form, &mut SearchMemory::default());
                prop_assert!(found.is_none_or(|found| found.merit <= most), "{found:?} {most}");
            }
        }
    }
}
