//! Rendering of a plan into the graph of one worker, stage by stage: sources, tables, views, feature groups, models.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, UInt32Array};
use crossbeam_channel::Sender;
use timely::dataflow::operators::Probe;
use timely::dataflow::{ProbeHandle, Scope};

use super::exchange::WorkerShare;
use super::nulls::counted;
use super::op::group::{GroupOutputs, Lookups};
use super::op::label::{Attribution, AttributionReport};
use super::op::learn::{KeptExamples, LearningReport};
use super::op::sink::SharedFile;
use super::op::source::{SourceEvent, SourceShared};
use super::op::table::TableArrangement;
use super::op::{self, Assignments, Records};
use super::plan::{LabelPlan, Plan};
use crate::checkpoint::{CheckpointCoordinator, CheckpointError, OperatorCheckpoint};
use crate::expr::{EvalStats, Expr};
use crate::metrics::{DroppedCounts, NullCounts};
use crate::relation::{RelationOp, ShiftedBatch, StreamId, TrainingGraph, project};
use crate::source::{
    IdlenessPolicy, InputFrontier, Partitions, PlaybackClock, Position, ReaderOptions, SourcePlan, Volume,
};
use crate::store::Online;
use crate::store::offline::OfflineError;
use crate::time::{EventTime, PartitionId};
use crate::value::Batch;

/// An event of the running graph.
pub enum JobEvent {
    /// A report of what a model, by position, learns.
    Learning(usize, LearningReport),
    /// A report on the examples of a model, by position, that wait for labels.
    Attribution(usize, AttributionReport),
    Source(SourceEvent),
    OfflineFailed(OfflineError),
}

/// The offline files of a job, by position of group and model.
#[derive(Clone, Default)]
pub struct OfflineFiles {
    pub features: Vec<SharedFile>,
    pub examples: Vec<SharedFile>,
}

/// All that the workers of a job share.
pub struct Job {
    pub plan: Arc<Plan>,
    pub partitions: Arc<Partitions>,
    pub frontier: Arc<InputFrontier>,
    pub clock: Arc<PlaybackClock>,
    /// The time at which outputs begin; `None` for the first record.
    pub from: Option<EventTime>,
    pub coordinator: Arc<CheckpointCoordinator>,
    pub assignments: Arc<Assignments>,
    /// The store of the newest vectors and rows; `None` in a replay.
    pub online: Option<Arc<Online>>,
    pub offline: Option<OfflineFiles>,
    /// True if examples without a label are written too.
    pub keep_unlabelled: bool,
    pub events: Sender<JobEvent>,
    pub max_in_flight: Volume,
    /// Values that could not be computed, by operator.
    pub nulls: Arc<NullCounts>,
    /// Entities that were dropped at the bounds of their groups.
    pub dropped: Arc<DroppedCounts>,
}

impl Job {
    /// Returns the positions of partitions as of the state that the graph starts from.
    ///
    /// # Errors
    /// If saved state cannot be read.
    pub fn positions(&self) -> Result<HashMap<PartitionId, Position>, CheckpointError> {
        positions(&self.plan, &self.coordinator)
    }

    /// Returns the settings of the readers of this job's partitions.
    fn reader_options(&self) -> ReaderOptions {
        let idle_after = |policy: IdlenessPolicy| Duration::from_millis(u64::try_from(policy.after_ms).unwrap_or(0));
        ReaderOptions {
            max_in_flight: self.max_in_flight,
            resume: self.coordinator.restored_time().unwrap_or(EventTime::MIN),
            until: self.frontier.until().unwrap_or(EventTime::MAX),
            idle_after: self.frontier.idleness().map(idle_after),
            windows: self.plan.models.iter().map(|model| model.training_window()).collect(),
        }
    }

    /// Returns the examples that are written.
    fn kept_examples(&self) -> KeptExamples {
        match (&self.offline, self.keep_unlabelled) {
            (None, _) => KeptExamples::Nothing,
            (Some(_), false) => KeptExamples::Labelled,
            (Some(_), true) => KeptExamples::All,
        }
    }

    fn checkpoint(&self, operator: impl Into<String>) -> OperatorCheckpoint {
        OperatorCheckpoint::new(&self.coordinator, operator)
    }
}

/// Returns the positions of partitions as of a restored checkpoint.
///
/// # Errors
/// If saved state cannot be read.
pub fn positions(
    plan: &Plan,
    coordinator: &CheckpointCoordinator,
) -> Result<HashMap<PartitionId, Position>, CheckpointError> {
    let mut found = HashMap::new();
    for reader in plan.readers() {
        for position in coordinator.load::<Vec<Position>>(&format!("source.{}", reader.source))?.into_iter().flatten() {
            found.insert(PartitionId { source: reader.source.clone(), partition: position.partition }, position);
        }
    }
    Ok(found)
}

/// Builds the graph; the returned probe follows the time up to which all of it has processed its input.
///
/// # Errors
/// If saved state cannot be read.
pub fn build(scope: Scope<'_, EventTime>, job: &Arc<Job>) -> Result<ProbeHandle<EventTime>, CheckpointError> {
    let (probe, events) = (ProbeHandle::new(), job.events.clone());
    let shared = SourceShared {
        partitions: job.partitions.clone(),
        frontier: job.frontier.clone(),
        clock: job.clock.clone(),
        assignments: job.assignments.clone(),
        share: WorkerShare::of(scope),
        processed: probe.clone(),
        options: Arc::new(job.reader_options()),
        nulls: job.nulls.clone(),
        report: Rc::new(move |event| _ = events.send(JobEvent::Source(event))),
    };
    let renderer = Renderer { scope, job, shared, probe };
    let sources = renderer.sources();
    let tables = renderer.tables()?;
    let streams = renderer.views(sources, &tables)?;
    let examples = renderer.groups(&streams)?;
    renderer.models(&streams, examples)?;
    Ok(renderer.probe)
}

/// The streams of all relations, by [`StreamId`].
type Streams<'scope> = HashMap<StreamId, Records<'scope>>;

/// Renders the stages of a plan.
struct Renderer<'a, 'scope> {
    scope: Scope<'scope, EventTime>,
    job: &'a Arc<Job>,
    shared: SourceShared,
    /// Attached to every stream that ends in the graph.
    probe: ProbeHandle<EventTime>,
}

impl<'scope> Renderer<'_, 'scope> {
    /// The records of all sources, by position.
    fn sources(&self) -> Vec<Records<'scope>> {
        let records = |(index, source): (usize, &Arc<SourcePlan>)| {
            let operator = format!("source.{}", source.source);
            let checkpoint = self.job.checkpoint(operator);
            op::source::records(self.scope, &source.source, index, self.shared.clone(), checkpoint)
                .probe_with(&self.probe)
        };
        self.job.plan.sources.iter().enumerate().map(records).collect()
    }

    /// The arrangements of all tables, by position. Their newest rows go to the online store.
    fn tables(&self) -> Result<Vec<TableArrangement<'scope>>, CheckpointError> {
        let (job, plan) = (self.job, &self.job.plan);
        let mut tables = Vec::with_capacity(plan.tables.len());
        for (index, table) in plan.tables.iter().enumerate() {
            let position = plan.sources.len() + index;
            let checkpoint = job.checkpoint(format!("source.{}", table.name));
            let upserts = op::source::records(self.scope, &table.name, position, self.shared.clone(), checkpoint);
            if let Some(online_table) = job.online.as_ref().and_then(|online| online.table(&table.name)) {
                op::table::show_loaded(&job.coordinator, table, online_table, self.shared.share)?;
                let deletes = op::newest_rows::saved_deletes(&job.coordinator, table, self.shared.share)?;
                op::sink::rows(upserts.clone(), table, online_table.clone(), deletes).probe_with(&self.probe);
            }
            tables.push(op::table::table(upserts, table, job.checkpoint(format!("table.{}", table.name)))?);
        }
        Ok(tables)
    }

    /// The streams of all relations: sources, views and the steps inside views.
    fn views(
        &self,
        sources: Vec<Records<'scope>>,
        tables: &[TableArrangement<'scope>],
    ) -> Result<Streams<'scope>, CheckpointError> {
        let relations = &self.job.plan.spec.relations;
        let mut graph = DataflowGraph { scope: self.scope, job: self.job, error: None, sources, tables };
        let mut streams = Streams::new();
        for (stream, node) in relations.iter() {
            let inputs = node.relation.inputs().into_iter().map(|input| streams[&input].clone()).collect();
            let records = node.relation.render(&node.operator, inputs, &mut graph);
            let records = op::tap::tapped(records, self.job.online.as_deref(), node.name.as_deref());
            let records = if node.is_view() { records.probe_with(&self.probe) } else { records };
            streams.insert(stream, records);
        }
        graph.error.map_or(Ok(streams), Err)
    }

    /// The examples of all models, by position, with the features that they look up. They pass the groups in order;
    /// each group answers all models that ask it.
    fn groups(&self, streams: &Streams<'scope>) -> Result<Vec<Records<'scope>>, CheckpointError> {
        let (job, plan) = (self.job, &self.job.plan);
        let mut examples: Vec<Records<'_>> = plan.models.iter().map(|model| streams[&model.examples].clone()).collect();
        for (index, group) in plan.groups.iter().enumerate() {
            let updates =
                self.projected(streams, group.from, format!("features.{}.values", group.name), &group.projection);
            let lookups = group.askers.iter().map(|asker| Lookups {
                stream: examples[asker.model].clone(),
                entity: asker.lookup.entity.clone(),
                features: asker.lookup.features.clone(),
                own: asker.lookup.own.clone(),
            });
            let online = job.online.as_ref().and_then(|online| online.group(&group.name)).cloned();
            let file = job.offline.as_ref().map(|files| files.features[index].clone());
            let nulls = job.nulls.place(&format!("features.{}", group.name));
            let (dropped, partitions) = (job.dropped.group(&group.name), job.partitions.clone());
            let outputs = GroupOutputs { offline: file.is_some(), online, nulls, dropped, partitions };
            let checkpoint = job.checkpoint(format!("features.{}", group.name));
            let streams = op::group::group(self.scope, group, updates, lookups.collect(), outputs, checkpoint)?;
            for (asker, stream) in group.askers.iter().zip(streams.enriched) {
                examples[asker.model] = stream;
            }
            streams.online.probe_with(&self.probe);
            self.store(streams.closed, format!("features.{}.offline", group.name), file, 0)?;
        }
        Ok(examples)
    }

    /// Labels, learns and stores the examples of all models.
    fn models(&self, streams: &Streams<'scope>, examples: Vec<Records<'scope>>) -> Result<(), CheckpointError> {
        let (job, plan) = (self.job, &self.job.plan);
        for (index, (model, examples)) in plan.models.iter().zip(examples).enumerate() {
            let labelled = self.labelled(streams, index, examples)?;
            let events = job.events.clone();
            let checkpoint = job.checkpoint(format!("model.{}.learn", model.name));
            let (wanted, nulls) = (job.kept_examples(), job.nulls.place(&format!("model.{}.learn", model.name)));
            let kept = op::learn::learn(labelled, model.clone(), checkpoint, wanted, nulls, move |report| {
                let _ = events.send(JobEvent::Learning(index, report));
            })?;
            let file = job.offline.as_ref().map(|files| files.examples[index].clone());
            self.store(kept, format!("model.{}.offline", model.name), file, model.label.within_ms())?;
        }
        Ok(())
    }

    /// The examples of a model with their labels.
    fn labelled(
        &self,
        streams: &Streams<'scope>,
        index: usize,
        examples: Records<'scope>,
    ) -> Result<Records<'scope>, CheckpointError> {
        let (job, model) = (self.job, &self.job.plan.models[index]);
        match &model.label {
            LabelPlan::Joined {
                from,
                projection,
                codec,
                example_on,
                order,
                after_ms,
                within_ms,
                learn,
                op,
                pairs,
                otherwise,
            } => {
                // The records that may be labels, then the rule by which they belong to examples.
                let labels = self.projected(streams, *from, format!("model.{}.labels", model.name), projection);
                let attribution = Attribution {
                    codec: codec.clone(),
                    types: model.column_types(),
                    example_on: example_on.clone(),
                    order: order.clone(),
                    after_ms: *after_ms,
                    within_ms: *within_ms,
                    learn: *learn,
                    op: *op,
                    pairs: pairs.clone(),
                    form: model.labels,
                    otherwise: otherwise.clone(),
                    keep_unlabelled: job.kept_examples() == KeptExamples::All,
                };
                let events = job.events.clone();
                let checkpoint = job.checkpoint(format!("model.{}.label", model.name));
                let nulls = job.nulls.place(&format!("model.{}.label", model.name));
                op::label::attribute(examples, labels, &model.name, attribution, nulls, checkpoint, move |report| {
                    let _ = events.send(JobEvent::Attribution(index, report));
                })
            }
            LabelPlan::Immediate { value } => {
                let name = format!("model.{}.label", model.name);
                let nulls = job.nulls.place(&name);
                Ok(op::label::immediate(examples, &name, value.clone(), model.labels, nulls))
            }
            LabelPlan::Unlabelled => {
                let name = format!("model.{}.label", model.name);
                Ok(op::label::unlabelled(examples, &name, model.labels))
            }
        }
    }

    /// The records of a stream with the values of expressions as columns.
    fn projected(&self, streams: &Streams<'scope>, stream: StreamId, name: String, exprs: &[Expr]) -> Records<'scope> {
        let exprs = exprs.to_vec();
        let step = counted(self.job.nulls.place(&name), move |batch, failed| project(&batch, &exprs, failed));
        op::map::map(streams[&stream].clone(), &name, step)
    }

    /// Writes records to an offline file, if there is one.
    fn store(
        &self,
        records: Records<'scope>,
        name: String,
        file: Option<SharedFile>,
        delay_ms: i64,
    ) -> Result<(), CheckpointError> {
        let Some(file) = file else {
            records.probe_with(&self.probe);
            return Ok(());
        };
        let (checkpoint, events) = (self.job.checkpoint(&name), self.job.events.clone());
        let failed = move |error| _ = events.send(JobEvent::OfflineFailed(error));
        op::sink::file(records, &name, file, delay_ms, checkpoint, failed)?.probe_with(&self.probe);
        Ok(())
    }
}

/// The graph into which relations are rendered.
struct DataflowGraph<'a, 'scope> {
    scope: Scope<'scope, EventTime>,
    job: &'a Arc<Job>,
    /// Why saved state cannot be read, if it cannot.
    error: Option<CheckpointError>,
    sources: Vec<Records<'scope>>,
    tables: &'a [TableArrangement<'scope>],
}

impl<'scope> TrainingGraph for DataflowGraph<'_, 'scope> {
    type Stream = Records<'scope>;

    fn source(&mut self, source: usize) -> Self::Stream {
        self.sources[source].clone()
    }

    fn map(
        &mut self,
        input: Self::Stream,
        name: &str,
        step: impl FnMut(Batch, &mut EvalStats) -> Batch + 'static,
    ) -> Self::Stream {
        op::map::map(input, name, counted(self.job.nulls.place(name), step))
    }

    fn look_up(
        &mut self,
        keyed: Self::Stream,
        name: &str,
        table: usize,
        key: Vec<usize>,
        join: impl Fn(&Batch, &[ArrayRef], &UInt32Array) -> Batch + 'static,
    ) -> Self::Stream {
        op::table::look_up(keyed, name, &self.tables[table], &self.job.plan.tables[table], key, join)
    }

    /// Keeps the first error; the graph is then not run.
    fn shift(
        &mut self,
        input: Self::Stream,
        of: StreamId,
        name: &str,
        step: impl Fn(&Batch, &mut EvalStats) -> ShiftedBatch + 'static,
    ) -> Self::Stream {
        let (checkpoint, nulls) = (self.job.checkpoint(name), self.job.nulls.place(name));
        let relations = &self.job.plan.spec.relations;
        let (schema, sources) = (relations.schema(of), relations.sources(of).len());
        let shifted = op::shift::shift(input.clone(), name, step, schema, sources, nulls, checkpoint);
        shifted.map_err(|error| _ = self.error.get_or_insert(error)).unwrap_or(input)
    }

    fn concatenate(&mut self, inputs: Vec<Self::Stream>, name: &str) -> Self::Stream {
        op::union::concatenate(self.scope, inputs, name)
    }
}
