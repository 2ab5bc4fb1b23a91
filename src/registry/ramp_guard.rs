//! The guard of ramps: a split whose arms fall behind the champion is cleared.
//!
//! At each window that begins after a split with a ramp was made, each arm is compared with the champion, by the gate's
//! metric over the predictions of that window. If it is worse by more than the gate's tolerance, the split is cleared from
//! the window's end on, and the champion answers again. The outcome follows from the split and the scores of the windows
//! alone, which are in the registry: it does not depend on when it is asked for, and asking again changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::history::When;
use super::live::LiveModels;
use super::scores::ScorePoint;
use super::split::{ArmTarget, Split, SplitEntry};
use super::{Registry, RegistryError};
use crate::error::chain;
use crate::model::Better;
use crate::time::{EventTime, format_time};

/// The rule by which the arms of a model are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct RampRule {
    pub metric: String,
    pub better: Better,
    /// The most by which an arm may be worse than the champion over a window.
    pub tolerance: f64,
    /// Length of a window. Event ms.
    pub window_ms: i64,
}

/// Watches the ramps of live models.
#[derive(Debug)]
pub struct RampGuard {
    live: Arc<LiveModels>,
    /// By model.
    rules: BTreeMap<String, RampRule>,
    /// Set if scores may have been written since the last check.
    is_due: bool,
}

/// An arm that has fallen behind.
struct FallenArm {
    time: EventTime,
    reason: String,
}

impl RampGuard {
    /// Watches all live models that have a rule.
    pub fn new(live: Arc<LiveModels>, rules: BTreeMap<String, RampRule>) -> Self {
        RampGuard { live, rules, is_due: true }
    }

    /// Notes that the scores of a window, or a split, may be new.
    pub fn set_due(&mut self) {
        self.is_due = true;
    }

    /// Clears the splits of which an arm has fallen behind; `cleared` is called with the model and the new entry. `wall` is
    /// the time of the wall clock. Does nothing unless it is due. Errors are logged, and it stays due.
    pub fn check(&mut self, registry: &Registry, wall: EventTime, mut cleared: impl FnMut(&str, &SplitEntry)) {
        if !std::mem::take(&mut self.is_due) {
            return;
        }
        for (model, rule) in &self.rules {
            match clear(registry, &self.live, model, rule, wall) {
                Ok(Some(entry)) => cleared(model, &entry),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(model, "the ramp of a split cannot be checked: {}", chain(&error));
                    self.is_due = true;
                }
            }
        }
    }
}

/// Clears the split of a model if it has a ramp and an arm has fallen behind.
fn clear(
    registry: &Registry,
    live: &LiveModels,
    model: &str,
    rule: &RampRule,
    wall: EventTime,
) -> Result<Option<SplitEntry>, RegistryError> {
    let Some(entry) = live.splits().newest(model) else { return Ok(None) };
    let Some(split) = entry.split.as_ref().filter(|split| !split.ramp.is_empty()) else { return Ok(None) };
    let mut others = BTreeMap::new();
    for other in split.models() {
        others.insert(other, registry.scores(other)?);
    }
    let Some(fallen) = fallen(rule, &entry, split, &registry.scores(model)?, &others) else { return Ok(None) };
    let when = When { event: fallen.time, wall };
    let made = registry.revert_split(model, entry.number, when, &fallen.reason)?;
    live.refresh_splits(registry, model)?;
    Ok(made)
}

/// Returns the first arm that has fallen behind; `points` are those of the model, `others` those of the models that arms
/// name.
fn fallen(
    rule: &RampRule,
    entry: &SplitEntry,
    split: &Split,
    points: &[ScorePoint],
    others: &BTreeMap<&str, Vec<ScorePoint>>,
) -> Option<FallenArm> {
    let is_of_split = |point: &&ScorePoint| point.window_end.saturating_sub(rule.window_ms) > entry.time;
    for point in points.iter().filter(is_of_split) {
        let champion = point.champion.get(&rule.metric);
        for arm in &split.arms {
            let own = match &arm.target {
                ArmTarget::Champion => continue,
                ArmTarget::Alias(_) | ArmTarget::Version(_) => {
                    let scored = point.arms.iter().find(|scored| scored.name == arm.name);
                    scored.and_then(|scored| scored.scores.get(&rule.metric))
                }
                ArmTarget::Model(other) => {
                    let points = others.get(other.as_str()).map_or(&[][..], Vec::as_slice);
                    let same = points.iter().find(|other| other.window_end == point.window_end);
                    same.and_then(|other| other.champion.get(&rule.metric))
                }
            };
            let (Some(own), Some(champion)) = (own, champion) else { continue };
            let behind = worse_by(rule.better, *own, *champion);
            let tolerance = split.tolerance.unwrap_or(rule.tolerance);
            if behind > tolerance {
                let (metric, end) = (&rule.metric, format_time(point.window_end));
                let reason = format!(
                    "arm {} was taken back: {metric} {own:.4} was worse than the champion's {champion:.4} by {behind:.4} in \
                     the window to {end}; more than {tolerance}",
                    arm.name
                );
                return Some(FallenArm { time: point.window_end, reason });
            }
        }
    }
    None
}

/// Returns how much worse a score is than another.
fn worse_by(better: Better, own: f64, other: f64) -> f64 {
    match better {
        Better::Lower => own - other,
        Better::Higher => other - own,
        Better::Zero => own.abs() - other.abs(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{ArmPoint, AskedSplit};
    use crate::time::DAY_MS;

    fn point(day: i64, champion: f64, canary: Option<f64>) -> ScorePoint {
        let scores = |value: f64| BTreeMap::from([("logloss".to_owned(), value)]);
        let arm = |value| ArmPoint { name: "canary".to_owned(), version: Some(7), scores: scores(value) };
        ScorePoint {
            version: day as u64,
            window_end: day * DAY_MS,
            examples: 100,
            champion: scores(champion),
            predecessor: BTreeMap::new(),
            newest: BTreeMap::new(),
            no_skill: BTreeMap::new(),
            persistence: BTreeMap::new(),
            segments: BTreeMap::new(),
            drift: Default::default(),
            arms: canary.map(arm).into_iter().collect(),
        }
    }

    fn entry(asked: &str, time: EventTime) -> SplitEntry {
        let asked: AskedSplit = serde_json::from_str(asked).unwrap();
        let (split, reason, by) = (Some(asked.split().unwrap()), String::new(), "ann".to_owned());
        SplitEntry { number: 1, time, wall_time: 0, split, reverts: None, reason, by }
    }

    fn found(entry: &SplitEntry, points: &[ScorePoint], others: &BTreeMap<&str, Vec<ScorePoint>>) -> Option<EventTime> {
        let rule = RampRule { metric: "logloss".to_owned(), better: Better::Lower, tolerance: 0.02, window_ms: DAY_MS };
        fallen(&rule, entry, entry.split.as_ref().unwrap(), points, others).map(|fallen| fallen.time)
    }

    #[test]
    fn the_first_window_in_which_an_arm_is_behind_ends_its_ramp() {
        let canary = r#"{"weights": {"champion": 9, "canary": 1}, "ramp": "1d"}"#;
        let points = [
            point(1, 0.4, Some(0.9)),
            point(2, 0.4, Some(0.9)),
            point(3, 0.4, Some(0.41)),
            point(4, 0.4, None),
            point(5, 0.4, Some(0.43)),
            point(6, 0.4, Some(0.99)),
        ];
        // The windows that had begun by the split's time do not count, nor does an arm without a score.
        let none = BTreeMap::new();
        assert_eq!(found(&entry(canary, DAY_MS), &points, &none), Some(5 * DAY_MS));
        assert_eq!(found(&entry(canary, DAY_MS - 1), &points, &none), Some(2 * DAY_MS));
        assert_eq!(found(&entry(canary, DAY_MS), &points[..4], &none), None);
        // Another model is compared in the same windows.
        let other = entry(r#"{"weights": {"champion": 9, "model:gbdt": 1}, "ramp": "1d"}"#, DAY_MS);
        let others = BTreeMap::from([("gbdt", vec![point(5, 0.3, None), point(6, 0.5, None)])]);
        assert_eq!(found(&other, &points, &others), Some(6 * DAY_MS));
        assert_eq!(found(&other, &points, &none), None);
    }

    #[test]
    fn a_metric_is_worse_in_its_own_direction() {
        assert!(worse_by(Better::Higher, 0.6, 0.7) > 0.0 && worse_by(Better::Lower, 0.6, 0.7) < 0.0);
        assert!(worse_by(Better::Zero, -0.3, 0.1) > 0.0);
    }
}
