//! Assignment of partitions to the workers that read them, before the graph is built or while it runs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::flow::exchange::WorkerShare;
use crate::source::AssignedPartition;

/// The partitions that no worker has taken yet.
#[derive(Default)]
pub struct Assignments {
    waiting: Mutex<Vec<Assignment>>,
    added: AtomicUsize,
}

struct Assignment {
    /// Its number in the order of discovery, by which partitions are dealt to workers in turn.
    number: u64,
    /// The topic's position in the plan: sources first, then tables.
    topic: usize,
    partition: AssignedPartition,
}

impl Assignments {
    /// Adds a partition of the topic at a position of the plan: sources first, then tables.
    pub fn add(&self, topic: usize, partition: AssignedPartition) {
        let mut waiting = self.waiting.lock().expect("no holder panics");
        let number = self.added.fetch_add(1, SeqCst) as u64;
        waiting.push(Assignment { number, topic, partition });
    }

    /// Returns how many partitions have ever been added. When it changes, each worker looks for its own.
    pub fn added(&self) -> usize {
        self.added.load(SeqCst)
    }

    /// Removes and returns a worker's partitions of a topic.
    pub fn take(&self, topic: usize, share: WorkerShare) -> Vec<AssignedPartition> {
        let mut waiting = self.waiting.lock().expect("no holder panics");
        let mine = waiting.extract_if(.., |of| of.topic == topic && share.owns(of.number));
        mine.map(|assignment| assignment.partition).collect()
    }
}
