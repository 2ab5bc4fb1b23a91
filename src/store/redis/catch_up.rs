//! The wait of a writer that starts, until its job has caught up with what is in Redis.

use super::JobProgress;
use super::connection::ReadPositions;
use crate::time::{EventTime, PartitionId};

/// The condition that keeps a writer from writing until its job has caught up with what is in Redis: every record that
/// had been read is served again, or everything up to the newest time that was written is closed and processed.
#[derive(Debug)]
pub struct CatchUp {
    positions: ReadPositions,
    newest: EventTime,
}

impl CatchUp {
    /// Returns the condition for the recorded progress; without positions it is met at once.
    pub fn new(positions: ReadPositions, newest: EventTime) -> Self {
        CatchUp { positions, newest }
    }

    /// Returns whether writing may begin, at this progress and with everything before `processed` in the store.
    pub fn is_met(&self, progress: &JobProgress, processed: EventTime) -> bool {
        self.positions.is_empty() || processed > self.newest || progress.complete && self.lagging(progress).is_none()
    }

    /// Returns a partition that has not caught up yet, with the offset that it must reach. Partitions that the job no
    /// longer reads do not count.
    pub fn lagging(&self, progress: &JobProgress) -> Option<(&PartitionId, u64)> {
        let behind = |(partition, next): &(&PartitionId, &u64)| {
            progress.partitions.get(*partition).is_some_and(|offsets| offsets.served < **next)
        };
        self.positions.iter().find(behind).map(|(partition, next)| (partition, *next))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::PartitionOffsets;
    use super::*;

    fn id(source: &str) -> PartitionId {
        PartitionId { source: source.to_owned(), partition: 0 }
    }

    fn progress(served: u64) -> JobProgress {
        let partitions = [(id("t"), PartitionOffsets { next: 99, served })].into();
        JobProgress { complete: true, partitions, newest: 0 }
    }

    fn catch_up(topic: &str) -> CatchUp {
        CatchUp::new([(id(topic), 10)].into(), 200)
    }

    #[test]
    fn writing_begins_once_everything_written_before_is_closed() {
        assert!(!catch_up("t").is_met(&progress(9), 200));
        assert!(catch_up("t").is_met(&progress(9), 201));
        assert!(CatchUp::new(BTreeMap::new(), EventTime::MIN).is_met(&JobProgress::default(), EventTime::MIN));
    }

    #[test]
    fn writing_begins_once_everything_read_before_is_served_again() {
        assert!(!catch_up("t").is_met(&progress(9), 100));
        assert!(catch_up("t").is_met(&progress(10), 100));
        assert_eq!(catch_up("t").lagging(&progress(3)), Some((&id("t"), 10)));
    }

    #[test]
    fn a_partition_that_is_no_longer_read_counts_until_all_are_found() {
        let found = progress(3);
        assert!(!catch_up("other").is_met(&JobProgress { complete: false, ..found.clone() }, 100));
        assert!(catch_up("other").is_met(&found, 100));
    }
}
