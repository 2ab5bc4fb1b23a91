//! FTRL-Proximal: follow the regularised leader, a learning rate for each coordinate.
//!
//! McMahan et al. 2013, "Ad click prediction: a view from the trenches", algorithm 1. For each slot are kept z and n:
//! ```text
//! w = 0                                                  if |z| <= l1
//! w = −(z − sgn(z)·l1) / ((beta + sqrt(n))/alpha + l2)   otherwise
//! sigma = (sqrt(n + g²) − sqrt(n))/alpha;  z += g − sigma·w;  n += g²
//! ```
//! The paper computes w when it is used. Here w is computed when z and n change and kept beside them, with sqrt(n): the
//! numbers are the same, and a prediction is a plain dot product.

use super::slot_states::SlotStates;
use super::{Optimizer, OptimizerKind};
use crate::model::tensor::Tensors;
use crate::model::{Bounds, ModelError, Parameter, SparseRow};

pub(super) static KIND: OptimizerKind = OptimizerKind {
    name: "ftrl",
    summary: "FTRL-Proximal: a learning rate for each weight; `l1` makes the weights sparse",
    parameters: &[
        Parameter { name: "alpha", default: 0.1, bounds: Bounds::Above(0.0), summary: "learning rate" },
        Parameter { name: "beta", default: 1.0, bounds: Bounds::AtLeast(0.0), summary: "smooths the first steps" },
        Parameter { name: "l1", default: 0.0, bounds: Bounds::AtLeast(0.0), summary: "L1 regularisation" },
        Parameter { name: "l2", default: 0.0, bounds: Bounds::AtLeast(0.0), summary: "L2 regularisation" },
    ],
    build: |parameters, slots| {
        Box::new(Ftrl::new(["alpha", "beta", "l1", "l2"].map(|name| parameters.get(name)), slots))
    },
};

/// Columns of the state: the weight.
const W: usize = 0;
const Z: usize = 1;
const N: usize = 2;

#[derive(Clone, Copy)]
struct FtrlRates {
    per_alpha: f64,
    beta: f64,
    l1: f64,
    l2: f64,
}

#[derive(Clone)]
struct Ftrl {
    rates: FtrlRates,
    /// By slot: w, z, n, sqrt(n).
    state: SlotStates<4>,
}

impl FtrlRates {
    #[inline]
    fn weight(self, z: f64, root: f64) -> f64 {
        if z.abs() <= self.l1 {
            return 0.0;
        }
        let rate = (self.beta + root) * self.per_alpha + self.l2;
        -(z - self.l1.copysign(z)) / rate
    }
}

impl Ftrl {
    fn new([alpha, beta, l1, l2]: [f64; 4], slots: usize) -> Self {
        let rates = FtrlRates { per_alpha: 1.0 / alpha, beta, l1, l2 };
        Ftrl { rates, state: SlotStates::new(slots) }
    }
}

impl Optimizer for Ftrl {
    fn dot(&self, row: SparseRow<'_>) -> f64 {
        row.index.iter().zip(row.value).fold(0.0, |sum, (slot, x)| sum + self.state.get(*slot)[W] * x)
    }

    fn step(&mut self, row: SparseRow<'_>, slope: f64) {
        let Ftrl { rates, state } = self;
        for (slot, x) in row.index.iter().zip(row.value) {
            let cells = state.get_mut(*slot);
            let [w, z, n, root] = *cells;
            let gradient = slope * x;
            let n = n + gradient * gradient;
            let new_root = n.sqrt();
            let z = z + (gradient - (new_root - root) * rates.per_alpha * w);
            *cells = [rates.weight(z, new_root), z, n, new_root];
        }
    }

    fn touch(&self, slots: &[u32]) -> u64 {
        self.state.touch(slots)
    }

    fn forget(&mut self, slot: u32) {
        self.state.forget(slot);
    }

    fn clone_box(&self) -> Box<dyn Optimizer> {
        Box::new(self.clone())
    }

    fn share(&mut self) -> Box<dyn Optimizer> {
        Box::new(Ftrl { rates: self.rates, state: self.state.share() })
    }

    fn weight(&self, slot: usize) -> f64 {
        self.state.get(slot as u32)[W]
    }

    fn append_weights(&self, weights: &mut Vec<f64>) {
        self.state.append_first(weights);
    }

    fn save(&self) -> Tensors {
        Tensors::from([("n".to_owned(), self.state.column(N)), ("z".to_owned(), self.state.column(Z))])
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        let (n, z) = (self.state.read(tensors, "n")?, self.state.read(tensors, "z")?);
        self.state = SlotStates::new(self.state.len());
        for (slot, (n, z)) in (0..).zip(n.iter().zip(z)).filter(|(_, (n, z))| n.to_bits() | z.to_bits() != 0) {
            *self.state.get_mut(slot) = [self.rates.weight(*z, n.sqrt()), *z, *n, n.sqrt()];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Algorithm 1 as printed: w from z and n at the moment of use.
    struct Textbook {
        z: Vec<f64>,
        n: Vec<f64>,
        rates: [f64; 4],
    }

    impl Textbook {
        fn weight(&self, i: usize) -> f64 {
            let [alpha, beta, l1, l2] = self.rates;
            if self.z[i].abs() <= l1 {
                return 0.0;
            }
            -(self.z[i] - self.z[i].signum() * l1) / ((beta + self.n[i].sqrt()) / alpha + l2)
        }

        fn step(&mut self, i: usize, g: f64) {
            let w = self.weight(i);
            let sigma = ((self.n[i] + g * g).sqrt() - self.n[i].sqrt()) / self.rates[0];
            self.z[i] += g - sigma * w;
            self.n[i] += g * g;
        }
    }

    #[test]
    fn oracle_weights_are_those_of_the_textbook() {
        for rates in [[0.1, 1.0, 0.0, 0.0], [0.5, 0.2, 0.3, 0.01]] {
            let mut ftrl = Ftrl::new(rates, 3);
            let mut book = Textbook { z: vec![0.0; 3], n: vec![0.0; 3], rates };
            for round in 0..500_u32 {
                let index = [round % 3, (round + 1) % 3];
                let value = [f64::from(round % 7) - 3.0, 1.0];
                let slope = f64::from(round % 11) / 11.0 - 0.4;
                ftrl.step(SparseRow { index: &index, value: &value }, slope);
                index.iter().zip(value).for_each(|(i, x)| book.step(*i as usize, slope * x));
                for slot in 0..3 {
                    assert!((ftrl.weight(slot) - book.weight(slot)).abs() < 1e-12);
                }
            }
        }
    }
}
