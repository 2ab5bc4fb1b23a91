//! Builds the graph of a plan on one worker: a straight line from sources to sinks.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use timely::dataflow::operators::Probe;
use timely::dataflow::{ProbeHandle, Scope};

use super::exchange::WorkerShare;
use super::op::group::{GroupOutputs, GroupStreams, Lookups};
use super::op::label::Attribution;
use super::op::sink::SharedFile;
use super::op::source::{SourceEvent, SourceShared};
use super::op::table::TableArrangement;
use super::op::{self, Assignments, Records};
use super::plan::{LabelPlan, Plan, ViewPlan, project};
use crate::checkpoint::{CheckpointCoordinator, CheckpointError, OperatorCheckpoint};
use crate::expr::EvalStats;
use crate::model::Version;
use crate::source::{IdlenessPolicy, InputFrontier, Partitions, PlaybackClock, Position, ReaderOptions};
use crate::spec::StreamRef;
use crate::store::Online;
use crate::store::offline::OfflineError;
use crate::time::{EventTime, PartitionId};

/// What happens in the graph that others must know.
pub enum JobEvent {
    /// A window of a model, by position, made a version.
    Version(usize, Box<Version>),
    /// Examples of a model whose label never came.
    Unlabelled(usize, u64),
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
    /// Where outputs begin, if not with the first record.
    pub from: Option<EventTime>,
    pub coordinator: Arc<CheckpointCoordinator>,
    pub assignments: Arc<Assignments>,
    /// Shown at once, if anyone asks.
    pub online: Option<Arc<Online>>,
    pub offline: Option<OfflineFiles>,
    pub events: Sender<JobEvent>,
    pub max_in_flight: u64,
}

impl Job {
    /// Where partitions stood, by source and partition, as of the state that the graph starts from.
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

    fn checkpoint(&self, operator: impl Into<String>) -> OperatorCheckpoint {
        OperatorCheckpoint::new(&self.coordinator, operator)
    }
}

/// As [`Job::positions`], before there is a job.
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

/// Builds the graph; the handle follows how far all of it has come.
///
/// # Errors
/// If saved state cannot be read.
pub fn build(scope: Scope<'_, EventTime>, job: &Arc<Job>) -> Result<ProbeHandle<EventTime>, CheckpointError> {
    let share = WorkerShare::of(scope);
    let probe = ProbeHandle::new();
    let plan = &job.plan;
    let (source_events, events) = (job.events.clone(), job.events.clone());
    let shared = SourceShared {
        partitions: job.partitions.clone(),
        frontier: job.frontier.clone(),
        clock: job.clock.clone(),
        assignments: job.assignments.clone(),
        share,
        processed: probe.clone(),
        options: Arc::new(job.reader_options()),
        report: Rc::new(move |event| _ = source_events.send(JobEvent::Source(event))),
    };

    let mut streams: HashMap<StreamRef, Records<'_>> = HashMap::new();
    for (index, source) in plan.spec.sources.iter().enumerate() {
        let name = &source.topic.name;
        let records = op::source::records(scope, name, index, shared.clone(), job.checkpoint(format!("source.{name}")));
        streams.insert(StreamRef::Source(index), records.probe_with(&probe));
    }
    let mut tables: Vec<TableArrangement<'_>> = Vec::new();
    for (index, table) in plan.tables.iter().enumerate() {
        let (place, checkpoint) = (plan.sources.len() + index, job.checkpoint(format!("source.{}", table.name)));
        let upserts = op::source::records(scope, &table.name, place, shared.clone(), checkpoint);
        if let Some(shelf) = job.online.as_ref().and_then(|online| online.table(&table.name)) {
            op::table::show_loaded(&job.coordinator, table, shelf, share)?;
            op::sink::rows(upserts.clone(), table, shelf.clone()).probe_with(&probe);
        }
        tables.push(op::table::table(upserts, table, job.checkpoint(format!("table.{}", table.name)))?);
    }
    for (index, view) in plan.views.iter().enumerate() {
        let records = view_records(streams[&view.from].clone(), view, &tables);
        streams.insert(StreamRef::View(index), records.probe_with(&probe));
    }

    // Examples pass the groups in order; each group answers all models that ask it.
    let mut examples: Vec<Records<'_>> = plan.models.iter().map(|model| streams[&model.examples].clone()).collect();
    for (index, group) in plan.groups.iter().enumerate() {
        let (projection, mut stats) = (group.projection.clone(), EvalStats::default());
        let name = format!("features.{}.values", group.name);
        let updates = op::project::project(streams[&group.from].clone(), &name, move |batch| {
            project(&batch, &projection, &mut stats)
        });
        let asking: Vec<(usize, _)> = plan
            .models
            .iter()
            .enumerate()
            .filter_map(|(model, plan)| Some((model, plan.lookups.iter().find(|lookup| lookup.group == index)?)))
            .collect();
        let lookups = asking.iter().map(|(model, lookup)| Lookups {
            stream: examples[*model].clone(),
            entity: lookup.entity.clone(),
            features: lookup.features.clone(),
        });
        let shelf = job.online.as_ref().and_then(|online| online.group(&group.name));
        let file = job.offline.as_ref().map(|files| files.features[index].clone());
        let outputs = GroupOutputs { offline: file.is_some(), online: shelf.cloned() };
        let checkpoint = job.checkpoint(format!("features.{}", group.name));
        let GroupStreams { closed, online, enriched } =
            op::group::group(scope, group, updates, lookups.collect(), outputs, checkpoint)?;
        for ((model, _), stream) in asking.into_iter().zip(enriched) {
            examples[model] = stream;
        }
        online.probe_with(&probe);
        match file {
            Some(file) => {
                let name = format!("features.{}.offline", group.name);
                let checkpoint = job.checkpoint(&name);
                op::sink::file(closed, &name, file, 0, checkpoint, report(&events))?.probe_with(&probe);
            }
            None => _ = closed.probe_with(&probe),
        }
    }

    for (index, (model, examples)) in plan.models.iter().zip(examples).enumerate() {
        let labelled = match &model.label {
            LabelPlan::Joined { from, projection, codec, example_on, within_ms, otherwise } => {
                let (projection, mut stats) = (projection.clone(), EvalStats::default());
                let name = format!("model.{}.labels", model.name);
                let labels = op::project::project(streams[from].clone(), &name, move |batch| {
                    project(&batch, &projection, &mut stats)
                });
                let attribution = Attribution {
                    codec: codec.clone(),
                    example_on: example_on.clone(),
                    within_ms: *within_ms,
                    form: model.labels,
                    otherwise: otherwise.clone(),
                };
                let events = events.clone();
                let checkpoint = job.checkpoint(format!("model.{}.label", model.name));
                op::label::attribute(examples, labels, &model.name, attribution, checkpoint, move |dropped| {
                    if dropped > 0 {
                        let _ = events.send(JobEvent::Unlabelled(index, dropped));
                    }
                })?
            }
            LabelPlan::Immediate { value } => {
                let name = format!("model.{}.label", model.name);
                op::label::immediate(examples, &name, value.clone(), model.labels)
            }
            LabelPlan::Unlabelled => {
                let name = format!("model.{}.label", model.name);
                op::label::unlabelled(examples, &name, model.labels)
            }
        };
        let versions = events.clone();
        let checkpoint = job.checkpoint(format!("model.{}.learn", model.name));
        let kept = op::learn::learn(labelled, model.clone(), checkpoint, job.offline.is_some(), move |version| {
            let _ = versions.send(JobEvent::Version(index, Box::new(version)));
        })?;
        match job.offline.as_ref().map(|files| files.examples[index].clone()) {
            Some(file) => {
                let name = format!("model.{}.offline", model.name);
                let delay = model.label.within_ms();
                let checkpoint = job.checkpoint(&name);
                op::sink::file(kept, &name, file, delay, checkpoint, report(&events))?.probe_with(&probe);
            }
            None => _ = kept.probe_with(&probe),
        }
    }
    Ok(probe)
}

fn report(events: &Sender<JobEvent>) -> impl FnMut(OfflineError) + 'static {
    let events = events.clone();
    move |error| _ = events.send(JobEvent::OfflineFailed(error))
}

/// A view's records: table rows looked up one table after another, then filter and projection.
fn view_records<'scope>(
    mut records: Records<'scope>,
    view: &ViewPlan,
    tables: &[TableArrangement<'scope>],
) -> Records<'scope> {
    for join in &view.joins {
        let (keys, mut stats) = (join.keys.clone(), EvalStats::default());
        let name = format!("view.{}.{}.key", view.name, join.table);
        let keyed = op::project::project(records, &name, move |batch| {
            let mut columns = batch.columns.clone();
            columns.extend(keys.iter().map(|key| key.eval(&batch.columns, batch.len(), &mut stats)));
            batch.with_columns(columns)
        });
        records = op::table::look_up(keyed, &tables[join.index], join.clone());
    }
    let (filter, items, mut stats) = (view.filter.clone(), view.items.clone(), EvalStats::default());
    op::project::project(records, &format!("view.{}", view.name), move |batch| {
        let kept = match &filter {
            Some(filter) => {
                let holds = filter.eval(&batch.columns, batch.len(), &mut stats);
                batch.filter(&holds)
            }
            None => batch,
        };
        project(&kept, &items, &mut stats)
    })
}
