//! Resume points: where the partitions of a plan are read on after a restart, or from where a replay reads them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::checkpoint::{CheckpointCoordinator, CheckpointError, Overtaken, TOPIC_IDS};
use crate::flow::Plan;
use crate::flow::build::positions;
use crate::source::{AssignedPartition, Ingest, Partition, Partitions, Position, SourcePlan};
use crate::time::{EventTime, Offset, PartitionId};

/// Bounds on the records of a partition.
#[derive(Clone, Copy, Debug)]
pub struct RecordBounds {
    /// The most that an event time may be ahead of its message's time, in ms.
    pub max_ahead_ms: i64,
    /// The most that an event time may be ahead of the records around it, in ms; `None` if it is not compared with them.
    pub outliers_ms: Option<i64>,
    /// The largest record.
    pub max_record_bytes: usize,
}

impl RecordBounds {
    /// Applies the bounds to the records of a partition.
    pub fn apply(&self, ingest: &mut Ingest) {
        ingest.limit_ahead(self.max_ahead_ms);
        ingest.limit_records(self.max_record_bytes);
        if let Some(outliers_ms) = self.outliers_ms {
            ingest.refuse_outliers(outliers_ms);
        }
    }
}

/// The state of partitions at the end of earlier runs.
pub struct ResumePoints {
    positions: HashMap<PartitionId, Position>,
    /// Effective times of records that were overtaken.
    overtaken: HashMap<PartitionId, BTreeMap<Offset, EventTime>>,
    /// The ids of Kafka's topics, by name.
    topic_ids: BTreeMap<String, String>,
    since: Option<EventTime>,
}

impl ResumePoints {
    /// Loads the positions and topic ids of the state that a job starts from. The records of `journal` take effect when
    /// they did before. Sources are read from `since` on, if given; tables always from their beginning.
    ///
    /// # Errors
    /// If saved state cannot be read.
    pub fn load(
        plan: &Plan,
        coordinator: &CheckpointCoordinator,
        journal: Vec<Overtaken>,
        since: Option<EventTime>,
    ) -> Result<Self, CheckpointError> {
        let mut overtaken: HashMap<_, BTreeMap<Offset, EventTime>> = HashMap::new();
        for Overtaken { source, partition, offset, time, .. } in journal {
            overtaken.entry(PartitionId { source, partition }).or_default().insert(offset, time);
        }
        let topic_ids = coordinator.load(TOPIC_IDS)?.into_iter().next().unwrap_or_default();
        Ok(ResumePoints { positions: positions(plan, coordinator)?, overtaken, topic_ids, since })
    }

    /// Returns the ids that Kafka's topics had. A topic that has another id now is not the one that was read.
    pub fn topic_ids(&self) -> &BTreeMap<String, String> {
        &self.topic_ids
    }

    /// Returns the position of a partition; `None` if it was never read.
    pub fn position(&self, id: &PartitionId) -> Option<&Position> {
        self.positions.get(id)
    }

    /// Returns the time from which a topic is needed; `None` if all of it is. All of a table is: a row holds until the
    /// next.
    pub fn since(&self, plan: &SourcePlan) -> Option<EventTime> {
        self.since.filter(|_| !plan.is_table)
    }

    /// Returns the first overtaken record of a partition that took effect at `since` or later.
    pub fn first_overtaken(&self, id: &PartitionId, since: EventTime) -> Option<Offset> {
        let overtaken = self.overtaken.get(id)?;
        overtaken.iter().find(|(_, time)| **time >= since).map(|(offset, _)| *offset)
    }

    /// Returns a partition of a source that was read before but does not exist among `count` partitions.
    pub fn missing_partition(&self, source: &str, count: u32) -> Option<u32> {
        let missing = |id: &&PartitionId| id.source == source && id.partition >= count;
        self.positions.keys().find(missing).map(|id| id.partition)
    }

    /// Registers a partition and makes it ready to be read from its resume point.
    pub fn assign(
        &mut self,
        transport: Box<dyn Partition>,
        plan: &Arc<SourcePlan>,
        partition: u32,
        bounds: RecordBounds,
        partitions: &Partitions,
    ) -> AssignedPartition {
        let id = PartitionId { source: plan.source.clone(), partition };
        let mut ingest = Ingest::new(plan.clone(), partition);
        ingest.begin_at(self.since(plan).unwrap_or(EventTime::MIN));
        bounds.apply(&mut ingest);
        let assigned = AssignedPartition::new(transport, ingest, partitions.register(plan, partition));
        let mut overtaken = self.overtaken.remove(&id).unwrap_or_default();
        match self.positions.remove(&id) {
            // Records below the resume offset are not read again.
            Some(position) => assigned.overriding(overtaken.split_off(&position.resume)).resuming(position),
            None => assigned.overriding(overtaken),
        }
    }
}

/// Returns whether the checkpoint's run had read a record: the state contains it, at the time at which it took effect.
pub fn is_read(read: &HashMap<PartitionId, Position>, record: &Overtaken) -> bool {
    let position = read.get(&PartitionId { source: record.source.clone(), partition: record.partition });
    position.is_some_and(|position| record.offset < position.next)
}
