//! Generalized linear models: a weighted sum of the slots, seen through a link. The body that such kinds share.

use std::hint::black_box;
use std::marker::PhantomData;

use super::base_rate::{BaseRate, ShiftedLoss};
use super::{Explainer, Learner, Scorer};
use crate::model::explanation::PartMap;
use crate::model::optimizer::{Loss, Optimizer, OptimizerSetup};
use crate::model::preparation::{ClassWeigher, LabelScale, Prepared, SlotLayout};
use crate::model::{Explanations, ModelError, Parameters, Predictions, Tensors, Weights};

/// The difference between such kinds: how a sum becomes a prediction, and the loss in it.
pub(super) trait Link: Loss + Copy + Send + Sync + 'static {
    /// Returns the link of a kind with these parameters.
    fn new(parameters: &Parameters) -> Self;

    /// Returns the prediction at a weighted sum. Finite for any finite sum.
    fn predict(sum: f64) -> f64;

    /// Returns the scale in which a version's raw scores are, of labels that have this scale.
    fn scale(_: LabelScale) -> LabelScale {
        LabelScale::AS_IS
    }

    /// Returns the prediction at a raw score of a scale.
    fn link(raw: f64, _: LabelScale) -> f64 {
        Self::predict(raw)
    }

    /// Returns the sum that predicts the base rate of labels.
    fn base(classes: ClassWeigher<'_>) -> f64;
}

struct GeneralizedLinear<L> {
    optimizer: Box<dyn Optimizer>,
    base: BaseRate,
    dense: usize,
    slots: usize,
    /// True if rows have hashed slots.
    has_hashed: bool,
    link: L,
}

struct FrozenLinear<L> {
    weights: Weights,
    link: PhantomData<fn(L)>,
}

pub(super) fn build<L: Link>(
    layout: &SlotLayout,
    parameters: &Parameters,
    optimizer: Option<OptimizerSetup>,
) -> Box<dyn Learner> {
    let optimizer = optimizer.expect("the kind is trained by an optimizer").make();
    let (base, link) = (BaseRate::default(), L::new(parameters));
    let (dense, slots, has_hashed) = (layout.dense(), layout.slots(), layout.has_hashed());
    Box::new(GeneralizedLinear { optimizer, base, dense, slots, has_hashed, link })
}

pub(super) fn load<L: Link>(layout: &SlotLayout, tensors: &Tensors) -> Result<Box<dyn Scorer>, ModelError> {
    let weights = Weights::load(WEIGHTS, tensors, layout.dense(), layout.slots())?;
    Ok(Box::new(FrozenLinear::<L> { weights, link: PhantomData }))
}

/// The prefix of the weights' tensors.
const WEIGHTS: &str = "weights";

impl<L: Link> Learner for GeneralizedLinear<L> {
    fn learn(&mut self, batch: &Prepared<'_>) {
        let by = self.base.get_or_set(|| L::base(batch.weigher()));
        let loss = ShiftedLoss { loss: &self.link, by };
        let (all, mut weights) = (batch.rows(), batch.weights());
        for (slots, run) in all.runs() {
            // A model of numbers alone is in the cache.
            if self.has_hashed {
                black_box(self.optimizer.touch(slots));
            }
            for (row, weight) in run.zip(&mut weights) {
                self.optimizer.learn(all.row(row), batch.targets()[row], weight, &loss);
            }
        }
    }

    fn forget(&mut self, slots: &[u32]) {
        slots.iter().for_each(|slot| self.optimizer.forget(*slot));
    }

    fn freeze(&mut self) -> Box<dyn Scorer> {
        let weights = Weights::of_optimizer(&*self.optimizer, self.dense, self.slots).plus_bias(self.base.sum());
        Box::new(FrozenLinear::<L> { weights, link: PhantomData })
    }

    fn save(&self) -> Tensors {
        let mut tensors = self.optimizer.save();
        self.base.save(&mut tensors);
        tensors
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        self.base = BaseRate::load(tensors)?;
        self.optimizer.load(tensors)
    }

    fn clone_box(&self) -> Box<dyn Learner> {
        Box::new(GeneralizedLinear { optimizer: self.optimizer.clone_box(), ..*self })
    }

    fn share(&mut self) -> Box<dyn Learner> {
        Box::new(GeneralizedLinear { optimizer: self.optimizer.share(), ..*self })
    }
}

impl<L: Link> Scorer for FrozenLinear<L> {
    fn predict(&self, batch: &Prepared<'_>, predictions: &mut Predictions) {
        let scale = L::scale(batch.label_scale());
        let raw = |row| scale.restore_sum(self.weights.dot(row)).raw();
        let all = batch.rows();
        for (slots, run) in all.runs() {
            if batch.has_hashed() {
                black_box(self.weights.touch(slots));
            }
            predictions.values_mut().extend(run.map(|row| L::link(raw(all.row(row)), scale)));
        }
    }

    fn explainer(&self) -> Option<&dyn Explainer> {
        Some(self)
    }

    fn save(&self, tensors: &mut Tensors) {
        self.weights.save(WEIGHTS, tensors);
    }
}

impl<L: Link> Explainer for FrozenLinear<L> {
    fn explain(&self, batch: &Prepared<'_>, parts: &PartMap, explanations: &mut Explanations) {
        let scale = L::scale(batch.label_scale());
        for (row, entries) in batch.rows().iter().zip(batch.map_entries()) {
            let mut explained = explanations.start();
            for (at, term) in self.weights.terms(row).enumerate() {
                explained.add(parts.of_entry(at, entries), 0, term * scale.stddev);
            }
            explained.settle(0, scale.restore_sum(self.weights.dot(row)));
        }
    }
}

/// Asserts that the descent of a loss is that of many small steps, and that a long one ends at the least loss.
#[cfg(test)]
pub(super) fn assert_descends(loss: &dyn Loss, sum: f64, target: f64) {
    let step = 1e-4;
    let mut slow = sum;
    for at in 1..=30_000 {
        slow -= step * loss.slope(slow, target);
        if [1, 5_000, 30_000].contains(&at) {
            let fast = sum + loss.descent(sum, target, step * f64::from(at));
            assert!((fast - slow).abs() < 2e-3, "{fast} and {slow} after {at} steps from {sum} to {target}");
        }
    }
    let end = sum + loss.descent(sum, target, 1e9);
    assert!(end.is_finite() && (end - sum) * (slow - sum) >= 0.0, "{end}");
    let slope = loss.slope(end, target);
    assert!(slope.abs() < 1e-6 || slope * loss.slope(sum, target) >= 0.0, "a step of any length overshoots to {end}");
}
