//! Tables: the newest row per key, as a differential arrangement; and look-ups in it as of a record's time.
//!
//! Keys and rows are stored in the bytes of [`crate::value::KeyCodec`]. What a look-up at t sees is the accumulation of
//! all changes strictly before t, so the arrangement is compacted to just before what may still be asked.
//! [`newest_rows`] decides which records are changes: a late one is none if its key has a row, or was deleted, at a
//! newer event time.

use std::collections::{BTreeMap, HashMap};

use arrow_array::{ArrayRef, UInt32Array};
use arrow_row::Rows;
use differential_dataflow::operators::arrange::upsert::arrange_from_upsert;
use differential_dataflow::operators::arrange::{Arranged, TraceAgent};
use differential_dataflow::trace::TraceReader;
use differential_dataflow::trace::cursor::{Cursor, cursor_list};
use differential_dataflow::trace::implementations::{ValBuilder, ValSpine};
use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use timely::progress::Antichain;

use super::closed_times::ClosedTimes;
use super::newest_rows::{self, Change, NewestRecords, RowBytes, TableKey};
use super::{Records, Stash, frontier_of};
use crate::checkpoint::{CheckpointCoordinator, CheckpointError, OperatorCheckpoint, SavedPart, Stretch};
use crate::flow::exchange::{Route, WorkerShare, key_columns};
use crate::flow::plan::TablePlan;
use crate::store::Upsert;
use crate::store::memory::OnlineTable;
use crate::time::EventTime;
use crate::value::{AckToken, Batch, Key, Scalar, cut_by_bytes};

type TableTrace = TraceAgent<ValSpine<TableKey, RowBytes, EventTime, isize>>;

/// A table that can be looked up.
pub type TableArrangement<'scope> = Arranged<'scope, TableTrace>;

/// The newest rows of a stream of upserts.
///
/// # Errors
/// If saved state cannot be read.
pub fn table<'scope>(
    upserts: Records<'scope>,
    plan: &TablePlan,
    checkpoint: OperatorCheckpoint,
) -> Result<TableArrangement<'scope>, CheckpointError> {
    let scope = upserts.scope();
    let share = WorkerShare::of(scope);
    let name = format!("table.{}", plan.name);
    let newest_checkpoint = OperatorCheckpoint::new(checkpoint.coordinator(), newest_rows::operator(plan));
    let mut newest = NewestRecords::load(plan, checkpoint.coordinator(), share)?;
    let mut loaded: Vec<Change> = Vec::new();
    for rows in saved_rows(checkpoint.coordinator(), plan)? {
        newest.add_rows(plan, &rows, share);
        let before = checkpoint.coordinator().restored_time().unwrap_or(EventTime::MIN + 1) - 1;
        let mine = rows.into_iter().map(|(key, row)| (TableKey(key), Some(row), before));
        loaded.extend(mine.filter(|(key, _, _)| share.owns(key.route())));
    }
    let changes = newest_rows::changes(upserts, plan, loaded, newest, newest_checkpoint);
    let arranged = arrange_from_upsert::<ValBuilder<TableKey, RowBytes, _, _>, ValSpine<TableKey, RowBytes, _, _>, _, _>(
        changes, &name,
    );
    save_rows(&arranged, &format!("{name}.save"), checkpoint);
    Ok(arranged)
}

/// Shows the rows that were saved, those of this worker's keys: no other shows newer ones of them.
///
/// # Errors
/// If they cannot be read.
pub fn show_loaded(
    coordinator: &CheckpointCoordinator,
    plan: &TablePlan,
    online: &OnlineTable,
    share: WorkerShare,
) -> Result<(), CheckpointError> {
    for mut rows in saved_rows(coordinator, plan)? {
        rows.retain(|(key, _)| share.owns(Key::hash_of(key.as_bytes())));
        let columns = plan.row_codec.decode(rows.iter().map(|(_, row)| row.as_slice()));
        for (at, (key, _)) in rows.into_iter().enumerate() {
            let vector = columns.iter().map(|column| Scalar::of(column, at).into()).collect();
            online.apply(Upsert { key, vector: Some(vector) });
        }
    }
    Ok(())
}

/// Returns the rows that were saved, part by part.
fn saved_rows(
    coordinator: &CheckpointCoordinator,
    plan: &TablePlan,
) -> Result<Vec<Vec<(Key, RowBytes)>>, CheckpointError> {
    let operator = format!("table.{}", plan.name);
    let parts: Vec<Vec<(Key, RowBytes)>> = coordinator.load(&operator)?;
    let is_row = |(key, row): &(Key, RowBytes)| plan.key_codec.admits(key.as_bytes()) && plan.row_codec.admits(row);
    if !parts.iter().flatten().all(is_row) {
        return Err(CheckpointError::Undecodable {
            operator,
            source: "a row is not one of the table's columns".into(),
        });
    }
    Ok(parts)
}

/// Saves the rows of a table at each barrier.
fn save_rows(arranged: &TableArrangement<'_>, name: &str, checkpoint: OperatorCheckpoint) {
    let mut trace = arranged.trace.clone();
    let scope = arranged.stream.scope();
    arranged.stream.clone().unary_frontier::<NoopBuilder<Vec<()>>, _, _, _>(Pipeline, name, move |_, info| {
        let mut times = ClosedTimes::new(scope, &info, checkpoint);
        move |(input, frontier), _output| {
            input.for_each(|_, _| {});
            let frontier = frontier_of(frontier);
            let save = |stretch: Stretch| {
                Ok(stretch.save_after.then(|| {
                    let rows: Vec<(Key, RowBytes)> = rows_before(&mut trace, stretch.until);
                    SavedPart::deferred(move || rows)
                }))
            };
            times.advance(frontier, save).expect("saving is never interrupted");
            compact(&mut trace, frontier);
        }
    });
}

/// Allows an arrangement to forget distinctions between times before `upto`, except that of the last.
fn compact(trace: &mut TableTrace, upto: EventTime) {
    let since = Antichain::from_elem(upto.saturating_sub(1));
    trace.set_logical_compaction(since.borrow());
    trace.set_physical_compaction(Antichain::from_elem(upto).borrow());
}

fn rows_before(trace: &mut TableTrace, time: EventTime) -> Vec<(Key, RowBytes)> {
    let batches = trace.batches_through(Antichain::new().borrow()).expect("all batches can be read");
    let (mut cursor, storage) = cursor_list(batches);
    let mut rows = Vec::new();
    while let Some(key) = cursor.get_key(&storage) {
        while let Some(row) = cursor.get_val(&storage) {
            let mut count = 0;
            cursor.map_times(&storage, |at, diff| count += if *at < time { *diff } else { 0 });
            if count > 0 {
                rows.push((key.0.clone(), row.clone()));
            }
            cursor.step_val(&storage);
        }
        cursor.step_key(&storage);
    }
    rows
}

/// Finds for each record the table's row as of its time. `key` are the columns of `keyed` with the table's key; `join`
/// makes the output, see [`TrainingGraph::look_up`](crate::relation::TrainingGraph::look_up).
pub fn look_up<'scope>(
    keyed: Records<'scope>,
    name: &str,
    table: &TableArrangement<'scope>,
    plan: &TablePlan,
    key: Vec<usize>,
    join: impl Fn(&Batch, &[ArrayRef], &UInt32Array) -> Batch + 'static,
) -> Records<'scope> {
    let mut trace = table.trace.clone();
    let (key_codec, row_codec) = (plan.key_codec.clone(), plan.row_codec.clone());
    let route = Route::Key { codec: key_codec.clone(), columns: key.clone() };
    let pact = route.hashed_by(|key| TableKey(Key::from_bytes(key)).route()).pact();
    keyed.binary_frontier::<_, NoopBuilder<Batch>, _, _, _, _>(
        table.stream.clone(),
        pact,
        Pipeline,
        name,
        move |_, _| {
            let mut chunks: Stash<AckToken> = Stash::default();
            move |(input, frontier), (changes, table_frontier), output| {
                input.for_each(|capability, batch| {
                    let batch = std::mem::take(batch);
                    let ack = batch.ack.clone();
                    chunks.push(capability.retain_least(0), batch, ack);
                });
                changes.for_each(|_, _| {});
                let upto = frontier_of(frontier).min(frontier_of(table_frontier));
                chunks.close_before(upto);
                for chunk in chunks.iter() {
                    let keyed = chunk.batch.slice(chunk.done, chunk.closing_rows().len());
                    let keys = key_codec.encode(&key_columns(&keyed, &key));
                    let looked_up = rows_as_of(&mut trace, &keys, &keyed.times);
                    let capability = chunk.capability.as_ref().expect("records are held with their capability");
                    for (records, RowsAsOf { rows, found }) in looked_up.cut(&keyed) {
                        let rows = row_codec.decode(rows.iter().map(Vec::as_slice));
                        let mut joined = join(&records, &rows, &UInt32Array::from(found));
                        joined.ack = chunk.extra.clone();
                        if !joined.is_empty() {
                            output.session_with_builder(capability).give_container(&mut joined);
                        }
                    }
                }
                chunks.retire();
                compact(&mut trace, chunks.next_time().unwrap_or(EventTime::MAX).min(upto));
            }
        },
    )
}

/// Rows that records look up.
struct RowsAsOf {
    rows: Vec<RowBytes>,
    /// For each record, the position of its row.
    found: Vec<Option<u32>>,
}

impl RowsAsOf {
    /// Cuts records and the rows that they look up into parts of a bounded size: one unless the rows are large. A row that
    /// many records look up is copied for each.
    fn cut(self, records: &Batch) -> Vec<(Batch, RowsAsOf)> {
        let row_bytes = |record: &usize| self.found[*record].map_or(0, |row| self.rows[row as usize].len());
        let numbers: Vec<usize> = (0..self.found.len()).collect();
        let known: usize = self.rows.iter().map(Vec::len).sum();
        let total = records.bytes() + known + numbers.iter().map(row_bytes).sum::<usize>();
        let bytes = |record: &usize| records.slice(*record, 1).bytes() + 2 * row_bytes(record);
        let runs = cut_by_bytes(&numbers, total, bytes);
        if let [_] = runs[..] {
            return vec![(records.clone(), self)];
        }
        let part = |run: &[usize]| {
            let mut positions: HashMap<u32, u32> = HashMap::new();
            let mut rows: Vec<RowBytes> = Vec::new();
            let mut position = |row: u32| {
                *positions.entry(row).or_insert_with(|| {
                    rows.push(self.rows[row as usize].clone());
                    rows.len() as u32 - 1
                })
            };
            let found = run.iter().map(|record| self.found[*record].map(&mut position)).collect();
            (records.slice(run[0], run.len()), RowsAsOf { rows, found })
        };
        runs.into_iter().map(part).collect()
    }
}

/// Reads the rows of keys as of a time each. Keys are sorted first, so that the arrangement is read in one pass.
fn rows_as_of(trace: &mut TableTrace, keys: &Rows, times: &[EventTime]) -> RowsAsOf {
    let since = trace.get_logical_compaction().iter().next().copied().unwrap_or(EventTime::MIN);
    let mut by_key: Vec<u32> = (0..times.len() as u32).collect();
    by_key.sort_by_key(|row| (keys.row(*row as usize).data(), *row));
    let batches = trace.batches_through(Antichain::new().borrow()).expect("all batches can be read");
    let (mut cursor, storage) = cursor_list(batches);
    let mut rows: Vec<RowBytes> = Vec::new();
    let mut found: Vec<Option<u32>> = vec![None; times.len()];
    for same in by_key.chunk_by(|a, b| keys.row(*a as usize) == keys.row(*b as usize)) {
        let key = TableKey(Key::from_bytes(keys.row(same[0] as usize).as_ref()));
        cursor.seek_key(&storage, &key);
        if cursor.get_key(&storage) != Some(&key) {
            continue;
        }
        // The row in force after each change: a retraction leaves none unless a row is added at the same time. Some
        // batches are compacted and some are not, so times are advanced to the compaction frontier before summing.
        let mut changes: BTreeMap<EventTime, Option<u32>> = BTreeMap::new();
        while let Some(row) = cursor.get_val(&storage) {
            let id = rows.len() as u32;
            let mut counts: BTreeMap<EventTime, isize> = BTreeMap::new();
            cursor.map_times(&storage, |time, diff| *counts.entry(since.max(*time)).or_default() += diff);
            for (time, count) in counts {
                match count.signum() {
                    1 => _ = changes.insert(time, Some(id)),
                    -1 => _ = changes.entry(time).or_insert(None),
                    _ => {}
                }
            }
            rows.push(row.clone());
            cursor.step_val(&storage);
        }
        for record in same {
            let before = changes.range(..times[*record as usize]).next_back();
            found[*record as usize] = before.and_then(|(_, row)| *row);
        }
    }
    RowsAsOf { rows, found }
}
