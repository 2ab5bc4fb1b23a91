//! Stochastic gradient descent with a falling rate.
//!
//! `w −= eta·(g + l2·w)` with `eta = rate/(1 + decay·t)^0.5`, t being the examples learnt so far (Robbins and Monro
//! 1951; the root as in scikit-learn's and Vowpal Wabbit's `power_t = 0.5`). `decay = 0` keeps the rate.

use super::slot_states::SlotStates;
use super::{Optimizer, OptimizerKind};
use crate::model::tensor::{Tensor, Tensors, floats};
use crate::model::{Bounds, ModelError, Parameter, SparseRow};

pub(super) static KIND: OptimizerKind = OptimizerKind {
    name: "sgd",
    summary: "plain gradient descent",
    parameters: &[
        Parameter { name: "rate", default: 0.01, bounds: Bounds::Above(0.0), summary: "learning rate" },
        Parameter {
            name: "decay",
            default: 0.0,
            bounds: Bounds::AtLeast(0.0),
            summary: "decay of the learning rate with the number of examples",
        },
        Parameter {
            name: "l2",
            default: 0.0,
            bounds: Bounds::AtLeast(0.0),
            summary: "L2 regularisation of the weights of each example",
        },
    ],
    build: |parameters, slots| {
        let [rate, decay, l2] = ["rate", "decay", "l2"].map(|name| parameters.get(name));
        Box::new(Sgd { rate, decay, l2, steps: 0.0, state: SlotStates::new(slots) })
    },
};

#[derive(Clone)]
struct Sgd {
    rate: f64,
    decay: f64,
    l2: f64,
    /// Examples learnt; a float, so that shards can be averaged.
    steps: f64,
    /// The weight w of each slot.
    state: SlotStates<1>,
}

impl Optimizer for Sgd {
    fn dot(&self, row: SparseRow<'_>) -> f64 {
        row.index.iter().zip(row.value).fold(0.0, |sum, (slot, x)| sum + self.state.get(*slot)[0] * x)
    }

    fn step(&mut self, row: SparseRow<'_>, slope: f64) {
        let rate = self.rate / (1.0 + self.decay * self.steps).sqrt();
        self.steps += 1.0;
        for (slot, x) in row.index.iter().zip(row.value) {
            let [weight] = self.state.get_mut(*slot);
            *weight -= rate * (slope * x + self.l2 * *weight);
        }
    }

    fn forget(&mut self, slot: u32) {
        self.state.forget(slot);
    }

    fn clone_box(&self) -> Box<dyn Optimizer> {
        Box::new(self.clone())
    }

    fn share(&mut self) -> Box<dyn Optimizer> {
        Box::new(Sgd { state: self.state.share(), ..*self })
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
        let weights = self.state.column(0);
        Tensors::from([("t".to_owned(), Tensor::vector(vec![self.steps])), ("w".to_owned(), weights)])
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        self.steps = floats(tensors, "t", Some(1))?[0];
        self.state.load(tensors, &["w"])
    }
}
