//! The models of a replica: those of the registry that a run writes, and what changes there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use super::rollout::RolloutWatch;
use super::{Failure, print_err};
use crate::error::chain;
use crate::metrics::Metrics;
use crate::registry::{AliasMove, CHAMPION, LiveModels, Registry, Restoration, When};
use crate::serve::Readiness;
use crate::threads::{self, Thread};

/// The interval at which the registry is read.
const POLL: Duration = Duration::from_secs(1);

/// The name of warnings about the registry.
const REGISTRY: &str = "registry";

/// Follows a registry on a thread of its own until it is dropped.
pub struct ReplicaModels {
    /// Closed to end the thread.
    end: Option<Sender<()>>,
    thread: Option<Thread<()>>,
}

/// The registry as it is followed.
struct FollowedRegistry {
    registry: Registry,
    live: Arc<LiveModels>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    watch: RolloutWatch,
    /// The first move of each model: another one is that of another registry.
    first: BTreeMap<String, AliasMove>,
}

impl ReplicaModels {
    /// Loads the models of a registry, and starts to follow it. Nothing is written to it. What is damaged is said on stderr
    /// and in the readiness of the endpoint, and skipped.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        registry: Registry,
        live: &Arc<LiveModels>,
        metrics: &Arc<Metrics>,
        readiness: &Arc<Readiness>,
    ) -> Result<Self, Failure> {
        restore(&registry, live, metrics, readiness);
        let mut followed = FollowedRegistry {
            watch: RolloutWatch::following(live, metrics),
            registry,
            live: live.clone(),
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            first: BTreeMap::new(),
        };
        followed.is_other();
        let (end, ended) = bounded(0);
        let follow = move || {
            while ended.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
                followed.poll();
            }
        };
        Ok(ReplicaModels { end: Some(end), thread: Some(threads::spawn("registry", follow)?) })
    }
}

impl Drop for ReplicaModels {
    fn drop(&mut self) {
        self.thread.iter().for_each(Thread::expect_end);
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves the models of a registry as it is now.
fn restore(registry: &Registry, live: &LiveModels, metrics: &Metrics, readiness: &Readiness) {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64);
    let Restoration { errors, substitutes } = live.restore(registry, |_| None, When { event: wall, wall });
    errors.iter().for_each(|error| print_err(format_args!("warning: {}", chain(error))));
    for (model, text) in substitutes {
        print_err(format_args!("warning: model {model}: {text}"));
        tracing::warn!(model, "{text}");
        readiness.warn(subject(&model), text);
    }
    for model in live.models() {
        let champion = live.champion(model).map(|champion| (CHAMPION.to_owned(), champion.version));
        for (alias, version) in live.aliases(model).into_iter().chain(champion) {
            metrics.model_version.with_label_values(&[model, &alias]).set(version as i64);
        }
    }
}

impl FollowedRegistry {
    /// Reads what has changed.
    fn poll(&mut self) {
        if self.is_other() {
            tracing::warn!("the run has started over with another registry: its models are loaded");
            self.registry.forget_seen();
            self.live.clear();
            restore(&self.registry, &self.live, &self.metrics, &self.readiness);
            self.watch = RolloutWatch::following(&self.live, &self.metrics);
        }
        match self.watch.poll_versions(&self.registry) {
            Ok(()) => {
                self.metrics.replica.registry_read();
                self.readiness.settle(REGISTRY);
            }
            Err(error) => self.readiness.warn(REGISTRY, format!("it cannot be read: {}", chain(&error))),
        }
        self.watch.poll(&self.registry);
        let unserved_champions = self.watch.unserved_champions();
        for model in self.live.models() {
            match (unserved_champions.get(model), self.live.champion(model)) {
                (Some(unserved), Some(served)) => {
                    let text = format!("version {} is served: {}", served.version, unserved.reason);
                    self.readiness.warn(subject(model), text);
                }
                (None, Some(served)) if self.is_champion(model, served.version) => {
                    self.readiness.settle(&subject(model));
                }
                _ => {}
            }
        }
    }

    /// Returns whether the registry is another one than it was, as after `run --fresh`.
    fn is_other(&mut self) -> bool {
        let mut is_other = false;
        for model in self.live.models() {
            // One that cannot be read now is reported elsewhere.
            let Ok(Some(first)) = self.registry.first_move(model) else { continue };
            let before = self.first.insert(model.to_owned(), first.clone());
            is_other |= before.is_some_and(|before| before != first);
        }
        is_other
    }

    /// Returns whether the registry says that a version is the champion.
    fn is_champion(&self, model: &str, version: u64) -> bool {
        self.registry.aliases(model).is_ok_and(|aliases| aliases.get(CHAMPION) == Some(&version))
    }
}

/// Returns the name of warnings about a model.
fn subject(model: &str) -> String {
    format!("model {model}")
}
