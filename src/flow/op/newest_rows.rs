//! The changes of a table: of the upserts of each key, those of the newest event time.
//!
//! Records are processed in the total order as their times close. One whose event time is older than that of its key's row,
//! or of the delete that removed the row, came late and changes nothing; of equal event times the last in the total order
//! wins. So the event time of a delete is kept for as long as the key has no row: it costs the key and 9 bytes.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};

use arrow_array::{Array, BooleanArray};
use differential_dataflow::hashable::Hashable;
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;

use super::closed_times::ClosedTimes;
use super::{ClosingRow, Records, Stash, frontier_of};
use crate::checkpoint::{CheckpointCoordinator, CheckpointError, OperatorCheckpoint, SavedPart, Stretch};
use crate::flow::exchange::{Route, WorkerShare, key_columns};
use crate::flow::plan::TablePlan;
use crate::time::EventTime;
use crate::value::{Batch, Key, KeyCodec, Scalar};

/// A table's key. Differential deals it to workers by the same hash as ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableKey(pub Key);

impl Hash for TableKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(Key::hash_of(self.0.as_bytes()));
    }
}

impl TableKey {
    /// The number by whose remainder differential picks a worker.
    pub(super) fn route(&self) -> u64 {
        self.hashed()
    }
}

/// The bytes of a row.
pub type RowBytes = Vec<u8>;

/// A key, its new row, or `None` for a delete, and the time at which that takes effect.
pub type Change = (TableKey, Option<RowBytes>, EventTime);
/// The newest record of a key.
#[derive(Clone, Copy, Debug)]
struct NewestRecord {
    event_time: EventTime,
    is_delete: bool,
}

/// The deletes that a worker saves: those of keys without a row.
#[derive(Debug, Default, Serialize, Deserialize)]
struct SavedDeletes(Vec<(Key, EventTime)>);

/// Returns the name of the operator in checkpoints.
pub fn operator(plan: &TablePlan) -> String {
    format!("table.{}.newest", plan.name)
}

/// Returns the event times of the deletes in a restored checkpoint, of this worker's keys.
///
/// # Errors
/// If they cannot be read.
pub fn saved_deletes(
    coordinator: &CheckpointCoordinator,
    plan: &TablePlan,
    share: WorkerShare,
) -> Result<HashMap<Key, EventTime>, CheckpointError> {
    let saved = coordinator.load::<SavedDeletes>(&operator(plan))?;
    if !saved.iter().all(|SavedDeletes(deletes)| deletes.iter().all(|(key, _)| plan.key_codec.admits(key.as_bytes()))) {
        let source = "a key is not one of the table's".into();
        return Err(CheckpointError::Undecodable { operator: operator(plan), source });
    }
    let deletes = saved.into_iter().flat_map(|SavedDeletes(deletes)| deletes);
    Ok(deletes.filter(|(key, _)| share.owns(Key::hash_of(key.as_bytes()))).collect())
}

/// The changes among upserts, at the times at which they take effect. `loaded` are the rows of a restored checkpoint that
/// the table's arrangement has on this worker, and `state` is that of the keys whose upserts come here.
pub fn changes<'scope>(
    upserts: Records<'scope>,
    plan: &TablePlan,
    loaded: Vec<Change>,
    mut state: NewestRecords,
    checkpoint: OperatorCheckpoint,
) -> Stream<'scope, EventTime, Vec<Change>> {
    let scope = upserts.scope();
    let route = Route::Key { codec: plan.key_codec.clone(), columns: plan.key.clone() };
    upserts.unary_frontier::<CapacityContainerBuilder<Vec<Change>>, _, _, _>(
        route.pact(),
        &operator(plan),
        move |initial: Capability<EventTime>, info| {
            let mut times = ClosedTimes::new(scope, &info, checkpoint);
            let mut loaded = Some((initial, loaded));
            let mut chunks: Stash = Stash::default();
            move |(input, frontier), output| {
                if let Some((capability, changes)) = loaded.take() {
                    output.session(&capability).give_iterator(changes.into_iter());
                }
                input.for_each(|capability, batch| {
                    chunks.push(capability.retain_least(0), std::mem::take(batch), ());
                });
                let process = |stretch: Stretch| {
                    state.process_until(&mut chunks, stretch.until, |capability, change| {
                        output.session(capability).give(change);
                    });
                    Ok(stretch.save_after.then(|| {
                        let deletes = state.deletes();
                        SavedPart::deferred(move || deletes)
                    }))
                };
                times.advance(frontier_of(frontier), process).expect("a stretch is never interrupted");
            }
        },
    )
}

/// The newest record of each key of a table on one worker.
pub struct NewestRecords {
    key: KeyCodec,
    row: KeyCodec,
    /// Columns of the key.
    columns: Vec<usize>,
    newest: HashMap<Key, NewestRecord>,
}

impl NewestRecords {
    /// Starts from the deletes in a restored checkpoint, of this worker's keys.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn load(
        plan: &TablePlan,
        coordinator: &CheckpointCoordinator,
        share: WorkerShare,
    ) -> Result<Self, CheckpointError> {
        let delete = |(key, event_time)| (key, NewestRecord { event_time, is_delete: true });
        Ok(NewestRecords {
            key: plan.key_codec.clone(),
            row: plan.row_codec.clone(),
            columns: plan.key.clone(),
            newest: saved_deletes(coordinator, plan, share)?.into_iter().map(delete).collect(),
        })
    }

    /// Adds the rows of a restored checkpoint, of this worker's keys.
    pub fn add_rows(&mut self, plan: &TablePlan, rows: &[(Key, RowBytes)], share: WorkerShare) {
        let mine = || rows.iter().filter(|(key, _)| share.owns(Key::hash_of(key.as_bytes())));
        let columns = self.row.decode(mine().map(|(_, row)| row.as_slice()));
        for (at, (key, _)) in mine().enumerate() {
            if let Some(event_time) = plan.reader.time.of_row(|column| Scalar::of(&columns[column], at)) {
                self.newest.insert(key.clone(), NewestRecord { event_time, is_delete: false });
            }
        }
    }

    /// Processes the records before `until`, and passes on the last change of each key at each time.
    fn process_until(
        &mut self,
        chunks: &mut Stash,
        until: EventTime,
        mut give: impl FnMut(&Capability<EventTime>, Change),
    ) {
        // The closed rows in the total order.
        chunks.close_before(until);
        let mut closed: Vec<ClosingRow> = chunks.rows().collect();
        let order = |row: &ClosingRow| chunks.closing(row.batch).batch.sort_key.value(row.row as usize);
        closed.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| order(a).cmp(order(b))));
        let width = self.row.types().len();
        let encoded: Vec<_> = chunks
            .iter()
            .map(|chunk| {
                let keys = self.key.encode(&key_columns(&chunk.batch, &self.columns));
                (keys, self.row.encode(&chunk.batch.columns[..width]))
            })
            .collect();

        // The last change of each key at each time; a record that is older than its key's newest is none.
        let mut last: BTreeMap<(EventTime, &[u8]), ClosingRow> = BTreeMap::new();
        for at in closed {
            let (batch, row) = (&chunks.closing(at.batch).batch, at.row as usize);
            let key = encoded[at.batch as usize].0.row(row).data();
            let record = NewestRecord { event_time: batch.event_times[row], is_delete: is_delete(batch, width, row) };
            match self.newest.get_mut(key) {
                Some(newest) if newest.event_time > record.event_time => continue,
                Some(newest) => *newest = record,
                None => _ = self.newest.insert(Key::from_bytes(key), record),
            }
            last.insert((at.time, key), at);
        }

        for ((time, key), ClosingRow { batch, row, .. }) in last {
            let held = chunks.closing(batch);
            let capability = held.capability.as_ref().expect("upserts are held with their capability");
            let row_bytes = || -> RowBytes { encoded[batch as usize].1.row(row as usize).data().to_vec() };
            let value = (!is_delete(&held.batch, width, row as usize)).then(row_bytes);
            give(capability, (TableKey(Key::from_bytes(key)), value, time));
        }
        drop(encoded);
        chunks.retire();
    }

    /// Returns the event times of the deletes of keys without a row.
    fn deletes(&self) -> SavedDeletes {
        let deletes = self.newest.iter().filter(|(_, newest)| newest.is_delete);
        SavedDeletes(deletes.map(|(key, newest)| (key.clone(), newest.event_time)).collect())
    }
}

/// Returns whether a record deletes the row of its key; the flag follows the table's columns.
fn is_delete(batch: &Batch, width: usize, row: usize) -> bool {
    let flags: &BooleanArray = batch.columns[width].as_any().downcast_ref().expect("the delete flag");
    flags.is_valid(row) && flags.value(row)
}
