//! Shapley values of boosted trees: how much each input moves a prediction from the mean of the trees.
//!
//! The expectation E[S] of a tree, for an example of which only the inputs S are known, is a mean of its leaves: a split by an
//! input of S is decided by the example, and on any other one both sides count by their examples. The Shapley value of an input is the
//! mean change of that expectation when the input becomes known, over all orders in which the inputs can:
//! ```text
//! φ_i = Σ_{S without i} |S|!·(n − |S| − 1)!/n! · (E[S and i] − E[S])        Σ_i φ_i = value − E[∅]
//! ```
//! (Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees", algorithm 2.)
//! It walks each tree once. A path to a leaf tests some inputs; a [`PathStep`] of each has the share of examples that go
//! along if it is not known and whether this one does if it is, and in `weight` the sum over all sets of known inputs of one
//! size. So a leaf costs the square of the inputs on its path.
//!
//! Numbers and categories of observations are the inputs here. Those of one input of the model, such as the items of a list,
//! are added up by the caller.

use super::ensemble::{BoostedEnsemble, BoostedNode, BoostedTree};
use crate::model::preparation::Observation;

/// An input on a path.
#[derive(Clone, Copy, Debug)]
struct PathStep {
    /// `None` of the root's, which stands for the empty set.
    input: Option<usize>,
    /// The share of the examples that go along if the input is not known.
    unknown: f64,
    /// 1 if the example goes along, else 0.
    known: f64,
    /// The weight of the sets of so many inputs of the path as this step's position.
    weight: f64,
}

/// Bounds of what an ensemble's trees contribute, and what explaining them takes.
#[derive(Clone, Debug)]
pub(super) struct ShapleyTrees {
    /// By output, a bound of the sizes of its base and of all contributions together.
    sizes: Vec<f64>,
    cost: usize,
}

impl ShapleyTrees {
    pub fn new(ensemble: &BoostedEnsemble) -> Self {
        let mut sizes: Vec<f64> = ensemble.base.iter().map(|base| base.abs()).collect();
        let mut cost = 0_usize;
        for round in ensemble.trees.chunks_exact(sizes.len().max(1)) {
            for (size, tree) in sizes.iter_mut().zip(round) {
                let shape = TreeShape::of(tree);
                *size += ensemble.scale.abs() * shape.size();
                cost = cost.saturating_add(shape.cost);
            }
        }
        ShapleyTrees { sizes, cost }
    }

    pub fn sizes(&self) -> &[f64] {
        &self.sizes
    }

    /// Returns about how many steps an explanation takes.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// Calls `add` with inputs, outputs and what they contribute to the sum of the trees' values.
    pub fn explain(
        &self,
        ensemble: &BoostedEnsemble,
        example: Observation<'_>,
        mut add: impl FnMut(usize, usize, f64),
    ) {
        let mut bins = Vec::new();
        ensemble.find_bins(example, &mut bins);
        let mut path = Vec::new();
        for round in ensemble.trees.chunks_exact(ensemble.outputs().max(1)) {
            for (output, tree) in round.iter().enumerate() {
                path.clear();
                let mut walk = TreeWalk { tree, numbers: example.numbers, bins: &bins, path: &mut path };
                let root = PathStep { input: None, unknown: 1.0, known: 1.0, weight: 0.0 };
                walk.visit(0, 0, root, &mut |input, amount| add(input, output, amount));
            }
        }
    }
}

/// The measures of a tree.
struct TreeShape {
    /// Inputs that are tested anywhere.
    inputs: usize,
    /// The squares of the lengths of all paths.
    cost: usize,
    /// The least and the largest value of a leaf.
    low: f64,
    high: f64,
}

impl TreeShape {
    fn of(tree: &BoostedTree) -> Self {
        let mut shape = TreeShape { inputs: 0, cost: 0, low: f64::INFINITY, high: f64::NEG_INFINITY };
        let mut tested: Vec<usize> = tree.nodes.iter().filter_map(BoostedNode::tested).collect();
        tested.sort_unstable();
        tested.dedup();
        shape.inputs = tested.len();
        // Children come after their parents.
        let mut depths = vec![0_usize; tree.nodes.len()];
        for (at, node) in tree.nodes.iter().enumerate() {
            match node.tested() {
                Some(_) => node.children().into_iter().for_each(|child| depths[child] = depths[at] + 1),
                None => {
                    let steps = 1 + shape.inputs.min(depths[at]);
                    shape.cost += steps * steps;
                    (shape.low, shape.high) = (shape.low.min(node.value()), shape.high.max(node.value()));
                }
            }
        }
        shape
    }

    /// Returns a bound of the sizes of its mean and of all contributions together: each is at most the range of the values.
    fn size(&self) -> f64 {
        self.low.abs().max(self.high.abs()) + self.inputs as f64 * (self.high - self.low)
    }
}

/// The walk of an example through a tree, to all leaves.
struct TreeWalk<'a> {
    tree: &'a BoostedTree,
    numbers: &'a [f64],
    bins: &'a [u8],
    /// The paths of the nodes from the root to the one that is visited, one behind another.
    path: &'a mut Vec<PathStep>,
}

impl TreeWalk<'_> {
    /// Visits a node and all below it, where the path to its parent is at `from`, and `step` leads from there to the node.
    fn visit(&mut self, node: usize, from: usize, step: PathStep, add: &mut dyn FnMut(usize, f64)) {
        let own = self.path.len();
        self.path.extend_from_within(from..);
        self.extend(own, step);
        let here = &self.tree.nodes[node];
        match here.tested() {
            None => self.end(own, here.value(), add),
            Some(input) => {
                let nodes = &self.tree.nodes;
                let goes_left = self.tree.goes_left(here, input, self.numbers, self.bins);
                // An input that was tested before is taken off the path, and goes on with what it has.
                let known = self.path[own..].iter().position(|step| step.input == Some(input));
                let before = known.map(|at| self.path[own + at]);
                if let Some(at) = known {
                    self.unwind(own, at);
                }
                let (unknown, is_along) = before.map_or((1.0, 1.0), |before| (before.unknown, before.known));
                let [left, right] = here.children();
                // A side without examples, of a tree whose examples were not saved, counts as if it had one.
                let covers = [left, right].map(|child| f64::from(nodes[child].cover().max(1)));
                for (child, cover, is_own) in [(left, covers[0], goes_left), (right, covers[1], !goes_left)] {
                    let share = unknown * cover / (covers[0] + covers[1]);
                    let known = if is_own { is_along } else { 0.0 };
                    let step = PathStep { input: Some(input), unknown: share, known, weight: 0.0 };
                    self.visit(child, own, step, add);
                }
            }
        }
        self.path.truncate(own);
    }

    /// Adds a step to the path at `own`, and to the weights of all sets.
    fn extend(&mut self, own: usize, step: PathStep) {
        let len = self.path.len() - own;
        self.path.push(PathStep { weight: if len == 0 { 1.0 } else { 0.0 }, ..step });
        let path = &mut self.path[own..];
        let all = (len + 1) as f64;
        for at in (0..len).rev() {
            path[at + 1].weight += step.known * path[at].weight * (at + 1) as f64 / all;
            path[at].weight *= step.unknown * (len - at) as f64 / all;
        }
    }

    /// Takes a step off the path at `own`, and off the weights of all sets.
    fn unwind(&mut self, own: usize, at: usize) {
        let path = &mut self.path[own..];
        let last = path.len() - 1;
        let PathStep { unknown, known, .. } = path[at];
        let mut next = path[last].weight;
        let all = path.len() as f64;
        for step in (0..last).rev() {
            if known != 0.0 {
                let weight = path[step].weight;
                path[step].weight = next * all / ((step + 1) as f64 * known);
                next = weight - path[step].weight * unknown * (last - step) as f64 / all;
            } else {
                path[step].weight = path[step].weight * all / (unknown * (last - step) as f64);
            }
        }
        for step in at..last {
            path[step] = PathStep { weight: path[step].weight, ..path[step + 1] };
        }
        self.path.pop();
    }

    /// Adds what each input of the path at `own` contributes at a leaf.
    fn end(&mut self, own: usize, value: f64, add: &mut dyn FnMut(usize, f64)) {
        let path = &self.path[own..];
        for (at, step) in path.iter().enumerate() {
            if let Some(input) = step.input {
                add(input, unwound(path, at) * (step.known - step.unknown) * value);
            }
        }
    }
}

/// Returns the sum of the weights of a path without one of its steps.
fn unwound(path: &[PathStep], at: usize) -> f64 {
    let last = path.len() - 1;
    let PathStep { unknown, known, .. } = path[at];
    let (mut next, mut total, all) = (path[last].weight, 0.0, path.len() as f64);
    for step in (0..last).rev() {
        if known != 0.0 {
            let weight = next * all / ((step + 1) as f64 * known);
            total += weight;
            next = path[step].weight - weight * unknown * (last - step) as f64 / all;
        } else {
            total += path[step].weight * all / (unknown * (last - step) as f64);
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::grid::Vocabulary;
    use super::*;

    const INPUTS: usize = 5;

    /// Numbers from 0 up to 1 that follow from a seed.
    struct Draws(u64);

    impl Draws {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    /// A tree of numbers and of one category, whose inputs come more than once on a path.
    fn tree(draws: &mut Draws, cover: bool) -> BoostedTree {
        let mut tree = BoostedTree::default();
        let examples = |draws: &mut Draws| if cover { 1 + (draws.next() * 50.0) as u32 } else { 0 };
        tree.nodes.push(BoostedNode::leaf(0.0, 100));
        let mut leaves = vec![0];
        for _ in 0..9 {
            let at = leaves.swap_remove((draws.next() * leaves.len() as f64) as usize);
            let first = tree.nodes.len() as u32;
            let (input, children) = ((draws.next() * INPUTS as f64) as u32, [first, first + 1]);
            let split = BoostedNode::leaf(0.0, examples(draws));
            tree.nodes[at] = if input as usize == INPUTS - 1 {
                tree.sets.push([(draws.next() * 8.0) as u64, 0, 0, 0]);
                split.testing_category(input, tree.sets.len() as u32 - 1, children)
            } else {
                split.testing_number(input, draws.next(), draws.next() < 0.5, children)
            };
            for child in children {
                tree.nodes.push(BoostedNode::leaf(2.0 * draws.next() - 1.0, examples(draws)));
                leaves.push(child as usize);
            }
        }
        tree
    }

    /// The expectation of a tree if a set of inputs is known, by its definition.
    fn expected(tree: &BoostedTree, node: usize, known: u32, numbers: &[f64], bins: &[u8]) -> f64 {
        let here = &tree.nodes[node];
        let Some(input) = here.tested() else { return here.value() };
        let [left, right] = here.children();
        let of = |child: usize| expected(tree, child, known, numbers, bins);
        if known >> input & 1 == 1 {
            return of(if tree.goes_left(here, input, numbers, bins) { left } else { right });
        }
        let cover = |child: usize| f64::from(tree.nodes[child].cover().max(1));
        (cover(left) * of(left) + cover(right) * of(right)) / (cover(left) + cover(right))
    }

    /// Shapley values by their definition: over all sets.
    fn brute_force(tree: &BoostedTree, numbers: &[f64], bins: &[u8]) -> [f64; INPUTS] {
        let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
        let of = |known| expected(tree, 0, known, numbers, bins);
        std::array::from_fn(|input| {
            let sets = (0..1_u32 << INPUTS).filter(|set| set >> input & 1 == 0);
            sets.map(|set| {
                let size = set.count_ones();
                let weight = factorial(size) * factorial(INPUTS as u32 - size - 1) / factorial(INPUTS as u32);
                weight * (of(set | 1 << input) - of(set))
            })
            .sum()
        })
    }

    #[test]
    fn oracle_shapley_values_are_those_of_all_sets_of_inputs() {
        let mut draws = Draws(7);
        for round in 0..60 {
            let trees = [0, 1].map(|_| tree(&mut draws, round % 4 != 0));
            let vocabularies = Arc::new(vec![Vocabulary::new(vec![11, 12]).unwrap()]);
            let mut ensemble = BoostedEnsemble::new(vec![0.0; 2], 1.0, vocabularies);
            ensemble.trees.extend(trees.clone().map(Arc::new));
            let numbers: Vec<f64> =
                (1..INPUTS).map(|_| if draws.next() < 0.2 { f64::NAN } else { draws.next() }).collect();
            let categories = [[11, 12, 13][(draws.next() * 3.0) as usize]];
            let example = Observation { numbers: &numbers, categories: &categories };
            let mut found = [[0.0; INPUTS]; 2];
            let shapley = ShapleyTrees::new(&ensemble);
            shapley.explain(&ensemble, example, |input, output, amount| found[output][input] += amount);
            let (mut bins, mut values) = (Vec::new(), [0.0; 2]);
            ensemble.find_bins(example, &mut bins);
            ensemble.add_values(example, &mut bins.clone(), &mut values);
            for (output, tree) in trees.iter().enumerate() {
                let expected_values = brute_force(tree, &numbers, &bins);
                for (found, expected) in found[output].iter().zip(expected_values) {
                    assert!((found - expected).abs() < 1e-9, "{round}: {found} instead of {expected}");
                }
                let mean = expected(tree, 0, 0, &numbers, &bins);
                assert!((found[output].iter().sum::<f64>() + mean - values[output]).abs() < 1e-9);
                let size = found[output].iter().map(|amount| amount.abs()).sum::<f64>() + mean.abs();
                assert!(size <= shapley.sizes()[output] && shapley.cost() > 20);
            }
        }
    }
}
