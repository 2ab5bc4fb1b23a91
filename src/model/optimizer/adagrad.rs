//! AdaGrad: a learning rate for each weight, falling with the gradients it has seen.
//!
//! Duchi, Hazan, Singer 2011. For each slot are kept w and n: `n += g²; w −= rate·g/(sqrt(n) + epsilon)`, `w` shrunk
//! by `rate·l2` on each step.

use ndarray::Array2;

use super::{Optimizer, OptimizerKind};
use crate::model::tensor::{Tensor, Tensors, floats};
use crate::model::{Bounds, ModelError, Parameter, SparseRow};

pub(super) static KIND: OptimizerKind = OptimizerKind {
    name: "adagrad",
    summary: "AdaGrad: a learning rate for each weight",
    parameters: &[
        Parameter { name: "rate", default: 0.1, bounds: Bounds::Above(0.0), summary: "learning rate" },
        Parameter {
            name: "epsilon",
            default: 1e-8,
            bounds: Bounds::Above(0.0),
            summary: "keeps the first step finite",
        },
        Parameter { name: "l2", default: 0.0, bounds: Bounds::AtLeast(0.0), summary: "L2 regularisation" },
    ],
    build: |parameters, slots| {
        let [rate, epsilon, l2] = ["rate", "epsilon", "l2"].map(|name| parameters.get(name));
        Box::new(Adagrad { rate, epsilon, l2, state: Array2::zeros((slots, 2)) })
    },
};

#[derive(Clone)]
struct Adagrad {
    rate: f64,
    epsilon: f64,
    l2: f64,
    /// (slots, 2): w, n.
    state: Array2<f64>,
}

impl Optimizer for Adagrad {
    fn dot(&self, row: SparseRow<'_>) -> f64 {
        let state = self.state.as_slice().expect("the state is row-major");
        row.index.iter().zip(row.value).fold(0.0, |sum, (slot, x)| sum + state[2 * *slot as usize] * x)
    }

    fn step(&mut self, row: SparseRow<'_>, slope: f64) {
        let state = self.state.as_slice_mut().expect("the state is row-major");
        for (slot, x) in row.index.iter().zip(row.value) {
            let at = 2 * *slot as usize;
            let gradient = slope * x + self.l2 * state[at];
            let n = state[at + 1] + gradient * gradient;
            state[at] -= self.rate * gradient / (n.sqrt() + self.epsilon);
            state[at + 1] = n;
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
        Tensors::from([("n".to_owned(), column(1)), ("w".to_owned(), column(0))])
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        for (column, name) in ["w", "n"].into_iter().enumerate() {
            let cells = floats(tensors, name, Some(self.state.nrows()))?;
            self.state.column_mut(column).iter_mut().zip(cells).for_each(|(cell, value)| *cell = *value);
        }
        Ok(())
    }
}
