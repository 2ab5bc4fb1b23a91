//! The versions that an example could still be scored by, and who reigned when.

use std::sync::Arc;

use crate::model::Predictor;
use crate::time::EventTime;

/// A version kept for scoring.
pub(super) struct Kept {
    pub number: u64,
    /// Its window's end: from then on it can be in force.
    pub end: EventTime,
    /// What one would predict who knows only the labels that its lineage has learnt.
    pub base_rate: f64,
    pub predictor: Arc<Predictor>,
}

/// Versions in order, and the reigns of champions.
#[derive(Default)]
pub(super) struct Versions {
    pub kept: Vec<Kept>,
    /// `(from, version)`, ascending: who was champion from when.
    pub reigns: Vec<(EventTime, u64)>,
}

/// Who scores an example, as positions in `kept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scorers {
    pub champion: usize,
    /// The champion before it.
    pub predecessor: Option<usize>,
    /// The newest version, accepted or not.
    pub newest: usize,
}

impl Versions {
    /// Who scores an example of time `t`. None before the first version.
    pub fn scorers(&self, t: EventTime) -> Option<Scorers> {
        let reign = self.reigns.partition_point(|(from, _)| *from <= t).checked_sub(1)?;
        let newest = self.kept.partition_point(|kept| kept.end <= t).checked_sub(1)?;
        let predecessor = reign.checked_sub(1).and_then(|before| self.position(self.reigns[before].1));
        Some(Scorers { champion: self.position(self.reigns[reign].1)?, predecessor, newest })
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.kept.binary_search_by_key(&number, |kept| kept.number).ok()
    }

    /// The newest champion.
    pub fn champion(&self) -> Option<&Kept> {
        self.reigns.last().and_then(|(_, number)| self.position(*number)).map(|at| &self.kept[at])
    }

    /// Adds the newest version, and lets it reign if it was accepted.
    pub fn add(&mut self, kept: Kept, accepted: bool) {
        if accepted {
            self.reigns.push((kept.end, kept.number));
        }
        self.kept.push(kept);
    }

    /// Forgets the versions that score no example of time `t` or later.
    pub fn forget_before(&mut self, t: EventTime) {
        let reigning = self.reigns.partition_point(|(from, _)| *from <= t).saturating_sub(1);
        self.reigns.drain(..reigning.saturating_sub(1));
        let newest = self.kept.partition_point(|kept| kept.end <= t).saturating_sub(1);
        let newest = self.kept.get(newest).map_or(0, |kept| kept.number);
        let reigns = &self.reigns;
        self.kept.retain(|kept| kept.number >= newest || reigns.iter().any(|(_, number)| *number == kept.number));
    }
}
