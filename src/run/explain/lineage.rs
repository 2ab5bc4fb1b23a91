//! Lineage: the records of topics that reach a feature group for one entity, each with the place that it came from.
//!
//! The operators of the group's stream run on batches, one source at a time. In place of its effective time, a record has
//! the number of a moment: a position among the records that were read together, with an event time and an effective time.
//! Operators keep the times of records, so the number says which record a row came from, whatever has become of its columns.
//! Only a view's `at` gives a record another moment. Tables are looked up as of the effective time.

use std::collections::{BTreeSet, HashMap};

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, UInt32Array};
use arrow_select::take::take;

use super::error::ExplainError;
use super::table_history::{RowsFound, TableHistory};
use super::topics::{Topics, read};
use crate::aggregate::{LineInput, Op};
use crate::example::FeatureLookup;
use crate::expr::EvalStats;
use crate::flow::Plan;
use crate::flow::exchange::key_columns;
use crate::flow::plan::GroupPlan;
use crate::relation::{RelationOp, ShiftedBatch, StreamId, TrainingGraph, ViewReads, project};
use crate::serve::explainer::{ExplanationFailure, ExplanationLimits};
use crate::source::IngestedBatch;
use crate::time::{EventTime, Offset};
use crate::value::{Batch, Key, Scalar};

/// A record of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityRecord {
    pub source: String,
    pub partition: u32,
    pub offset: Offset,
    pub event_time: EventTime,
    /// The time at which it takes effect: its event time unless it is late.
    pub effective: EventTime,
}

/// The records of an entity, in the total order, as its feature group reads them.
pub struct EntityRecords {
    pub records: Vec<EntityRecord>,
    /// The group's projection, in batches of consecutive records.
    projected: Vec<Batch>,
    /// By batch, the input of each line.
    inputs: Vec<Vec<LineInput>>,
    /// By record, its batch and row.
    places: Vec<RecordPlace>,
    /// The newest time at which any record takes effect that was read, of this entity or another.
    pub newest: EventTime,
}

/// The batch and row of a record.
#[derive(Clone, Copy, Debug)]
pub struct RecordPlace {
    pub batch: u32,
    pub row: u32,
}

impl EntityRecords {
    /// Reads the records of an entity of the group at a position. `since` is the time before which none can count.
    ///
    /// # Errors
    /// If records of the group look up other groups, a topic cannot be read, or a limit is reached.
    pub fn read(
        plan: &Plan,
        group: usize,
        entity: &Key,
        topics: &impl Topics,
        since: Option<EventTime>,
        limits: &ExplanationLimits,
    ) -> Result<Self, ExplainError> {
        let group = &plan.groups[group];
        refuse_asking(plan, group)?;
        let needed = needed_streams(plan, group.from);
        let tables = histories(plan, &needed, topics, limits)?;
        let of_tables: usize = tables.values().map(TableHistory::len).sum();
        let mut found = FoundRecords::default();
        for source in plan.sources_of(group.from) {
            let reader = &plan.sources[source];
            for open in topics.open(reader, since)? {
                let number = open.number;
                read(open, &reader.topic, limits, |taken| {
                    let mut graph = LineageGraph { plan, source, taken: &taken, tables: &tables, moments: Vec::new() };
                    for derived in graph.derive(&needed, group.from) {
                        let projected = project(&derived, &group.projection, &mut EvalStats::default());
                        found.keep(group, entity, &projected, |moment| graph.record(moment, &reader.source, number));
                    }
                    found.newest = found.newest.max(taken.last);
                    of_tables + found.records.len()
                })?;
            }
        }
        Ok(found.in_order(group))
    }

    /// The input of each line, by batch.
    pub fn inputs(&self) -> Vec<&[LineInput]> {
        self.inputs.iter().map(Vec::as_slice).collect()
    }

    /// The numbers of records in each batch.
    pub fn batch_lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.projected.iter().map(Batch::len)
    }

    /// The batch and row of a record.
    pub fn place(&self, record: usize) -> RecordPlace {
        self.places[record]
    }

    /// Returns whether an op of a line counts a record: the condition holds, and no value that the op reads is null.
    pub fn is_counted(&self, record: usize, line: usize, op: &Op) -> bool {
        let RecordPlace { batch, row } = self.places[record];
        op.kind.family.reads().counts(&self.inputs[batch as usize][line], row as usize)
    }

    /// The value of a record in a column of the group's projection.
    pub fn value(&self, record: usize, column: usize) -> Scalar {
        let RecordPlace { batch, row } = self.places[record];
        Scalar::of(&self.projected[batch as usize].columns[column], row as usize)
    }
}

/// The records found so far, in the order in which they were read.
#[derive(Default)]
struct FoundRecords {
    records: Vec<EntityRecord>,
    batches: Vec<Batch>,
    /// By record, its batch and row.
    places: Vec<(usize, usize)>,
    newest: Option<EventTime>,
}

impl FoundRecords {
    /// Keeps the rows of a projection that are of an entity; `record` returns the record of a moment.
    fn keep(&mut self, group: &GroupPlan, entity: &Key, projected: &Batch, record: impl Fn(usize) -> EntityRecord) {
        let keys = group.codec.encode(&projected.columns[..group.codec.types().len()]);
        let rows = (0..projected.len()).filter(|row| keys.row(*row).data() == entity.as_bytes());
        let rows: Vec<u32> = rows.map(|row| row as u32).collect();
        if rows.is_empty() {
            return;
        }
        let of = |row: &u32| record(usize::try_from(projected.times[*row as usize]).expect("times are numbers"));
        self.records.extend(rows.iter().map(of));
        self.places.extend((0..rows.len()).map(|row| (self.batches.len(), row)));
        self.batches.push(projected.take(&UInt32Array::from(rows)));
    }

    /// The records in the total order.
    fn in_order(self, group: &GroupPlan) -> EntityRecords {
        let FoundRecords { records, batches, places, newest } = self;
        let sort_key = |record: usize| batches[places[record].0].sort_key.value(places[record].1);
        let mut order: Vec<usize> = (0..records.len()).collect();
        order.sort_by(|one, other| {
            let times = records[*one].effective.cmp(&records[*other].effective);
            times.then_with(|| sort_key(*one).cmp(sort_key(*other)))
        });
        let picks: Vec<(usize, usize)> = order.iter().map(|record| places[*record]).collect();
        let projected = match picks.is_empty() {
            true => Vec::new(),
            false => Batch::interleave(&batches.iter().collect::<Vec<_>>(), &picks),
        };
        let place = |(batch, length): (u32, usize)| (0..length as u32).map(move |row| RecordPlace { batch, row });
        EntityRecords {
            records: order.into_iter().map(|record| records[record].clone()).collect(),
            inputs: projected.iter().map(|batch| group.inputs(batch).0).collect(),
            places: (0..).zip(projected.iter().map(Batch::len)).flat_map(place).collect(),
            projected,
            newest: newest.unwrap_or(EventTime::MIN),
        }
    }
}

/// Refuses a group whose records look up other groups: their vectors as of each record's time are not kept.
fn refuse_asking(plan: &Plan, group: &GroupPlan) -> Result<(), ExplanationFailure> {
    let relations = &plan.spec.relations;
    let asked: Vec<String> =
        relations.groups(group.from).into_iter().map(|asked| plan.groups[asked].name.clone()).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let (name, from, asked) = (&group.name, plan.spec.stream_name(group.from), asked.join(", "));
    Err(ExplanationFailure::Refused(format!(
        "{name} is of '{from}', whose records have features of {asked} as of their times, which the topics do not \
         contain; groups of records that look no group up can be explained"
    )))
}

/// Returns the streams from which a stream is made, itself included.
fn needed_streams(plan: &Plan, stream: StreamId) -> BTreeSet<StreamId> {
    let (mut needed, mut open) = (BTreeSet::new(), vec![stream]);
    while let Some(stream) = open.pop() {
        if needed.insert(stream) {
            open.extend(plan.spec.relations.node(stream).relation.inputs());
        }
    }
    needed
}

/// Reads the tables that streams look up.
fn histories(
    plan: &Plan,
    needed: &BTreeSet<StreamId>,
    topics: &impl Topics,
    limits: &ExplanationLimits,
) -> Result<HashMap<usize, TableHistory>, ExplainError> {
    let mut reads = ViewReads::default();
    needed.iter().for_each(|stream| plan.spec.relations.node(*stream).relation.add_reads(&mut reads));
    let (mut histories, mut kept) = (HashMap::new(), 0);
    for table in reads.tables {
        if histories.contains_key(&table) {
            continue;
        }
        let table_plan = &plan.tables[table];
        let mut batches = Vec::new();
        for open in topics.open(&table_plan.reader, None)? {
            read(open, &table_plan.reader.topic, limits, |taken| {
                kept += taken.batch.len();
                batches.push(taken.batch);
                kept
            })?;
        }
        histories.insert(table, TableHistory::of(table_plan, &batches));
    }
    Ok(histories)
}

/// The graph of training on one batch of one source.
struct LineageGraph<'a> {
    plan: &'a Plan,
    source: usize,
    taken: &'a IngestedBatch,
    tables: &'a HashMap<usize, TableHistory>,
    /// The moments of the records, by number.
    moments: Vec<RecordMoment>,
}

/// A record of the batch, and when it takes effect.
#[derive(Clone, Copy, Debug)]
struct RecordMoment {
    /// Its position in the batch.
    position: usize,
    event_time: EventTime,
    effective: EventTime,
}

impl LineageGraph<'_> {
    /// The record of a moment, by number, of a partition.
    fn record(&self, moment: usize, source: &str, partition: u32) -> EntityRecord {
        let RecordMoment { position, event_time, effective } = self.moments[moment];
        let offset = self.taken.offsets[position];
        EntityRecord { source: source.to_owned(), partition, offset, event_time, effective }
    }

    /// The records of a stream that come of the batch. `needed` are the streams from which it is made.
    fn derive(&mut self, needed: &BTreeSet<StreamId>, stream: StreamId) -> Vec<Batch> {
        let mut streams: HashMap<StreamId, Vec<Batch>> = HashMap::new();
        // Each relation comes after its inputs.
        for (id, node) in self.plan.spec.relations.iter().filter(|(id, _)| needed.contains(id)) {
            let inputs = node.relation.inputs().into_iter().map(|input| streams[&input].clone()).collect();
            streams.insert(id, node.relation.render(&node.operator, inputs, self));
        }
        streams.remove(&stream).unwrap_or_default()
    }
}

impl TrainingGraph for LineageGraph<'_> {
    type Stream = Vec<Batch>;

    fn source(&mut self, source: usize) -> Vec<Batch> {
        if source != self.source {
            return Vec::new();
        }
        let batch = &self.taken.batch;
        let first = self.moments.len();
        let times = batch.event_times.iter().zip(&batch.times).enumerate();
        self.moments.extend(times.map(|(position, (event_time, effective))| RecordMoment {
            position,
            event_time: *event_time,
            effective: *effective,
        }));
        vec![Batch { times: (first as EventTime..self.moments.len() as EventTime).collect(), ..batch.clone() }]
    }

    fn shift(
        &mut self,
        input: Vec<Batch>,
        _of: StreamId,
        _name: &str,
        step: impl Fn(&Batch, &mut EvalStats) -> ShiftedBatch + 'static,
    ) -> Vec<Batch> {
        let shifted = |batch: Batch| {
            let old: Vec<RecordMoment> = batch.times.iter().map(|number| self.moments[*number as usize]).collect();
            // The operator has times, not numbers of moments; each row's sort key tells which one it was.
            let rows = BinaryArray::from_iter_values((0..batch.len() as u32).map(u32::to_be_bytes));
            let (sort_key, times) = (batch.sort_key.clone(), old.iter().map(|moment| moment.effective).collect());
            let moved = step(&Batch { times, sort_key: rows, ..batch }, &mut EvalStats::default()).batch;
            let row = |at: usize| u32::from_be_bytes(moved.sort_key.value(at).try_into().expect("four bytes"));
            let rows: Vec<u32> = (0..moved.len()).map(row).collect();
            let first = self.moments.len();
            self.moments.extend(rows.iter().enumerate().map(|(at, row)| RecordMoment {
                event_time: moved.event_times[at],
                effective: moved.times[at],
                ..old[*row as usize]
            }));
            let keys = take(&sort_key, &UInt32Array::from(rows), None).expect("rows are of the batch");
            let times = (first as EventTime..self.moments.len() as EventTime).collect();
            Batch { times, sort_key: keys.as_binary().clone(), ..moved }
        };
        input.into_iter().map(shifted).collect()
    }

    fn map(
        &mut self,
        input: Vec<Batch>,
        _name: &str,
        mut step: impl FnMut(Batch, &mut EvalStats) -> Batch + 'static,
    ) -> Vec<Batch> {
        input.into_iter().map(|batch| step(batch, &mut EvalStats::default())).collect()
    }

    fn look_up(
        &mut self,
        keyed: Vec<Batch>,
        _name: &str,
        table: usize,
        key: Vec<usize>,
        join: impl Fn(&Batch, &[ArrayRef], &UInt32Array) -> Batch + 'static,
    ) -> Vec<Batch> {
        let joined = |batch: Batch| {
            let effective =
                |number: &EventTime| self.moments[usize::try_from(*number).expect("times are numbers")].effective;
            let times: Vec<EventTime> = batch.times.iter().map(effective).collect();
            let RowsFound { columns, found } =
                self.tables[&table].look_up(&self.plan.tables[table], &key_columns(&batch, &key), &times);
            join(&batch, &columns, &found)
        };
        keyed.into_iter().map(joined).collect()
    }

    fn look_up_features(
        &mut self,
        _input: Vec<Batch>,
        _name: &str,
        _lookup: &FeatureLookup,
        _append_entity: impl FnMut(Batch, &mut EvalStats) -> Batch + 'static,
    ) -> Vec<Batch> {
        unreachable!("groups whose records look others up are refused")
    }

    fn concatenate(&mut self, inputs: Vec<Vec<Batch>>, _name: &str) -> Vec<Batch> {
        inputs.concat()
    }
}
