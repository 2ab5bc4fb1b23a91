//! Splits in a running job or a replica: changes by others are noticed. In a job, ramps that fall behind are taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use super::model_reports;
use crate::flow::Plan;
use crate::flow::plan::ModelPlan;
use crate::metrics::Metrics;
use crate::model::{Better, ModelKind};
use crate::registry::{
    Follower, LiveModels, RampGuard, RampRule, Registry, RegistryError, SplitEntry, UnservedChampion,
};

/// Follows the registry of a job, and guards its ramps. Cloning shares it.
#[derive(Clone)]
pub struct RolloutWatch(Arc<Mutex<RolloutState>>);

struct RolloutState {
    follower: Follower,
    /// `None` in a replica: only the job that learns decides.
    guard: Option<RampGuard>,
    reports: SplitReports,
}

/// The metrics of splits, with the arms that they have by model.
struct SplitReports {
    metrics: Arc<Metrics>,
    arms: BTreeMap<String, BTreeSet<String>>,
}

impl RolloutWatch {
    /// Watches the models of a plan.
    pub fn new(plan: &Plan, live: &Arc<LiveModels>, metrics: &Arc<Metrics>) -> Self {
        let rules = plan.models.iter().filter_map(|model| Some((model.name.clone(), rule(model)?)));
        let guard = RampGuard::new(live.clone(), rules.collect());
        for model in live.models() {
            // A counter that begins with its first increase shows none to Prometheus.
            metrics.arms.taken_back.with_label_values(&[model]).inc_by(0);
        }
        RolloutWatch::with(Follower::new(live.clone()), Some(guard), live, metrics)
    }

    /// Follows live models that a job of another process makes.
    pub fn following(live: &Arc<LiveModels>, metrics: &Arc<Metrics>) -> Self {
        RolloutWatch::with(Follower::retrying(live.clone()), None, live, metrics)
    }

    fn with(follower: Follower, guard: Option<RampGuard>, live: &Arc<LiveModels>, metrics: &Arc<Metrics>) -> Self {
        let mut reports = SplitReports { metrics: metrics.clone(), arms: BTreeMap::new() };
        for model in live.models() {
            live.splits().newest(model).iter().for_each(|entry| reports.split(model, entry));
        }
        RolloutWatch(Arc::new(Mutex::new(RolloutState { follower, guard, reports })))
    }

    /// Notes that a version was written, with the scores of its window.
    pub fn written(&self) {
        self.0.lock().expect("no holder panics").guard.iter_mut().for_each(RampGuard::set_due);
    }

    /// Looks for moves and splits that others have made, and checks the ramps if there are new scores.
    pub fn poll(&self, registry: &Registry) {
        let mut state = self.0.lock().expect("no holder panics");
        let RolloutState { follower, guard, reports } = &mut *state;
        follower.poll(registry, |model, made| model_reports::moved(&reports.metrics, model, made));
        follower.poll_splits(registry, |model, entry| {
            guard.iter_mut().for_each(RampGuard::set_due);
            reports.split(model, entry);
        });
        let Some(guard) = guard else { return };
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64);
        guard.check(registry, wall, |model, entry| {
            model_reports::taken_back(&reports.metrics, model, entry);
            reports.split(model, entry);
        });
    }

    /// Looks for versions that others have written or deleted.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn poll_versions(&self, registry: &Registry) -> Result<(), RegistryError> {
        self.0.lock().expect("no holder panics").follower.poll_versions(registry)
    }

    /// Returns the champions that cannot be served, by model.
    pub fn unserved_champions(&self) -> BTreeMap<String, UnservedChampion> {
        self.0.lock().expect("no holder panics").follower.unserved_champions().clone()
    }
}

impl SplitReports {
    fn split(&mut self, model: &str, entry: &SplitEntry) {
        let known = self.arms.entry(model.to_owned()).or_default();
        model_reports::split(&self.metrics, model, entry, known);
    }
}

/// Returns the rule of a model's gate; without one, the first metric of its kind and no tolerance. `None` if models of its
/// kind are not scored.
fn rule(plan: &ModelPlan) -> Option<RampRule> {
    let kind = ModelKind::of(&plan.options.kind).expect("the spec has checked the kind");
    let (name, tolerance) = match &plan.options.publish {
        Some(gate) => (gate.metric.clone(), gate.tolerance),
        None => (kind.metrics().next()?.name.to_owned(), 0.0),
    };
    let better = Better::of(&name)?;
    Some(RampRule { metric: name, better, tolerance, window_ms: plan.window_ms })
}
