//! Lists: examples of one window that are ranked together, with the scores by which they can be ranked.
//!
//! The scores that rank an example are the predictions of it: prequential ones of the versions in force at its own time, an
//! arm's of its version, a gate's of the candidate and the champion. What is kept is a few numbers for each example, until the
//! lists are whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::RankingSums;

/// The examples of a window by list, each with `N` scores to rank it by.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(bound(serialize = "[f64; N]: Serialize", deserialize = "[f64; N]: Deserialize<'de>"))]
pub(super) struct RankedLists<const N: usize> {
    by_list: BTreeMap<u64, Vec<ListedExample<N>>>,
}

/// The lists of prequential scores: by the champion, the champion before, the newest version, and popularity.
pub(super) type UserLists = RankedLists<4>;

/// An example in a list.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "[f64; N]: Serialize", deserialize = "[f64; N]: Deserialize<'de>"))]
pub(super) struct ListedExample<const N: usize> {
    /// The hash of its key, which decides between equal scores.
    pub tie: u64,
    pub relevant: bool,
    /// NaN stands for none.
    pub scores: [f64; N],
}

/// A chunk of examples, without their predictions.
#[derive(Clone, Copy)]
pub(super) struct RankedChunk<'a> {
    /// By example, a hash of its user; `None` if that is unknown, so that it is in no list.
    pub users: &'a [Option<u64>],
    /// By example, the hash of its key.
    pub hashes: &'a [u64],
    /// By example, its popularity; empty if there is none.
    pub popularity: &'a [f64],
    /// The least label of a relevant example.
    pub relevant: f64,
}

/// The place of a held-out example: the hash of its list, and that of its key, which decides between equal scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ListPlace {
    pub list: u64,
    pub tie: u64,
}

impl<const N: usize> RankedLists<N> {
    /// Adds an example to a list.
    pub fn push(&mut self, list: u64, example: ListedExample<N>) {
        self.by_list.entry(list).or_default().push(example);
    }

    /// Returns the sums of the lists as ranked by each of the scores. A list in which an example has no such score is left
    /// out.
    pub fn sums(&self) -> [RankingSums; N] {
        let mut sums: [RankingSums; N] = std::array::from_fn(|_| RankingSums::default());
        let mut list = Vec::new();
        for examples in self.by_list.values() {
            for (by, sums) in sums.iter_mut().enumerate() {
                if examples.iter().any(|example| example.scores[by].is_nan()) {
                    continue;
                }
                list.clear();
                list.extend_from_slice(examples);
                list.sort_by(|one, other| {
                    other.scores[by].total_cmp(&one.scores[by]).then_with(|| one.tie.cmp(&other.tie))
                });
                let relevant: Vec<bool> = list.iter().map(|example| example.relevant).collect();
                sums.add(&relevant);
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_score_ranks_the_examples_of_a_user_for_itself() {
        let example = |tie, relevant, scores| ListedExample { tie, relevant, scores };
        let mut lists = UserLists::default();
        lists.push(1, example(5, true, [0.1, f64::NAN, 0.9, 7.0]));
        lists.push(1, example(4, false, [0.9, 0.5, 0.1, 7.0]));
        // Alone, it is no list.
        lists.push(2, example(3, true, [0.5; 4]));
        let map = lists.sums().map(|sums| sums.all().last().map(|(_, map)| *map));
        assert_eq!(map, [Some(0.5), None, Some(1.0), Some(0.5)], "of equal scores, the lesser hash comes first");
    }
}
