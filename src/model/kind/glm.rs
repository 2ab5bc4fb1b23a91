//! Generalized linear models: a weighted sum of the slots, seen through a link. The body that such kinds share.

use std::marker::PhantomData;

use super::{Learner, Scorer};
use crate::model::optimizer::{Optimizer, OptimizerSetup};
use crate::model::preparation::{Prepared, SlotLayout};
use crate::model::{ModelError, Parameters, Predictions, Tensors, Weights};

/// The difference between such kinds: how a sum becomes a prediction, and how the loss slopes in it.
pub(super) trait Link: Send + Sync + 'static {
    /// Returns the prediction at a weighted sum. Finite for any finite sum.
    fn predict(sum: f64) -> f64;

    /// Returns the derivative of the loss by the sum.
    fn slope(sum: f64, target: f64) -> f64;
}

struct GeneralizedLinear<L> {
    optimizer: Box<dyn Optimizer>,
    dense: usize,
    slots: usize,
    link: PhantomData<fn(L)>,
}

struct FrozenLinear<L> {
    weights: Weights,
    link: PhantomData<fn(L)>,
}

pub(super) fn build<L: Link>(
    layout: &SlotLayout,
    _parameters: &Parameters,
    optimizer: Option<OptimizerSetup>,
) -> Box<dyn Learner> {
    let optimizer = optimizer.expect("the kind is trained by an optimizer").make();
    Box::new(GeneralizedLinear::<L> { optimizer, dense: layout.dense(), slots: layout.slots(), link: PhantomData })
}

pub(super) fn load<L: Link>(layout: &SlotLayout, tensors: &Tensors) -> Result<Box<dyn Scorer>, ModelError> {
    let weights = Weights::load(WEIGHTS, tensors, layout.dense(), layout.slots())?;
    Ok(Box::new(FrozenLinear::<L> { weights, link: PhantomData }))
}

/// The prefix of the weights' tensors.
const WEIGHTS: &str = "weights";

impl<L: Link> Learner for GeneralizedLinear<L> {
    fn learn(&mut self, batch: &Prepared<'_>) {
        for (row, target) in batch.rows().iter().zip(batch.targets()) {
            let slope = L::slope(self.optimizer.dot(row), *target);
            self.optimizer.step(row, slope);
        }
    }

    fn freeze(&self) -> Box<dyn Scorer> {
        let weights = Weights::of_optimizer(&*self.optimizer, self.dense, self.slots);
        Box::new(FrozenLinear::<L> { weights, link: PhantomData })
    }

    fn save(&self) -> Tensors {
        self.optimizer.save()
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        self.optimizer.load(tensors)
    }

    fn clone_box(&self) -> Box<dyn Learner> {
        let GeneralizedLinear { dense, slots, link, .. } = *self;
        Box::new(GeneralizedLinear { optimizer: self.optimizer.clone_box(), dense, slots, link })
    }
}

impl<L: Link> Scorer for FrozenLinear<L> {
    fn predict(&self, batch: &Prepared<'_>, predictions: &mut Predictions) {
        predictions.values_mut().extend(batch.rows().iter().map(|row| L::predict(self.weights.dot(row))));
    }

    fn save(&self, tensors: &mut Tensors) {
        self.weights.save(WEIGHTS, tensors);
    }
}
