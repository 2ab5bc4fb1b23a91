//! AdaGrad: a learning rate for each weight, falling with the gradients it has seen.
//!
//! Duchi, Hazan, Singer 2011. For each slot are kept w and n: `n += g²; w −= rate·g/(sqrt(n) + epsilon)`, `w` shrunk
//! by `rate·l2` on each step.

use super::slot_states::SlotStates;
use super::{Optimizer, OptimizerKind};
use crate::model::tensor::Tensors;
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
        Box::new(Adagrad { rate, epsilon, l2, state: SlotStates::new(slots) })
    },
};

#[derive(Clone)]
struct Adagrad {
    rate: f64,
    epsilon: f64,
    l2: f64,
    /// The weight w and n of each slot.
    state: SlotStates<2>,
}

impl Optimizer for Adagrad {
    fn dot(&self, row: SparseRow<'_>) -> f64 {
        row.index.iter().zip(row.value).fold(0.0, |sum, (slot, x)| sum + self.state.get(*slot)[0] * x)
    }

    fn step(&mut self, row: SparseRow<'_>, slope: f64) {
        for (slot, x) in row.index.iter().zip(row.value) {
            let [w, n] = self.state.get_mut(*slot);
            let gradient = slope * x + self.l2 * *w;
            let grown = *n + gradient * gradient;
            *w -= self.rate * gradient / (grown.sqrt() + self.epsilon);
            *n = grown;
        }
    }

    fn forget(&mut self, slot: u32) {
        self.state.forget(slot);
    }

    fn clone_box(&self) -> Box<dyn Optimizer> {
        Box::new(self.clone())
    }

    fn share(&mut self) -> Box<dyn Optimizer> {
        Box::new(Adagrad { state: self.state.share(), ..*self })
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
        Tensors::from([("n".to_owned(), column(1)), ("w".to_owned(), column(0))])
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        self.state.load(tensors, &["w", "n"])
    }
}
