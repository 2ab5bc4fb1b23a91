//! Partitions on their way to the workers that read them, before the graph is built or while it runs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::source::Feed;

/// Partitions by topic, dealt to workers in turn.
#[derive(Default)]
pub struct Feeds {
    waiting: Mutex<Vec<(usize, usize, Feed)>>,
    added: AtomicUsize,
}

impl Feeds {
    /// Adds a partition of a topic of the plan: sources first, then tables.
    pub fn add(&self, topic: usize, feed: Feed) {
        let mut waiting = self.waiting.lock().expect("no holder panics");
        let place = self.added.fetch_add(1, SeqCst);
        waiting.push((place, topic, feed));
    }

    /// How many have ever been added: a worker looks for its own once this changes.
    pub fn added(&self) -> usize {
        self.added.load(SeqCst)
    }

    /// A worker's partitions of a topic that it has not taken yet.
    pub fn take(&self, topic: usize, (index, peers): (usize, usize)) -> Vec<Feed> {
        let mut waiting = self.waiting.lock().expect("no holder panics");
        let mine = waiting.extract_if(.., |(place, of, _)| *of == topic && *place % peers == index);
        mine.map(|(_, _, feed)| feed).collect()
    }
}
