//! A tree by the book, which keeps every example at its leaf and counts them at each search; and trials against it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::memory::GrowthMemory;
use super::tree::{GrowthRule, HoeffdingTree};
use crate::model::kind::example_buffer::ExampleShape;
use crate::model::kind::target_form::TargetForm;
use crate::model::preparation::Observation;

/// Two flags, which may be null, and two categories.
const SHAPE: ExampleShape = ExampleShape { numbers: 2, categories: 2 };

#[derive(Clone, Debug)]
struct Case {
    numbers: [f64; 2],
    categories: [u64; 2],
    class: usize,
}

impl Case {
    fn example(&self) -> Observation<'_> {
        Observation { numbers: &self.numbers, categories: &self.categories }
    }

    /// Returns the value of an input. None is null.
    fn value(&self, input: usize) -> Option<u64> {
        match input {
            0 | 1 => (!self.numbers[input].is_nan()).then_some(self.numbers[input] as u64),
            _ => Some(self.categories[input - 2]),
        }
    }
}

/// A node: its examples, those it has learnt itself, and its split.
#[derive(Default)]
struct NaiveNode {
    all: Vec<Case>,
    learnt: Vec<Case>,
    searched: usize,
    /// Input, value on the left, whether nulls go left, and the children.
    split: Option<(usize, u64, bool, [Box<NaiveNode>; 2])>,
}

fn counts<'a>(cases: impl Iterator<Item = &'a Case>) -> [f64; 2] {
    cases.fold([0.0; 2], |mut counts, case| {
        counts[case.class] += 1.0;
        counts
    })
}

fn entropy(counts: [f64; 2]) -> f64 {
    let total = counts[0] + counts[1];
    counts.iter().filter(|count| **count > 0.0).map(|count| -count / total * libm::log2(count / total)).sum()
}

impl NaiveNode {
    fn leaf(&self, case: &Case) -> &NaiveNode {
        match &self.split {
            Some((input, value, nulls_left, children)) => {
                let goes_left = case.value(*input).map_or(*nulls_left, |own| own == *value);
                children[usize::from(!goes_left)].leaf(case)
            }
            None => self,
        }
    }

    fn leaves(&self) -> usize {
        self.split.as_ref().map_or(1, |(_, _, _, [left, right])| left.leaves() + right.leaves())
    }

    fn learn(&mut self, rule: &GrowthRule, case: &Case, may_split: bool) {
        if let Some((input, value, nulls_left, children)) = &mut self.split {
            let goes_left = case.value(*input).map_or(*nulls_left, |own| own == *value);
            return children[usize::from(!goes_left)].learn(rule, case, may_split);
        }
        self.all.push(case.clone());
        self.learnt.push(case.clone());
        let all = counts(self.all.iter());
        if may_split && self.all.len() - self.searched >= rule.grace as usize {
            self.searched = self.all.len();
            if all[0] > 0.0 && all[1] > 0.0 {
                self.search(rule);
            }
        }
    }

    fn search(&mut self, rule: &GrowthRule) {
        // The best value of each input, in the order in which the values came, or ascending for numbers.
        let mut found: Vec<(f64, usize, u64)> = Vec::new();
        for input in 0..4 {
            let known: Vec<&Case> = self.learnt.iter().filter(|case| case.value(input).is_some()).collect();
            let values: BTreeMap<u64, ()> = known.iter().map(|case| (case.value(input).unwrap(), ())).collect();
            let lefts = if input < 2 { vec![0] } else { values.into_keys().collect() };
            let mut best: Option<(f64, usize, u64)> = None;
            for value in lefts {
                let (left, right): (Vec<&Case>, Vec<&Case>) =
                    known.iter().partition(|case| case.value(input) == Some(value));
                if (left.len().min(right.len()) as f64) < 0.01 * known.len() as f64
                    || left.is_empty()
                    || right.is_empty()
                {
                    continue;
                }
                let part = |side: &[&Case]| side.len() as f64 * entropy(counts(side.iter().copied()));
                let gain = entropy(counts(known.iter().copied())) - (part(&left) + part(&right)) / known.len() as f64;
                let merit = gain * known.len() as f64 / self.learnt.len() as f64;
                if best.is_none_or(|(most, _, _)| merit > most + 1e-12) {
                    best = Some((merit, input, value));
                }
            }
            found.extend(best);
        }
        found.sort_by(|one, other| other.0.total_cmp(&one.0));
        let Some((merit, input, value)) = found.first().copied().filter(|(merit, _, _)| *merit > 0.0) else { return };
        let second = found.get(1).map_or(0.0, |(merit, _, _)| merit.max(0.0));
        let bound = (rule.confidence / (2.0 * self.learnt.len() as f64)).sqrt();
        if merit - second <= bound && bound >= rule.tau {
            return;
        }
        let known: Vec<Case> = self.learnt.iter().filter(|case| case.value(input).is_some()).cloned().collect();
        let nulls: Vec<Case> = self.learnt.iter().filter(|case| case.value(input).is_none()).cloned().collect();
        let (mut left, mut right): (Vec<Case>, Vec<Case>) =
            known.into_iter().partition(|case| case.value(input) == Some(value));
        let nulls_left = left.len() >= right.len();
        if nulls_left { &mut left } else { &mut right }.extend(nulls);
        let child = |all: Vec<Case>| Box::new(NaiveNode { searched: all.len(), all, ..NaiveNode::default() });
        self.split = Some((input, value, nulls_left, [child(left), child(right)]));
    }
}

/// Cases whose class mostly follows from a flag and a category, and that are drawn from a seed.
fn cases(seed: u64, count: usize, noise: f64) -> Vec<Case> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let flag = |random: &mut dyn FnMut() -> f64| match random() {
        null if null < 0.1 => f64::NAN,
        _ => f64::from(u8::from(random() < 0.4)),
    };
    let case = |_| {
        let numbers = [flag(&mut random), flag(&mut random)];
        let categories = [(random() * 5.0) as u64, (random() * 3.0) as u64];
        let odds = numbers[0] * 2.0 - 1.0 + if categories[0] == 1 { 1.5 } else { -0.4 };
        let class = if random() < noise { random() < 0.5 } else { odds > 0.0 };
        Case { numbers, categories, class: usize::from(class) }
    };
    (0..count).map(case).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn oracle_a_tree_counted_at_each_search(seed in any::<u64>(), noise in 0.0..0.9_f64, grace in 20..90_u32) {
        let rule = GrowthRule { grace: f64::from(grace), confidence: 4.0, tau: 0.05, max_leaves: 1000 };
        let mut tree = HoeffdingTree::new(TargetForm::Classes(2), SHAPE, (0..4).collect());
        let mut naive = NaiveNode::default();
        let mut memory = GrowthMemory::default();
        for (row, case) in cases(seed, 3000, noise).iter().enumerate() {
            tree.learn(&rule, case.example(), case.class as f64, 1.0, &mut memory);
            // The root is not split before its cuts are taken.
            naive.learn(&rule, case, row >= 256);
            if row % 50 == 0 {
                let (targets, leaves) = tree.targets_of(case.example());
                prop_assert_eq!(leaves, naive.leaves(), "row {}", row);
                prop_assert_eq!(targets, &counts(naive.leaf(case).all.iter())[..], "row {}", row);
            }
        }
    }
}

#[test]
fn a_tree_grows_no_further_than_it_may() {
    let rule = GrowthRule { grace: 30.0, confidence: 1.0, tau: 0.3, max_leaves: 4 };
    let mut tree = HoeffdingTree::new(TargetForm::Classes(2), SHAPE, (0..4).collect());
    let cases = cases(3, 5000, 0.2);
    for case in &cases {
        tree.learn(&rule, case.example(), case.class as f64, 1.0, &mut GrowthMemory::default());
    }
    assert_eq!(tree.targets_of(cases[0].example()).1, 4);
}
