//! Prequential scores: every example is predicted before it is learnt.
//!
//! Three versions score an example: the champion of its own time, the champion before that, and the newest. Beside them
//! stands no skill at all: the label statistics that were known when the champion was made. The scores count in the
//! window in which the label became known (Dawid 1984; Gama et al. 2013 for windows).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Scored;
use super::drift::{self, DriftAlarm};
use super::history::{ScoringVersions, VersionHistory, by_number};
use super::learning_memory::LearningMemory;
use super::lists::{ListedExample, RankedChunk, UserLists};
use super::no_skill_counts::NoSkillCounts;
use super::persistence::LastLabels;
use super::rollback_scores::RollbackScores;
use super::saved_scores::SavedScores;
use super::segments::{SegmentNames, SegmentScores, SegmentSummaries};
use super::stability::WindowValues;
use crate::model::adwin::AdaptiveWindow;
use crate::model::preparation::Observations;
use crate::model::{Predictions, RankingSums, Scores, Scoring, Task};
use crate::time::EventTime;

/// The roles in which examples are scored: champion, predecessor, newest and no skill.
pub(super) const SCORED_ROLES: usize = 4;

/// A window's scores, by role.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "SavedScores", into = "SavedScores")]
pub(super) struct PrequentialScores {
    pub champion: Scores,
    pub predecessor: Scores,
    /// Scores of the newest versions; `None` as long as these were the champions.
    pub newest: Option<Scores>,
    pub no_skill: Scores,
    /// Scores of the newest champion and the one before it, where a champion can be rolled back.
    pub rollback: Option<RollbackScores>,
    /// The same examples in lists, if they are scored so.
    pub lists: Option<UserLists>,
    /// The same examples by segment.
    pub segments: SegmentScores,
    /// Scores of the last known label of the same key, if there are keys.
    pub persistence: Option<Scores>,
}

/// The metrics of a window's predictions, by role. Empty before the first version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WindowScores {
    /// Examples that were scored.
    pub examples: u64,
    pub champion: Vec<(&'static str, f64)>,
    pub predecessor: Vec<(&'static str, f64)>,
    pub newest: Vec<(&'static str, f64)>,
    /// Metrics of predicting the mean label or the class frequencies; in lists, of ranking by popularity.
    pub no_skill: Vec<(&'static str, f64)>,
    /// Metrics of predicting the last known label of the same key; none if no key is named.
    pub persistence: Vec<(&'static str, f64)>,
    /// Metrics by column and value; none if no column is named.
    pub segments: SegmentSummaries,
}

/// The metrics of predictions that are labels, not probabilities.
const OF_DECISIONS: &[&str] = &["accuracy", "f1", "macro_f1", "rmse", "mae", "pinball", "mape", "r2"];

/// Returns the metrics of persistence.
pub(super) fn of_persistence(scores: Option<&Scores>) -> Vec<(&'static str, f64)> {
    let all = scores.map_or_else(Vec::new, Scores::all);
    all.into_iter().filter(|(name, _)| OF_DECISIONS.contains(name)).collect()
}

impl PrequentialScores {
    /// Scores of no predictions.
    pub fn new(scoring: Scoring, roles: ScoredRoles) -> Self {
        let none = || Scores::new(scoring);
        let ScoredRoles { with_rollback, in_lists, with_persistence } = roles;
        PrequentialScores {
            champion: none(),
            predecessor: none(),
            newest: None,
            no_skill: none(),
            rollback: with_rollback.then(|| RollbackScores::new(scoring, in_lists)),
            lists: in_lists.then(UserLists::default),
            segments: SegmentScores::default(),
            persistence: with_persistence.then(none),
        }
    }

    /// Returns the sums of the lists as ranked by the champion, the champion before, the newest version, and popularity. Each
    /// list is sorted four times.
    pub fn list_sums(&self) -> [RankingSums; SCORED_ROLES] {
        self.lists.as_ref().map(UserLists::sums).unwrap_or_default()
    }

    /// Returns whether all are scores of that kind.
    pub fn fit(&self, scoring: Scoring, roles: ScoredRoles) -> bool {
        let all = (0..SCORED_ROLES).filter_map(|role| self.role(role));
        let is_as_asked = self.rollback.is_some() == roles.with_rollback
            && self.lists.is_some() == roles.in_lists
            && self.persistence.is_some() == roles.with_persistence;
        let is_as_asked = is_as_asked && self.rollback.iter().all(|rollback| rollback.fits(scoring, roles.in_lists));
        is_as_asked && self.segments.fit(scoring) && all.chain(&self.persistence).all(|scores| scores.is_of(scoring))
    }
}

/// The scores that there are beside those of versions.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScoredRoles {
    /// True where a champion can be rolled back.
    pub with_rollback: bool,
    /// True where lists are scored.
    pub in_lists: bool,
    /// True where keys are named.
    pub with_persistence: bool,
}

/// The surroundings of a chunk of examples that is scored by segment and against persistence.
pub(super) struct ReportedChunk<'a> {
    pub scoring: Scoring,
    /// The columns that segments are of.
    pub columns: &'a [String],
    /// By column, the value of each example.
    pub segments: &'a [&'a [Arc<str>]],
    /// The hash of each example's key; empty if there are none.
    pub keys: &'a [Option<u64>],
    pub times: &'a [EventTime],
    pub known: &'a [EventTime],
    pub within: EventTime,
}

/// The start of no prediction.
const NONE: usize = usize::MAX;

/// Scores of a chunk of examples; working memory.
#[derive(Default)]
pub(super) struct ChunkScorer {
    versions: Vec<Option<ScoringVersions>>,
    /// All predictions of all versions, one after another.
    values: Vec<f64>,
    /// By example, the start of its prediction in `values`.
    champion: Vec<usize>,
    predecessor: Vec<usize>,
    newest: Vec<usize>,
    select: Vec<u32>,
    predictions: Predictions,
    by_number: Vec<f64>,
}

impl ChunkScorer {
    /// Predicts each example with the versions that score it.
    pub fn score(
        &mut self,
        history: &VersionHistory,
        observations: &Observations,
        times: &[EventTime],
        memory: &mut LearningMemory,
    ) {
        self.versions.clear();
        self.versions.extend(times.iter().map(|time| history.scoring(*time)));
        self.values.clear();
        for role in [&mut self.champion, &mut self.predecessor, &mut self.newest] {
            role.clear();
            role.resize(times.len(), NONE);
        }
        let positions = self.versions.iter().flatten().flat_map(ScoringVersions::positions);
        let Some((least, most)) = positions.fold(None, |range: Option<(usize, usize)>, at| {
            Some(range.map_or((at, at), |(least, most)| (least.min(at), most.max(at))))
        }) else {
            return;
        };
        for version in least..=most {
            self.select.clear();
            let scores = |versions: &Option<ScoringVersions>| {
                versions.is_some_and(|versions| versions.positions().any(|at| at == version))
            };
            let rows_of = self.versions.iter().enumerate().filter(|(_, versions)| scores(versions));
            self.select.extend(rows_of.map(|(row, _)| row as u32));
            if !self.select.is_empty() {
                self.predict(history, version, observations, memory);
            }
        }
    }

    /// Predicts the selected examples with one version.
    fn predict(
        &mut self,
        history: &VersionHistory,
        version: usize,
        observations: &Observations,
        memory: &mut LearningMemory,
    ) {
        let predictor = &history.retained[version].predictor;
        let LearningMemory { fixed, rows, .. } = memory;
        predictor.predict_chunk(observations, &self.select, fixed, rows, &mut self.predictions);
        let (first, width) = (self.values.len(), self.predictions.width());
        self.values.extend_from_slice(self.predictions.values());
        for (at, row) in self.select.iter().enumerate() {
            let (row, start) = (*row as usize, first + at * width);
            let Some(versions) = self.versions[row] else { continue };
            if versions.champion == version {
                self.champion[row] = start;
            }
            if versions.predecessor == Some(version) {
                self.predecessor[row] = start;
            }
            if versions.newest == version {
                self.newest[row] = start;
            }
        }
    }

    /// Adds the examples to the lists of their users, with the first number of each prediction, if lists are scored. NaN labels
    /// are skipped.
    pub fn list(
        &self,
        history: &VersionHistory,
        labels: &[f64],
        chunk: &RankedChunk<'_>,
        scores: &mut PrequentialScores,
    ) {
        let PrequentialScores { lists: Some(lists), rollback, .. } = scores else { return };
        let mut of_rollback = rollback.as_mut().and_then(|rollback| rollback.lists.as_mut());
        let champion_pair = history.champion_pair();
        for (row, label) in labels.iter().enumerate() {
            let counted = self.versions[row].filter(|_| !label.is_nan());
            let Some((versions, user)) = counted.zip(chunk.users[row]) else { continue };
            let of = |start: usize| if start == NONE { f64::NAN } else { self.values[start] };
            let popularity = chunk.popularity.get(row).copied().unwrap_or(f64::NAN);
            let scores = [of(self.champion[row]), of(self.predecessor[row]), of(self.newest[row]), popularity];
            let (tie, relevant) = (chunk.hashes[row], *label >= chunk.relevant);
            lists.push(user, ListedExample { tie, relevant, scores });
            if let Some(lists) = of_rollback
                .as_mut()
                .filter(|_| champion_pair.is_some() && champion_pair == versions.champion_pair(history))
            {
                lists.push(user, ListedExample { tie, relevant, scores: [scores[0], scores[1]] });
            }
        }
    }

    /// Counts the predictions against the labels. NaN labels are skipped.
    pub fn count(&mut self, history: &VersionHistory, labels: &[f64], scores: &mut PrequentialScores) {
        let champion_pair = history.champion_pair();
        let mut no_skill = NoSkillCounts::default();
        for (row, (versions, label)) in self.versions.iter().zip(labels).enumerate() {
            let Some(versions) = versions.filter(|_| !label.is_nan()) else { continue };
            if versions.newest != versions.champion && scores.newest.is_none() {
                scores.newest = Some(scores.champion.clone());
            }
            let mut add = |scores: &mut Scores, version: usize, start: usize| {
                let version = &history.retained[version];
                let prediction = &self.values[start..start + version.width()];
                scores.add(by_number(prediction, &version.classes, &mut self.by_number), *label);
            };
            add(&mut scores.champion, versions.champion, self.champion[row]);
            if let Some(newest) = &mut scores.newest {
                add(newest, versions.newest, self.newest[row]);
            }
            if let Some(predecessor) = versions.predecessor {
                add(&mut scores.predecessor, predecessor, self.predecessor[row]);
                if let Some(rollback) =
                    scores.rollback.as_mut().filter(|_| champion_pair == versions.champion_pair(history))
                {
                    add(&mut rollback.champion, versions.champion, self.champion[row]);
                    add(&mut rollback.predecessor, predecessor, self.predecessor[row]);
                }
            }
            no_skill.add(history, versions.champion, *label, &mut scores.no_skill);
        }
        no_skill.count(history, &mut scores.no_skill);
    }

    /// Counts the champions' predictions by segment. NaN labels are skipped.
    pub fn count_segments(
        &mut self,
        history: &VersionHistory,
        labels: &[f64],
        chunk: &ReportedChunk<'_>,
        names: &mut SegmentNames,
        scores: &mut SegmentScores,
    ) {
        for (row, (versions, label)) in self.versions.iter().zip(labels).enumerate() {
            let Some(versions) = versions.filter(|_| !label.is_nan()) else { continue };
            let (champion, start) = (&history.retained[versions.champion], self.champion[row]);
            for (column, values) in chunk.columns.iter().zip(chunk.segments) {
                let pair = scores.of(names, column, &values[row], chunk.scoring);
                let prediction = &self.values[start..start + champion.width()];
                pair.champion.add(by_number(prediction, &champion.classes, &mut self.by_number), *label);
                pair.no_skill.add(by_number(&champion.no_skill, &champion.classes, &mut self.by_number), *label);
            }
        }
    }

    /// Counts the last known labels of the examples' keys as predictions, and adds the labels. NaN labels are skipped.
    pub fn count_persistence(
        &mut self,
        history: &VersionHistory,
        labels: &[f64],
        chunk: &ReportedChunk<'_>,
        last: &mut LastLabels,
        scores: &mut Scores,
    ) {
        let mut one_hot = Vec::new();
        for (row, (versions, label)) in self.versions.iter().zip(labels).enumerate().filter(|(_, (_, l))| !l.is_nan()) {
            let Some(key) = chunk.keys.get(row).copied() else { continue };
            if let Some(versions) = versions {
                let champion = &history.retained[versions.champion];
                let prediction = match key.and_then(|key| last.before(key, chunk.times[row])) {
                    None => by_number(&champion.no_skill, &champion.classes, &mut self.by_number),
                    Some(label) if chunk.scoring.task == Task::Multiclass => {
                        one_hot.clear();
                        one_hot.resize(label as usize + 1, 0.0);
                        one_hot[label as usize] = 1.0;
                        one_hot.as_slice()
                    }
                    Some(label) => {
                        one_hot.clear();
                        one_hot.push(label);
                        one_hot.as_slice()
                    }
                };
                scores.add(prediction, *label);
            }
            key.iter().for_each(|key| last.add(*key, chunk.known[row], *label, chunk.within));
        }
    }

    /// Adds the examples that are counted, and the champions' predictions of them, to the values of their window.
    pub fn record(
        &mut self,
        history: &VersionHistory,
        observations: &Observations,
        hashes: &[u64],
        is_counted: impl Fn(usize) -> bool,
        values: &mut WindowValues,
    ) {
        for (row, (versions, hash)) in self.versions.iter().zip(hashes).enumerate().filter(|(row, _)| is_counted(*row))
        {
            let prediction = versions.map_or(&[][..], |versions| {
                let (champion, start) = (&history.retained[versions.champion], self.champion[row]);
                by_number(&self.values[start..start + champion.width()], &champion.classes, &mut self.by_number)
            });
            values.add(observations, row, *hash, prediction);
        }
    }

    /// Adds the champions' errors to those before, in order, and appends the alarms. `known` are the times at which the
    /// labels became known; NaN labels are skipped.
    pub fn watch(
        &self,
        history: &VersionHistory,
        task: Task,
        labels: &[f64],
        known: &[EventTime],
        errors: &mut AdaptiveWindow,
        alarms: &mut Vec<DriftAlarm>,
    ) {
        for (row, versions) in self.versions.iter().enumerate() {
            let Some(versions) = versions.filter(|_| !labels[row].is_nan()) else { continue };
            let (champion, start) = (&history.retained[versions.champion], self.champion[row]);
            let prediction = &self.values[start..start + champion.width()];
            alarms.extend(drift::observe(errors, task, champion, prediction, labels[row], known[row]));
        }
    }

    /// Appends the champions' predictions to `scored`.
    pub fn append_to(&self, history: &VersionHistory, scored: &mut Scored) {
        for (versions, start) in self.versions.iter().zip(&self.champion) {
            let Some(versions) = versions else {
                scored.push(0, &[]);
                continue;
            };
            let champion = &history.retained[versions.champion];
            if !champion.classes.is_empty() {
                scored.describe(champion.number, champion.predictor.classes());
            }
            scored.push(champion.number, &self.values[*start..*start + champion.width()]);
        }
    }
}

impl From<PrequentialScores> for SavedScores {
    fn from(scores: PrequentialScores) -> Self {
        let PrequentialScores { champion, predecessor, newest, no_skill, rollback, lists, segments, persistence } =
            scores;
        let newest = newest.unwrap_or_else(|| champion.clone());
        SavedScores { champion, predecessor, newest, no_skill, rollback, lists, segments, persistence }
    }
}

impl From<SavedScores> for PrequentialScores {
    fn from(saved: SavedScores) -> Self {
        let SavedScores { champion, predecessor, newest, no_skill, rollback, lists, segments, persistence } = saved;
        let newest = (newest != champion).then_some(newest);
        PrequentialScores { champion, predecessor, newest, no_skill, rollback, lists, segments, persistence }
    }
}
