//! Adam, in its lazy form for sparse rows.
//!
//! Kingma and Ba 2015: m and v are decaying means of g and g², corrected for their start at zero. A slot's means move
//! only on the rows that contain it and are corrected by the number of those rows, so that a rare category is not
//! forgotten between two of its examples (the "lazy" variant of TensorFlow and PyTorch).

use ndarray::Array2;

use super::{Optimizer, OptimizerKind};
use crate::model::tensor::{Tensor, Tensors, floats};
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
        Box::new(Adam { rate, epsilon, state: Array2::zeros((slots, WIDTH)) })
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
    /// (slots, 5): w, m, v, and the corrections 1 − 0.9^t and 1 − 0.999^t, so that an untouched slot is all zero.
    state: Array2<f64>,
}

impl Optimizer for Adam {
    fn dot(&self, row: SparseRow<'_>) -> f64 {
        let state = self.state.as_slice().expect("the state is row-major");
        row.index.iter().zip(row.value).fold(0.0, |sum, (slot, x)| sum + state[WIDTH * *slot as usize] * x)
    }

    fn step(&mut self, row: SparseRow<'_>, slope: f64) {
        let state = self.state.as_slice_mut().expect("the state is row-major");
        for (slot, x) in row.index.iter().zip(row.value) {
            let at = WIDTH * *slot as usize;
            let [w, m, v, first, second] = &mut state[at..at + WIDTH] else { unreachable!("a slot has five cells") };
            let gradient = slope * x;
            *m = FIRST * *m + (1.0 - FIRST) * gradient;
            *v = SECOND * *v + (1.0 - SECOND) * gradient * gradient;
            *first = FIRST * *first + (1.0 - FIRST);
            *second = SECOND * *second + (1.0 - SECOND);
            *w -= self.rate * (*m / *first) / ((*v / *second).sqrt() + self.epsilon);
        }
    }

    fn forget(&mut self, slot: u32) {
        self.state.row_mut(slot as usize).fill(0.0);
    }

    fn clone_box(&self) -> Box<dyn Optimizer> {
        Box::new(self.clone())
    }

    fn weight(&self, slot: usize) -> f64 {
        self.state[(slot, 0)]
    }

    fn save(&self) -> Tensors {
        let column = |column| Tensor::vector(self.state.column(column).to_vec());
        NAMES.iter().enumerate().map(|(at, name)| ((*name).to_owned(), column(at))).collect()
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        for (column, name) in NAMES.into_iter().enumerate() {
            let cells = floats(tensors, name, Some(self.state.nrows()))?;
            self.state.column_mut(column).iter_mut().zip(cells).for_each(|(cell, value)| *cell = *value);
        }
        Ok(())
    }
}
