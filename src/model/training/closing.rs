//! A window's end: learn what was buffered, combine the shards, freeze, compare, decide.
//!
//! All but the decision is done in slices, so that no step holds the caller for long. Nothing of it is saved: a trainer
//! that is saved meanwhile closes the window from the start when it is loaded, with the same result.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::comparison::{Challenge, GateComparison, Verdict, named};
use super::divergence::{DivergenceCheck, Suspect};
use super::history::{RetainedVersion, class_numbers};
use super::learning_memory::LearningMemory;
use super::lineage::{Lineage, TrainedVersion, no_skill};
use super::paired::PairedScores;
use super::rollback::{self, FallenChampion};
use super::setup::TrainingSetup;
use super::state::TrainingState;
use super::window::{OpenWindow, ShardBatch};
use super::window_summary::WindowSummary;
use super::{Decision, Version, WindowScores};
use crate::model::preparation::Preparation;
use crate::model::{Learner, LearningStart, Predictor, Shard};
use crate::time::EventTime;

/// Rows that are decoded, scored and learnt together: few enough to stay in the cache.
pub(super) const CHUNK: usize = 512;

/// The progress of a window's close.
#[derive(Default)]
pub(super) struct Closing {
    /// The first window's preparation.
    preparation: Option<Arc<Preparation>>,
    /// The first window's examples that are learnt.
    learnt: BufferPosition,
    /// The combined shards; none of a single shard that learnt everything along the way.
    combined: Option<Box<dyn Learner>>,
    candidate: Option<CandidateVersion>,
    divergence: Option<DivergenceCheck>,
    is_checked: bool,
    comparison: Option<GateComparison>,
    /// The metrics of the window's predictions.
    summary: WindowSummary,
    is_summarised: bool,
}

/// A position in the buffer of the first window.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct BufferPosition {
    piece: usize,
    row: usize,
}

/// The version that the window makes.
struct CandidateVersion {
    predictor: Arc<Predictor>,
    /// The trainer's numbers of its classes.
    classes: Vec<u32>,
}

impl Closing {
    /// Continues for about `rows` rows of work. Returns true once only the decision is left.
    pub fn advance(
        &mut self,
        setup: &TrainingSetup,
        state: &mut TrainingState,
        memory: &mut LearningMemory,
        rows: usize,
    ) -> bool {
        match &self.candidate {
            None if !self.is_summarised => {
                self.is_summarised = self.summary.advance(&mut state.window.scores);
                false
            }
            None => {
                if state.lineage.is_none() && !self.learn_buffered(setup, state, memory, rows) {
                    return false;
                }
                if !self.combine(setup, state) || !self.refit(rows) {
                    return false;
                }
                self.make_candidate(setup, state);
                let is_compared = setup.gate().is_some() && state.history.champion().is_some();
                !is_compared && !setup.kind.by_steps
            }
            Some(_) if setup.kind.by_steps && !self.is_checked => {
                self.is_checked = self.check_divergence(setup, state, memory, rows);
                self.is_checked && (setup.gate().is_none() || state.history.champion().is_none())
            }
            Some(candidate) => {
                let champion = state.history.champion().filter(|_| setup.gate().is_some());
                let Some(champion) = champion else { return true };
                let comparison = self.comparison.get_or_insert_with(|| GateComparison::new(setup));
                let challenge = Challenge { candidate: &candidate.predictor, classes: &candidate.classes, champion };
                let cost = candidate.predictor.cost().max(champion.predictor.cost());
                comparison.advance(&challenge, state, &mut memory.rows, (rows / cost).max(1), CHUNK)
            }
        }
    }

    /// Compares the candidate with no skill. Returns true when all is compared.
    fn check_divergence(
        &mut self,
        setup: &TrainingSetup,
        state: &TrainingState,
        memory: &mut LearningMemory,
        rows: usize,
    ) -> bool {
        let Some(CandidateVersion { predictor, classes }) = &self.candidate else { return false };
        let check = self.divergence.get_or_insert_with(|| DivergenceCheck::new(setup, state, predictor));
        let champion = state.history.champion();
        let cost = champion.map_or(1, |champion| champion.predictor.cost()).max(predictor.cost());
        let rows = (rows / cost).clamp(1, CHUNK);
        check.advance(&Suspect { candidate: predictor, classes, champion }, state, &mut memory.rows, rows)
    }

    /// Learns the first window. Returns true when all is learnt.
    fn learn_buffered(
        &mut self,
        setup: &TrainingSetup,
        state: &mut TrainingState,
        memory: &mut LearningMemory,
        rows: usize,
    ) -> bool {
        let TrainingState { window, classes, .. } = state;
        let fresh = || Arc::new(Preparation::new(&setup.layout, &window.statistics));
        let preparation = Arc::clone(self.preparation.get_or_insert_with(fresh));
        if self.learnt == BufferPosition::default() {
            window.learners = (0..setup.shards()).map(|_| setup.untrained()).collect();
        }
        let buffered = std::mem::take(&mut window.buffered);
        let mut left = (rows / window.learners[0].cost()).max(1);
        while let Some(piece) = buffered.get(self.learnt.piece).filter(|_| left > 0) {
            let from = self.learnt.row;
            let to = piece.labels.len().min(from + left.min(CHUNK));
            for shard in 0..setup.shards() {
                let own = (from..to).filter(|row| piece.shards[*row] as usize == shard);
                let select: Vec<u32> = own.map(|row| row as u32).collect();
                let (observations, labels, weights) = (&piece.observations, &piece.labels, &piece.weights);
                let (preparation, select) = (&preparation, &select);
                let batch = ShardBatch { preparation, classes, observations, labels, weights, select };
                window.learn_shard(setup.kind, shard, &batch, memory);
            }
            left -= to - from;
            self.learnt.row = to;
            if to == piece.labels.len() {
                self.learnt = BufferPosition { piece: self.learnt.piece + 1, row: 0 };
            }
        }
        window.buffered = buffered;
        self.learnt.piece == window.buffered.len()
    }

    /// Combines the shards in their order. A single shard is only copied, if learning is left for the end: the open
    /// window stays as it is, so that it can be saved meanwhile. Returns false in the step that combined them.
    fn combine(&mut self, setup: &TrainingSetup, state: &TrainingState) -> bool {
        let OpenWindow { learners, trained, .. } = &state.window;
        if self.combined.is_some() || (learners.len() == 1 && !learners[0].refits()) {
            return true;
        }
        if let [only] = &learners[..] {
            self.combined = Some(only.clone_box());
            return false;
        }
        let shards = learners.iter().zip(trained);
        let shards: Vec<_> =
            shards.map(|(learner, examples)| Shard { learner: &**learner, examples: *examples }).collect();
        let start = state.lineage.as_ref().and_then(|lineage| lineage.learner.as_ref());
        let start = start.filter(|_| setup.config.options.start == LearningStart::Warm);
        let mut combined = start.map_or_else(|| setup.untrained(), |start| start.clone_box());
        combined.combine(&shards).expect("the shards of a window are of one kind and layout");
        self.combined = Some(combined);
        false
    }

    /// Continues the learning that is left for the end. Returns true once nothing is left.
    fn refit(&mut self, rows: usize) -> bool {
        self.combined.as_mut().is_none_or(|combined| combined.refit(rows))
    }

    /// Freezes the learner.
    fn make_candidate(&mut self, setup: &TrainingSetup, state: &mut TrainingState) {
        let preparation = match (&state.lineage, &self.preparation) {
            (Some(lineage), _) => Arc::clone(&lineage.preparation),
            (None, own) => Arc::clone(own.as_ref().expect("the first window was learnt with its own preparation")),
        };
        let learner = self.combined.as_mut().unwrap_or(&mut state.window.learners[0]);
        let predictor = Arc::new(Predictor::new(setup.kind, preparation, learner.freeze()));
        let classes = class_numbers(&mut state.classes, &predictor);
        self.candidate = Some(CandidateVersion { predictor, classes });
    }

    /// Makes the version of the window that ends at `end`, and starts the next window.
    ///
    /// # Panics
    /// If the close is not done but for the decision.
    pub fn finish(self, setup: &TrainingSetup, state: &mut TrainingState, end: EventTime) -> Version {
        let Closing { combined, candidate, divergence, comparison, summary, .. } = self;
        let CandidateVersion { predictor, classes } = candidate.expect("a close that is done has a candidate");
        // The verdict: a rollback of the champion, or the gate's on the candidate.
        let champion = state.history.champion().map(|champion| champion.number);
        let diverged = divergence.and_then(|check| check.reason(champion));
        let is_diverged = diverged.is_some();
        let (rolled_back, verdict) = match rollback::fallen(setup, state) {
            Some(FallenChampion { version, predecessor, verdict }) => {
                state.history.reinstate(predecessor, end);
                (Some(version), verdict)
            }
            None => (None, verdict(setup, state, comparison.as_ref(), diverged)),
        };
        let accepted = verdict.decision == Decision::Published;
        let lists = state.window.scores.list_sums();
        let mut window = state.start_window(setup, end, &lists);
        let examples = window.examples();
        // The statistics of the lineage, if the version is accepted.
        let mut statistics = window.statistics;
        let earlier = state.lineage.as_ref().map(|lineage| &lineage.statistics);
        let forgotten = statistics.follow(&setup.layout, earlier);
        let training = state.lineage.as_ref().map(|lineage| &lineage.training);
        let stability = training.map(|training| window.values.against(training, &setup.layout)).unwrap_or_default();
        let before = rolled_back.or_else(|| state.history.champion().map(|champion| champion.number));
        let parent = state.lineage.as_ref().map(|lineage| lineage.version);
        state.newest += 1;
        let number = state.newest;
        let no_skill = no_skill(setup.task(), &statistics.labels, &state.classes, &predictor);
        let retained = RetainedVersion { number, end, no_skill, classes, predictor: Arc::clone(&predictor) };
        state.history.add(retained, accepted);
        if accepted {
            let mut learner = combined.unwrap_or_else(|| window.learners.swap_remove(0));
            learner.forget(&forgotten);
            let (version, learner, training) = (number, Some(learner), window.values);
            let trained = TrainedVersion { version, statistics, training, learner };
            let before = state.lineage.replace(Lineage::new(setup, trained));
            state.previous = before.filter(|_| setup.can_roll_back());
        } else if rolled_back.is_some() {
            state.lineage = state.previous.take();
        }
        // The report of the version.
        let prequential = summary.finish(&window.scores, &lists);
        let scores = scores_of(number, before, verdict.scores, &prequential);
        Version {
            number,
            window_start: end.saturating_sub(setup.config.window_ms),
            window_end: end,
            parent,
            examples,
            scores,
            decision: verdict.decision,
            reason: verdict.reason,
            champion: state.history.champion().map_or(0, |champion| champion.number),
            rolled_back,
            diverged: is_diverged,
            prequential,
            arms: Vec::new(),
            stability,
            predictor,
        }
    }
}

/// Returns the decision on a version. `diverged` is the reason why it has diverged, if it has.
fn verdict(
    setup: &TrainingSetup,
    state: &TrainingState,
    comparison: Option<&GateComparison>,
    diverged: Option<String>,
) -> Verdict {
    let verdict = compared(setup, state, comparison);
    match diverged {
        Some(reason) => Verdict { decision: Decision::Refused, reason, ..verdict },
        None => verdict,
    }
}

/// Returns the gate's decision on a version.
fn compared(setup: &TrainingSetup, state: &TrainingState, comparison: Option<&GateComparison>) -> Verdict {
    let Some(gate) = setup.gate() else { return Verdict::published("no gate") };
    match (comparison, state.history.champion()) {
        (Some(comparison), Some(champion)) => comparison.decide(gate, champion.number),
        _ => Verdict::published("the first version"),
    }
}

/// Returns the metrics of a version and of the champion before it on the held-out examples, else those of that champion's
/// predictions in the window.
fn scores_of(
    number: u64,
    before: Option<u64>,
    held_out: Option<PairedScores>,
    prequential: &WindowScores,
) -> BTreeMap<u64, BTreeMap<String, f64>> {
    match (held_out, before) {
        (Some(scores), Some(before)) => {
            BTreeMap::from([(number, named(&scores.own.all())), (before, named(&scores.other.all()))])
        }
        (None, Some(before)) => BTreeMap::from([(before, named(&prequential.champion))]),
        (_, None) => BTreeMap::new(),
    }
}
