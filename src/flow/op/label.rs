//! Attribution: an example waits for its label.
//!
//! Both inputs are distributed by the label's key. The label of an example at t is the first record in the total order
//! with the same key, t <= its time <= t + within, and a value; the example is output with it at that record's time. If
//! none came, it is output at t + within with the label that stands for none, or is dropped and counted.

use super::closed_times::{self, ClosedOperator, Interrupted};
use super::map::map;
use super::pending_examples::{PendingExamples, SavedExamples};
use super::{Records, Stash};
use crate::checkpoint::{CheckpointError, OperatorCheckpoint, SavedPart, Stretch};
use crate::expr::{EvalStats, Expr};
use crate::flow::exchange::{Route, WorkerShare};
use crate::flow::label_form::LabelForm;
use crate::value::{Batch, Scalar};

pub use super::pending_examples::Attribution;

/// Joins labels to examples. Returns the examples at the times at which their labels became known, with their own time
/// as event time and the label as last column. `unlabelled` is called with the number of examples just dropped.
///
/// # Errors
/// If saved state cannot be read.
pub fn attribute<'scope>(
    examples: Records<'scope>,
    labels: Records<'scope>,
    model: &str,
    plan: Attribution,
    checkpoint: OperatorCheckpoint,
    unlabelled: impl FnMut(u64) + 'static,
) -> Result<Records<'scope>, CheckpointError> {
    let share = WorkerShare::of(examples.scope());
    let mut state = PendingExamples::new(plan.clone());
    for part in checkpoint.load::<SavedExamples>()? {
        if share.index == 0 {
            state.dropped += part.dropped;
        }
        for saved in part.batches {
            let batch = saved.batch(&plan.types).map_err(|error| checkpoint.undecodable(error))?;
            state.restore(batch, share);
        }
    }
    let types = plan.codec.types().len();
    let label_route = Route::Key { codec: plan.codec.clone(), columns: (0..types).collect() };
    let example_route = Route::Key { codec: plan.codec, columns: plan.example_on };
    let attributor =
        Attributor { state, examples: Stash::default(), labels: Stash::default(), reported: 0, unlabelled };
    let inputs = [(examples, example_route), (labels, label_route)];
    Ok(closed_times::binary(inputs, &format!("model.{model}.label"), checkpoint, attributor))
}

/// The operator of [`attribute`]: examples are input 0, labels input 1.
struct Attributor<F> {
    state: PendingExamples,
    examples: Stash,
    labels: Stash,
    /// The number of dropped examples that `unlabelled` has been called with so far.
    reported: u64,
    unlabelled: F,
}

impl<F: FnMut(u64) + 'static> ClosedOperator for Attributor<F> {
    const IS_MEASURED: bool = true;

    fn state_bytes(&self) -> usize {
        self.state.bytes()
    }

    fn push(&mut self, input: usize, batch: Batch) {
        let chunks = if input == 0 { &mut self.examples } else { &mut self.labels };
        chunks.push(None, batch, ());
    }

    fn run(&mut self, stretch: Stretch, output: &mut Vec<Batch>) -> Result<Option<SavedPart>, Interrupted> {
        output.extend(self.state.process_until(&mut self.examples, &mut self.labels, stretch.until));
        (self.unlabelled)(self.state.dropped - self.reported);
        self.reported = self.state.dropped;
        Ok(stretch.save_after.then(|| {
            let snapshot = self.state.save();
            SavedPart::deferred(move || snapshot.saved())
        }))
    }
}

/// Appends labels that are an expression over the example itself, known at once. Drops examples whose label is null.
pub fn immediate<'scope>(examples: Records<'scope>, name: &str, value: Expr, form: LabelForm) -> Records<'scope> {
    let mut stats = EvalStats::default();
    map(examples, name, move |batch| {
        let labels = form.labels(&value.eval(&batch.columns, batch.len(), &mut stats));
        let rows: Vec<u32> = (0..batch.len()).filter(|row| labels[*row].is_some()).map(|row| row as u32).collect();
        let kept = batch.take(&rows.into());
        let mut columns = kept.columns.clone();
        let labels: Vec<&Scalar> = labels.iter().flatten().collect();
        columns.push(form.column(labels.into_iter()));
        Batch { event_times: kept.times.clone(), ..kept.with_columns(columns) }
    })
}

/// Appends a column of null labels, for kinds of models that do without.
pub fn unlabelled<'scope>(examples: Records<'scope>, name: &str, form: LabelForm) -> Records<'scope> {
    map(examples, name, move |batch| {
        let mut columns = batch.columns.clone();
        columns.push(form.nulls(batch.len()));
        Batch { event_times: batch.times.clone(), ..batch.with_columns(columns) }
    })
}
