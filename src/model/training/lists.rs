//! Lists of the open window: the examples of each user, with the scores by which they can be ranked.
//!
//! The predictions that rank an example are those that score it: of the versions in force at its own time. What is kept is a
//! few numbers for each scored example of the window, until its end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::RankingSums;

/// Scores by which an example is ranked: of the champion, of the champion before, of the newest version, and popularity.
/// NaN stands for none.
pub(super) type RankingScores = [f64; 4];

/// The examples of a window by user.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct UserLists {
    by_user: BTreeMap<u64, Vec<ListedExample>>,
}

/// An example in a list.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct ListedExample {
    /// The hash of its key, which decides between equal scores.
    pub tie: u64,
    pub relevant: bool,
    pub scores: RankingScores,
}

/// A chunk of examples, without their predictions.
#[derive(Clone, Copy)]
pub(super) struct RankedChunk<'a> {
    /// By example, a hash of its user.
    pub users: &'a [u64],
    /// By example, the hash of its key.
    pub hashes: &'a [u64],
    /// By example, its popularity; empty if there is none.
    pub popularity: &'a [f64],
    /// The least label of a relevant example.
    pub relevant: f64,
}

impl UserLists {
    /// Adds an example of a user.
    pub fn push(&mut self, user: u64, example: ListedExample) {
        self.by_user.entry(user).or_default().push(example);
    }

    /// Returns the sums of the lists as ranked by each of the scores. A list in which an example has no such score is left
    /// out.
    pub fn sums(&self) -> [RankingSums; 4] {
        let mut sums: [RankingSums; 4] = Default::default();
        let mut list = Vec::new();
        for examples in self.by_user.values() {
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
