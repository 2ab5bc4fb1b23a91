//! Attribution: an example waits for its label.
//!
//! Both inputs are distributed by the label's key. The label of an example at t is the first record in the total order
//! with the same key, t + after <= its time <= t + within, and a value; where both streams have records of one source,
//! it must be behind the example in the total order. Or it is made from all such records, and known at t + within. The
//! example is output with it at that record's time, or at t + within if that is when it is to be learnt. If none came,
//! it is output at t + within with the label that stands for none, or is dropped and counted. Whether a label is one
//! that the model's kind can learn is checked where it is learnt.

use std::sync::Arc;

use super::closed_times::{self, ClosedOperator, Interrupted};
use super::map::map;
use super::pending_examples::PendingExamples;
use super::saved_examples::SavedExamples;
use super::{Records, Stash};
use crate::checkpoint::{CheckpointError, OperatorCheckpoint, SavedPart, Stretch};
use crate::expr::Expr;
use crate::flow::exchange::{Route, WorkerShare};
use crate::flow::label_form::LabelForm;
use crate::flow::nulls::counted;
use crate::metrics::NullCounter;
use crate::value::{Batch, Scalar};

pub use super::attribution::{Attribution, ExampleCounts};

/// Joins labels to examples. Returns the examples at the times at which their labels became known, with their own time
/// as event time and the label as last column. `report` is called with what has become of examples since the last call.
///
/// # Errors
/// If saved state cannot be read.
pub fn attribute<'scope>(
    examples: Records<'scope>,
    labels: Records<'scope>,
    model: &str,
    plan: Attribution,
    nulls: Arc<NullCounter>,
    checkpoint: OperatorCheckpoint,
    report: impl FnMut(AttributionReport) + 'static,
) -> Result<Records<'scope>, CheckpointError> {
    let share = WorkerShare::of(examples.scope());
    let mut state = PendingExamples::new(plan.clone(), nulls);
    for part in checkpoint.load::<SavedExamples>()? {
        if share.index == 0 {
            state.counts.made += part.counts.made;
            state.counts.unlabelled += part.counts.unlabelled;
        }
        for saved in part.batches {
            let (batch, labels) = saved.read(&plan).map_err(|error| checkpoint.undecodable(error))?;
            state.restore(batch, labels, share);
        }
    }
    let types = plan.codec.types().len();
    let label_route = Route::Key { codec: plan.codec.clone(), columns: (0..types).collect() };
    let example_route = Route::Key { codec: plan.codec, columns: plan.example_on };
    let reported = ExampleCounts::default();
    let attributor = Attributor { state, examples: Stash::default(), labels: Stash::default(), reported, report };
    let inputs = [(examples, example_route), (labels, label_route)];
    Ok(closed_times::binary(inputs, &format!("model.{model}.label"), checkpoint, attributor))
}

/// A report on examples that wait for labels.
pub enum AttributionReport {
    /// The counts since the report before.
    Counts(ExampleCounts),
    /// The operator has ended, and these examples still wait; they are left out unless those without a label are wanted.
    Waiting { count: u64, examples: Vec<Batch> },
}

/// The operator of [`attribute`]: examples are input 0, labels input 1.
struct Attributor<F: FnMut(AttributionReport)> {
    state: PendingExamples,
    examples: Stash,
    labels: Stash,
    /// The counts that `report` has been called with so far.
    reported: ExampleCounts,
    report: F,
}

impl<F: FnMut(AttributionReport)> Drop for Attributor<F> {
    fn drop(&mut self) {
        let examples = if self.state.keeps_unlabelled() { self.state.waiting_batches() } else { Vec::new() };
        (self.report)(AttributionReport::Waiting { count: self.state.waiting(), examples });
    }
}

impl<F: FnMut(AttributionReport) + 'static> ClosedOperator for Attributor<F> {
    const IS_MEASURED: bool = true;

    fn state_bytes(&self) -> usize {
        self.state.bytes() + self.examples.bytes() + self.labels.bytes()
    }

    fn push(&mut self, input: usize, batch: Batch) {
        let chunks = if input == 0 { &mut self.examples } else { &mut self.labels };
        chunks.push(None, batch, ());
    }

    fn run(&mut self, stretch: Stretch, output: &mut Vec<Batch>) -> Result<Option<SavedPart>, Interrupted> {
        output.extend(self.state.process_until(&mut self.examples, &mut self.labels, stretch.until));
        let (counts, before) = (self.state.counts, std::mem::replace(&mut self.reported, self.state.counts));
        if counts != before {
            let (made, unlabelled) = (counts.made - before.made, counts.unlabelled - before.unlabelled);
            (self.report)(AttributionReport::Counts(ExampleCounts { made, unlabelled }));
        }
        Ok(stretch.save_after.then(|| {
            let snapshot = self.state.save();
            SavedPart::deferred(move || snapshot.saved())
        }))
    }
}

/// Appends labels that are an expression over the example itself, known at once.
pub fn immediate<'scope>(
    examples: Records<'scope>,
    name: &str,
    value: Expr,
    form: LabelForm,
    nulls: Arc<NullCounter>,
) -> Records<'scope> {
    let step = counted(nulls, move |batch, failed| {
        let labels = form.labels(&value.eval(&batch.columns, batch.len(), failed));
        let labels: Vec<Scalar> = labels.into_iter().map(|label| label.unwrap_or(Scalar::Null)).collect();
        let mut columns = batch.columns.clone();
        columns.push(form.column(labels.iter()));
        Batch { event_times: batch.times.clone(), ..batch.with_columns(columns) }
    });
    map(examples, name, step)
}

/// Appends a column of null labels, for kinds of models that do without.
pub fn unlabelled<'scope>(examples: Records<'scope>, name: &str, form: LabelForm) -> Records<'scope> {
    map(examples, name, move |batch| {
        let mut columns = batch.columns.clone();
        columns.push(form.nulls(batch.len()));
        Batch { event_times: batch.times.clone(), ..batch.with_columns(columns) }
    })
}
