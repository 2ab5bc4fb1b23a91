//! Where streams end: the online store, the offline files.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::operators::generic::Operator;

use super::{Chunks, Records, frontier_of};
use crate::checkpoint::{CheckpointError, OperatorCheckpoint};
use crate::flow::codec;
use crate::flow::exchange::{Route, key_columns, worker_of};
use crate::flow::plan::TablePlan;
use crate::store::Upsert;
use crate::store::memory::Shelf;
use crate::store::offline::{OfflineError, OrderedFile, SavedFile};
use crate::time::EventTime;
use crate::value::{Key, Scalar};

/// A file that the graph writes and its owner finishes.
pub type SharedFile = Arc<Mutex<Option<OrderedFile>>>;

/// What a sink leaves: nothing, at the times that it has taken in.
pub type SinkProgress<'scope> = Stream<'scope, EventTime, Vec<()>>;

/// Rows that wait before some are written.
const FLUSH_ROWS: usize = 1 << 14;

/// Writes records to a file on one worker, in the total order of their event times. A record may come up to
/// `delay_ms` after its event time.
///
/// # Errors
/// If saved state cannot be read.
pub fn file<'scope>(
    stream: Records<'scope>,
    name: &str,
    file: SharedFile,
    delay_ms: i64,
    mut checkpoint: OperatorCheckpoint,
    mut failed: impl FnMut(OfflineError) + 'static,
) -> Result<SinkProgress<'scope>, CheckpointError> {
    let scope = stream.scope();
    let here = worker_of(0, scope.worker().peers()) == scope.worker().index();
    if here && let Err(error) = resume(&file, &checkpoint)? {
        failed(error);
    }
    Ok(stream.unary_frontier::<NoopBuilder<Vec<()>>, _, _, _>(Route::One(0).pact(), name, move |_, info| {
        let waker = scope.worker().sync_activator_for(info.address.to_vec());
        checkpoint.on_trigger(move || _ = waker.activate());
        let mut chunks: Chunks = Chunks::default();
        move |(input, frontier), _output| {
            if !here {
                let save = checkpoint.stretches(frontier_of(frontier)).find(|stretch| stretch.save_after);
                save.into_iter().for_each(|stretch| checkpoint.save(stretch.until, &None::<SavedSink>));
                return;
            }
            let mut held = file.lock().expect("no holder panics");
            let Some(file) = held.as_mut() else {
                input.for_each(|_, _| {});
                return;
            };
            input.for_each(|_, batch| _ = chunks.push(None, std::mem::take(batch), ()));
            let frontier = frontier_of(frontier);
            for stretch in checkpoint.stretches(frontier) {
                chunks.begin(stretch.until);
                for chunk in chunks.iter() {
                    file.push(chunk.batch.slice(chunk.done, chunk.closing().len()));
                }
                chunks.finish();
                if stretch.save_after {
                    match file.save(stretch.until.saturating_sub(delay_ms)) {
                        Ok((file, pending)) => {
                            let pending = pending.iter().map(codec::encode).collect();
                            checkpoint.save(stretch.until, &Some(SavedSink { file, pending }));
                        }
                        Err(error) => {
                            failed(error);
                            *held = None;
                            return;
                        }
                    }
                }
            }
            if frontier < EventTime::MAX
                && file.pending() >= FLUSH_ROWS
                && let Err(error) = file.release(frontier.saturating_sub(delay_ms))
            {
                failed(error);
                *held = None;
            }
        }
    }))
}

/// What is saved of a file: what it is, and its pending rows.
#[derive(Serialize, Deserialize)]
struct SavedSink {
    file: SavedFile,
    pending: Vec<Vec<u8>>,
}

/// Has a file go on from what was saved, or begin.
fn resume(file: &SharedFile, checkpoint: &OperatorCheckpoint) -> Result<Result<(), OfflineError>, CheckpointError> {
    let mut held = file.lock().expect("no holder panics");
    let Some(file) = held.as_mut() else { return Ok(Ok(())) };
    match checkpoint.coordinator().load::<Option<SavedSink>>(checkpoint.operator())?.into_iter().flatten().next() {
        Some(saved) if file.is_in_parts() => {
            let decode = |bytes: &Vec<u8>| {
                codec::decode(bytes).map_err(|_| CheckpointError::Undecodable {
                    operator: checkpoint.operator().to_owned(),
                    source: postcard::Error::DeserializeBadEncoding,
                })
            };
            let pending = saved.pending.iter().map(decode).collect::<Result<_, _>>()?;
            Ok(file.resume(&saved.file, pending))
        }
        _ => Ok(file.begin()),
    }
}

/// Shows the newest rows of a table in the online store at once: a row gives way to one that takes effect later.
pub fn rows<'scope>(stream: Records<'scope>, plan: &TablePlan, shelf: Arc<Shelf>) -> SinkProgress<'scope> {
    let (key, columns, width) = (plan.key_codec.clone(), plan.key.clone(), plan.schema.len());
    let route = Route::Key { codec: key.clone(), columns: columns.clone() };
    let name = format!("table.{}.online", plan.name);
    stream.unary::<NoopBuilder<Vec<()>>, _, _, _>(route.pact(), &name, move |_, _| {
        let mut newest: HashMap<Key, EventTime> = HashMap::new();
        move |input, _output| {
            input.for_each(|_, batch| {
                let keys = key.encode(&key_columns(batch, &columns));
                for row in 0..batch.len() {
                    let (key, time) = (Key::from_bytes(keys.row(row).as_ref()), batch.times[row]);
                    let known = newest.entry(key.clone()).or_insert(time);
                    if *known <= time {
                        *known = time;
                        let gone = Scalar::of(&batch.columns[width], row) == Scalar::Bool(true);
                        let values = || batch.columns[..width].iter().map(|column| Scalar::of(column, row)).collect();
                        shelf.apply(Upsert { key, vector: (!gone).then(values) });
                    }
                }
            });
        }
    })
}
