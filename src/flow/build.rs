//! Rendering of a plan into the graph of one worker, stage by stage: sources and tables, views and feature groups in the
//! order of the plan's steps, models.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use timely::dataflow::operators::Probe;
use timely::dataflow::{ProbeHandle, Scope};

use super::dataflow_graph::DataflowGraph;
use super::exchange::WorkerShare;
use super::nulls::counted;
use super::op::group::{GroupOutputs, Lookups};
use super::op::label::{Attribution, AttributionReport};
use super::op::learn::{KeptExamples, LearningReport};
use super::op::sink::SharedFile;
use super::op::source::{SourceEvent, SourceShared};
use super::op::table::TableArrangement;
use super::op::{self, Assignments, Records, SliceLength};
use super::plan::{Asker, LabelPlan, Plan, PlanStep};
use crate::checkpoint::{CheckpointCoordinator, CheckpointError, OperatorCheckpoint};
use crate::expr::Expr;
use crate::metrics::{DroppedCounts, NullCounts};
use crate::registry::LiveModels;
use crate::relation::{RelationOp, StreamId, project};
use crate::source::{
    IdlenessPolicy, InputFrontier, Partitions, PlaybackClock, Position, ReaderOptions, SourcePlan, Volume,
};
use crate::store::Online;
use crate::store::offline::OfflineError;
use crate::time::{EventTime, PartitionId};

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
    /// The versions in service, and the splits whose arms are scored.
    pub live: Arc<LiveModels>,
    /// Entities that were dropped at the bounds of their groups.
    pub dropped: Arc<DroppedCounts>,
    /// The length of the slices in which feature groups work; no result depends on it.
    pub slice: SliceLength,
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
    let rendered = renderer.steps(sources, &tables)?;
    renderer.models(&rendered)?;
    Ok(renderer.probe)
}

/// The streams of all relations, by [`StreamId`].
type Streams<'scope> = HashMap<StreamId, Records<'scope>>;

/// The streams that have been rendered so far.
struct Rendered<'scope> {
    streams: Streams<'scope>,
    /// By model, its examples with the features of the groups that they have passed; `None` if they have passed none.
    examples: Vec<Option<Records<'scope>>>,
}

impl<'scope> Rendered<'scope> {
    /// Returns the examples of a model, by position, as far as they have come.
    fn examples_of(&self, plan: &Plan, model: usize) -> Records<'scope> {
        let passed = self.examples[model].as_ref();
        passed.unwrap_or_else(|| &self.streams[&plan.models[model].examples]).clone()
    }
}

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

    /// The streams of all relations, and the examples of all models with the features that they look up: they pass the
    /// groups in order, and each group answers all models and views that ask it.
    fn steps(
        &self,
        sources: Vec<Records<'scope>>,
        tables: &[TableArrangement<'scope>],
    ) -> Result<Rendered<'scope>, CheckpointError> {
        let (job, plan) = (self.job, &self.job.plan);
        let mut graph = DataflowGraph {
            scope: self.scope,
            plan,
            coordinator: &job.coordinator,
            nulls: &job.nulls,
            error: None,
            sources,
            tables,
            answers: HashMap::new(),
        };
        let mut rendered = Rendered { streams: Streams::new(), examples: vec![None; plan.models.len()] };
        for step in &plan.steps {
            match step {
                PlanStep::Stream { stream, probed } => {
                    let node = plan.spec.relations.node(*stream);
                    let inputs = node.relation.inputs().into_iter().map(|input| rendered.streams[&input].clone());
                    let records = node.relation.render(&node.operator, inputs.collect(), &mut graph);
                    let records = op::tap::tapped(records, job.online.as_deref(), node.name.as_deref());
                    let records = if *probed { records.probe_with(&self.probe) } else { records };
                    rendered.streams.insert(*stream, records);
                }
                PlanStep::Group(group) => self.group(*group, &mut graph, &mut rendered)?,
            }
        }
        graph.error.map_or(Ok(rendered), Err)
    }

    /// Adds a feature group, with all that it is asked.
    fn group(
        &self,
        index: usize,
        graph: &mut DataflowGraph<'_, 'scope>,
        rendered: &mut Rendered<'scope>,
    ) -> Result<(), CheckpointError> {
        let (job, plan) = (self.job, &self.job.plan);
        let group = &plan.groups[index];
        let values = format!("features.{}.values", group.name);
        let updates = self.projected(&rendered.streams, group.from, values, &group.projection);
        // The streams that ask.
        let asking = |asker: &Asker| match asker {
            Asker::Model { model, .. } => rendered.examples_of(plan, *model),
            Asker::View { operator, join } => graph.asking(rendered.streams[&join.input].clone(), operator, join),
        };
        let asking: Vec<Records<'_>> = group.askers.iter().map(asking).collect();
        let lookups = group.askers.iter().map(Asker::lookup).zip(asking).map(|(lookup, stream)| Lookups {
            stream,
            entity: lookup.entity.clone(),
            features: lookup.features.clone(),
            own: lookup.own.clone(),
        });
        // The operator, and where its outputs go.
        let online = job.online.as_ref().and_then(|online| online.group(&group.name)).cloned();
        let file = job.offline.as_ref().map(|files| files.features[index].clone());
        let nulls = job.nulls.place(&format!("features.{}", group.name));
        let (dropped, partitions) = (job.dropped.group(&group.name), job.partitions.clone());
        let slice = job.slice;
        let outputs = GroupOutputs { offline: file.is_some(), online, nulls, dropped, partitions, slice };
        let checkpoint = job.checkpoint(format!("features.{}", group.name));
        let streams = op::group::group(self.scope, group, updates, lookups.collect(), outputs, checkpoint)?;
        for (asker, stream) in group.askers.iter().zip(streams.enriched) {
            match asker {
                Asker::Model { model, .. } => rendered.examples[*model] = Some(stream),
                Asker::View { operator, .. } => _ = graph.answers.insert(operator.clone(), stream),
            }
        }
        streams.online.probe_with(&self.probe);
        self.store(streams.closed, format!("features.{}.offline", group.name), file, 0)
    }

    /// Labels, learns and stores the examples of all models.
    fn models(&self, rendered: &Rendered<'scope>) -> Result<(), CheckpointError> {
        let (job, plan) = (self.job, &self.job.plan);
        for (index, model) in plan.models.iter().enumerate() {
            let labelled = self.labelled(&rendered.streams, index, rendered.examples_of(plan, index))?;
            let (events, live) = (job.events.clone(), job.live.clone());
            let checkpoint = job.checkpoint(format!("model.{}.learn", model.name));
            let (wanted, nulls) = (job.kept_examples(), job.nulls.place(&format!("model.{}.learn", model.name)));
            let kept = op::learn::learn(labelled, model.clone(), checkpoint, wanted, nulls, live, move |report| {
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
                // The operator, which reports each attribution and saves the examples that wait.
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
