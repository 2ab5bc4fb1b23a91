//! Learning: labelled examples become versions, in slices.
//!
//! All examples of a model come to one worker. As time closes they are sorted by (known, total order), scored and
//! learnt, a slice an activation, so that neither a window's end nor a burst stalls the graph; a window is closed once
//! the frontier has passed its end. Between slices the operator holds its capability at the time it has reached. Labels
//! that the model's kind cannot learn are taken out first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{Array, ArrayRef, Int64Array, TimestampMillisecondArray};

use super::admission::{LabelAdmission, RefusedInWindow};
use super::closed_times::{self, ClosedOperator, Interrupted};
use super::example_columns;
use super::{ClosingRow, Records, Stash};
use crate::checkpoint::{CheckpointCoordinator, CheckpointError, OperatorCheckpoint, SavedPart, Stretch};
use crate::expr::EvalStats;
use crate::flow::exchange::{Route, WorkerShare, key_columns};
use crate::flow::nulls::count;
use crate::flow::plan::{LabelPlan, ModelPlan};
use crate::metrics::{NullCounter, NullReason};
use crate::model::{
    ArmScorer, DriftAlarm, Examples, ModelError, Scored, Trainer, TrainerConfig, Version, WaitingWindow,
};
use crate::registry::{LiveModels, SavedChampion};
use crate::time::EventTime;
use crate::value::{Batch, Key, KeyCodec};

pub use super::learning::{KeptExamples, LearnState, LearningReport, LearningTotals};

/// Rows scored and learnt between two readings of the clock.
const SLICE: usize = 1024;

/// Rows of a step of a window's end. The first one also takes the memory of a model's weights.
const CLOSING_SLICE: usize = 256;

/// Longest duration of an activation.
const MAX_ACTIVATION: Duration = Duration::from_millis(2);

/// Learns a stream of labelled examples and calls `report` with each version. Returns the examples that are `kept`, with
/// the columns of [`ModelPlan::kept_columns`], at their own times.
///
/// # Errors
/// If saved state cannot be read.
pub fn learn<'scope>(
    labelled: Records<'scope>,
    plan: Arc<ModelPlan>,
    checkpoint: OperatorCheckpoint,
    kept: KeptExamples,
    nulls: Arc<NullCounter>,
    live: Arc<LiveModels>,
    report: impl FnMut(LearningReport) + 'static,
) -> Result<Records<'scope>, CheckpointError> {
    let scope = labelled.scope();
    let home = Key::hash_of(plan.name.as_bytes());
    let here = WorkerShare::of(scope).owns(home);
    let mut queue = TrainerQueue { live, ..TrainerQueue::new(plan.clone(), kept, nulls) };
    for part in checkpoint.load::<Option<LearnState>>()?.into_iter().flatten().filter(|_| here) {
        queue.load(part).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            checkpoint.undecodable(errors.join("; "))
        })?;
    }
    let name = format!("model.{}.learn", plan.name);
    let operator = LearnOperator { queue, here, chunks: Stash::default(), busy: Duration::ZERO, report };
    Ok(closed_times::unary(labelled, Route::One(home), &name, checkpoint, operator))
}

/// Returns a model's champion in the checkpoint that a graph starts from, without what the registry has of it.
///
/// # Errors
/// If saved state cannot be read.
pub fn saved_champion(
    plan: &Arc<ModelPlan>,
    coordinator: &CheckpointCoordinator,
) -> Result<Option<SavedChampion>, CheckpointError> {
    let operator = format!("model.{}.learn", plan.name);
    let mut queue = TrainerQueue::new(plan.clone(), KeptExamples::Nothing, Arc::default());
    for part in coordinator.load::<Option<LearnState>>(&operator)?.into_iter().flatten() {
        queue.load(part).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            CheckpointError::Undecodable { operator: operator.clone(), source: errors.join("; ").into() }
        })?;
    }
    let Some((version, predictor)) = queue.trainer.champion() else { return Ok(None) };
    let window_end = queue.trainer.champion_since().unwrap_or(EventTime::MIN);
    Ok(Some(SavedChampion { version, window_end, predictor, manifest: None }))
}

/// The operator of [`learn`].
struct LearnOperator<F: FnMut(LearningReport)> {
    queue: TrainerQueue,
    /// True if the model's examples come to this worker.
    here: bool,
    chunks: Stash,
    /// Time spent since the newest version.
    busy: Duration,
    report: F,
}

impl<F: FnMut(LearningReport)> Drop for LearnOperator<F> {
    fn drop(&mut self) {
        if self.here {
            (self.report)(LearningReport::Ended(Box::new(self.queue.totals())));
        }
    }
}

impl<F: FnMut(LearningReport) + 'static> ClosedOperator for LearnOperator<F> {
    fn push(&mut self, _input: usize, batch: Batch) {
        self.chunks.push(None, batch, ());
    }

    fn run(&mut self, stretch: Stretch, output: &mut Vec<Batch>) -> Result<Option<SavedPart>, Interrupted> {
        let started = Instant::now();
        // After an interruption nothing is left to be queued.
        self.queue.enqueue(&mut self.chunks, stretch.until);
        let (mut before, mut busy) = (started, self.busy);
        let mut is_done;
        // At least one slice, whatever queueing took.
        loop {
            let report = &mut self.report;
            is_done = self.queue.advance(stretch.until, &mut |learnt| {
                report(match learnt {
                    Learnt::Version(version) => {
                        let now = Instant::now();
                        let busy = std::mem::take(&mut busy) + (now - std::mem::replace(&mut before, now));
                        LearningReport::Version { version, busy }
                    }
                    Learnt::Refused(refused) => LearningReport::Refused(refused),
                    Learnt::Drift(alarm) => LearningReport::Drift(alarm),
                    Learnt::Waiting(end, waiting) => LearningReport::Waiting(end, waiting),
                });
            });
            if is_done || started.elapsed() >= MAX_ACTIVATION {
                break;
            }
        }
        self.busy = busy + before.elapsed();
        output.append(&mut self.queue.scored);
        if !is_done {
            return Err(Interrupted);
        }
        Ok(stretch.save_after.then(|| SavedPart::encoded(&self.here.then(|| self.queue.save()))))
    }
}

/// An outcome of a slice of work.
enum Learnt {
    Version(Box<Version>),
    Refused(RefusedInWindow),
    Drift(DriftAlarm),
    /// A window has ended without a version.
    Waiting(EventTime, WaitingWindow),
}

/// A trainer and the examples that are queued for it.
struct TrainerQueue {
    plan: Arc<ModelPlan>,
    trainer: Trainer,
    identity: KeyCodec,
    /// Examples in order, each batch with its decoded form.
    queue: VecDeque<(Batch, Examples)>,
    /// The next row of the first batch.
    row: usize,
    /// The end of the open window, if it has examples.
    window_end: Option<EventTime>,
    kept: KeptExamples,
    scored: Vec<Batch>,
    admission: LabelAdmission,
    /// The splits, whose arms are scored.
    live: Arc<LiveModels>,
    arms: ArmScorer,
    /// Counts the inputs that could not be computed or are out of range.
    nulls: Arc<NullCounter>,
}

fn config(plan: &ModelPlan) -> TrainerConfig {
    TrainerConfig {
        name: plan.name.clone(),
        inputs: plan.assembly.inputs(),
        options: plan.options.clone(),
        window_ms: plan.window_ms,
        offset_ms: plan.offset_ms,
        within_ms: plan.label.within_ms(),
        definition: plan.definition.clone(),
    }
}

impl TrainerQueue {
    fn new(plan: Arc<ModelPlan>, kept: KeptExamples, nulls: Arc<NullCounter>) -> Self {
        let types: Vec<_> = plan.identity.iter().map(|column| plan.columns.columns[*column].ty).collect();
        let config = config(&plan);
        TrainerQueue {
            arms: ArmScorer::new(&config),
            live: Arc::default(),
            trainer: Trainer::new(config).expect("the spec has checked the model's options"),
            identity: KeyCodec::new(&types),
            plan,
            queue: VecDeque::new(),
            row: 0,
            window_end: None,
            kept,
            scored: Vec::new(),
            admission: LabelAdmission::default(),
            nulls,
        }
    }

    fn load(&mut self, saved: LearnState) -> Result<(), Vec<ModelError>> {
        self.trainer = Trainer::load(config(&self.plan), &saved.trainer)?;
        // The end of a window, none beyond what arithmetic on times can hold.
        let is_end = |end: EventTime| end.unsigned_abs() <= 1 << 60 && self.trainer.window_of(end - 1) == end;
        if !saved.window_end.is_none_or(is_end) {
            return Err(vec![ModelError::DamagedState("the open window does not end where windows do".to_owned())]);
        }
        (self.window_end, self.admission) = (saved.window_end, saved.admission);
        let name = &self.plan.name;
        self.arms.load(saved.arms, |version| {
            let found = self.live.version(name, version);
            // A trainer that is only asked for its champion has no versions to score.
            if found.is_none() && self.live.models().any(|model| model == name) {
                tracing::warn!(model = name, version, "an arm is not scored on: its version is not in the registry");
            }
            found.map(|servable| servable.predictor.clone())
        });
        Ok(())
    }

    fn save(&self) -> LearnState {
        let admission = self.admission.clone();
        LearnState { trainer: self.trainer.save(), window_end: self.window_end, admission, arms: self.arms.save() }
    }

    /// Returns what has been learnt so far.
    fn totals(&self) -> LearningTotals {
        LearningTotals {
            received: self.admission.received,
            refused: self.admission.refused.clone(),
            scores: self.trainer.overall_scores(),
            state: (self.kept == KeptExamples::All).then(|| self.save()),
        }
    }

    /// Queues all examples known before `upto`, sorted by (known, total order) and cut at window ends.
    fn enqueue(&mut self, chunks: &mut Stash, upto: EventTime) {
        chunks.close_before(upto);
        let mut rows: Vec<ClosingRow> = chunks.rows().collect();
        if rows.is_empty() {
            return;
        }
        let place = |row: &ClosingRow| {
            let batch = &chunks.closing(row.batch).batch;
            (batch.event_times[row.row as usize], batch.sort_key.value(row.row as usize))
        };
        rows.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| place(a).cmp(&place(b))));
        let batches = chunks.gather(&rows);
        chunks.retire();
        for batch in batches {
            let mut from = 0;
            while from < batch.len() {
                let end = self.trainer.window_of(batch.times[from]);
                let upto = batch.times.partition_point(|known| *known < end);
                let window = batch.slice(from, upto - from);
                let admitted = self.admission.admit(&self.plan, window, end, self.kept == KeptExamples::All);
                if !admitted.is_empty() {
                    let examples = self.examples(&admitted);
                    self.queue.push_back((admitted, examples));
                }
                from = upto;
            }
        }
    }

    fn examples(&self, batch: &Batch) -> Examples {
        let width = batch.columns.len() - 1;
        let keys = self.identity.encode(&key_columns(batch, &self.plan.identity));
        let mut failed = EvalStats::default();
        let columns = self.plan.assembly.assemble(&batch.columns[..width], batch.len(), &mut failed);
        let weights =
            self.plan.weight.as_ref().map(|weight| weight.eval(&batch.columns[..width], batch.len(), &mut failed));
        count(&self.nulls, failed);
        self.nulls.add(NullReason::OutOfRange, self.trainer.out_of_range(&columns));
        let (reports, schema) = (&self.plan.options.reports, &self.plan.columns);
        let segments = example_columns::positions(schema, &reports.segments);
        let segments = segments.into_iter().map(|column| &batch.columns[column]);
        let hashes = |names: &Vec<String>| match names.is_empty() {
            true => Vec::new(),
            false => example_columns::hashes(batch, schema, names),
        };
        Examples {
            columns,
            labels: self.plan.labels.read(&batch.columns[width]),
            time: batch.event_times.to_vec(),
            known: batch.times.to_vec(),
            hash: keys.iter().map(|key| Key::hash_of(key.as_ref())).collect(),
            weights: weights.as_ref().map_or_else(Vec::new, example_columns::numbers),
            segments: segments.map(example_columns::segments).collect(),
            keys: hashes(&reports.persistence),
            // The users in whose lists examples are scored.
            users: self.plan.options.ranking.as_ref().map_or_else(Vec::new, |ranking| hashes(&ranking.by)),
        }
    }

    /// Does one slice of work. Returns true once all examples before `upto` are learnt and every window that ended by
    /// then is closed.
    fn advance(&mut self, upto: EventTime, report: &mut impl FnMut(Learnt)) -> bool {
        // Close the open window before an example of a later one.
        let next = self.queue.front().map_or(upto, |(batch, _)| batch.times[self.row]);
        if let Some(end) = self.window_end.filter(|end| *end <= next) {
            if self.trainer.work(CLOSING_SLICE) {
                self.window_end = None;
                match self.trainer.close(end) {
                    Some(mut version) => {
                        version.arms = self.arms.close(&version.prequential);
                        report(Learnt::Version(Box::new(version)));
                    }
                    None => {
                        self.trainer.waiting().into_iter().for_each(|waiting| report(Learnt::Waiting(end, waiting)));
                    }
                }
            }
            return false;
        }
        self.admission.take_ended(next).into_iter().for_each(|refused| report(Learnt::Refused(refused)));
        let Some((batch, examples)) = self.queue.front() else { return true };
        // Each arm predicts all examples of the window.
        let slice = SLICE / (1 + self.arms.versions());
        let rows = self.trainer.slice(slice).min(batch.len() - self.row);
        let slice = examples.slice(self.row, rows);
        let window_end = self.trainer.window_of(slice.known[0]);
        if self.window_end.replace(window_end).is_none() {
            let start = window_end.saturating_sub(self.plan.window_ms);
            self.arms.open(self.live.splits().scored(&self.plan.name, start));
        }
        self.arms.score(&slice);
        let scored = self.trainer.learn(&slice);
        self.trainer.take_alarms().into_iter().for_each(|alarm| report(Learnt::Drift(alarm)));
        if self.kept != KeptExamples::Nothing {
            let kept = self.kept(&batch.slice(self.row, rows), &slice, window_end, &scored);
            self.scored.push(kept);
        }
        self.row += rows;
        if self.row == batch.len() {
            self.queue.pop_front();
            self.row = 0;
        }
        false
    }

    /// Returns scored examples with the columns of [`ModelPlan::kept_columns`].
    fn kept(&self, batch: &Batch, examples: &Examples, window_end: EventTime, scored: &Scored) -> Batch {
        // An example that lacks the label that it needs is of no window.
        let labels = &batch.columns[batch.columns.len() - 1];
        let needs_label = !matches!(self.plan.label, LabelPlan::Unlabelled);
        let of_window = |times: &dyn Fn(usize) -> EventTime| -> ArrayRef {
            let time = |row| (!needs_label || labels.is_valid(row)).then(|| times(row));
            Arc::new((0..batch.len()).map(time).collect::<TimestampMillisecondArray>())
        };
        let mut columns = vec![of_window(&|row| examples.known[row]), of_window(&|_| window_end)];
        columns.extend_from_slice(&batch.columns[..self.plan.stream_width]);
        columns.extend(self.plan.kept_inputs().map(|input| examples.columns[input].clone()));
        columns.push(labels.clone());
        columns.push(self.plan.labels.scores(scored));
        let version = scored.version.iter().map(|version| (*version > 0).then_some(*version as i64));
        columns.push(Arc::new(version.collect::<Int64Array>()));
        batch.with_columns(columns)
    }
}

/// Scores examples that still wait for their labels with a trainer in a saved state; returns them with the columns of
/// [`ModelPlan::kept_columns`].
///
/// # Errors
/// If the state is not one of this model.
pub fn score_waiting(
    plan: &Arc<ModelPlan>,
    state: LearnState,
    waiting: &[Batch],
) -> Result<Vec<Batch>, Vec<ModelError>> {
    let mut queue = TrainerQueue::new(plan.clone(), KeptExamples::All, Arc::default());
    queue.load(state)?;
    let mut score = |batch: &Batch| {
        let mut columns = batch.columns.clone();
        columns.push(plan.labels.nulls(batch.len()));
        let batch = Batch { event_times: batch.times.clone(), ..batch.with_columns(columns) };
        let examples = queue.examples(&batch);
        let scored = queue.trainer.learn(&examples);
        queue.kept(&batch, &examples, EventTime::MAX, &scored)
    };
    Ok(waiting.iter().map(&mut score).collect())
}
