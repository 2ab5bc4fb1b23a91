//! The examples of a model that wait for a label.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_row::Rows;

use super::attribution::{Attribution, ExampleCounts};
use super::label_total::LabelTotal;
use super::saved_examples::{ExamplesSnapshot, SavedLabel};
use super::{ClosingRow, Stash};
use crate::expr::EvalStats;
use crate::flow::exchange::{WorkerShare, key_columns};
use crate::flow::label_pairs::LabelPairs;
use crate::flow::nulls::count;
use crate::metrics::{NullCounter, NullReason};
use crate::spec::{LabelOp, LearnAt};
use crate::time::EventTime;
use crate::value::{Batch, Key, Scalar, complete_rows};

/// A pending example: its batch, its row there, and its time.
#[derive(Clone, Copy, Debug)]
struct ExampleRef {
    batch: u64,
    row: u32,
    time: EventTime,
}

/// An example that has its label: when it is to be learnt, and the label.
struct LabelledRow {
    example: ExampleRef,
    known: EventTime,
    label: Scalar,
}

/// A record that may be a label.
struct LabelRecord<'a> {
    key: &'a [u8],
    time: EventTime,
    batch: &'a Batch,
    row: usize,
    /// The label, unless it depends on the example.
    label: Option<&'a Scalar>,
}

/// A batch of examples, of which `left` still wait.
struct ExampleBatch {
    batch: Batch,
    keys: Rows,
    /// By row, the total of the records of its horizon, if that is the label.
    totals: Vec<LabelTotal>,
    left: usize,
}

/// Examples that wait for a label, by key and by deadline, and those that have one and wait for their horizon.
pub struct PendingExamples {
    plan: Attribution,
    /// Counts values of labels that could not be computed.
    nulls: Arc<NullCounter>,
    batches: HashMap<u64, ExampleBatch>,
    /// The number of the next batch.
    next: u64,
    /// By key, the examples without a label in order of time.
    by_key: HashMap<Key, VecDeque<ExampleRef>>,
    /// Keys of examples by the last time at which their label may come.
    deadlines: BTreeMap<EventTime, Vec<Key>>,
    /// Examples that have a label, by the time at which they are to be learnt.
    labelled: BTreeMap<EventTime, Vec<LabelledRow>>,
    /// The counts so far.
    pub counts: ExampleCounts,
}

impl PendingExamples {
    /// Returns the memory that the examples hold, in bytes. It costs a step for each batch and column.
    pub fn bytes(&self) -> usize {
        let column = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0);
        let batch = |batch: &ExampleBatch| {
            let totals = batch.totals.len() * size_of::<LabelTotal>();
            batch.keys.size() + totals + batch.batch.columns.iter().map(column).sum::<usize>()
        };
        let keys = self.by_key.capacity() * size_of::<(Key, VecDeque<ExampleRef>)>();
        let waiting: usize = self.batches.values().map(|batch| batch.left).sum();
        keys + waiting * (size_of::<ExampleRef>() + size_of::<Key>()) + self.batches.values().map(batch).sum::<usize>()
    }

    /// Starts without examples.
    pub fn new(plan: Attribution, nulls: Arc<NullCounter>) -> Self {
        PendingExamples {
            plan,
            nulls,
            batches: HashMap::new(),
            next: 0,
            by_key: HashMap::new(),
            deadlines: BTreeMap::new(),
            labelled: BTreeMap::new(),
            counts: ExampleCounts::default(),
        }
    }

    /// Processes everything before `until` in the total order, and returns the examples that are to be learnt by it. At each
    /// time examples come first, then labels, unless both have an order; then the examples whose last moment is over.
    pub fn process_until(&mut self, examples: &mut Stash, labels: &mut Stash, until: EventTime) -> Vec<Batch> {
        let mut arriving = self.insert_until(examples, until).into_iter().peekable();

        // Labels, decoded batch by batch, in the total order.
        labels.close_before(until);
        let types = self.plan.codec.types().len();
        let decode = |batch: &Batch| {
            let read = || self.plan.form.labels(&batch.columns[types]);
            let labels = self.plan.pairs.is_none().then(read).unwrap_or_default();
            let on = &batch.columns[..types];
            (self.plan.codec.encode(on), complete_rows(on), labels)
        };
        let decoded: Vec<_> = labels.iter().map(|chunk| decode(&chunk.batch)).collect();
        let complete = |batch: u32| decoded[batch as usize].1.as_ref();
        let is_complete = |row: &ClosingRow| complete(row.batch).is_none_or(|rows| rows.is_valid(row.row as usize));
        let mut known: Vec<ClosingRow> = labels.rows().filter(is_complete).collect();
        let order = |row: &ClosingRow| labels.closing(row.batch).batch.sort_key.value(row.row as usize);
        known.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| order(a).cmp(order(b))));

        // Both merged in order of time.
        let mut done: Vec<LabelledRow> = Vec::new();
        for ClosingRow { time, batch, row } in known {
            let (keys, _, values) = &decoded[batch as usize];
            let (batch, row) = (&labels.closing(batch).batch, row as usize);
            let order = batch.sort_key.value(row);
            while let Some(example) = arriving.next_if(|example| self.is_before(example, time, order)) {
                self.expire(example.time, &mut done);
                self.wait(example);
            }
            self.expire(time, &mut done);
            let label = values.get(row).and_then(Option::as_ref);
            self.receive(&LabelRecord { key: keys.row(row).as_ref(), time, batch, row, label }, &mut done);
        }
        for example in arriving {
            self.expire(example.time, &mut done);
            self.wait(example);
        }
        self.expire(until, &mut done);
        labels.retire();
        self.gather(&done)
    }

    /// Stores the examples before `until` and returns them in order of time; they do not wait yet.
    fn insert_until(&mut self, examples: &mut Stash, until: EventTime) -> Vec<ExampleRef> {
        let mut arriving: Vec<ExampleRef> = Vec::new();
        examples.close_before(until);
        for chunk in examples.iter() {
            let batch = chunk.batch.slice(chunk.done, chunk.closing_rows().len());
            let times = batch.times.clone();
            let number = self.insert_batch(batch);
            let example = |(row, time): (usize, &EventTime)| ExampleRef { batch: number, row: row as u32, time: *time };
            arriving.extend(times.iter().enumerate().map(example));
            self.counts.made += times.len() as u64;
        }
        examples.retire();
        match self.plan.order {
            Some(_) => arriving.sort_by_key(|example| (example.time, self.sort_key(example))),
            None => arriving.sort_by_key(|example| example.time),
        }
        arriving
    }

    fn sort_key(&self, example: &ExampleRef) -> &[u8] {
        self.batches[&example.batch].batch.sort_key.value(example.row as usize)
    }

    /// Returns whether an example is before a label of this time and sort key.
    fn is_before(&self, example: &ExampleRef, time: EventTime, sort_key: &[u8]) -> bool {
        match &self.plan.order {
            Some(order) if example.time == time => order.is_before(self.sort_key(example), sort_key),
            _ => example.time <= time,
        }
    }

    /// Stores a batch of examples and returns its number.
    fn insert_batch(&mut self, batch: Batch) -> u64 {
        let keys = self.plan.codec.encode(&key_columns(&batch, &self.plan.example_on));
        let left = batch.len();
        let totals = LabelTotal::new(self.plan.op).map_or_else(Vec::new, |total| vec![total; left]);
        self.batches.insert(self.next, ExampleBatch { batch, keys, totals, left });
        self.next += 1;
        self.next - 1
    }

    /// Applies a record to the examples of its key whose horizon it is in.
    fn receive(&mut self, record: &LabelRecord, done: &mut Vec<LabelledRow>) {
        if self.plan.pairs.is_none() && record.label.is_none() {
            return;
        }
        let Some(waiting) = self.by_key.get(record.key) else { return };
        let after_ms = self.plan.after_ms;
        let due = waiting.partition_point(|example| example.time.saturating_add(after_ms) <= record.time);
        let due: Vec<ExampleRef> = waiting.range(..due).copied().collect();
        let labels = match &self.plan.pairs {
            None => vec![record.label.cloned(); due.len()],
            Some(pairs) => self.labels_of_pairs(pairs, record, &due),
        };
        match self.plan.op {
            LabelOp::First => self.settle(record, &due, labels, done),
            LabelOp::Count | LabelOp::Sum | LabelOp::Max => self.add(&due, labels),
        }
    }

    fn labels_of_pairs(&self, pairs: &LabelPairs, record: &LabelRecord, due: &[ExampleRef]) -> Vec<Option<Scalar>> {
        let place = |example: &ExampleRef| (&self.batches[&example.batch].batch, example.row as usize);
        let examples: Vec<(&Batch, usize)> = due.iter().map(place).collect();
        let mut failed = EvalStats::default();
        let labels = pairs.labels((record.batch, record.row), &examples, self.plan.form, &mut failed);
        count(&self.nulls, failed);
        labels
    }

    /// Labels the examples for which a record has a label: the first of their key.
    fn settle(
        &mut self,
        record: &LabelRecord,
        due: &[ExampleRef],
        labels: Vec<Option<Scalar>>,
        done: &mut Vec<LabelledRow>,
    ) {
        let waiting = self.by_key.get_mut(record.key).expect("the examples wait under this key");
        let mut rest = waiting.split_off(due.len());
        let unlabelled = due.iter().zip(&labels).rev().filter(|(_, label)| label.is_none());
        unlabelled.for_each(|(example, _)| rest.push_front(*example));
        match rest.is_empty() {
            true => _ = self.by_key.remove(record.key),
            false => *waiting = rest,
        }
        let labelled = due.iter().zip(labels).filter_map(|(example, label)| Some((*example, label?)));
        for (example, label) in labelled {
            match self.plan.learn {
                LearnAt::Known => done.push(LabelledRow { example, known: record.time, label }),
                LearnAt::Horizon => self.hold(example, label),
            }
        }
    }

    /// Adds a record to the totals of examples.
    fn add(&mut self, due: &[ExampleRef], labels: Vec<Option<Scalar>>) {
        for (example, label) in due.iter().zip(labels) {
            let Some(Scalar::Float(value)) = label else { continue };
            let stored = self.batches.get_mut(&example.batch).expect("a pending example is stored");
            let is_added = stored.totals[example.row as usize].add(value);
            self.nulls.add(NullReason::Unsummable, u64::from(!is_added));
        }
    }

    /// Keeps an example that has its label until its horizon.
    fn hold(&mut self, example: ExampleRef, label: Scalar) {
        let known = self.horizon(&example);
        self.labelled.entry(known).or_default().push(LabelledRow { example, known, label });
    }

    /// Returns the last time at which the label of an example may come.
    fn horizon(&self, example: &ExampleRef) -> EventTime {
        example.time.saturating_add(self.plan.within_ms)
    }

    /// Keeps an example until its label arrives.
    fn wait(&mut self, example: ExampleRef) {
        let key = Key::from_bytes(self.batches[&example.batch].keys.row(example.row as usize).as_ref());
        self.deadlines.entry(self.horizon(&example)).or_default().push(key.clone());
        // Only restored batches do not arrive in order of time.
        let waiting = self.by_key.entry(key).or_default();
        waiting.insert(waiting.partition_point(|other| other.time <= example.time), example);
    }

    /// Releases the examples whose horizon is before `now`: with their label, with the one that stands for none, or dropped.
    fn expire(&mut self, now: EventTime, done: &mut Vec<LabelledRow>) {
        let first = |state: &Self| {
            let (waiting, labelled) = (state.deadlines.first_key_value(), state.labelled.first_key_value());
            waiting.map(|(time, _)| *time).into_iter().chain(labelled.map(|(time, _)| *time)).min()
        };
        while let Some(deadline) = first(self).filter(|deadline| *deadline < now) {
            done.extend(self.labelled.remove(&deadline).unwrap_or_default());
            for key in self.deadlines.remove(&deadline).unwrap_or_default() {
                let Some(waiting) = self.by_key.get_mut(key.as_bytes()) else { continue };
                let is_over = |example: &mut ExampleRef| example.time.saturating_add(self.plan.within_ms) <= deadline;
                while let Some(example) = waiting.pop_front_if(is_over) {
                    let total = self.batches[&example.batch].totals.get(example.row as usize);
                    let label = total.and_then(LabelTotal::label).map(Scalar::Float).or(self.plan.otherwise.clone());
                    self.counts.unlabelled += u64::from(label.is_none());
                    match label.or(self.plan.keep_unlabelled.then_some(Scalar::Null)) {
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

    /// Returns a snapshot of the pending examples and their labels, batch by batch.
    pub fn save(&self) -> ExamplesSnapshot {
        let mut rows: BTreeMap<u64, Vec<(u32, SavedLabel)>> = BTreeMap::new();
        let total = |example: &ExampleRef| self.batches[&example.batch].totals.get(example.row as usize);
        let saved = |example| total(example).map_or(SavedLabel::Open, |total| SavedLabel::Total(*total));
        let open = self.by_key.values().flatten().map(|example| (example, saved(example)));
        let labelled = self.labelled.values().flatten();
        let labelled = labelled.map(|row| (&row.example, SavedLabel::Known(row.label.clone())));
        for (example, label) in open.chain(labelled) {
            rows.entry(example.batch).or_default().push((example.row, label));
        }
        let mut snapshot = ExamplesSnapshot { counts: self.counts, batches: Vec::new(), labels: Vec::new() };
        for (number, mut rows) in rows {
            rows.sort_unstable_by_key(|(row, _)| *row);
            let (rows, labels): (Vec<u32>, Vec<SavedLabel>) = rows.into_iter().unzip();
            snapshot.batches.push(self.batches[&number].batch.take(&rows.into()));
            snapshot.labels.push(labels);
        }
        snapshot
    }

    /// Restores the examples of a saved batch that belong to this worker, and what is known of their labels.
    pub fn restore(&mut self, batch: Batch, labels: Vec<SavedLabel>, share: WorkerShare) {
        let keys = self.plan.codec.encode(&key_columns(&batch, &self.plan.example_on));
        let is_own = |row: &u32| share.owns(Key::hash_of(keys.row(*row as usize).as_ref()));
        let rows: Vec<u32> = (0..batch.len() as u32).filter(is_own).collect();
        let labels: Vec<SavedLabel> = rows.iter().map(|row| labels[*row as usize].clone()).collect();
        let batch = batch.take(&rows.into());
        let times = batch.times.clone();
        let number = self.insert_batch(batch);
        for ((row, time), label) in (0u32..).zip(times.iter()).zip(labels) {
            let example = ExampleRef { batch: number, row, time: *time };
            match label {
                SavedLabel::Known(label) => self.hold(example, label),
                SavedLabel::Open => self.wait(example),
                SavedLabel::Total(total) => {
                    let stored = self.batches.get_mut(&number).expect("the batch was just stored");
                    stored.totals[row as usize] = total;
                    self.wait(example);
                }
            }
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
