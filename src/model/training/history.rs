//! The versions that an example can still be scored by, and the champions by time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Classes, Predictor};
use crate::time::EventTime;

/// A version that is retained for scoring.
pub(super) struct RetainedVersion {
    pub number: u64,
    /// Its window's end, from which on it can be in force.
    pub end: EventTime,
    /// The prediction of a model that knows only the labels that the version's lineage has learnt.
    pub no_skill: Vec<f64>,
    /// The trainer's numbers of the version's classes; none for other tasks.
    pub classes: Vec<u32>,
    pub predictor: Arc<Predictor>,
}

impl RetainedVersion {
    /// Returns how many numbers a prediction has, without asking the predictor.
    #[inline]
    pub fn width(&self) -> usize {
        self.no_skill.len()
    }
}

/// The version that is champion from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ChampionSince {
    pub from: EventTime,
    pub version: u64,
}

/// Retained versions, and the champions by time.
#[derive(Default)]
pub(super) struct VersionHistory {
    /// Retained versions, ascending by number.
    pub retained: Vec<RetainedVersion>,
    /// Champions, ascending by time.
    pub champions: Vec<ChampionSince>,
}

/// The versions that score an example, as positions among the retained ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScoringVersions {
    pub champion: usize,
    /// The champion before it.
    pub predecessor: Option<usize>,
    /// The newest version, accepted or not.
    pub newest: usize,
}

/// The champion, by number, and the position of the one before it: `None` unless there are both.
pub(super) type ChampionPair = Option<(u64, usize)>;

impl ScoringVersions {
    /// Returns the two champions among these versions, as [`VersionHistory::champion_pair`] does.
    #[inline]
    pub fn champion_pair(&self, history: &VersionHistory) -> ChampionPair {
        Some((history.retained[self.champion].number, self.predecessor?))
    }

    pub fn positions(&self) -> impl Iterator<Item = usize> + use<> {
        [Some(self.champion), self.predecessor, Some(self.newest)].into_iter().flatten()
    }
}

impl VersionHistory {
    /// Returns the versions that score an example of time `t`. None before the first version.
    pub fn scoring(&self, t: EventTime) -> Option<ScoringVersions> {
        let at = self.champions.partition_point(|champion| champion.from <= t).checked_sub(1)?;
        let newest = self.retained.partition_point(|version| version.end <= t).checked_sub(1)?;
        let predecessor = at.checked_sub(1).and_then(|before| self.position(self.champions[before].version));
        Some(ScoringVersions { champion: self.position(self.champions[at].version)?, predecessor, newest })
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.retained.binary_search_by_key(&number, |version| version.number).ok()
    }

    /// Returns the newest champion.
    pub fn champion(&self) -> Option<&RetainedVersion> {
        let newest = self.champions.last()?;
        self.position(newest.version).map(|at| &self.retained[at])
    }

    /// Adds the newest version, which becomes champion if it was accepted.
    pub fn add(&mut self, version: RetainedVersion, accepted: bool) {
        if accepted {
            self.champions.push(ChampionSince { from: version.end, version: version.number });
        }
        self.retained.push(version);
    }

    /// Returns the newest champion and the one before it.
    pub fn champion_pair(&self) -> ChampionPair {
        let before = self.champions.len().checked_sub(2)?;
        Some((self.champion()?.number, self.position(self.champions[before].version)?))
    }

    /// Makes a version that was champion before champion again.
    pub fn reinstate(&mut self, version: u64, from: EventTime) {
        self.champions.push(ChampionSince { from, version });
    }

    /// Forgets the versions that score no example of time `t` or later.
    pub fn forget_before(&mut self, t: EventTime) {
        let champion = self.champions.partition_point(|champion| champion.from <= t).saturating_sub(1);
        self.champions.drain(..champion.saturating_sub(1));
        let newest = self.retained.partition_point(|version| version.end <= t).saturating_sub(1);
        let newest = self.retained.get(newest).map_or(0, |version| version.number);
        let is_champion = |number| self.champions.iter().any(|champion| champion.version == number);
        self.retained.retain(|version| version.number >= newest || is_champion(version.number));
    }
}

/// Returns the trainer's numbers of a predictor's classes.
pub(super) fn class_numbers(classes: &mut Classes, predictor: &Predictor) -> Vec<u32> {
    predictor.classes().iter().map(|name| classes.number(name)).collect()
}

/// Rearranges a version's prediction by the trainer's numbers of the classes; `spread` is working memory. Other tasks
/// have no classes, and their predictions stay as they are.
#[inline]
pub(super) fn by_number<'a>(prediction: &'a [f64], classes: &[u32], spread: &'a mut Vec<f64>) -> &'a [f64] {
    if classes.is_empty() {
        return prediction;
    }
    spread.clear();
    let most = classes.iter().max().map_or(0, |most| *most as usize);
    spread.resize(most + 1, 0.0);
    classes.iter().zip(prediction).for_each(|(number, probability)| spread[*number as usize] = *probability);
    spread
}
