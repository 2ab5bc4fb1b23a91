//! Learning: labelled examples into versions, in slices.
//!
//! All examples of a model come to one worker. As time closes they are sorted by (known, total order), scored and
//! learnt, a slice an activation, so that neither a window's end nor a burst stalls the graph; a window is closed once
//! the frontier has passed its end. Between slices the operator holds its output at the time it has reached.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, TimestampMillisecondArray};
use serde::{Deserialize, Serialize};

use super::closed_times::{self, ClosedOperator, Interrupted};
use super::{Chunks, Records};
use crate::checkpoint::{CheckpointError, OperatorCheckpoint, SavedPart, Stretch};
use crate::expr::EvalStats;
use crate::flow::exchange::{Route, key_columns, worker_of};
use crate::flow::plan::ModelPlan;
use crate::model::{Examples, ModelError, Trainer, TrainerConfig, Version};
use crate::time::EventTime;
use crate::value::{Batch, Key, KeyCodec};

/// Rows scored and learnt between looks at the clock.
const SLICE: usize = 1024;

/// How long an activation goes on.
const PATIENCE: Duration = Duration::from_millis(2);

/// What is saved of a learner.
#[derive(Serialize, Deserialize)]
struct Saved {
    trainer: Vec<u8>,
    window_end: Option<EventTime>,
}

/// Learns a stream of labelled examples; versions go to `publish`. Returns, if `keep`, the examples as they are kept
/// offline, their own time as event time.
///
/// # Errors
/// If saved state cannot be read.
pub fn learn<'scope>(
    labelled: Records<'scope>,
    plan: Arc<ModelPlan>,
    checkpoint: OperatorCheckpoint,
    keep: bool,
    publish: impl FnMut(Version) + 'static,
) -> Result<Records<'scope>, CheckpointError> {
    let scope = labelled.scope();
    let home = Key::hash_of(plan.name.as_bytes());
    let here = worker_of(home, scope.worker().peers()) == scope.worker().index();
    let mut learner = Learner::new(plan.clone(), keep);
    for part in checkpoint.load::<Option<Saved>>()?.into_iter().flatten().filter(|_| here) {
        learner.load(part).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            checkpoint.undecodable(errors.join("; "))
        })?;
    }
    let name = format!("model.{}.learn", plan.name);
    let operator = LearnOperator { learner, here, chunks: Chunks::default(), publish };
    Ok(closed_times::unary(labelled, Route::One(home), &name, checkpoint, operator))
}

/// The operator of [`learn`].
struct LearnOperator<F> {
    learner: Learner,
    /// Whether the model's examples come to this worker.
    here: bool,
    chunks: Chunks,
    publish: F,
}

impl<F: FnMut(Version) + 'static> ClosedOperator for LearnOperator<F> {
    fn push(&mut self, _input: usize, batch: Batch) {
        self.chunks.push(None, batch, ());
    }

    fn run(&mut self, stretch: Stretch, output: &mut Vec<Batch>) -> Result<Option<SavedPart>, Interrupted> {
        let started = Instant::now();
        // After an interruption nothing is left to be queued.
        self.learner.enqueue(&mut self.chunks, stretch.until);
        let mut is_done = self.learner.slice(stretch.until, &mut self.publish);
        while !is_done && started.elapsed() < PATIENCE {
            is_done = self.learner.slice(stretch.until, &mut self.publish);
        }
        output.append(&mut self.learner.scored);
        if !is_done {
            return Err(Interrupted);
        }
        let saved = |learner: &Learner| SavedPart::encoded(&self.here.then(|| learner.save()));
        Ok(stretch.save_after.then(|| saved(&self.learner)))
    }
}

/// A trainer and what waits for it.
struct Learner {
    plan: Arc<ModelPlan>,
    trainer: Trainer,
    identity: KeyCodec,
    /// Examples in order, with the row reached in the first.
    queue: VecDeque<(Batch, Examples)>,
    at: usize,
    /// The end of the open window, if it has examples.
    window_end: Option<EventTime>,
    /// Whether examples are kept once they are learnt.
    keep: bool,
    scored: Vec<Batch>,
    stats: EvalStats,
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

impl Learner {
    fn new(plan: Arc<ModelPlan>, keep: bool) -> Self {
        let types: Vec<_> = plan.identity.iter().map(|column| plan.columns.columns[*column].ty).collect();
        Learner {
            trainer: Trainer::new(config(&plan)).expect("the spec has checked the model's options"),
            identity: KeyCodec::new(&types),
            plan,
            queue: VecDeque::new(),
            at: 0,
            window_end: None,
            keep,
            scored: Vec::new(),
            stats: EvalStats::default(),
        }
    }

    fn load(&mut self, saved: Saved) -> Result<(), Vec<ModelError>> {
        self.trainer = Trainer::load(config(&self.plan), &saved.trainer)?;
        self.window_end = saved.window_end;
        Ok(())
    }

    fn save(&self) -> Saved {
        Saved { trainer: self.trainer.save(), window_end: self.window_end }
    }

    /// Queues all examples known before `upto`, sorted by (known, total order), cut at window ends.
    fn enqueue(&mut self, chunks: &mut Chunks, upto: EventTime) {
        chunks.begin(upto);
        let mut rows: Vec<(EventTime, u32, u32)> = chunks.rows().collect();
        if rows.is_empty() {
            return;
        }
        let place = |chunk: u32, row: u32| {
            let batch = &chunks.at(chunk).batch;
            (batch.event_times[row as usize], batch.sort_key.value(row as usize))
        };
        rows.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| place(a.1, a.2).cmp(&place(b.1, b.2))));
        let batch = chunks.gather(&rows);
        chunks.finish();
        let mut from = 0;
        while from < batch.len() {
            let end = self.trainer.window_of(batch.times[from]);
            let upto = batch.times.partition_point(|known| *known < end);
            let part = batch.slice(from, upto - from);
            let examples = self.examples(&part);
            self.queue.push_back((part, examples));
            from = upto;
        }
    }

    fn examples(&mut self, batch: &Batch) -> Examples {
        let width = batch.columns.len() - 1;
        let label = batch.columns[width].as_primitive::<Float64Type>();
        let keys = self.identity.encode(&key_columns(batch, &self.plan.identity));
        Examples {
            columns: self.plan.assembly.assemble(&batch.columns[..width], batch.len(), &mut self.stats),
            label: label.values().to_vec(),
            time: batch.event_times.to_vec(),
            known: batch.times.to_vec(),
            hash: keys.iter().map(|key| Key::hash_of(key.as_ref())).collect(),
        }
    }

    /// One slice of work; true once all before `upto` is learnt and every window that ended by then is closed.
    fn slice(&mut self, upto: EventTime, publish: &mut impl FnMut(Version)) -> bool {
        let next = self.queue.front().map_or(upto, |(batch, _)| batch.times[self.at]);
        if let Some(end) = self.window_end.filter(|end| *end <= next) {
            if self.trainer.work(SLICE) {
                self.window_end = None;
                if let Some(version) = self.trainer.close(end) {
                    publish(version);
                }
            }
            return false;
        }
        let Some((batch, examples)) = self.queue.front() else { return true };
        let rows = SLICE.min(batch.len() - self.at);
        let slice = part(examples, self.at, rows);
        let window_end = self.trainer.window_of(slice.known[0]);
        self.window_end = Some(window_end);
        let scored = self.trainer.learn(&slice);
        if self.keep {
            let kept = self.kept(&batch.slice(self.at, rows), &slice, window_end, &scored.prediction, &scored.version);
            self.scored.push(kept);
        }
        self.at += rows;
        if self.at == batch.len() {
            self.queue.pop_front();
            self.at = 0;
        }
        false
    }

    /// Examples as they are kept: see [`ModelPlan::kept_columns`].
    fn kept(
        &self,
        batch: &Batch,
        examples: &Examples,
        window_end: EventTime,
        prediction: &[f64],
        version: &[u64],
    ) -> Batch {
        let times = |times: Vec<EventTime>| -> ArrayRef { Arc::new(TimestampMillisecondArray::from(times)) };
        let mut columns = vec![times(examples.known.clone()), times(vec![window_end; examples.known.len()])];
        columns.extend_from_slice(&batch.columns[..self.plan.stream_width]);
        columns.extend(self.plan.kept_inputs().map(|input| examples.columns[input].clone()));
        let scored = |value: &f64| Some(*value).filter(|value| !value.is_nan());
        columns.push(Arc::new(Float64Array::from(examples.label.clone())));
        columns.push(Arc::new(prediction.iter().map(scored).collect::<Float64Array>()));
        let version = version.iter().map(|version| (*version > 0).then_some(*version as i64));
        columns.push(Arc::new(version.collect::<Int64Array>()));
        batch.with_columns(columns)
    }
}

fn part(examples: &Examples, from: usize, rows: usize) -> Examples {
    Examples {
        columns: examples.columns.iter().map(|column| column.slice(from, rows)).collect(),
        label: examples.label[from..from + rows].to_vec(),
        time: examples.time[from..from + rows].to_vec(),
        known: examples.known[from..from + rows].to_vec(),
        hash: examples.hash[from..from + rows].to_vec(),
    }
}
