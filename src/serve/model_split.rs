//! A split as the requests of one model read it: the entity of an instance, and the counters of the arms.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::example::{EntityColumns, Frame, Program};
use crate::metrics::{Metrics, PredictionCounter, ShadowCounters};
use crate::registry::{ServingSplit, choose, draw};

/// The part of the time of one core that the shadows of all models together may take.
const SHADOW_PART: u32 = 10;

/// The time that shadows may take at once after a pause.
const MOST_SAVED: Duration = Duration::from_millis(100);

/// A split with what requests need of it.
#[derive(Debug)]
pub struct ModelSplit {
    pub serving: Arc<ServingSplit>,
    /// `None` if an instance of the model does not have the columns that the split names.
    entity: Option<EntityColumns>,
    /// By arm.
    pub counters: Vec<PredictionCounter>,
    /// By shadow.
    pub shadows: Vec<ShadowCounters>,
}

impl ModelSplit {
    pub fn new(program: &Program, serving: Arc<ServingSplit>, metrics: &Metrics) -> Self {
        let by = serving.entry.split.as_ref().map_or(&[][..], |split| &split.entity);
        let entity = program.entity(by);
        if entity.is_none() {
            let (model, by) = (program.model(), by.join(", "));
            tracing::warn!(model, by, "instances do not have the columns of the split; the champion answers");
        }
        let model = program.model();
        ModelSplit {
            entity,
            counters: serving.arms.iter().map(|arm| metrics.arms.predictions_of(model, &arm.name)).collect(),
            shadows: serving.shadows.iter().map(|arm| metrics.arms.shadow_of(model, &arm.name)).collect(),
            serving,
        }
    }

    /// Returns whether it was made from this one.
    pub fn is_of(&self, serving: &Arc<ServingSplit>) -> bool {
        Arc::ptr_eq(&self.serving, serving)
    }

    /// Returns the hash of each instance's entity; `None` if the instances have none.
    pub fn entities(&self, frame: &Frame) -> Option<Vec<u64>> {
        let entity = self.entity.as_ref()?;
        let mut bytes = Vec::new();
        Some((0..frame.rows()).map(|row| entity.hash(frame, row, &mut bytes)).collect())
    }

    /// Returns the position of the arm that answers an entity, from the share of each.
    pub fn arm_of(&self, shares: &[f64], entity: u64) -> Option<usize> {
        choose(self.serving.arms.iter().map(|arm| arm.seed).zip(shares.iter().copied()), entity)
    }

    /// Returns the rows whose entities a shadow, by position, predicts for.
    pub fn shadowed(&self, shadow: usize, entities: &[u64]) -> Vec<usize> {
        let share = self.serving.entry.split.as_ref().map_or(0.0, |split| split.shadows[shadow].share);
        let seed = self.serving.shadows[shadow].seed;
        let rows = entities.iter().enumerate().filter(|(_, entity)| draw(**entity, seed) < share);
        rows.map(|(row, _)| row).collect()
    }
}

/// The time that shadows may still take: it grows with the wall clock, and what they take is taken off.
#[derive(Debug)]
pub struct ShadowBudget {
    start: Instant,
    /// Nanoseconds since the start up to which it has grown.
    until: AtomicU64,
    /// Nanoseconds; negative after one that took longer than there was.
    left: AtomicI64,
}

impl Default for ShadowBudget {
    fn default() -> Self {
        let left = AtomicI64::new(MOST_SAVED.as_nanos() as i64);
        ShadowBudget { start: Instant::now(), until: AtomicU64::new(0), left }
    }
}

impl ShadowBudget {
    /// Returns whether there is time left.
    pub fn has_time(&self) -> bool {
        let now = self.start.elapsed().as_nanos() as u64;
        let since = now.saturating_sub(self.until.fetch_max(now, Ordering::Relaxed));
        let (grown, most) = ((since / u64::from(SHADOW_PART)) as i64, MOST_SAVED.as_nanos() as i64);
        let grow = |left: i64| Some(left.saturating_add(grown).min(most));
        let before = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow).unwrap_or_else(|left| left);
        grow(before).is_some_and(|left| left > 0)
    }

    /// Takes off what a shadow has taken.
    pub fn take(&self, taken: Duration) {
        self.left.fetch_sub(i64::try_from(taken.as_nanos()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shadows_take_a_tenth_of_the_time_at_most() {
        let budget = ShadowBudget::default();
        assert!(budget.has_time());
        budget.take(MOST_SAVED + Duration::from_secs(3600));
        assert!(!budget.has_time());
        budget.left.store(-1_000_000, Ordering::Relaxed);
        let until = Instant::now() + Duration::from_millis(9);
        while Instant::now() < until {
            assert!(!budget.has_time(), "1 ms is due after 10");
        }
        std::thread::sleep(Duration::from_millis(10));
        assert!(budget.has_time());
    }
}
