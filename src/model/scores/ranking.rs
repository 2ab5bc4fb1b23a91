//! Scores of ranked lists: how far up the relevant items of each list are.
//!
//! A list is what one user was asked about, in the order of the predictions; each item is relevant or not. Metrics are means over
//! lists that have two items at least and one that is relevant (Järvelin and Kekäläinen 2002 for `ndcg`). A metric of one list is
//! rounded to 10^-12 before it is added, so means do not depend on the order of lists.
//!
//! ```
//! use tidemill::model::RankingSums;
//! let mut sums = RankingSums::default();
//! sums.add(&[false, true]);
//! assert_eq!(sums.all()[2], ("recall@10", 1.0));
//! assert_eq!(sums.all()[3], ("map", 0.5));
//! ```

use serde::{Deserialize, Serialize};

/// The items of a list that are shown to a user.
const SHOWN: usize = 10;

/// A metric of lists.
#[derive(Debug)]
pub struct RankingMetric {
    pub name: &'static str,
    pub summary: &'static str,
    /// The metric of one list, given which of its items are relevant, best first: one of them at least.
    of: fn(&[bool]) -> f64,
}

impl RankingMetric {
    /// Returns the metric of a name.
    pub fn find(name: &str) -> Option<&'static RankingMetric> {
        RANKING_METRICS.iter().find(|metric| metric.name == name)
    }
}

/// Every metric of lists; more is better.
pub static RANKING_METRICS: [RankingMetric; 4] = [
    RankingMetric {
        name: "ndcg@10",
        summary: "normalised discounted cumulative gain of the first 10: a relevant item at position i gains 1/log2(i + 1)",
        of: |relevant| {
            let all = relevant.iter().filter(|relevant| **relevant).count();
            let ideal: f64 = (0..all.min(SHOWN)).map(gain).sum();
            hits(relevant).map(gain).sum::<f64>() / ideal
        },
    },
    RankingMetric {
        name: "precision@10",
        summary: "share of the first 10 that are relevant, or of all if there are fewer",
        of: |relevant| hits(relevant).count() as f64 / relevant.len().min(SHOWN) as f64,
    },
    RankingMetric {
        name: "recall@10",
        summary: "share of the relevant items that are among the first 10",
        of: |relevant| {
            let all = relevant.iter().filter(|relevant| **relevant).count();
            hits(relevant).count() as f64 / all as f64
        },
    },
    RankingMetric {
        name: "map",
        summary: "mean average precision: the share of relevant items down to each of them, averaged over them",
        of: |relevant| {
            let positions = relevant.iter().enumerate().filter(|(_, relevant)| **relevant).map(|(at, _)| at);
            let (mut found, mut sum) = (0, 0.0);
            for at in positions {
                found += 1;
                sum += f64::from(found) / (at + 1) as f64;
            }
            sum / f64::from(found)
        },
    },
];

/// The positions of the relevant items among those that are shown.
fn hits(relevant: &[bool]) -> impl Iterator<Item = usize> + '_ {
    relevant.iter().take(SHOWN).enumerate().filter(|(_, relevant)| **relevant).map(|(at, _)| at)
}

/// The gain of a relevant item at a position, from 0.
fn gain(position: usize) -> f64 {
    1.0 / libm::log2((position + 2) as f64)
}

/// Units of a sum in 1.
const UNITS: f64 = 1e12;

/// The sums of the metrics of some lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RankingSums {
    lists: u64,
    sums: [i128; RANKING_METRICS.len()],
}

impl RankingSums {
    /// Adds a list, given which of its items are relevant, best first. One of fewer than two items, or without a relevant
    /// one, tells nothing and is left out.
    pub fn add(&mut self, relevant: &[bool]) {
        if relevant.len() < 2 || !relevant.contains(&true) {
            return;
        }
        self.lists += 1;
        for (sum, metric) in self.sums.iter_mut().zip(&RANKING_METRICS) {
            *sum += ((metric.of)(relevant) * UNITS).round_ties_even() as i128;
        }
    }

    /// Adds the lists of others.
    pub fn merge(&mut self, other: &RankingSums) {
        self.lists = self.lists.saturating_add(other.lists);
        self.sums.iter_mut().zip(other.sums).for_each(|(sum, more)| *sum = sum.saturating_add(more));
    }

    /// Returns the number of lists that tell something.
    pub fn lists(&self) -> u64 {
        self.lists
    }

    /// Returns every metric by name; none of no list.
    pub fn all(&self) -> Vec<(&'static str, f64)> {
        if self.lists == 0 {
            return Vec::new();
        }
        let mean = |sum: &i128| *sum as f64 / UNITS / self.lists as f64;
        RANKING_METRICS.iter().zip(&self.sums).map(|(metric, sum)| (metric.name, mean(sum))).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The metrics by their definitions, item by item.
    fn naive(relevant: &[bool]) -> [f64; 4] {
        let gains = |list: &[bool]| -> f64 {
            let first = list.iter().take(10).enumerate();
            first.map(|(at, relevant)| if *relevant { 1.0 / ((at + 2) as f64).log2() } else { 0.0 }).sum()
        };
        let mut ideal = relevant.to_vec();
        ideal.sort_by(|a, b| b.cmp(a));
        let count = |list: &[bool]| list.iter().filter(|relevant| **relevant).count() as f64;
        let shown = &relevant[..relevant.len().min(10)];
        let at = (0..relevant.len()).filter(|at| relevant[*at]);
        let average = at.map(|at| count(&relevant[..=at]) / (at + 1) as f64).sum::<f64>() / count(relevant);
        let precision = count(shown) / shown.len() as f64;
        [gains(relevant) / gains(&ideal), precision, count(shown) / count(relevant), average]
    }

    proptest! {
        #[test]
        fn means_are_those_of_the_definitions_in_any_order(
            lists in prop::collection::vec(prop::collection::vec(any::<bool>(), 0..25), 0..12),
            split in 0usize..12,
        ) {
            let mut sums = RankingSums::default();
            lists.iter().for_each(|list| sums.add(list));
            let (one, other) = lists.split_at(split.min(lists.len()));
            let (mut first, mut second) = (RankingSums::default(), RankingSums::default());
            other.iter().rev().for_each(|list| first.add(list));
            one.iter().for_each(|list| second.add(list));
            first.merge(&second);
            prop_assert_eq!(&first, &sums);
            let told: Vec<_> = lists.iter().filter(|list| list.len() > 1 && list.contains(&true)).collect();
            let found = sums.all();
            prop_assert_eq!(found.len(), if told.is_empty() { 0 } else { 4 });
            for (at, (name, value)) in found.into_iter().enumerate() {
                let mean = told.iter().map(|list| naive(list)[at]).sum::<f64>() / told.len() as f64;
                prop_assert!((value - mean).abs() < 1e-9, "{}: {} for {}", name, value, mean);
            }
        }
    }
}
