//! Boosted trees: each prediction is the sum of one leaf's value of every tree.
//!
//! With K outputs (one, or one for each class), the trees of a round stand together: tree i belongs to output i mod K,
//! and output k is `base[k] + scale · Σ values`. The tensors:
//!
//! | tensor | cells |
//! |---|---|
//! | `base`, `scale` | K floats; one |
//! | `trees.ends` | by tree, the number of nodes of all trees up to it |
//! | `trees.input` | by node, the input that it tests, numbers first and then categories; 4294967295 for a leaf |
//! | `trees.cut`, `trees.nulls_left` | numbers up to the cut go left; 1 if nulls do |
//! | `trees.set` | of a category, the set of bins that go left; 4294967295 for another node |
//! | `trees.left`, `trees.right` | the children, counted from the tree's first node |
//! | `trees.value` | the value of a leaf; of another node, that which it would have as a leaf |
//! | `trees.cover` | by node, the examples that it was fitted to; versions of earlier programs lack it |
//! | `sets` | by set, 8 words of 32 bits; bin b is bit b mod 32 of word b / 32 |
//! | `vocabulary.ends`, `vocabulary.hashes` | by category, its bins from 1 on: the halves of their hashes, high first |

use std::sync::Arc;

use super::grid::{BINS, Vocabulary};
use super::search::{BinSet, contains};
use crate::model::kind::example_buffer::ExampleShape;
use crate::model::preparation::Observation;
use crate::model::tensor::{self, Tensor};
use crate::model::{ModelError, Tensors};

/// Leaves of a tree, at most.
pub(super) const MOST_LEAVES: usize = 1024;

/// The input of a leaf.
const LEAF: u32 = u32::MAX;

/// The set of a node that tests no category.
const NO_SET: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BoostedNode {
    /// [`LEAF`], or the input that is tested.
    input: u32,
    cut: f64,
    nulls_left: bool,
    /// The position of the set of a category.
    set: u32,
    left: u32,
    right: u32,
    value: f64,
    /// The examples that it was fitted to; 0 if that was not saved.
    cover: u32,
}

impl BoostedNode {
    /// A leaf.
    pub fn leaf(value: f64, cover: u32) -> Self {
        BoostedNode { input: LEAF, cut: 0.0, nulls_left: false, set: NO_SET, left: 0, right: 0, value, cover }
    }

    /// A node like a leaf, but one that tests a number.
    pub fn testing_number(self, input: u32, cut: f64, nulls_left: bool, children: [u32; 2]) -> Self {
        BoostedNode { input, cut, nulls_left, left: children[0], right: children[1], ..self }
    }

    /// A node like a leaf, but one that tests a category.
    pub fn testing_category(self, input: u32, set: u32, children: [u32; 2]) -> Self {
        BoostedNode { input, set, left: children[0], right: children[1], ..self }
    }

    /// Returns the input that is tested; `None` of a leaf.
    #[inline]
    pub fn tested(&self) -> Option<usize> {
        (self.input != LEAF).then_some(self.input as usize)
    }

    /// Returns the positions of the children, the left one first.
    pub fn children(&self) -> [usize; 2] {
        [self.left as usize, self.right as usize]
    }

    pub fn value(&self) -> f64 {
        self.value
    }

    pub fn cover(&self) -> u32 {
        self.cover
    }
}

/// A tree; the first node is its root.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct BoostedTree {
    pub nodes: Vec<BoostedNode>,
    pub sets: Vec<BinSet>,
}

impl BoostedTree {
    /// Returns whether each node but the root is the child of one, and no path is longer than that of a fitted tree can be.
    fn is_tree(&self) -> bool {
        let mut parents = vec![0_u8; self.nodes.len()];
        let tests = self.nodes.iter().filter(|node| node.tested().is_some());
        tests.flat_map(|node| node.children()).for_each(|child| parents[child] = parents[child].saturating_add(1));
        parents[0] == 0 && parents[1..].iter().all(|count| *count == 1) && self.nodes.len() < 2 * MOST_LEAVES
    }

    /// Returns the value of an example's leaf; `bins` are those of its categories.
    #[inline]
    fn value(&self, numbers: &[f64], bins: &[u8]) -> f64 {
        let mut node = &self.nodes[0];
        while let Some(input) = node.tested() {
            node =
                &self.nodes[if self.goes_left(node, input, numbers, bins) { node.left } else { node.right } as usize];
        }
        node.value
    }

    /// Returns whether a node, which tests an input, sends an example to the left.
    #[inline]
    pub fn goes_left(&self, node: &BoostedNode, input: usize, numbers: &[f64], bins: &[u8]) -> bool {
        match numbers.get(input) {
            Some(x) if x.is_nan() => node.nulls_left,
            Some(x) => *x <= node.cut,
            None => contains(&self.sets[node.set as usize], bins[input - numbers.len()]),
        }
    }
}

/// Trees, and the vocabularies by which they read categories.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BoostedEnsemble {
    pub base: Vec<f64>,
    pub scale: f64,
    pub trees: Vec<Arc<BoostedTree>>,
    pub vocabularies: Arc<Vec<Vocabulary>>,
}

impl BoostedEnsemble {
    /// An ensemble of no tree.
    pub fn new(base: Vec<f64>, scale: f64, vocabularies: Arc<Vec<Vocabulary>>) -> Self {
        BoostedEnsemble { base, scale, trees: Vec::new(), vocabularies }
    }

    pub fn outputs(&self) -> usize {
        self.base.len()
    }

    /// Returns how many rounds of trees there are.
    pub fn rounds(&self) -> usize {
        self.trees.len().checked_div(self.outputs()).unwrap_or(0)
    }

    /// Adds the values of an example's leaves to the sum of each output; `bins` is memory.
    #[inline]
    pub fn add_values(&self, example: Observation<'_>, bins: &mut Vec<u8>, sums: &mut [f64]) {
        self.find_bins(example, bins);
        for round in self.trees.chunks_exact(self.outputs().max(1)) {
            for (sum, tree) in sums.iter_mut().zip(round) {
                *sum += tree.value(example.numbers, bins);
            }
        }
    }

    /// Replaces `bins` by those of an example's categories.
    #[inline]
    pub fn find_bins(&self, example: Observation<'_>, bins: &mut Vec<u8>) {
        bins.clear();
        bins.extend(self.vocabularies.iter().zip(example.categories).map(|(known, hash)| known.bin(*hash)));
    }

    /// Returns the same ensemble with the outputs in another order.
    pub fn ordered(&self, order: &[usize]) -> Self {
        let trees = self.trees.chunks_exact(order.len().max(1));
        BoostedEnsemble {
            base: order.iter().map(|at| self.base[*at]).collect(),
            scale: self.scale,
            trees: trees.flat_map(|round| order.iter().map(|at| Arc::clone(&round[*at]))).collect(),
            vocabularies: Arc::clone(&self.vocabularies),
        }
    }

    /// Adds the tensors that [`BoostedEnsemble::load`] reads.
    pub fn save(&self, tensors: &mut Tensors) {
        let nodes = || self.trees.iter().flat_map(|tree| &tree.nodes);
        let ends = |lens: &mut dyn Iterator<Item = usize>| {
            let sum = |end: &mut u32, len: usize| {
                *end += len as u32;
                Some(*end)
            };
            Tensor::indices(lens.scan(0, sum).collect())
        };
        let integers = |of: fn(&BoostedNode) -> u32| Tensor::indices(nodes().map(of).collect());
        let floats = |of: fn(&BoostedNode) -> f64| Tensor::vector(nodes().map(of).collect());
        let nulls: Vec<u8> = nodes().map(|node| u8::from(node.nulls_left)).collect();
        // Positions of sets count through all trees.
        let mut before = 0;
        let mut sets = Vec::new();
        for tree in &self.trees {
            sets.extend(tree.nodes.iter().map(|node| if node.set == NO_SET { NO_SET } else { before + node.set }));
            before += tree.sets.len() as u32;
        }
        let words = self.trees.iter().flat_map(|tree| tree.sets.iter().flatten());
        let hashes = self.vocabularies.iter().flat_map(|known| known.hashes());
        tensors.extend([
            (BASE.to_owned(), Tensor::vector(self.base.clone())),
            (SCALE.to_owned(), Tensor::vector(vec![self.scale])),
            (ENDS.to_owned(), ends(&mut self.trees.iter().map(|tree| tree.nodes.len()))),
            (INPUT.to_owned(), integers(|node| node.input)),
            (CUT.to_owned(), floats(|node| node.cut)),
            (NULLS_LEFT.to_owned(), Tensor::bytes(&[nulls.len()], nulls).expect("a vector fits its own length")),
            (SET.to_owned(), Tensor::indices(sets)),
            (LEFT.to_owned(), integers(|node| node.left)),
            (RIGHT.to_owned(), integers(|node| node.right)),
            (VALUE.to_owned(), floats(|node| node.value)),
            (COVER.to_owned(), integers(|node| node.cover)),
            (SETS.to_owned(), Tensor::indices(words.flat_map(|word| [*word as u32, (word >> 32) as u32]).collect())),
            (VOCABULARY_ENDS.to_owned(), ends(&mut self.vocabularies.iter().map(|known| known.hashes().len()))),
            (
                VOCABULARY_HASHES.to_owned(),
                Tensor::indices(hashes.flat_map(|hash| [(hash >> 32) as u32, *hash as u32]).collect()),
            ),
        ]);
    }

    /// Reads the tensors that [`BoostedEnsemble::save`] added, for examples of a shape and a number of outputs.
    ///
    /// # Errors
    /// If a tensor is missing, does not fit the others, or a path through a tree would not end.
    pub fn load(shape: ExampleShape, outputs: usize, tensors: &Tensors) -> Result<Self, ModelError> {
        // Read the tensors, and check their sizes.
        let base = tensor::floats(tensors, BASE, Some(outputs))?.to_vec();
        let scale = tensor::floats(tensors, SCALE, Some(1))?[0];
        let ends = tensor::integers(tensors, ENDS, None)?;
        let input = tensor::integers(tensors, INPUT, None)?;
        let nodes = Some(input.len());
        let (cut, value) = (tensor::floats(tensors, CUT, nodes)?, tensor::floats(tensors, VALUE, nodes)?);
        let (left, right) = (tensor::integers(tensors, LEFT, nodes)?, tensor::integers(tensors, RIGHT, nodes)?);
        let (set, nulls) = (tensor::integers(tensors, SET, nodes)?, tensor::bytes(tensors, NULLS_LEFT)?);
        let cover = load_covers(tensors, input.len())?;
        let sets = load_sets(tensors)?;
        if base.iter().chain([&scale]).chain(cut).chain(value).any(|number| !number.is_finite()) {
            return Err(tensor::misfit(VALUE, "a cut, a value or a base is not finite"));
        }
        if nulls.len() != input.len() || outputs == 0 && !ends.is_empty() || ends.len() % outputs.max(1) != 0 {
            return Err(tensor::misfit(ENDS, "its trees do not fit the nodes or the outputs"));
        }
        // Cut the nodes into trees, and check that each path ends.
        let mut trees = Vec::with_capacity(ends.len());
        let mut start = 0;
        for end in ends {
            let end = *end as usize;
            if end <= start || end > input.len() {
                return Err(tensor::misfit(ENDS, "its ends are not ascending within the nodes"));
            }
            let mut tree = BoostedTree::default();
            for at in start..end {
                let is_category = input[at] as usize >= shape.numbers && input[at] != LEAF;
                let is_child = |child: u32| child as usize > at - start && (child as usize) < end - start;
                let is_test = is_child(left[at])
                    && is_child(right[at])
                    && (input[at] as usize) < shape.inputs()
                    && (!is_category || (set[at] as usize) < sets.len());
                if input[at] != LEAF && !is_test {
                    return Err(tensor::misfit(INPUT, "a node tests no input, or its children do not come after it"));
                }
                let mut node = BoostedNode {
                    input: input[at],
                    cut: cut[at],
                    nulls_left: nulls[at] == 1,
                    set: NO_SET,
                    left: left[at],
                    right: right[at],
                    value: value[at],
                    cover: cover[at],
                };
                if is_category {
                    node.set = tree.sets.len() as u32;
                    tree.sets.push(sets[set[at] as usize]);
                }
                tree.nodes.push(node);
            }
            trees.push(Arc::new(tree));
            start = end;
        }
        let vocabularies = Arc::new(load_vocabularies(tensors, shape.categories)?);
        if start != input.len() || !trees.iter().all(|tree| tree.is_tree()) {
            return Err(tensor::misfit(ENDS, "its trees do not hold every node a single time, or too many"));
        }
        Ok(BoostedEnsemble { base, scale, trees, vocabularies })
    }
}

/// Reads the covers of so many nodes; zeros if there are none.
fn load_covers(tensors: &Tensors, nodes: usize) -> Result<Vec<u32>, ModelError> {
    match tensors.contains_key(COVER) {
        true => Ok(tensor::integers(tensors, COVER, Some(nodes))?.to_vec()),
        false => Ok(vec![0; nodes]),
    }
}

fn load_sets(tensors: &Tensors) -> Result<Vec<BinSet>, ModelError> {
    let words = tensor::integers(tensors, SETS, None)?;
    if !words.len().is_multiple_of(BINS / 32) {
        return Err(tensor::misfit(SETS, "a set does not have 8 words"));
    }
    let set = |words: &[u32]| {
        let mut set = BinSet::default();
        let pairs = words.chunks_exact(2).map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32);
        set.iter_mut().zip(pairs).for_each(|(own, word)| *own = word);
        set
    };
    Ok(words.chunks_exact(BINS / 32).map(set).collect())
}

fn load_vocabularies(tensors: &Tensors, categories: usize) -> Result<Vec<Vocabulary>, ModelError> {
    let ends = tensor::integers(tensors, VOCABULARY_ENDS, Some(categories))?;
    let halves = tensor::integers(tensors, VOCABULARY_HASHES, None)?;
    let hashes: Vec<u64> = halves.chunks_exact(2).map(|half| u64::from(half[0]) << 32 | u64::from(half[1])).collect();
    let mut start = 0;
    let mut vocabularies = Vec::with_capacity(categories);
    for end in ends {
        let own = hashes.get(start..*end as usize).and_then(|hashes| Vocabulary::new(hashes.to_vec()));
        let own =
            own.ok_or_else(|| tensor::misfit(VOCABULARY_ENDS, "a vocabulary is too large or has an entry twice"))?;
        vocabularies.push(own);
        start = *end as usize;
    }
    Ok(vocabularies)
}

const BASE: &str = "base";
const SCALE: &str = "scale";
const ENDS: &str = "trees.ends";
const INPUT: &str = "trees.input";
const CUT: &str = "trees.cut";
const NULLS_LEFT: &str = "trees.nulls_left";
const SET: &str = "trees.set";
const LEFT: &str = "trees.left";
const RIGHT: &str = "trees.right";
const COVER: &str = "trees.cover";
const VALUE: &str = "trees.value";
const SETS: &str = "sets";
const VOCABULARY_ENDS: &str = "vocabulary.ends";
const VOCABULARY_HASHES: &str = "vocabulary.hashes";
