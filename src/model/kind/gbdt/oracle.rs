//! Trees grown by counting every example for every candidate, and trials against them.

use proptest::prelude::*;

use super::grower::{BinnedExamples, TreeGrower};
use super::histogram::{CurvatureUnit, GradientSum};
use super::search::{BestSplit, BinSet, SplitBins, SplitRule};

const NUMBERS: usize = 2;
const INPUTS: usize = 4;

/// A leaf of the naive tree: its rows, and its node in the order of splits.
struct NaiveLeaf {
    rows: Vec<usize>,
    node: usize,
}

struct NaiveTrial {
    binned: BinnedExamples,
    gradients: Vec<GradientSum>,
    rule: SplitRule,
}

impl NaiveTrial {
    fn sum(&self, rows: impl Iterator<Item = usize>) -> GradientSum {
        rows.fold(GradientSum::default(), |mut sum, row| {
            sum.add(self.gradients[row]);
            sum
        })
    }

    fn bin(&self, row: usize, input: usize) -> u8 {
        self.binned.row(row)[input]
    }

    /// Returns every way to split rows by an input, in the order in which equals are preferred, with what is added to λ.
    fn candidates(&self, rows: &[usize], input: usize) -> Vec<(SplitBins, f64)> {
        let of_bin = |bin: u8| self.sum(rows.iter().copied().filter(|row| self.bin(*row, input) == bin));
        let present: Vec<u8> = (0..=255).filter(|bin| of_bin(*bin).count() > 0).collect();
        if input < NUMBERS {
            let has_nulls = present.first() == Some(&0);
            let known = present.into_iter().filter(|bin| *bin > 0);
            return known
                .flat_map(|bin| {
                    let up_to = |nulls_left| (SplitBins::UpTo { bin, nulls_left }, 0.0);
                    let left = rows.iter().filter(|row| (1..=bin).contains(&self.bin(**row, input))).count();
                    if has_nulls { vec![up_to(false), up_to(true)] } else { vec![up_to(left * 2 >= rows.len())] }
                })
                .collect();
        }
        let set = |bins: &[u8]| {
            let mut set = BinSet::default();
            bins.iter().for_each(|bin| set[*bin as usize / 64] |= 1 << (bin % 64));
            SplitBins::In(set)
        };
        if present.len() <= 4 {
            return present.into_iter().map(|bin| (set(&[bin]), 0.0)).collect();
        }
        let key = |bin: &u8| of_bin(*bin).gradient() / (of_bin(*bin).curvature(self.rule.unit) + 10.0);
        let mut ordered: Vec<u8> = present.into_iter().filter(|bin| of_bin(*bin).count() >= 10).collect();
        ordered.sort_by(|one, other| key(one).total_cmp(&key(other)));
        let prefixes = |bins: &[u8]| (1..bins.len().min(33)).map(|len| (set(&bins[..len]), 10.0)).collect::<Vec<_>>();
        let mut all = prefixes(&ordered);
        ordered.reverse();
        all.extend(prefixes(&ordered));
        all
    }

    fn best(&self, rows: &[usize]) -> Option<BestSplit> {
        let node = self.sum(rows.iter().copied());
        let score = |sum: GradientSum, more: f64| {
            sum.gradient() * sum.gradient() / (sum.curvature(self.rule.unit) + self.rule.l2 + more)
        };
        let mut best: Option<BestSplit> = None;
        for input in 0..INPUTS {
            for (bins, more) in self.candidates(rows, input) {
                let (left, right): (Vec<usize>, Vec<usize>) =
                    rows.iter().partition(|row| bins.goes_left(self.bin(**row, input)));
                let least = left.len().min(right.len());
                let (left, right) = (self.sum(left.into_iter()), self.sum(right.into_iter()));
                let gain = score(left, more) + score(right, more) - score(node, 0.0);
                if least >= self.rule.least as usize && gain > best.map_or(0.0, |best| best.gain) {
                    best = Some(BestSplit { gain, input: input as u32, bins, left });
                }
            }
        }
        best
    }

    /// Returns the splits by node, in the order of the grower.
    fn grow(&self, most_leaves: usize) -> Vec<(GradientSum, Option<BestSplit>)> {
        let all: Vec<usize> = (0..self.binned.rows).collect();
        let mut nodes = vec![(self.sum(0..self.binned.rows), None)];
        let mut leaves = vec![NaiveLeaf { rows: all, node: 0 }];
        while leaves.len() < most_leaves {
            let found: Vec<Option<BestSplit>> = leaves.iter().map(|leaf| self.best(&leaf.rows)).collect();
            let gain = |at: usize| found[at].map_or(0.0, |best| best.gain);
            let Some(at) = (0..leaves.len()).rev().max_by(|one, other| gain(*one).total_cmp(&gain(*other))) else {
                break;
            };
            let Some(best) = found[at] else { break };
            let NaiveLeaf { rows, node } = &leaves[at];
            let (left, right): (Vec<usize>, Vec<usize>) =
                rows.iter().partition(|row| best.bins.goes_left(self.bin(**row, best.input as usize)));
            nodes[*node].1 = Some(best);
            let next = nodes.len();
            nodes.extend([&left, &right].map(|rows| (self.sum(rows.iter().copied()), None)));
            leaves[at] = NaiveLeaf { rows: left, node: next };
            leaves.push(NaiveLeaf { rows: right, node: next + 1 });
        }
        nodes
    }
}

/// A trial of rows drawn from a seed: two numbers with nulls, a category of three and one of twelve.
fn trial(seed: u64, rows: usize, least: u32, l2: f64) -> NaiveTrial {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut bins = Vec::new();
    let mut gradients = Vec::new();
    for _ in 0..rows {
        let number = if random() < 0.1 { 0.0 } else { 1.0 + random() * 9.0 };
        let other = 1.0 + random() * 254.9;
        let (few, many) = (random() * 3.0, random() * 12.0);
        bins.extend([number as u8, other as u8, few as u8, many as u8]);
        let slope = (number - 5.0) / 9.0 + f64::from(u8::from(many as u8 % 3 == 1)) + random() - 0.5;
        gradients.push(GradientSum::round(slope, 0.05 + random() * 0.2, CurvatureUnit::Quarter));
    }
    let rule = SplitRule { l2, least, unit: CurvatureUnit::Quarter };
    NaiveTrial { binned: BinnedExamples { bins, rows, inputs: INPUTS, numbers: NUMBERS }, gradients, rule }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn oracle_a_tree_whose_candidates_are_counted_one_by_one(
        seed in any::<u64>(),
        rows in 1..400_usize,
        least in 1..30_u32,
        l2 in 0.0..5.0_f64,
        work in 1..5000_usize,
    ) {
        let trial = trial(seed, rows, least, l2);
        let mut grower = TreeGrower::default();
        // A grower is used again and again; nothing of the tree before may stay.
        for _ in 0..2 {
            grower.start(&trial.binned, &trial.gradients);
            while !grower.advance(&trial.binned, &trial.gradients, &trial.rule, 8, &mut { work }) {}
        }
        let found: Vec<_> = grower.nodes().iter().map(|node| (node.sum, node.split.map(|(best, _)| best))).collect();
        prop_assert_eq!(found, trial.grow(8));
        let mut all: Vec<u32> = grower.leaves().flat_map(|(_, rows)| rows.to_vec()).collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..rows as u32).collect::<Vec<_>>());
    }
}
