//! The base rate: the sum that a model begins with, before it has learnt a weight.
//!
//! Without it, every weight of a model would first have to learn together that true is rare. It is set by the first batch
//! that is learnt, from the labels that are known then: those of the first window, else those of all versions before. From
//! then on it stays, and weights learn what is different.

use crate::model::optimizer::Loss;
use crate::model::tensor::{self, Tensor};
use crate::model::{ModelError, Tensors};

/// The name of its tensor: the sum, and 1 once it is known.
const BASE: &str = "base";

/// A sum that does not change once it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BaseRate {
    sum: f64,
    is_known: bool,
}

impl BaseRate {
    /// A sum that is known.
    pub fn of(sum: f64) -> Self {
        BaseRate { sum, is_known: true }
    }

    /// Returns the sum, which is `sum` if it was not known.
    pub fn get_or_set(&mut self, sum: impl FnOnce() -> f64) -> f64 {
        if !self.is_known {
            *self = BaseRate::of(sum());
        }
        self.sum
    }

    /// Returns the sum; 0 if it is not known.
    pub fn sum(self) -> f64 {
        self.sum
    }

    pub fn is_known(self) -> bool {
        self.is_known
    }

    /// Adds the tensor that [`BaseRate::load`] reads.
    pub fn save(self, tensors: &mut Tensors) {
        tensors.insert(BASE.to_owned(), Tensor::vector(vec![self.sum, f64::from(u8::from(self.is_known))]));
    }

    /// Reads a sum, or the mean of several.
    ///
    /// # Errors
    /// If there is no such tensor, or it is not finite.
    pub fn load(tensors: &Tensors) -> Result<Self, ModelError> {
        let cells = tensor::floats(tensors, BASE, Some(2))?;
        if !cells[0].is_finite() {
            return Err(tensor::misfit(BASE, "it is not finite"));
        }
        Ok(BaseRate { sum: cells[0], is_known: cells[1] != 0.0 })
    }
}

/// A loss of a sum to which something is added.
pub(super) struct ShiftedLoss<'a, L> {
    pub loss: &'a L,
    pub by: f64,
}

impl<L: Loss> Loss for ShiftedLoss<'_, L> {
    fn slope(&self, sum: f64, target: f64) -> f64 {
        self.loss.slope(sum + self.by, target)
    }

    fn descent(&self, sum: f64, target: f64, time: f64) -> f64 {
        self.loss.descent(sum + self.by, target, time)
    }
}
