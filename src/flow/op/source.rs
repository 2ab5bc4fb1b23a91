//! Source operator: the records of a topic as a stream.
//!
//! Each worker reads the partitions that are assigned to it, as far as back pressure ([`PartitionReader::may_read`]) and
//! the playback clock allow. The operator's capability follows the input frontier of *all* partitions of all topics, so
//! no operator of the graph is ever past a time at which a barrier can be injected. As of a barrier, the positions of
//! the partitions are saved; a restart resumes from them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use timely::container::NoopBuilder;
use timely::dataflow::operators::generic::source;
use timely::dataflow::{ProbeHandle, Scope};

use super::{Assignments, Records};
use crate::checkpoint::{OperatorCheckpoint, Overtaken, SavedPart};
use crate::flow::exchange::WorkerShare;
use crate::flow::nulls::count;
use crate::metrics::NullCounts;
use crate::source::{
    Advice, DeadLetter, InputFrontier, PartitionProgress, PartitionReader, Partitions, PlaybackClock, Position,
    ReadOutcome, ReaderOptions, SourceError,
};
use crate::time::EventTime;
use crate::value::Batch;

/// The pause when there is nothing to do.
const IDLE: Duration = Duration::from_millis(2);

/// A report of a source besides its records.
pub enum SourceEvent {
    DeadLetters(Vec<DeadLetter>),
    /// Records that arrived below the frontier, with the times at which they take effect.
    Overtaken(Vec<Overtaken>),
    /// Advice on the declaration of a source.
    Advice {
        source: String,
        advice: Advice,
    },
    Failed(SourceError),
}

/// State shared by the sources of a worker.
#[derive(Clone)]
pub struct SourceShared {
    pub partitions: Arc<Partitions>,
    pub frontier: Arc<InputFrontier>,
    pub clock: Arc<PlaybackClock>,
    pub assignments: Arc<Assignments>,
    pub share: WorkerShare,
    /// Follows how far this worker's part of the graph has processed the input.
    pub processed: ProbeHandle<EventTime>,
    pub options: Arc<ReaderOptions>,
    pub report: Rc<dyn Fn(SourceEvent)>,
    pub nulls: Arc<NullCounts>,
}

impl SourceShared {
    /// Reports what a read has come to, besides records.
    fn report(&self, partition: &PartitionProgress, outcome: ReadOutcome) {
        if !outcome.failed.is_clean() {
            count(&self.nulls.place(&format!("source.{}", partition.id.source)), outcome.failed);
        }
        if let Some(error) = outcome.error {
            (self.report)(SourceEvent::Failed(error));
        }
        for advice in outcome.advice {
            (self.report)(SourceEvent::Advice { source: partition.id.source.clone(), advice });
        }
        if !outcome.letters.is_empty() {
            (self.report)(SourceEvent::DeadLetters(outcome.letters));
        }
        if !outcome.overtaken.is_empty() {
            let overtaken = outcome.overtaken.into_iter().map(|record| Overtaken {
                source: partition.id.source.clone(),
                topic: partition.topic.clone(),
                partition: partition.id.partition,
                offset: record.offset,
                time: record.effective,
            });
            (self.report)(SourceEvent::Overtaken(overtaken.collect()));
        }
    }
}

/// Builds the stream of a topic's records. `topic` is its position in the plan: sources first, then tables.
pub fn records<'scope>(
    scope: Scope<'scope, EventTime>,
    name: &str,
    topic: usize,
    shared: SourceShared,
    mut checkpoint: OperatorCheckpoint,
) -> Records<'scope> {
    source::<_, NoopBuilder<Batch>, _, _>(scope, &format!("source.{name}"), move |capability, info| {
        let activator = scope.activator_for(info.address.clone());
        let mut readers: Vec<PartitionReader> = Vec::new();
        let mut seen = 0;
        let mut capability = capability;
        move |output| {
            // Take over partitions that have been discovered since.
            if shared.assignments.added() != seen {
                seen = shared.assignments.added();
                let assigned = shared.assignments.take(topic, shared.share);
                readers.extend(assigned.into_iter().map(|partition| PartitionReader::new(partition, &shared.options)));
            }

            // Read as far as back pressure allows, and emit as far as the clock allows.
            let closed = *capability.time();
            let slowest = shared.partitions.slowest_positions();
            let is_processed = !shared.processed.less_than(&closed);
            let mut progressed = false;
            for reader in &mut readers {
                if reader.may_read(slowest, is_processed) {
                    let outcome = reader.read(closed, &shared.clock);
                    progressed |= outcome.progressed;
                    shared.report(reader.progress(), outcome);
                }
                while let Some(mut batch) = reader.release(shared.clock.now()) {
                    progressed = true;
                    output.session_with_builder(&capability).give_container(&mut batch);
                }
                reader.report_progress();
            }

            // Advance the frontier; save the positions as of a barrier before anything beyond it is closed.
            let (frontier, barrier) = shared.frontier.advance(|| checkpoint.barrier());
            if let Some(time) = barrier.filter(|time| *time <= frontier) {
                let positions: Vec<Position> = readers.iter_mut().map(|reader| reader.position(time)).collect();
                checkpoint.save(time, SavedPart::encoded(&positions));
            }
            readers.iter_mut().for_each(|reader| reader.close(frontier));
            if frontier > closed {
                capability.downgrade(&frontier);
                progressed = true;
            }
            if progressed { activator.activate() } else { activator.activate_after(IDLE) }
        }
    })
}
