//! Attribution: an example waits for its label.
//!
//! Both inputs are dealt by the label's key. The label of an example at t is the first record in the total order with
//! the same key, t <= its time <= t + within, and a value; the example leaves with it at that record's time. If none
//! came, it leaves at t + within with the label that stands for none, or is dropped and counted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, Float64Array};
use arrow_buffer::ScalarBuffer;
use arrow_row::Rows;
use arrow_select::interleave::interleave;
use serde::{Deserialize, Serialize};
use timely::container::NoopBuilder;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;

use super::project::project;
use super::{Chunks, Records, frontier_of};
use crate::checkpoint::{CheckpointError, OperatorCheckpoint};
use crate::expr::{EvalStats, Expr};
use crate::flow::codec;
use crate::flow::exchange::{Route, key_columns, worker_of};
use crate::flow::plan::label_values;
use crate::time::EventTime;
use crate::value::{Batch, Key, KeyCodec, Pending};

/// How examples and labels meet.
#[derive(Clone, Debug)]
pub struct Attribution {
    pub codec: KeyCodec,
    /// Columns of the example.
    pub example_on: Vec<usize>,
    pub within_ms: i64,
    pub otherwise: Option<f64>,
}

/// What a worker saves: the examples that wait, as batches, and how many were dropped.
#[derive(Serialize, Deserialize)]
struct SavedExamples {
    dropped: u64,
    batches: Vec<Vec<u8>>,
}

/// The examples that wait at some moment.
struct ExamplesSnapshot {
    dropped: u64,
    batches: Vec<Batch>,
}

impl ExamplesSnapshot {
    fn saved(self) -> SavedExamples {
        SavedExamples { dropped: self.dropped, batches: self.batches.iter().map(codec::encode).collect() }
    }
}

/// An example's place among the batches that wait.
#[derive(Clone, Copy, Debug)]
struct ExampleRef {
    batch: u64,
    row: u32,
    time: EventTime,
}

/// Joins labels to examples. Out come examples at the time their label became known, their own time as event time,
/// and the label as last column.
///
/// # Errors
/// If saved state cannot be read.
pub fn attribute<'scope>(
    examples: Records<'scope>,
    labels: Records<'scope>,
    model: &str,
    plan: Attribution,
    mut checkpoint: OperatorCheckpoint,
    mut unlabelled: impl FnMut(u64) + 'static,
) -> Result<Records<'scope>, CheckpointError> {
    let scope = examples.scope();
    let share = (scope.worker().index(), scope.worker().peers());
    let mut state = PendingExamples::new(plan.clone());
    for part in checkpoint.coordinator().load::<SavedExamples>(checkpoint.operator())? {
        if share.0 == 0 {
            state.dropped += part.dropped;
        }
        for bytes in part.batches {
            let batch = codec::decode(&bytes).map_err(|_| CheckpointError::Undecodable {
                operator: checkpoint.operator().to_owned(),
                source: postcard::Error::DeserializeBadEncoding,
            })?;
            state.restore(batch, share);
        }
    }
    let types = plan.codec.types().len();
    let label_route = Route::Key { codec: plan.codec.clone(), columns: (0..types).collect() };
    let example_route = Route::Key { codec: plan.codec.clone(), columns: plan.example_on.clone() };
    let name = format!("model.{model}.label");
    let (examples_pact, labels_pact) = (example_route.pact(), label_route.pact());
    Ok(examples.binary_frontier::<_, NoopBuilder<Batch>, _, _, _, _>(
        labels,
        examples_pact,
        labels_pact,
        &name,
        move |initial, info| {
            // One capability, at the earliest time at which a waiting example can leave.
            let mut held: Option<Capability<EventTime>> = Some(initial);
            let mut new_examples: Chunks = Chunks::default();
            let mut new_labels: Chunks = Chunks::default();
            let mut done = EventTime::MIN;
            let mut told = 0;
            let waker = scope.worker().sync_activator_for(info.address.to_vec());
            checkpoint.on_trigger(move || _ = waker.activate());
            move |(examples, example_frontier), (labels, label_frontier), output| {
                examples.for_each(|_, batch| _ = new_examples.push(None, std::mem::take(batch), ()));
                labels.for_each(|_, batch| _ = new_labels.push(None, std::mem::take(batch), ()));
                let frontier = frontier_of(example_frontier).min(frontier_of(label_frontier));
                for stretch in checkpoint.stretches(frontier) {
                    if stretch.until > done {
                        let mut out = state.work_off(&mut new_examples, &mut new_labels, stretch.until);
                        unlabelled(state.dropped - told);
                        told = state.dropped;
                        if let (Some(capability), false) = (&held, out.is_empty()) {
                            output.session_with_builder(capability).give_container(&mut out);
                        }
                        done = stretch.until;
                    }
                    if stretch.save_after {
                        let waiting = state.save();
                        checkpoint.save_lazily(stretch.until, move || waiting.saved());
                    }
                }
                if done == EventTime::MAX {
                    held = None;
                } else if let Some(held) = &mut held {
                    held.downgrade(&done);
                }
            }
        },
    ))
}

/// Labels that are an expression over the example itself, known at once. An example without one is dropped.
pub fn immediate<'scope>(examples: Records<'scope>, name: &str, value: Expr) -> Records<'scope> {
    let mut stats = EvalStats::default();
    project(examples, name, move |batch| {
        let labels = label_values(&value.eval(&batch.columns, batch.len(), &mut stats));
        let rows: Vec<u32> = (0..batch.len()).filter(|row| labels[*row].is_some()).map(|row| row as u32).collect();
        let kept = batch.take(&rows.into());
        let mut columns = kept.columns.clone();
        columns.push(Arc::new(labels.into_iter().flatten().map(Some).collect::<Float64Array>()));
        Batch { event_times: kept.times.clone(), ..kept.with_columns(columns) }
    })
}

/// A batch of examples, some of which still wait.
struct ExampleBatch {
    batch: Batch,
    keys: Rows,
    left: usize,
}

/// Examples that wait for a label.
struct PendingExamples {
    plan: Attribution,
    batches: HashMap<u64, ExampleBatch>,
    next: u64,
    by_key: HashMap<Key, VecDeque<ExampleRef>>,
    /// Keys of examples by the last time at which their label may come.
    deadlines: BTreeMap<EventTime, Vec<Key>>,
    /// Examples dropped so far because no label came.
    dropped: u64,
}

/// Which example leaves, when, with what label.
type LabelledRow = (ExampleRef, EventTime, f64);

impl PendingExamples {
    fn new(plan: Attribution) -> Self {
        PendingExamples {
            plan,
            batches: HashMap::new(),
            next: 0,
            by_key: HashMap::new(),
            deadlines: BTreeMap::new(),
            dropped: 0,
        }
    }

    /// Works off all before `upto`, in the total order: at each time examples come first, then labels, then those
    /// whose time is over.
    fn work_off(&mut self, examples: &mut Chunks, labels: &mut Chunks, upto: EventTime) -> Batch {
        let mut arriving: Vec<(EventTime, u64, u32)> = Vec::new();
        examples.begin(upto);
        for chunk in examples.iter() {
            let batch = chunk.batch.slice(chunk.done, chunk.closing().len());
            arriving.extend(batch.times.iter().enumerate().map(|(row, time)| (*time, self.next, row as u32)));
            self.insert_batch(batch);
        }
        examples.finish();
        arriving.sort_by_key(|(time, _, _)| *time);
        labels.begin(upto);
        let mut known: Vec<(EventTime, u32, u32)> = labels.rows().collect();
        let order = |chunk: u32, row: u32| labels.at(chunk).batch.sort_key.value(row as usize);
        known.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| order(a.1, a.2).cmp(order(b.1, b.2))));
        let types = self.plan.codec.types().len();
        let decoded: Vec<_> = labels
            .iter()
            .map(|chunk| {
                (self.plan.codec.encode(&chunk.batch.columns[..types]), label_values(&chunk.batch.columns[types]))
            })
            .collect();

        let mut leaving: Vec<LabelledRow> = Vec::new();
        let mut arriving = arriving.into_iter().peekable();
        for (time, chunk, row) in known {
            while let Some((at, batch, row)) = arriving.next_if(|(at, _, _)| *at <= time) {
                self.expire(at, &mut leaving);
                self.wait(ExampleRef { batch, row, time: at });
            }
            self.expire(time, &mut leaving);
            let (keys, values) = &decoded[chunk as usize];
            if let Some(value) = values[row as usize] {
                let places = self.by_key.remove(keys.row(row as usize).as_ref()).unwrap_or_default();
                leaving.extend(places.into_iter().map(|place| (place, time, value)));
            }
        }
        for (at, batch, row) in arriving {
            self.expire(at, &mut leaving);
            self.wait(ExampleRef { batch, row, time: at });
        }
        self.expire(upto, &mut leaving);
        drop(decoded);
        labels.finish();
        self.gather(leaving)
    }

    /// Gives a batch of examples a number.
    fn insert_batch(&mut self, batch: Batch) -> u64 {
        let keys = self.plan.codec.encode(&key_columns(&batch, &self.plan.example_on));
        let left = batch.len();
        self.batches.insert(self.next, ExampleBatch { batch, keys, left });
        self.next += 1;
        self.next - 1
    }

    fn wait(&mut self, place: ExampleRef) {
        let key = Key::from_bytes(self.batches[&place.batch].keys.row(place.row as usize).as_ref());
        self.deadlines.entry(place.time.saturating_add(self.plan.within_ms)).or_default().push(key.clone());
        // In order of time, which only restored batches do not come in.
        let places = self.by_key.entry(key).or_default();
        places.insert(places.partition_point(|other| other.time <= place.time), place);
    }

    /// Lets go of examples whose last moment is before `now`.
    fn expire(&mut self, now: EventTime, leaving: &mut Vec<LabelledRow>) {
        while let Some(entry) = self.deadlines.first_entry().filter(|entry| *entry.key() < now) {
            let deadline = *entry.key();
            for key in entry.remove() {
                let Some(places) = self.by_key.get_mut(key.as_bytes()) else { continue };
                while let Some(place) =
                    places.pop_front_if(|place| place.time.saturating_add(self.plan.within_ms) <= deadline)
                {
                    match self.plan.otherwise {
                        Some(label) => leaving.push((place, deadline, label)),
                        None => {
                            self.dropped += 1;
                            release(&mut self.batches, place.batch);
                        }
                    }
                }
                if places.is_empty() {
                    self.by_key.remove(key.as_bytes());
                }
            }
        }
    }

    /// The examples that leave, as one batch at the times their labels became known.
    fn gather(&mut self, leaving: Vec<LabelledRow>) -> Batch {
        if leaving.is_empty() {
            return Batch::default();
        }
        let mut index: HashMap<u64, usize> = HashMap::new();
        let mut parts: Vec<&Batch> = Vec::new();
        let picks: Vec<(usize, usize)> = leaving
            .iter()
            .map(|(place, _, _)| {
                let part = *index.entry(place.batch).or_insert_with(|| {
                    parts.push(&self.batches[&place.batch].batch);
                    parts.len() - 1
                });
                (part, place.row as usize)
            })
            .collect();
        let pick = |column: &dyn Fn(&Batch) -> ArrayRef| {
            let arrays: Vec<ArrayRef> = parts.iter().map(|part| column(part)).collect();
            let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            interleave(&arrays, &picks).expect("all parts have the example's columns")
        };
        let width = parts[0].columns.len();
        let mut columns: Vec<ArrayRef> = (0..width).map(|column| pick(&|part| part.columns[column].clone())).collect();
        let sort_key = pick(&|part| Arc::new(part.sort_key.clone()));
        let sort_key = sort_key.as_any().downcast_ref::<BinaryArray>().expect("interleaving keeps the type").clone();
        columns.push(Arc::new(leaving.iter().map(|(_, _, label)| Some(*label)).collect::<Float64Array>()));
        let batch = Batch {
            times: ScalarBuffer::from(leaving.iter().map(|(_, known, _)| *known).collect::<Vec<_>>()),
            event_times: ScalarBuffer::from(leaving.iter().map(|(place, _, _)| place.time).collect::<Vec<_>>()),
            sort_key,
            columns,
            pending: Pending::default(),
        };
        leaving.iter().for_each(|(place, _, _)| release(&mut self.batches, place.batch));
        batch
    }

    /// The waiting examples, batch by batch.
    fn save(&self) -> ExamplesSnapshot {
        let mut rows: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for place in self.by_key.values().flatten() {
            rows.entry(place.batch).or_default().push(place.row);
        }
        let batches = rows
            .into_iter()
            .map(|(batch, mut rows)| {
                rows.sort_unstable();
                self.batches[&batch].batch.take(&rows.into())
            })
            .collect();
        ExamplesSnapshot { dropped: self.dropped, batches }
    }

    /// Takes back examples of this worker's share.
    fn restore(&mut self, batch: Batch, (index, peers): (usize, usize)) {
        let keys = self.plan.codec.encode(&key_columns(&batch, &self.plan.example_on));
        let mine = |row: &u32| worker_of(Key::hash_of(keys.row(*row as usize).as_ref()), peers) == index;
        let rows: Vec<u32> = (0..batch.len() as u32).filter(mine).collect();
        let batch = batch.take(&rows.into());
        let times = batch.times.clone();
        let id = self.insert_batch(batch);
        for (row, time) in times.iter().enumerate() {
            self.wait(ExampleRef { batch: id, row: row as u32, time: *time });
        }
    }
}

/// Counts a row of a batch as gone; the batch goes with its last.
fn release(batches: &mut HashMap<u64, ExampleBatch>, batch: u64) {
    if let Some(held) = batches.get_mut(&batch) {
        held.left -= 1;
        if held.left == 0 {
            batches.remove(&batch);
        }
    }
}
