//! One tree that is being grown: leaf by leaf, always at the split that gains most, in steps.

use super::histogram::{GradientHistogram, GradientSum};
use super::search::{BestSplit, SplitRule};

/// Examples as bins, row-major.
#[derive(Debug, Default)]
pub(super) struct BinnedExamples {
    pub bins: Vec<u8>,
    pub rows: usize,
    pub inputs: usize,
    /// The first inputs are numbers.
    pub numbers: usize,
}

impl BinnedExamples {
    /// Returns the bins of an example.
    #[inline]
    pub fn row(&self, row: usize) -> &[u8] {
        &self.bins[row * self.inputs..(row + 1) * self.inputs]
    }
}

/// A node of the tree: its sum, and its split if it is no leaf.
#[derive(Clone, Copy, Debug)]
pub(super) struct GrownNode {
    pub sum: GradientSum,
    pub split: Option<(BestSplit, [u32; 2])>,
}

/// A leaf: the rows `from..to` of the grower's order.
#[derive(Clone, Copy, Debug)]
struct OpenLeaf {
    node: usize,
    from: usize,
    to: usize,
    histogram: usize,
    best: Option<BestSplit>,
}

/// A leaf whose histogram is being filled, and its sibling, whose histogram is that of their parent until then.
#[derive(Clone, Copy, Debug)]
struct FillStep {
    leaf: usize,
    sibling: Option<usize>,
    next: usize,
}

/// The state of a tree's growth.
#[derive(Debug, Default)]
pub(super) struct TreeGrower {
    /// All rows, those of each leaf together and ascending.
    order: Vec<u32>,
    aside: Vec<u32>,
    leaves: Vec<OpenLeaf>,
    nodes: Vec<GrownNode>,
    histograms: Vec<GradientHistogram>,
    filling: Option<FillStep>,
}

impl TreeGrower {
    /// Starts a tree of all rows.
    pub fn start(&mut self, binned: &BinnedExamples, gradients: &[GradientSum]) {
        self.order.clear();
        self.order.extend(0..binned.rows as u32);
        let mut sum = GradientSum::default();
        gradients.iter().for_each(|gradient| sum.add(*gradient));
        self.nodes.clear();
        self.nodes.push(GrownNode { sum, split: None });
        self.leaves.clear();
        self.leaves.push(OpenLeaf { node: 0, from: 0, to: binned.rows, histogram: 0, best: None });
        self.clear_histogram(0, binned.inputs);
        self.filling = Some(FillStep { leaf: 0, sibling: None, next: 0 });
    }

    fn clear_histogram(&mut self, at: usize, inputs: usize) {
        match self.histograms.get_mut(at) {
            Some(histogram) => histogram.clear(),
            None => self.histograms.push(GradientHistogram::new(inputs)),
        }
    }

    /// Continues as long as there is work to spend, in cells of histograms. Returns true once the tree is grown.
    pub fn advance(
        &mut self,
        binned: &BinnedExamples,
        gradients: &[GradientSum],
        rule: &SplitRule,
        most_leaves: usize,
        work: &mut usize,
    ) -> bool {
        while *work > 0 {
            if let Some(step) = self.filling {
                self.fill(step, binned, gradients, rule, work);
            } else if !self.split(binned, most_leaves, work) {
                return true;
            }
        }
        false
    }

    /// Adds rows to the histogram of a leaf. Searches it and its sibling once all are added.
    fn fill(
        &mut self,
        step: FillStep,
        binned: &BinnedExamples,
        gradients: &[GradientSum],
        rule: &SplitRule,
        work: &mut usize,
    ) {
        let leaf = self.leaves[step.leaf];
        let from = leaf.from + step.next;
        let rows = (*work / binned.inputs.max(1)).max(1).min(leaf.to - from);
        let histogram = &mut self.histograms[leaf.histogram];
        for row in &self.order[from..from + rows] {
            histogram.add(binned.row(*row as usize), gradients[*row as usize]);
        }
        *work = work.saturating_sub(rows * binned.inputs);
        if from + rows < leaf.to {
            self.filling = Some(FillStep { next: step.next + rows, ..step });
            return;
        }
        self.filling = None;
        if let Some(sibling) = step.sibling {
            let filled = std::mem::take(&mut self.histograms[leaf.histogram]);
            self.histograms[self.leaves[sibling].histogram].subtract(&filled);
            self.histograms[leaf.histogram] = filled;
        }
        for at in [Some(step.leaf), step.sibling].into_iter().flatten() {
            let OpenLeaf { node, histogram, .. } = self.leaves[at];
            let sum = self.nodes[node].sum;
            self.leaves[at].best = rule.best(&self.histograms[histogram], binned.numbers, binned.inputs, sum);
            *work = work.saturating_sub(2 * super::grid::BINS * binned.inputs);
        }
    }

    /// Splits the leaf that gains most, the first of equals. Returns false if there is none, or there are enough leaves.
    fn split(&mut self, binned: &BinnedExamples, most_leaves: usize, work: &mut usize) -> bool {
        let gain = |leaf: &OpenLeaf| leaf.best.map_or(0.0, |best| best.gain);
        let splits = (0..self.leaves.len()).filter(|at| self.leaves[*at].best.is_some());
        let first = splits.reduce(|best, at| if gain(&self.leaves[at]) > gain(&self.leaves[best]) { at } else { best });
        let Some(at) = first.filter(|_| self.leaves.len() < most_leaves) else { return false };
        let parent = self.leaves[at];
        let best = parent.best.expect("only leaves with a split are chosen");
        let middle = parent.from + self.partition(binned, parent, &best);
        *work = work.saturating_sub(4 * (parent.to - parent.from));

        let next = self.nodes.len() as u32;
        let sum = self.nodes[parent.node].sum;
        self.nodes[parent.node].split = Some((best, [next, next + 1]));
        self.nodes.push(GrownNode { sum: best.left, split: None });
        self.nodes.push(GrownNode { sum: sum.without(best.left), split: None });

        // The smaller side gets a histogram of its own, and the other keeps that of the parent.
        let fresh = self.leaves.len();
        self.clear_histogram(fresh, binned.inputs);
        let left_is_smaller = middle - parent.from <= parent.to - middle;
        let histogram = |is_left: bool| if is_left == left_is_smaller { fresh } else { parent.histogram };
        let (node, from, to) = (next as usize, parent.from, parent.to);
        self.leaves[at] = OpenLeaf { node, from, to: middle, histogram: histogram(true), best: None };
        self.leaves.push(OpenLeaf { node: node + 1, from: middle, to, histogram: histogram(false), best: None });
        let (leaf, sibling) = if left_is_smaller { (at, fresh) } else { (fresh, at) };
        self.filling = Some(FillStep { leaf, sibling: Some(sibling), next: 0 });
        true
    }

    /// Moves the rows of the left side to the front, in their order. Returns how many they are.
    fn partition(&mut self, binned: &BinnedExamples, leaf: OpenLeaf, best: &BestSplit) -> usize {
        self.aside.clear();
        let rows = &mut self.order[leaf.from..leaf.to];
        let mut left = 0;
        for at in 0..rows.len() {
            let row = rows[at];
            if best.bins.goes_left(binned.bins[row as usize * binned.inputs + best.input as usize]) {
                rows[left] = row;
                left += 1;
            } else {
                self.aside.push(row);
            }
        }
        rows[left..].copy_from_slice(&self.aside);
        left
    }

    /// Returns the nodes; children come after their parents.
    pub fn nodes(&self) -> &[GrownNode] {
        &self.nodes
    }

    /// Returns the leaves as nodes and their rows.
    pub fn leaves(&self) -> impl Iterator<Item = (usize, &[u32])> {
        self.leaves.iter().map(|leaf| (leaf.node, &self.order[leaf.from..leaf.to]))
    }
}
