//! Shift: records wait until the time at which they take effect.
//!
//! A record arrives at its own time, which closes first; its new time is the same or later
//! ([`crate::relation::Shift`]). It is output once that is closed, too. Were it output on arrival, the online store
//! would show it before it takes effect, and a checkpoint would lose it: as of T, the source has it behind itself, and
//! no operator after this one has seen it. So the state as of T is the records whose own times are before T and whose
//! new times are not.
//!
//! Records stay on the worker that reads them; operators behind this one distribute them by what they need.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::closed_times::{self, ClosedOperator, Interrupted};
use super::{Records, Stash};
use crate::checkpoint::{CheckpointError, OperatorCheckpoint, SavedPart, Stretch};
use crate::expr::EvalStats;
use crate::flow::exchange::WorkerShare;
use crate::flow::nulls::count;
use crate::flow::record_order::check_ranks;
use crate::flow::saved_batch::SavedBatch;
use crate::metrics::{NullCounter, NullReason};
use crate::relation::ShiftedBatch;
use crate::value::{Batch, Schema};

/// The batches that are shifted before other operators get their turn.
const SLICE: usize = 16;

/// The saved state of a worker: the records that wait, at their new times.
#[derive(Serialize, Deserialize)]
struct SavedShift {
    waiting: Vec<SavedBatch>,
}

/// Returns the records of a stream at their new times, which `step` finds. `schema` are their columns, `sources` is how
/// many sources they come from; `name` is that of the operator. Records that are dropped, and those that keep their own
/// times, are counted in `nulls`.
///
/// # Errors
/// If saved state cannot be read.
pub fn shift<'scope>(
    records: Records<'scope>,
    name: &str,
    step: impl Fn(&Batch, &mut EvalStats) -> ShiftedBatch + 'static,
    schema: &Schema,
    sources: usize,
    nulls: Arc<NullCounter>,
    checkpoint: OperatorCheckpoint,
) -> Result<Records<'scope>, CheckpointError> {
    let share = WorkerShare::of(records.scope());
    let types: Vec<_> = schema.columns.iter().map(|column| column.ty.arrow()).collect();
    let mut operator = ShiftOperator { step, nulls, arrived: Stash::default(), closing: 0, waiting: Stash::default() };
    for (number, part) in checkpoint.load::<SavedShift>()?.into_iter().enumerate() {
        if number % share.peers != share.index {
            continue;
        }
        for saved in part.waiting {
            let batch = saved.batch(&types).and_then(|batch| check_ranks(&batch, sources).map(|()| batch));
            let batch = batch.map_err(|error| checkpoint.undecodable(error))?;
            operator.waiting.push(None, batch, ());
        }
    }
    Ok(closed_times::unary_local(records, name, checkpoint, operator))
}

/// The operator of [`shift`].
struct ShiftOperator<S> {
    step: S,
    nulls: Arc<NullCounter>,
    /// Records whose own times are not closed, at these.
    arrived: Stash,
    /// The number of batches of the stretch under way that have been shifted.
    closing: u32,
    /// Records whose new times are not closed, at those.
    waiting: Stash,
}

impl<S: Fn(&Batch, &mut EvalStats) -> ShiftedBatch> ShiftOperator<S> {
    /// Shifts the closed records of the next batch.
    fn shift_next(&mut self) {
        let stashed = self.arrived.closing(self.closing);
        let rows = stashed.closing_rows();
        let closed = stashed.batch.slice(rows.start, rows.len());
        let mut failed = EvalStats::default();
        let ShiftedBatch { batch, dropped, early } = (self.step)(&closed, &mut failed);
        count(&self.nulls, failed);
        self.nulls.add(NullReason::NoTime, dropped);
        self.nulls.add(NullReason::EarlyTime, early);
        self.waiting.push(None, batch, ());
        self.closing += 1;
    }
}

impl<S: Fn(&Batch, &mut EvalStats) -> ShiftedBatch + 'static> ClosedOperator for ShiftOperator<S> {
    const IS_MEASURED: bool = true;

    fn state_bytes(&self) -> usize {
        self.arrived.bytes() + self.waiting.bytes()
    }

    fn push(&mut self, _input: usize, batch: Batch) {
        self.arrived.push(None, batch, ());
    }

    fn run(&mut self, stretch: Stretch, output: &mut Vec<Batch>) -> Result<Option<SavedPart>, Interrupted> {
        // Shift what has closed, slice by slice: an interrupted stretch comes again.
        if self.arrived.closing_len() == 0 {
            self.arrived.close_before(stretch.until);
        }
        for _ in 0..SLICE {
            if self.closing < self.arrived.closing_len() {
                self.shift_next();
            }
        }
        if self.closing < self.arrived.closing_len() {
            return Err(Interrupted);
        }
        self.arrived.retire();
        self.closing = 0;

        // Output what takes effect by then; operators behind sort it among the rest.
        self.waiting.close_before(stretch.until);
        output.extend(self.waiting.iter().map(|stashed| {
            let rows = stashed.closing_rows();
            stashed.batch.slice(rows.start, rows.len())
        }));
        self.waiting.retire();
        Ok(stretch.save_after.then(|| {
            let waiting = self.waiting.waiting_rows();
            SavedPart::deferred(move || SavedShift { waiting: waiting.iter().map(SavedBatch::of).collect() })
        }))
    }
}
