//! Adam, in its lazy form for sparse rows.
//!
//! Kingma and Ba 2015: m and v are decaying means of g and g², corrected for their start at zero. A slot's means move
//! only on the rows that contain it and are corrected by the number of those rows, so that a rare category is not
//! forgotten between two of its examples (the "lazy" variant of TensorFlow and PyTorch).

use super::slot_states::SlotStates;
use super::{Optimizer, OptimizerKind};
use crate::model::tensor::Tensors;
use crate::model::{Bounds, ModelError, Parameter, SparseRow};

pub(super) static KIND: OptimizerKind = OptimizerKind {
    name: "adam",
    summary: "Adam: a learning rate for each weight, with momentum",
    parameters: &[
        Parameter { name: "rate", default: 0.001, bounds: Bounds::Above(0.0), summary: "learning rate" },
        Parameter {
            name: "epsilon",
            default: 1e-8,
            bounds: Bounds::Above(0.0),
            summary: "keeps the first step finite",
        },
    ],
    build: |parameters, slots| {
        let [rate, epsilon] = ["rate", "epsilon"].map(|name| parameters.get(name));
        Box::new(Adam { rate, epsilon, state: SlotStates::new(slots) })
    },
};

/// Numbers kept for each slot.
const WIDTH: usize = 5;

/// Decay of the mean gradient, as in the paper.
const FIRST: f64 = 0.9;

/// Decay of the mean squared gradient, as in the paper.
const SECOND: f64 = 0.999;

/// Names of the columns, as saved.
const NAMES: [&str; WIDTH] = ["w", "m", "v", "first", "second"];

#[derive(Clone)]
struct Adam {
    rate: f64,
    epsilon: f64,
    /// The weight w, m and v of each slot, and the corrections 1 − 0.9^t and 1 − 0.999^t, so that an untouched slot is all zero.
    state: SlotStates<WIDTH>,
}

impl Optimizer for Adam {
    fn dot(&self, row: SparseRow<'_>) -> f64 {
        row.index.iter().zip(row.value).fold(0.0, |sum, (slot, x)| sum + self.state.get(*slot)[0] * x)
    }

    fn step(&mut self, row: SparseRow<'_>, slope: f64) {
        for (slot, x) in row.index.iter().zip(row.value) {
            let [w, m, v, first, second] = self.state.get_mut(*slot);
            let gradient = slope * x;
            *m = FIRST * *m + (1.0 - FIRST) * gradient;
            *v = SECOND * *v + (1.0 - SECOND) * gradient * gradient;
            *first = FIRST * *first + (1.0 - FIRST);
            *second = SECOND * *second + (1.0 - SECOND);
            *w -= self.rate * (*m / *first) / ((*v / *second).sqrt() + self.epsilon);
        }
    }

    fn forget(&mut self, slot: u32) {
        self.state.forget(slot);
    }

    fn clone_box(&self) -> Box<dyn Optimizer> {
        Box::new(self.clone())
    }

    fn share(&mut self) -> Box<dyn Optimizer> {
        Box::new(Adam { state: self.state.share(), ..*self })
    }

    fn touch(&self, slots: &[u32]) -> u64 {
        self.state.touch(slots)
    }

    fn weight(&self, slot: usize) -> f64 {
        self.state.get(slot as u32)[0]
    }

    fn append_weights(&self, weights: &mut Vec<f64>) {
        self.state.append_first(weights);
    }

    fn save(&self) -> Tensors {
        let column = |column| self.state.column(column);
        NAMES.iter().enumerate().map(|(at, name)| ((*name).to_owned(), column(at))).collect()
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        self.state.load(tensors, &NAMES)
    }
}
