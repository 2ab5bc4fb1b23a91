//! A fit: rounds of trees, each grown on the slopes of the loss at the predictions so far, in steps.
//!
//! Friedman 2001. With F the sums so far and y the target, slopes and curvatures are
//! ```text
//! binary      p − y,        p(1 − p)             p = 1/(1 + exp(−(base + F)))
//! multiclass  p_k − [y=k],  p_k(1 − p_k)·K/(K−1) p = softmax(base + F)
//! regression  F − (y − base)/scale,  1           base and scale: mean and deviation of the labels
//! ```
//! All sums over examples are of integers, and every comparison runs in the order of inputs and bins. So a fit depends on
//! its examples and their order only.

use std::sync::Arc;

use super::ensemble::{BoostedEnsemble, BoostedNode, BoostedTree};
use super::grid::{bin_of_number, quantile_cuts};
use super::grower::{BinnedExamples, TreeGrower};
use super::histogram::{CurvatureUnit, GradientSum};
use super::search::{SplitBins, SplitRule};
use crate::model::Task;
use crate::model::kind::example_buffer::ExampleBuffer;

/// Bound of the sums of classes, as of the log-odds of logistic regression.
const MOST_ODDS: f64 = 15.0;

/// The rule of a fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct BoostingRule {
    pub task: Task,
    /// Learning rate: the share of a leaf's best step that is taken.
    pub rate: f64,
    pub max_leaves: usize,
    pub bins: usize,
    pub l2: f64,
    pub least: u32,
}

impl BoostingRule {
    fn split(&self) -> SplitRule {
        let unit = match self.task {
            Task::Binary => CurvatureUnit::Quarter,
            _ => CurvatureUnit::One,
        };
        SplitRule { l2: self.l2, least: self.least, unit }
    }
}

/// Replaces the outputs of an example by probabilities, for classes. Other outputs stay.
#[inline]
pub(super) fn link(task: Task, outputs: &mut [f64]) {
    let bounded = |output: f64| output.clamp(-MOST_ODDS, MOST_ODDS);
    match task {
        Task::Binary => outputs[0] = 1.0 / (1.0 + libm::exp(-bounded(outputs[0]))),
        Task::Multiclass => {
            let most = outputs.iter().fold(-MOST_ODDS, |most, output| most.max(bounded(*output)));
            outputs.iter_mut().for_each(|output| *output = libm::exp(bounded(*output) - most));
            let total = outputs.iter().fold(0.0, |total, output| total + output);
            outputs.iter_mut().for_each(|output| *output /= total);
        }
        _ => {}
    }
}

#[derive(Clone, Copy, Debug)]
enum FitStep {
    /// Cut an input into bins.
    Bin {
        input: usize,
    },
    /// Add the values of the trees that there are already, from this piece and row on.
    Score {
        piece: usize,
        row: usize,
        at: usize,
    },
    /// Predict all examples, from this one on.
    Predict {
        at: usize,
    },
    Grow,
    Done,
}

/// A fit on its way.
pub(super) struct BoostingFit {
    rule: BoostingRule,
    examples: ExampleBuffer,
    targets: Vec<f64>,
    ensemble: BoostedEnsemble,
    /// Rounds to come.
    rounds: usize,
    step: FitStep,
    /// The output whose tree is being grown.
    output: usize,
    binned: BinnedExamples,
    cuts: Vec<Vec<f64>>,
    /// By example and output: the sum of the values so far, and the prediction of this round.
    sums: Vec<f64>,
    predicted: Vec<f64>,
    gradients: Vec<GradientSum>,
    grower: TreeGrower,
    memory: Vec<u8>,
}

impl BoostingFit {
    /// Starts a fit of so many rounds, beside the trees of an ensemble.
    pub fn new(rule: BoostingRule, examples: ExampleBuffer, ensemble: BoostedEnsemble, rounds: usize) -> Self {
        let (rows, shape, outputs) = (examples.len(), examples.shape(), ensemble.outputs());
        let (inputs, numbers) = (shape.inputs(), shape.numbers);
        BoostingFit {
            rule,
            targets: examples.targets().collect(),
            ensemble,
            rounds,
            step: FitStep::Bin { input: 0 },
            output: 0,
            binned: BinnedExamples { bins: vec![0; rows * inputs], rows, inputs, numbers },
            cuts: Vec::with_capacity(numbers),
            sums: vec![0.0; rows * outputs],
            predicted: vec![0.0; rows * outputs],
            gradients: Vec::with_capacity(rows),
            grower: TreeGrower::default(),
            memory: Vec::new(),
            examples,
        }
    }

    /// Continues as long as there is work to spend, in cells of histograms. Returns true once the fit is done.
    pub fn advance(&mut self, mut work: usize) -> bool {
        while work > 0 {
            match self.step {
                FitStep::Bin { input } if input < self.binned.inputs => {
                    self.bin(input);
                    work = work.saturating_sub(32 * self.binned.rows + 1);
                    self.step = FitStep::Bin { input: input + 1 };
                }
                FitStep::Bin { .. } => self.step = FitStep::Score { piece: 0, row: 0, at: 0 },
                FitStep::Score { piece, row, at } => self.score(piece, row, at, &mut work),
                FitStep::Predict { .. } if self.rounds == 0 => self.step = FitStep::Done,
                FitStep::Predict { at } => self.predict(at, &mut work),
                FitStep::Grow => {
                    let (binned, gradients, split) = (&self.binned, &self.gradients, self.rule.split());
                    if self.grower.advance(binned, gradients, &split, self.rule.max_leaves, &mut work) {
                        self.add_tree();
                        work = work.saturating_sub(4 * self.binned.rows);
                    }
                }
                FitStep::Done => return true,
            }
        }
        false
    }

    /// Returns the fitted ensemble.
    pub fn into_ensemble(self) -> BoostedEnsemble {
        self.ensemble
    }

    fn bin(&mut self, input: usize) {
        let BinnedExamples { bins, inputs, numbers, .. } = &mut self.binned;
        let cells = bins.iter_mut().skip(input).step_by(*inputs);
        let shape = self.examples.shape();
        if let Some(category) = input.checked_sub(*numbers) {
            let known = &self.ensemble.vocabularies[category];
            let hashes = self.examples.pieces().flat_map(|piece| piece.categories(shape, category));
            cells.zip(hashes).for_each(|(cell, hash)| *cell = known.bin(hash));
        } else {
            let cuts = quantile_cuts(&self.examples, input, self.rule.bins);
            let values = self.examples.pieces().flat_map(|piece| piece.numbers(shape, input));
            cells.zip(values).for_each(|(cell, x)| *cell = bin_of_number(&cuts, x));
            self.cuts.push(cuts);
        }
    }

    fn score(&mut self, mut piece: usize, mut row: usize, mut at: usize, work: &mut usize) {
        let outputs = self.ensemble.outputs();
        while let Some(examples) = self.examples.piece(piece).filter(|_| !self.ensemble.trees.is_empty()) {
            while row < examples.targets().len() {
                if *work == 0 {
                    self.step = FitStep::Score { piece, row, at };
                    return;
                }
                let sums = &mut self.sums[at * outputs..(at + 1) * outputs];
                self.ensemble.add_values(examples.example(self.examples.shape(), row), &mut self.memory, sums);
                *work = work.saturating_sub(8 * self.ensemble.trees.len() + 1);
                (row, at) = (row + 1, at + 1);
            }
            (piece, row) = (piece + 1, 0);
        }
        self.step = FitStep::Predict { at: 0 };
    }

    /// Predicts examples from one on. Starts the first tree of the round once all are predicted.
    fn predict(&mut self, mut at: usize, work: &mut usize) {
        let (outputs, rows) = (self.ensemble.outputs(), self.binned.rows);
        let scale = self.ensemble.scale;
        while at < rows && *work > 0 {
            let cells = at * outputs..(at + 1) * outputs;
            let predicted = &mut self.predicted[cells.clone()];
            for ((predicted, sum), base) in predicted.iter_mut().zip(&self.sums[cells]).zip(&self.ensemble.base) {
                *predicted = base + scale * sum;
            }
            link(self.rule.task, predicted);
            *work = work.saturating_sub(16 * outputs);
            at += 1;
        }
        self.step = FitStep::Predict { at };
        if at == rows {
            self.output = 0;
            self.start_tree();
        }
    }

    /// Rounds the slopes of the current output, and starts its tree.
    fn start_tree(&mut self) {
        let (outputs, output, unit) = (self.ensemble.outputs(), self.output, self.rule.split().unit);
        let (base, scale) = (self.ensemble.base[output], self.ensemble.scale);
        let factor = outputs as f64 / (outputs as f64 - 1.0).max(1.0);
        let predicted = self.predicted.iter().skip(output).step_by(outputs);
        let sums = self.sums.iter().skip(output).step_by(outputs);
        let examples = predicted.zip(sums).zip(&self.targets);
        self.gradients.clear();
        self.gradients.extend(examples.map(|((p, sum), target)| match self.rule.task {
            Task::Binary => GradientSum::round(p - target, p * (1.0 - p), unit),
            Task::Multiclass => {
                let is_own = f64::from(u8::from(*target as usize == output));
                GradientSum::round(p - is_own, p * (1.0 - p) * factor, unit)
            }
            _ => GradientSum::round(sum - (target - base) / scale, 1.0, unit),
        }));
        self.grower.start(&self.binned, &self.gradients);
        self.step = FitStep::Grow;
    }

    /// Adds the tree that is grown to the ensemble and to the sums. Goes on with the next output or round; a round in
    /// which no tree has a split is the last, and left out.
    fn add_tree(&mut self) {
        let (outputs, tree) = (self.ensemble.outputs(), self.tree());
        for (node, rows) in self.grower.leaves() {
            let value = self.rule.rate * self.rule.split().value(self.grower.nodes()[node].sum);
            for row in rows {
                self.sums[*row as usize * outputs + self.output] += value;
            }
        }
        self.ensemble.trees.push(Arc::new(tree));
        self.output += 1;
        if self.output < outputs {
            return self.start_tree();
        }
        let before = self.ensemble.trees.len() - outputs;
        if self.ensemble.trees[before..].iter().all(|tree| tree.nodes.len() == 1) {
            self.ensemble.trees.truncate(before);
            self.step = FitStep::Done;
            return;
        }
        self.rounds -= 1;
        self.step = FitStep::Predict { at: 0 };
    }

    /// Returns the tree that is grown, with cuts in place of bins.
    fn tree(&self) -> BoostedTree {
        let mut tree = BoostedTree::default();
        for node in self.grower.nodes() {
            let leaf = BoostedNode::leaf(self.rule.rate * self.rule.split().value(node.sum), node.sum.count());
            let node = match &node.split {
                None => leaf,
                Some((best, children)) => match best.bins {
                    SplitBins::UpTo { bin, nulls_left } => {
                        // Above the last cut there are only nulls.
                        let cut = self.cuts[best.input as usize].get(bin as usize - 1).copied().unwrap_or(f64::MAX);
                        leaf.testing_number(best.input, cut, nulls_left, *children)
                    }
                    SplitBins::In(set) => {
                        tree.sets.push(set);
                        leaf.testing_category(best.input, tree.sets.len() as u32 - 1, *children)
                    }
                },
            };
            tree.nodes.push(node);
        }
        tree
    }
}
