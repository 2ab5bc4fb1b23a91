//! Counts of a model's predictions, by version, as the statistics of the protocols want them.
//!
//! A request adds to the counters of its version without a lock. They are created by the first request for the version; where
//! there are more versions than a bound allows, the counters of the lowest are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

/// Versions whose counts are kept.
const MOST_VERSIONS: usize = 64;

/// The counts of one model's versions since the start.
#[derive(Debug, Default)]
pub struct PredictionStats(ArcSwap<Vec<Arc<VersionStats>>>);

impl PredictionStats {
    /// The counters of a version.
    pub fn of(&self, version: u64) -> Arc<VersionStats> {
        if let Some(found) = self.find(version) {
            return found;
        }
        let made = Arc::new(VersionStats { version, ..VersionStats::default() });
        self.0.rcu(|all| {
            let mut all = all.to_vec();
            if all.iter().all(|stats| stats.version != version) {
                all.push(made.clone());
                all.sort_by_key(|stats| stats.version);
                all.drain(..all.len().saturating_sub(MOST_VERSIONS));
            }
            all
        });
        self.find(version).unwrap_or(made)
    }

    /// The counters of a version that has answered a request, if they are kept.
    pub fn find(&self, version: u64) -> Option<Arc<VersionStats>> {
        self.0.load().iter().find(|stats| stats.version == version).cloned()
    }
}

/// The counts of one version.
#[derive(Debug, Default)]
pub struct VersionStats {
    version: u64,
    instances: AtomicU64,
    last_ms: AtomicU64,
    succeeded: RequestTotal,
    failed: RequestTotal,
}

/// A number of requests and the time that they took together.
#[derive(Debug, Default)]
struct RequestTotal {
    requests: AtomicU64,
    nanos: AtomicU64,
}

/// A number of requests and the nanoseconds that they took together, as read at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCount {
    pub requests: u64,
    pub nanos: u64,
}

impl VersionStats {
    /// Counts a request that was answered with predictions for `instances` instances.
    pub fn succeeded(&self, instances: usize, took: Duration) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        self.last_ms.fetch_max(now, Ordering::Relaxed);
        self.instances.fetch_add(instances as u64, Ordering::Relaxed);
        self.succeeded.add(took);
    }

    /// Counts a request with a mistake in an instance.
    pub fn failed(&self, took: Duration) {
        self.failed.add(took);
    }

    /// The number of instances that were predicted for.
    pub fn instances(&self) -> u64 {
        self.instances.load(Ordering::Relaxed)
    }

    /// The time of the last prediction, in ms since 1970; 0 before the first.
    pub fn last_ms(&self) -> u64 {
        self.last_ms.load(Ordering::Relaxed)
    }

    /// The requests that were answered with predictions.
    pub fn successes(&self) -> RequestCount {
        self.succeeded.count()
    }

    /// The requests with a mistake in an instance.
    pub fn failures(&self) -> RequestCount {
        self.failed.count()
    }
}

impl RequestTotal {
    fn add(&self, took: Duration) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn count(&self) -> RequestCount {
        RequestCount { requests: self.requests.load(Ordering::Relaxed), nanos: self.nanos.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_counts_and_the_lowest_are_dropped_beyond_the_bound() {
        let stats = PredictionStats::default();
        stats.of(7).succeeded(3, Duration::from_nanos(10));
        stats.of(7).failed(Duration::from_nanos(5));
        let seven = stats.find(7).unwrap();
        assert_eq!(seven.instances(), 3);
        assert_eq!(seven.successes(), RequestCount { requests: 1, nanos: 10 });
        assert_eq!(seven.failures(), RequestCount { requests: 1, nanos: 5 });
        assert!(seven.last_ms() > 0 && stats.find(8).is_none());
        (8..8 + MOST_VERSIONS as u64).for_each(|version| stats.of(version).failed(Duration::ZERO));
        assert!(stats.find(7).is_none() && stats.find(8).is_some());
        // A version below all that are kept still counts for its own request.
        stats.of(1).succeeded(1, Duration::ZERO);
    }
}
