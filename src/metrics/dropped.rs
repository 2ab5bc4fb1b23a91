//! Counts of the entities that groups have dropped at their bounds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// The counts of all groups. A counter is shared by all workers.
#[derive(Debug, Default)]
pub struct DroppedCounts(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl DroppedCounts {
    /// Returns the counter of a group, the same one at every call.
    pub fn group(&self, name: &str) -> Arc<AtomicU64> {
        self.0.lock().expect("no holder panics").entry(name.to_owned()).or_default().clone()
    }

    /// Returns how many entities a group has dropped.
    pub fn of(&self, name: &str) -> u64 {
        self.0.lock().expect("no holder panics").get(name).map_or(0, |count| count.load(Relaxed))
    }
}
