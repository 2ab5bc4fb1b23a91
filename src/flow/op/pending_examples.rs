//! The examples of a model that wait for a label.

use std::collections::{BTreeMap, HashMap, VecDeque};

use arrow_array::{Array, ArrayRef};
use arrow_row::Rows;
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

use super::{ClosingRow, Stash};
use crate::flow::exchange::{WorkerShare, key_columns};
use crate::flow::label_form::LabelForm;
use crate::flow::saved_batch::SavedBatch;
use crate::time::EventTime;
use crate::value::{Batch, Key, KeyCodec, Scalar};

/// The rule by which a label belongs to an example.
#[derive(Clone, Debug)]
pub struct Attribution {
    /// Encodes the label's key.
    pub codec: KeyCodec,
    /// The types of the example's columns.
    pub types: Vec<DataType>,
    /// Columns of the example that hold the key.
    pub example_on: Vec<usize>,
    /// The longest time from an example to its label, in ms of event time.
    pub within_ms: i64,
    /// The form of the labels.
    pub form: LabelForm,
    /// The label of an example for which none came; `None` drops it.
    pub otherwise: Option<Scalar>,
    /// True if examples without a label are wanted: they are output with a null as label when their time is over.
    pub keep_unlabelled: bool,
}

/// The saved state of a worker: its pending examples, and its counts so far.
#[derive(Serialize, Deserialize)]
pub struct SavedExamples {
    pub counts: ExampleCounts,
    pub batches: Vec<SavedBatch>,
}

/// Numbers of examples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExampleCounts {
    /// Examples that were made.
    pub made: u64,
    /// Examples that were dropped because no label came in time.
    pub unlabelled: u64,
}

/// The pending examples of one moment, to be encoded later.
pub struct ExamplesSnapshot {
    counts: ExampleCounts,
    batches: Vec<Batch>,
}

impl ExamplesSnapshot {
    /// Encodes the snapshot.
    pub fn saved(self) -> SavedExamples {
        SavedExamples { counts: self.counts, batches: self.batches.iter().map(SavedBatch::of).collect() }
    }
}

/// A pending example: its batch, its row there, and its time.
#[derive(Clone, Copy, Debug)]
struct ExampleRef {
    batch: u64,
    row: u32,
    time: EventTime,
}

/// An example that is done waiting: when its label became known, and the label.
struct LabelledRow {
    example: ExampleRef,
    known: EventTime,
    label: Scalar,
}

/// A batch of examples, of which `left` still wait.
struct ExampleBatch {
    batch: Batch,
    keys: Rows,
    left: usize,
}

/// Examples that wait for a label, by key and by deadline.
pub struct PendingExamples {
    plan: Attribution,
    batches: HashMap<u64, ExampleBatch>,
    /// The number of the next batch.
    next: u64,
    /// By key, the pending examples in order of time.
    by_key: HashMap<Key, VecDeque<ExampleRef>>,
    /// Keys of examples by the last time at which their label may come.
    deadlines: BTreeMap<EventTime, Vec<Key>>,
    /// The counts so far.
    pub counts: ExampleCounts,
}

impl PendingExamples {
    /// Returns the memory that the examples hold, in bytes. It costs a step for each batch and column.
    pub fn bytes(&self) -> usize {
        let column = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0);
        let batch = |batch: &ExampleBatch| batch.keys.size() + batch.batch.columns.iter().map(column).sum::<usize>();
        let keys = self.by_key.capacity() * size_of::<(Key, VecDeque<ExampleRef>)>();
        let waiting: usize = self.batches.values().map(|batch| batch.left).sum();
        keys + waiting * (size_of::<ExampleRef>() + size_of::<Key>()) + self.batches.values().map(batch).sum::<usize>()
    }

    /// Starts without examples.
    pub fn new(plan: Attribution) -> Self {
        PendingExamples {
            plan,
            batches: HashMap::new(),
            next: 0,
            by_key: HashMap::new(),
            deadlines: BTreeMap::new(),
            counts: ExampleCounts::default(),
        }
    }

    /// Processes everything before `until` in the total order, and returns the examples that are labelled by it. At each
    /// time examples come first, then labels, then the examples whose last moment is over.
    pub fn process_until(&mut self, examples: &mut Stash, labels: &mut Stash, until: EventTime) -> Vec<Batch> {
        let mut arriving = self.insert_until(examples, until).into_iter().peekable();

        // Labels in the total order, decoded batch by batch.
        labels.close_before(until);
        let mut known: Vec<ClosingRow> = labels.rows().collect();
        let order = |row: &ClosingRow| labels.closing(row.batch).batch.sort_key.value(row.row as usize);
        known.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| order(a).cmp(order(b))));
        let types = self.plan.codec.types().len();
        let decode = |batch: &Batch| {
            (self.plan.codec.encode(&batch.columns[..types]), self.plan.form.labels(&batch.columns[types]))
        };
        let decoded: Vec<_> = labels.iter().map(|chunk| decode(&chunk.batch)).collect();

        // Both merged in order of time.
        let mut done: Vec<LabelledRow> = Vec::new();
        for ClosingRow { time, batch, row } in known {
            while let Some(example) = arriving.next_if(|example| example.time <= time) {
                self.expire(example.time, &mut done);
                self.wait(example);
            }
            self.expire(time, &mut done);
            let (keys, values) = &decoded[batch as usize];
            if let Some(label) = &values[row as usize] {
                let examples = self.by_key.remove(keys.row(row as usize).as_ref()).unwrap_or_default();
                let labelled = |example| LabelledRow { example, known: time, label: label.clone() };
                done.extend(examples.into_iter().map(labelled));
            }
        }
        for example in arriving {
            self.expire(example.time, &mut done);
            self.wait(example);
        }
        self.expire(until, &mut done);
        drop(decoded);
        labels.retire();
        self.gather(&done)
    }

    /// Stores the examples before `until` and returns them in order of time; they do not wait yet.
    fn insert_until(&mut self, examples: &mut Stash, until: EventTime) -> Vec<ExampleRef> {
        let mut arriving: Vec<ExampleRef> = Vec::new();
        examples.close_before(until);
        for chunk in examples.iter() {
            let batch = chunk.batch.slice(chunk.done, chunk.closing_rows().len());
            let number = self.next;
            let example = |(row, time): (usize, &EventTime)| ExampleRef { batch: number, row: row as u32, time: *time };
            arriving.extend(batch.times.iter().enumerate().map(example));
            self.counts.made += batch.len() as u64;
            self.insert_batch(batch);
        }
        examples.retire();
        arriving.sort_by_key(|example| example.time);
        arriving
    }

    /// Stores a batch of examples and returns its number.
    fn insert_batch(&mut self, batch: Batch) -> u64 {
        let keys = self.plan.codec.encode(&key_columns(&batch, &self.plan.example_on));
        let left = batch.len();
        self.batches.insert(self.next, ExampleBatch { batch, keys, left });
        self.next += 1;
        self.next - 1
    }

    /// Lets an example wait for its label.
    fn wait(&mut self, example: ExampleRef) {
        let key = Key::from_bytes(self.batches[&example.batch].keys.row(example.row as usize).as_ref());
        self.deadlines.entry(example.time.saturating_add(self.plan.within_ms)).or_default().push(key.clone());
        // Only restored batches do not arrive in order of time.
        let waiting = self.by_key.entry(key).or_default();
        waiting.insert(waiting.partition_point(|other| other.time <= example.time), example);
    }

    /// Releases the examples whose deadline is before `now`: with the label that stands for none, or dropped.
    fn expire(&mut self, now: EventTime, done: &mut Vec<LabelledRow>) {
        while let Some(entry) = self.deadlines.first_entry().filter(|entry| *entry.key() < now) {
            let deadline = *entry.key();
            for key in entry.remove() {
                let Some(waiting) = self.by_key.get_mut(key.as_bytes()) else { continue };
                let is_over = |example: &mut ExampleRef| example.time.saturating_add(self.plan.within_ms) <= deadline;
                while let Some(example) = waiting.pop_front_if(is_over) {
                    self.counts.unlabelled += u64::from(self.plan.otherwise.is_none());
                    match self.plan.otherwise.clone().or(self.plan.keep_unlabelled.then_some(Scalar::Null)) {
                        Some(label) => done.push(LabelledRow { example, known: deadline, label }),
                        None => release(&mut self.batches, example.batch),
                    }
                }
                if waiting.is_empty() {
                    self.by_key.remove(key.as_bytes());
                }
            }
        }
    }

    /// Removes labelled examples and returns them at the times at which their labels became known, as one batch unless they
    /// are large.
    fn gather(&mut self, done: &[LabelledRow]) -> Vec<Batch> {
        if done.is_empty() {
            return Vec::new();
        }
        // The batches that are concerned, each once, and every row by its position among them.
        let mut index: HashMap<u64, usize> = HashMap::new();
        let mut parts: Vec<&Batch> = Vec::new();
        let mut position = |number: u64| {
            *index.entry(number).or_insert_with(|| {
                parts.push(&self.batches[&number].batch);
                parts.len() - 1
            })
        };
        let rows: Vec<(usize, usize)> =
            done.iter().map(|row| (position(row.example.batch), row.example.row as usize)).collect();

        let mut labelled = done;
        let with_labels = |batch: Batch| {
            let (these, rest) = labelled.split_at(batch.len());
            labelled = rest;
            let mut columns = batch.columns.clone();
            columns.push(self.plan.form.column(these.iter().map(|row| &row.label)));
            Batch {
                times: these.iter().map(|row| row.known).collect(),
                event_times: these.iter().map(|row| row.example.time).collect(),
                ..batch.with_columns(columns)
            }
        };
        let batches = Batch::interleave(&parts, &rows).into_iter().map(with_labels).collect();
        done.iter().for_each(|row| release(&mut self.batches, row.example.batch));
        batches
    }

    /// Returns whether examples without a label are wanted.
    pub fn keeps_unlabelled(&self) -> bool {
        self.plan.keep_unlabelled
    }

    /// Returns the number of pending examples.
    pub fn waiting(&self) -> u64 {
        self.batches.values().map(|batch| batch.left as u64).sum()
    }

    /// Returns the pending examples, batch by batch.
    pub fn waiting_batches(&self) -> Vec<Batch> {
        self.save().batches
    }

    /// Returns a snapshot of the pending examples, batch by batch.
    pub fn save(&self) -> ExamplesSnapshot {
        let mut rows: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for example in self.by_key.values().flatten() {
            rows.entry(example.batch).or_default().push(example.row);
        }
        let waiting = |(number, mut rows): (u64, Vec<u32>)| {
            rows.sort_unstable();
            self.batches[&number].batch.take(&rows.into())
        };
        ExamplesSnapshot { counts: self.counts, batches: rows.into_iter().map(waiting).collect() }
    }

    /// Restores the examples of a saved batch that belong to this worker.
    pub fn restore(&mut self, batch: Batch, share: WorkerShare) {
        let keys = self.plan.codec.encode(&key_columns(&batch, &self.plan.example_on));
        let is_own = |row: &u32| share.owns(Key::hash_of(keys.row(*row as usize).as_ref()));
        let rows: Vec<u32> = (0..batch.len() as u32).filter(is_own).collect();
        let batch = batch.take(&rows.into());
        let times = batch.times.clone();
        let number = self.insert_batch(batch);
        for (row, time) in (0u32..).zip(times.iter()) {
            self.wait(ExampleRef { batch: number, row, time: *time });
        }
    }
}

/// Counts one row of a batch as gone, and removes the batch with its last row.
fn release(batches: &mut HashMap<u64, ExampleBatch>, number: u64) {
    if let Some(stored) = batches.get_mut(&number) {
        stored.left -= 1;
        if stored.left == 0 {
            batches.remove(&number);
        }
    }
}
