//! A trainer's state as bytes, for checkpoints.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::history::{ChampionSince, RetainedVersion, VersionHistory, class_numbers};
use super::lineage::{Lineage, TrainedVersion};
use super::persistence::LastLabels;
use super::prequential::PrequentialScores;
use super::segments::SegmentNames;
use super::setup::TrainingSetup;
use super::stability::WindowValues;
use super::state::TrainingState;
use super::totals::TotalScores;
use super::window::{HeldOutWindow, LabelledExamples, OpenWindow, RecentExamples};
use crate::model::adwin::AdaptiveWindow;
use crate::model::preparation::Statistics;
use crate::model::{Classes, LabelUse, Learner, ModelError, Predictor, Task, Tensors};
use crate::time::EventTime;

/// Raised when the form changes; an older state is refused.
const FORMAT: u32 = 9;

/// The largest number that a version can have.
const MOST_VERSIONS: u64 = 1 << 53;

#[derive(Serialize, Deserialize)]
struct SavedTrainer<'a> {
    format: u32,
    definition: Cow<'a, str>,
    newest: u64,
    classes: Cow<'a, Classes>,
    lineage: Option<SavedLineage<'a>>,
    previous: Option<SavedLineage<'a>>,
    retained: Vec<SavedVersion<'a>>,
    champions: Cow<'a, [ChampionSince]>,
    held_out: Cow<'a, VecDeque<HeldOutWindow>>,
    window: SavedWindow<'a>,
    total: Cow<'a, TotalScores>,
    errors: Cow<'a, AdaptiveWindow>,
    segments: Cow<'a, SegmentNames>,
    last_labels: Cow<'a, LastLabels>,
}

#[derive(Serialize, Deserialize)]
struct SavedLineage<'a> {
    version: u64,
    statistics: Cow<'a, Statistics>,
    training: Cow<'a, WindowValues>,
    learner: Option<Tensors>,
}

#[derive(Serialize, Deserialize)]
struct SavedVersion<'a> {
    number: u64,
    end: EventTime,
    no_skill: Cow<'a, [f64]>,
    predictor: Tensors,
}

#[derive(Serialize, Deserialize)]
struct SavedWindow<'a> {
    statistics: Cow<'a, Statistics>,
    learners: Vec<Tensors>,
    trained: Cow<'a, [u64]>,
    buffered: Cow<'a, [LabelledExamples]>,
    held_out: Cow<'a, LabelledExamples>,
    recent: Cow<'a, RecentExamples>,
    scores: Cow<'a, PrequentialScores>,
    values: Cow<'a, WindowValues>,
}

/// Encodes a state.
pub(super) fn encode(setup: &TrainingSetup, state: &TrainingState) -> Vec<u8> {
    let TrainingState { newest, classes, lineage, previous, history, held_out, window, total, errors, .. } = state;
    // The learners of the first window are made again from what is buffered.
    let learners = window.learners.iter().filter(|_| lineage.is_some());
    let retained = history.retained.iter().map(|version| SavedVersion {
        number: version.number,
        end: version.end,
        no_skill: Cow::Borrowed(&version.no_skill),
        predictor: version.predictor.save(),
    });
    let saved = SavedTrainer {
        format: FORMAT,
        definition: Cow::Borrowed(&setup.config.definition),
        newest: *newest,
        classes: Cow::Borrowed(classes),
        lineage: lineage.as_ref().map(SavedLineage::of),
        previous: previous.as_ref().map(SavedLineage::of),
        retained: retained.collect(),
        champions: Cow::Borrowed(&history.champions),
        held_out: Cow::Borrowed(held_out),
        window: SavedWindow {
            statistics: Cow::Borrowed(&window.statistics),
            learners: learners.map(|learner| learner.save()).collect(),
            trained: Cow::Borrowed(&window.trained),
            buffered: Cow::Borrowed(&window.buffered),
            held_out: Cow::Borrowed(&window.held_out),
            recent: Cow::Borrowed(&window.recent),
            scores: Cow::Borrowed(&window.scores),
            values: Cow::Borrowed(&window.values),
        },
        total: Cow::Borrowed(total),
        errors: Cow::Borrowed(errors),
        segments: Cow::Borrowed(&state.segments),
        last_labels: Cow::Borrowed(&state.last_labels),
    };
    postcard::to_extend(&saved, Vec::new()).expect("a trainer's state holds nothing that cannot be written")
}

/// Decodes a state.
///
/// # Errors
/// If the bytes are damaged, or of another definition.
pub(super) fn decode(setup: &TrainingSetup, bytes: &[u8]) -> Result<TrainingState, ModelError> {
    // Read, and check that the parts fit each other.
    let damaged = |what: &str| ModelError::DamagedState(what.to_owned());
    let (format, _) =
        postcard::take_from_bytes::<u32>(bytes).map_err(|error| damaged(&format!("it has no format: {error}")))?;
    if format != FORMAT {
        return Err(damaged(&format!("it has format {format}, expected {FORMAT}")));
    }
    let saved: SavedTrainer<'_> = postcard::from_bytes(bytes).map_err(|error| damaged(&error.to_string()))?;
    if saved.definition != setup.config.definition {
        return Err(ModelError::OtherDefinition);
    }
    if !saved.fits(setup) {
        return Err(damaged("its parts do not fit the model"));
    }
    // Rebuild the learners and predictors from their tensors.
    let mut classes = saved.classes.into_owned();
    let lineage = saved.lineage.map(|lineage| lineage.restored(setup)).transpose()?;
    let previous = saved.previous.map(|lineage| lineage.restored(setup)).transpose()?;
    let mut retained = Vec::with_capacity(saved.retained.len());
    for SavedVersion { number, end, no_skill, predictor } in saved.retained {
        let predictor = Arc::new(Predictor::load_into(&setup.layout, &predictor)?);
        if no_skill.len() != predictor.width() {
            return Err(damaged("a version's parts do not fit each other"));
        }
        let numbers = class_numbers(&mut classes, &predictor);
        retained.push(RetainedVersion { number, end, no_skill: no_skill.into_owned(), classes: numbers, predictor });
    }
    let window = saved.window;
    let learners = window.learners.iter().map(|state| learner(setup, state)).collect::<Result<_, _>>()?;
    Ok(TrainingState {
        newest: saved.newest,
        classes,
        lineage,
        previous,
        history: VersionHistory { retained, champions: saved.champions.into_owned() },
        held_out: saved.held_out.into_owned(),
        window: OpenWindow {
            statistics: window.statistics.into_owned(),
            learners,
            trained: window.trained.into_owned(),
            buffered: window.buffered.into_owned(),
            held_out: window.held_out.into_owned(),
            recent: window.recent.into_owned(),
            scores: window.scores.into_owned(),
            values: window.values.into_owned(),
        },
        total: saved.total.into_owned(),
        errors: saved.errors.into_owned(),
        segments: saved.segments.into_owned(),
        last_labels: saved.last_labels.into_owned(),
    })
}

/// Returns whether a window can end at a time: arithmetic on it does not overflow.
fn is_time(time: EventTime) -> bool {
    time.unsigned_abs() <= 1 << 60
}

/// Returns a learner in a saved state.
fn learner(setup: &TrainingSetup, state: &Tensors) -> Result<Box<dyn Learner>, ModelError> {
    let mut learner = setup.untrained();
    learner.load(state)?;
    Ok(learner)
}

impl<'a> SavedLineage<'a> {
    fn of(lineage: &'a Lineage) -> Self {
        SavedLineage {
            version: lineage.version,
            statistics: Cow::Borrowed(&lineage.statistics),
            training: Cow::Borrowed(&lineage.training),
            learner: lineage.learner.as_ref().map(|learner| learner.save()),
        }
    }

    fn restored(self, setup: &TrainingSetup) -> Result<Lineage, ModelError> {
        let learner = self.learner.as_ref().map(|state| learner(setup, state)).transpose()?;
        let (version, statistics, training) = (self.version, self.statistics.into_owned(), self.training.into_owned());
        Ok(Lineage::new(setup, TrainedVersion { version, statistics, training, learner }))
    }
}

impl SavedTrainer<'_> {
    /// Returns whether all parts are consistent and were made for the model.
    fn fits(&self, setup: &TrainingSetup) -> bool {
        let (task, layout, shards, classes) = (setup.task(), &setup.layout, setup.shards(), self.classes.len());
        let scoring = setup.scoring();
        let needs_label = setup.kind.label == LabelUse::Required;
        let is_label = |label: f64| match task {
            _ if label.is_nan() => !needs_label,
            Task::Multiclass => label >= 0.0 && label < classes as f64 && label.fract() == 0.0,
            _ => setup.kind.labels.fault(label).is_none(),
        };
        let window = &self.window;
        let held_out = || self.held_out.iter().map(|window| &window.examples).chain([&*window.held_out]);
        let has_places = |examples: &LabelledExamples| examples.places.len() == examples.labels.len();
        window.statistics.fits(layout, task, classes)
            && window.trained.len() == shards
            && (window.learners.is_empty() || window.learners.len() == shards)
            && window
                .buffered
                .iter()
                .chain(held_out())
                .chain(&window.recent.pieces)
                .all(|examples| examples.fits(layout, is_label))
            && (setup.gated_lists().is_none() || held_out().all(has_places))
            && window.scores.fit(scoring, setup.scored_roles())
            && self.total.fit(scoring, setup.scored_roles())
            && self.segments.fits()
            && self.last_labels.fits(is_label)
            && self.errors.fits()
            && self.lineage.iter().chain(&self.previous).all(|lineage| lineage.statistics.fits(layout, task, classes))
            && (setup.can_roll_back() || self.previous.is_none())
            && window.values.fits(layout)
            && self.lineage.iter().chain(&self.previous).all(|lineage| lineage.training.fits(layout))
            && self.retained.is_sorted_by(|one, other| one.number < other.number && one.end <= other.end)
            && self.newest <= MOST_VERSIONS
            && self.retained.iter().all(|version| version.number <= self.newest && is_time(version.end))
            && self.champions.iter().all(|champion| champion.version <= self.newest && is_time(champion.from))
            && self.champions.is_sorted_by(|one, other| one.from <= other.from)
    }
}
