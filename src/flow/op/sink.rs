//! The ends of streams: offline files, and the online rows of tables.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::operators::generic::Operator;

use super::closed_times::{self, ClosedOperator, Interrupted};
use super::{Records, Stash};
use crate::aggregate::Feature;
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

/// Writes the newest rows of a table to the online store as they arrive, before their times are closed. Of two records of
/// a key, the one of the newer event time wins, and the later arrival of two of the same. `deletes` are the event times of
/// the deletes of keys that have no row.
pub fn rows<'scope>(
    stream: Records<'scope>,
    plan: &TablePlan,
    online: Arc<OnlineTable>,
    mut deletes: HashMap<Key, EventTime>,
) -> SinkProgress<'scope> {
    let (key, columns, width, time) =
        (plan.key_codec.clone(), plan.key.clone(), plan.schema.len(), plan.reader.time.clone());
    let route = Route::Key { codec: key.clone(), columns: columns.clone() };
    let name = format!("table.{}.online", plan.name);
    let mut show = move |batch: &Batch| {
        let keys = key.encode(&key_columns(batch, &columns));
        for (row, event_time) in batch.event_times.iter().enumerate() {
            let key = Key::from_bytes(keys.row(row).as_ref());
            let newest = match online.get(&key) {
                Some(shown) => time.of_row(|column| shown_value(&shown[column])),
                None => deletes.get(&key).copied(),
            };
            if newest.is_some_and(|newest| newest > *event_time) {
                continue;
            }
            let is_deleted = Scalar::of(&batch.columns[width], row) == Scalar::Bool(true);
            match is_deleted {
                true => deletes.insert(key.clone(), *event_time),
                false => deletes.remove(&key),
            };
            let values = || batch.columns[..width].iter().map(|column| Scalar::of(column, row).into()).collect();
            online.apply(Upsert { key, vector: (!is_deleted).then(values) });
        }
    };
    stream.unary_frontier::<NoopBuilder<Vec<()>>, _, _, _>(route.pact(), &name, move |_, _| {
        move |(input, _frontier), _output| input.for_each(|_, batch| show(batch))
    })
}

/// Returns a value of a row that is shown.
fn shown_value(value: &Feature) -> Scalar {
    match value {
        Feature::Value(value) => value.clone(),
        _ => Scalar::Null,
    }
}
