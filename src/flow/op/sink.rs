//! The ends of streams: offline files, and the online rows of tables.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::operators::generic::Operator;

use super::closed_times::{self, ClosedOperator, Interrupted};
use super::{Records, Stash, frontier_of};
use crate::checkpoint::{CheckpointError, OperatorCheckpoint, SavedPart, Stretch};
use crate::flow::exchange::{Route, WorkerShare, key_columns};
use crate::flow::plan::TablePlan;
use crate::flow::saved_batch::SavedBatch;
use crate::store::Upsert;
use crate::store::memory::OnlineTable;
use crate::store::offline::{OfflineError, OrderedFile, SavedFile};
use crate::time::EventTime;
use crate::value::{Batch, Key, Scalar};

/// A file that the graph writes and its owner finishes; `None` once it is finished or has failed.
pub type SharedFile = Arc<Mutex<Option<OrderedFile>>>;

/// An empty stream whose frontier follows what a sink has written.
pub type SinkProgress<'scope> = Stream<'scope, EventTime, Vec<()>>;

/// Pending rows of a file from which on some are written.
const FLUSH_ROWS: usize = 1 << 14;

/// Writes records to a file on one worker, in the total order of their event times. A record may arrive up to
/// `delay_ms` after its event time. The stream that is returned has no records; its frontier follows what is written.
///
/// # Errors
/// If saved state cannot be read.
pub fn file<'scope>(
    stream: Records<'scope>,
    name: &str,
    file: SharedFile,
    delay_ms: i64,
    checkpoint: OperatorCheckpoint,
    mut failed: impl FnMut(OfflineError) + 'static,
) -> Result<Records<'scope>, CheckpointError> {
    let scope = stream.scope();
    let here = WorkerShare::of(scope).owns(0);
    if here && let Err(error) = resume(&file, &checkpoint)? {
        failed(error);
    }
    let operator = FileSink { file: here.then_some(file), delay_ms, chunks: Stash::default(), failed };
    Ok(closed_times::unary(stream, Route::One(0), name, checkpoint, operator))
}

/// The operator of [`file`].
struct FileSink<F> {
    /// The file, on the worker that writes it.
    file: Option<SharedFile>,
    delay_ms: i64,
    chunks: Stash,
    failed: F,
}

impl<F: FnMut(OfflineError) + 'static> ClosedOperator for FileSink<F> {
    fn push(&mut self, _input: usize, batch: Batch) {
        self.chunks.push(None, batch, ());
    }

    fn run(&mut self, stretch: Stretch, _output: &mut Vec<Batch>) -> Result<Option<SavedPart>, Interrupted> {
        let Some(shared) = &self.file else {
            return Ok(stretch.save_after.then(|| SavedPart::encoded(&None::<SavedSink>)));
        };
        let mut open = shared.lock().expect("no holder panics");
        let written = open.as_mut().map(|file| write(file, &mut self.chunks, stretch, self.delay_ms));
        match written {
            Some(Ok(saved)) => Ok(saved),
            Some(Err(error)) => {
                (self.failed)(error);
                *open = None;
                Ok(None)
            }
            // The job is ending: nothing is written any more, and no checkpoint may complete without the file.
            None => {
                self.chunks = Stash::default();
                Ok(None)
            }
        }
    }
}

/// Adds the records before `stretch.until` to a file. Writes those that no earlier one can follow, if the state is to be
/// saved or enough are pending.
fn write(
    file: &mut OrderedFile,
    chunks: &mut Stash,
    stretch: Stretch,
    delay_ms: i64,
) -> Result<Option<SavedPart>, OfflineError> {
    chunks.close_before(stretch.until);
    for chunk in chunks.iter() {
        file.push(chunk.batch.slice(chunk.done, chunk.closing_rows().len()));
    }
    chunks.retire();
    let complete = stretch.until.saturating_sub(delay_ms);
    if stretch.save_after {
        let (file, pending) = file.save(complete)?;
        let pending = pending.iter().map(SavedBatch::of).collect();
        return Ok(Some(SavedPart::encoded(&Some(SavedSink { file, pending }))));
    }
    if stretch.until < EventTime::MAX && file.pending() >= FLUSH_ROWS {
        file.release(complete)?;
    }
    Ok(None)
}

/// The saved state of a file sink: the file, and its pending rows.
#[derive(Serialize, Deserialize)]
struct SavedSink {
    file: SavedFile,
    pending: Vec<SavedBatch>,
}

/// Continues a file from its saved state, or begins it. The inner result is the file's own.
fn resume(file: &SharedFile, checkpoint: &OperatorCheckpoint) -> Result<Result<(), OfflineError>, CheckpointError> {
    let mut open = file.lock().expect("no holder panics");
    let Some(file) = open.as_mut() else { return Ok(Ok(())) };
    match checkpoint.load::<Option<SavedSink>>()?.into_iter().flatten().next() {
        Some(saved) if file.is_in_parts() => {
            let types = file.types();
            let batch = |saved: &SavedBatch| saved.batch(&types).map_err(|error| checkpoint.undecodable(error));
            let pending = saved.pending.iter().map(batch).collect::<Result<_, _>>()?;
            Ok(file.resume(&saved.file, pending))
        }
        _ => Ok(file.begin()),
    }
}

/// Writes the newest rows of a table to the online store as they arrive, before their times are closed. Of two rows of a
/// key, the one that takes effect later wins, and the later arrival of two that take effect at the same time.
pub fn rows<'scope>(stream: Records<'scope>, plan: &TablePlan, online: Arc<OnlineTable>) -> SinkProgress<'scope> {
    let (key, columns, width) = (plan.key_codec.clone(), plan.key.clone(), plan.schema.len());
    let route = Route::Key { codec: key.clone(), columns: columns.clone() };
    let name = format!("table.{}.online", plan.name);
    let show = move |batch: &Batch, newest: &mut NewestTimes| {
        let keys = key.encode(&key_columns(batch, &columns));
        for (row, time) in batch.times.iter().enumerate() {
            let key = Key::from_bytes(keys.row(row).as_ref());
            if newest.admit(&key, *time) {
                let is_deleted = Scalar::of(&batch.columns[width], row) == Scalar::Bool(true);
                let values = || batch.columns[..width].iter().map(|column| Scalar::of(column, row).into()).collect();
                online.apply(Upsert { key, vector: (!is_deleted).then(values) });
            }
        }
    };
    stream.unary_frontier::<NoopBuilder<Vec<()>>, _, _, _>(route.pact(), &name, move |_, _| {
        let mut newest = NewestTimes::default();
        move |(input, frontier), _output| {
            input.for_each(|_, batch| show(batch, &mut newest));
            newest.close(frontier_of(frontier));
        }
    })
}

/// By key, the newest time of a row that is shown. Only times that are not closed matter: a row that is still to come
/// takes effect at the frontier at the earliest, so it wins over any row before that.
#[derive(Default)]
struct NewestTimes {
    times: HashMap<Key, EventTime>,
    /// The number of keys that were left by the last removal of closed ones.
    left: usize,
}

impl NewestTimes {
    /// Returns whether a row is the newest of its key so far.
    fn admit(&mut self, key: &Key, time: EventTime) -> bool {
        match self.times.get_mut(key) {
            Some(newest) if *newest > time => false,
            Some(newest) => {
                *newest = time;
                true
            }
            None => {
                self.times.insert(key.clone(), time);
                true
            }
        }
    }

    /// Removes closed times. A removal visits all keys, so it waits until their number has doubled.
    fn close(&mut self, frontier: EventTime) {
        if self.times.len() >= 2 * self.left + 1024 {
            self.times.retain(|_, time| *time >= frontier);
            self.left = self.times.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_row_of_a_key_wins_and_closed_keys_are_forgotten() {
        let mut newest = NewestTimes::default();
        let key = |n: u32| Key::from_bytes(&n.to_be_bytes());
        assert!(newest.admit(&key(0), 10));
        assert!(!newest.admit(&key(0), 9));
        assert!(newest.admit(&key(0), 10), "the later arrival of two at the same time");
        for n in 1..100_000 {
            assert!(newest.admit(&key(n), i64::from(n)));
            newest.close(i64::from(n));
            assert!(newest.times.len() <= 1026, "{} keys are kept", newest.times.len());
        }
    }
}
