//! The metrics of a window's predictions, taken role by role, so that no step of a window's end takes long.

use super::WindowScores;
use super::prequential::{PrequentialScores, SCORED_ROLES, of_persistence};
use crate::model::{RankingSums, Scores};

/// The position of the newest version among the roles.
const NEWEST: usize = 2;

/// The metrics of the roles so far, in their order.
#[derive(Default)]
pub(super) struct WindowSummary {
    settled: usize,
    roles: Vec<Vec<(&'static str, f64)>>,
}

impl WindowSummary {
    /// Does one step. Returns true once nothing is left to be done.
    pub fn advance(&mut self, scores: &mut PrequentialScores) -> bool {
        if self.settled < SCORED_ROLES {
            scores.settle(self.settled);
            self.settled += 1;
            return false;
        }
        self.roles.push(scores.metrics(self.roles.len()));
        self.roles.len() == SCORED_ROLES
    }

    /// Returns all metrics, given those of lists.
    pub fn finish(mut self, scores: &PrequentialScores, lists: &[RankingSums; SCORED_ROLES]) -> WindowScores {
        for role in self.roles.len()..SCORED_ROLES {
            self.roles.push(scores.metrics(role));
        }
        scores.summary_of(self.roles, lists)
    }
}

impl PrequentialScores {
    /// Returns the metrics, given those of [`PrequentialScores::list_sums`].
    pub fn summary(&self, lists: &[RankingSums; SCORED_ROLES]) -> WindowScores {
        self.summary_of((0..SCORED_ROLES).map(|role| self.metrics(role)).collect(), lists)
    }

    /// Returns the scores of a role: of champions, their predecessors, the newest versions, and no skill. Those of the newest
    /// versions are `None` if they are those of the champions.
    pub fn role(&self, role: usize) -> Option<&Scores> {
        [Some(&self.champion), Some(&self.predecessor), self.newest.as_ref(), Some(&self.no_skill)][role]
    }

    /// Makes the scores of a role ready to be read.
    pub fn settle(&mut self, role: usize) {
        let roles =
            [Some(&mut self.champion), Some(&mut self.predecessor), self.newest.as_mut(), Some(&mut self.no_skill)];
        roles.into_iter().nth(role).flatten().into_iter().for_each(Scores::settle);
    }

    /// Returns the metrics of a role; none of the newest versions if they are those of the champions.
    pub fn metrics(&self, role: usize) -> Vec<(&'static str, f64)> {
        self.role(role).map_or_else(Vec::new, Scores::all)
    }

    /// Returns the summary, given the metrics of all roles and those of lists.
    pub fn summary_of(
        &self,
        mut roles: Vec<Vec<(&'static str, f64)>>,
        lists: &[RankingSums; SCORED_ROLES],
    ) -> WindowScores {
        if self.newest.is_none() {
            roles[NEWEST] = roles[0].clone();
        }
        let mut all =
            roles.into_iter().zip(lists).map(|(metrics, lists)| metrics.into_iter().chain(lists.all()).collect());
        let mut next = || all.next().expect("there are as many as roles");
        WindowScores {
            examples: self.champion.examples(),
            champion: next(),
            predecessor: next(),
            newest: next(),
            no_skill: next(),
            persistence: of_persistence(self.persistence.as_ref()),
            segments: self.segments.summaries(),
        }
    }
}
