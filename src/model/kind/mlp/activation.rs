//! The functions of hidden units, and the slopes of the losses.

use super::super::linear::Linear;
use super::super::logistic::Logistic;
use super::super::softmax::normalise;
use crate::model::optimizer::Loss;
use crate::model::{Parameters, Task};

pub(super) const TANH: &str = "tanh";
pub(super) const RELU: &str = "relu";

/// The function of a hidden unit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Activation {
    Tanh,
    Relu,
}

impl Activation {
    pub fn of(parameters: &Parameters) -> Self {
        if parameters.word("activation") == RELU { Activation::Relu } else { Activation::Tanh }
    }

    pub fn apply(self, z: f64) -> f64 {
        match self {
            Activation::Tanh => libm::tanh(z),
            Activation::Relu => z.max(0.0),
        }
    }

    /// Returns the derivative, from the function's value.
    pub fn slope(self, value: f64) -> f64 {
        match self {
            Activation::Tanh => 1.0 - value * value,
            Activation::Relu => f64::from(u8::from(value > 0.0)),
        }
    }
}

/// Replaces sums by the slopes of the loss in them.
pub(super) fn slope_sums(task: Task, sums: &mut [f64], truth: f64) {
    match task {
        Task::Binary => sums[0] = Logistic.slope(sums[0], truth),
        Task::Multiclass => {
            normalise(sums);
            sums[truth as usize] -= 1.0;
        }
        _ => sums[0] = Linear::SQUARED.slope(sums[0], truth),
    }
}
