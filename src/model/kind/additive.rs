//! Models that are a weighted sum of their slots, seen through a link: the body that such kinds share.

use std::marker::PhantomData;

use super::{Learner, Scorer};
use crate::model::optimizer::{Optimizer, OptimizerKind};
use crate::model::preparation::Layout;
use crate::model::{ModelError, Rows, Tensors, Weights};

/// What tells such kinds apart: how a sum becomes a prediction, and how the loss slopes in it.
pub(super) trait Link: Send + Sync + 'static {
    /// The prediction at a weighted sum. Finite for any finite sum.
    fn predict(sum: f64) -> f64;

    /// The derivative of the loss by the sum.
    fn slope(sum: f64, target: f64) -> f64;
}

struct Additive<L> {
    optimizer: Box<dyn Optimizer>,
    dense: usize,
    slots: usize,
    link: PhantomData<fn(L)>,
}

struct Frozen<L> {
    weights: Weights,
    link: PhantomData<fn(L)>,
}

pub(super) fn build<L: Link>(layout: &Layout, optimizer: &OptimizerKind) -> Result<Box<dyn Learner>, Vec<ModelError>> {
    let (dense, slots) = (layout.dense(), layout.slots());
    let optimizer = optimizer.make(&layout.options().optimizer, slots)?;
    Ok(Box::new(Additive::<L> { optimizer, dense, slots, link: PhantomData }))
}

pub(super) fn thaw<L: Link>(layout: &Layout, tensors: &Tensors) -> Result<Box<dyn Scorer>, ModelError> {
    let weights = Weights::load(WEIGHTS, tensors, layout.dense(), layout.slots())?;
    Ok(Box::new(Frozen::<L> { weights, link: PhantomData }))
}

/// The prefix of the weights' tensors.
const WEIGHTS: &str = "weights";

impl<L: Link> Learner for Additive<L> {
    fn learn(&mut self, rows: &Rows, targets: &[f64]) {
        for (row, target) in rows.iter().zip(targets) {
            let slope = L::slope(self.optimizer.dot(row), *target);
            self.optimizer.step(row, slope);
        }
    }

    fn fork(&self) -> Box<dyn Learner> {
        let Additive { dense, slots, link, .. } = *self;
        Box::new(Additive { optimizer: self.optimizer.fork(), dense, slots, link })
    }

    fn freeze(&self) -> Box<dyn Scorer> {
        let weights = (0..self.slots).map(|slot| self.optimizer.weight(slot));
        let weights = Weights::new(weights, self.dense, self.slots);
        Box::new(Frozen::<L> { weights, link: PhantomData })
    }

    fn save(&self) -> Tensors {
        self.optimizer.save()
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        self.optimizer.load(tensors)
    }
}

impl<L: Link> Scorer for Frozen<L> {
    fn predict(&self, rows: &Rows, predictions: &mut Vec<f64>) {
        predictions.extend(rows.iter().map(|row| L::predict(self.weights.dot(row))));
    }

    fn save(&self, tensors: &mut Tensors) {
        self.weights.save(WEIGHTS, tensors);
    }
}
