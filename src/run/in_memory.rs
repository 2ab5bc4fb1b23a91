//! A job over records in memory, up to an event time: the graph of a replay, with an online store in place of files.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::unbounded;

use super::config::Config;
use super::job::{self, Control};
use crate::checkpoint::CheckpointCoordinator;
use crate::flow::build::JobEvent;
use crate::flow::op::source::SourceEvent;
use crate::flow::op::{Assignments, SliceLength};
use crate::flow::{Job, Plan};
use crate::metrics::Metrics;
use crate::source::{
    AssignedPartition, DeadLetter, Format, Ingest, InputFrontier, Partitions, PlaybackClock, PlaybackSpeed, RecordText,
    RecordsPartition, SourcePlan,
};
use crate::store::Online;
use crate::time::EventTime;

/// The longest time between two looks at whether the job has ended.
const TICK: Duration = Duration::from_millis(10);

/// The results of a job over records in memory.
pub struct InMemoryResult {
    /// The newest vectors and rows, as of the time up to which the job ran.
    pub online: Arc<Online>,
    /// The records that were refused.
    pub letters: Vec<DeadLetter>,
}

/// Returns the partition of a topic that has these messages in JSON, with offsets from 0.
pub fn json_partition<'a>(reader: &SourcePlan, messages: impl Iterator<Item = &'a str>) -> RecordsPartition {
    let format = Format::named("json").expect("JSON is a format of messages");
    let record = |json: &str| RecordText { format, header: None, value: json.to_owned() };
    RecordsPartition::new(messages.map(record).collect(), reader.schema.clone(), Vec::new(), Vec::new())
}

/// Runs a plan over one partition for each topic, by position, up to `until`: what takes effect then or later does not
/// count.
///
/// # Errors
/// If the graph fails.
pub fn run(
    plan: &Arc<Plan>,
    inputs: Vec<RecordsPartition>,
    until: EventTime,
    workers: usize,
) -> anyhow::Result<InMemoryResult> {
    // Assemble the job.
    let partitions = Arc::new(Partitions::default());
    let assignments = Arc::new(Assignments::default());
    for ((topic, reader), input) in plan.readers().enumerate().zip(inputs) {
        let progress = partitions.register(reader, 0);
        assignments.add(topic, AssignedPartition::new(Box::new(input), Ingest::new(reader.clone(), 0), progress));
    }
    partitions.complete_discovery();
    let (events, received) = unbounded();
    let online = job::online_store(plan);
    let job = Arc::new(Job {
        plan: plan.clone(),
        frontier: InputFrontier::new(&partitions, Some(until), None),
        clock: PlaybackClock::new(&partitions, PlaybackSpeed::Unlimited),
        partitions,
        from: None,
        coordinator: CheckpointCoordinator::fresh(),
        assignments,
        online: Some(online.clone()),
        offline: None,
        events,
        max_in_flight: Config::default().in_flight(),
        nulls: Arc::default(),
        live: Arc::default(),
        dropped: Arc::default(),
        keep_unlabelled: false,
        slice: SliceLength::default(),
    });

    // Run it to its end.
    let control = Arc::new(Control::default());
    control.until_end.store(true, SeqCst);
    let graph = job::start(&job, workers, &Metrics::new(&plan.spec.name), &control);
    let (mut letters, mut failed) = (Vec::new(), None);
    let mut handle = |event: JobEvent| match event {
        JobEvent::Source(SourceEvent::DeadLetters(refused)) => letters.extend(refused),
        JobEvent::Source(SourceEvent::Failed(error)) => {
            failed.get_or_insert(error);
            control.stop();
        }
        JobEvent::Source(SourceEvent::Overtaken(_) | SourceEvent::Advice { .. })
        | JobEvent::Learning(..)
        | JobEvent::Attribution(..)
        | JobEvent::OfflineFailed(_) => {}
    };
    while !control.is_finished() {
        received.recv_timeout(TICK).into_iter().for_each(&mut handle);
    }
    graph.join().expect("the graph's thread catches panics")?;
    received.try_iter().for_each(&mut handle);
    match failed {
        Some(error) => Err(error).context("a record cannot be read"),
        None => Ok(InMemoryResult { online, letters }),
    }
}
