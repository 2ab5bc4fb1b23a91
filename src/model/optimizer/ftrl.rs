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

use ndarray::{Array2, ArrayView1};

use super::{Optimizer, OptimizerKind};
use crate::model::tensor::{Tensor, Tensors, floats};
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
const ROOT: usize = 3;

#[derive(Clone)]
struct Ftrl {
    per_alpha: f64,
    beta: f64,
    l1: f64,
    l2: f64,
    /// (slots, 4): w, z, n, sqrt(n).
    state: Array2<f64>,
}

impl Ftrl {
    fn new([alpha, beta, l1, l2]: [f64; 4], slots: usize) -> Self {
        Ftrl { per_alpha: 1.0 / alpha, beta, l1, l2, state: Array2::zeros((slots, 4)) }
    }

    #[inline]
    fn weight_of(&self, z: f64, root: f64) -> f64 {
        if z.abs() <= self.l1 {
            return 0.0;
        }
        let rate = (self.beta + root) * self.per_alpha + self.l2;
        -(z - self.l1.copysign(z)) / rate
    }

    fn column(&self, column: usize) -> ArrayView1<'_, f64> {
        self.state.column(column)
    }
}

impl Optimizer for Ftrl {
    fn dot(&self, row: SparseRow<'_>) -> f64 {
        let state = self.state.as_slice().expect("the state is row-major");
        row.index.iter().zip(row.value).fold(0.0, |sum, (slot, x)| sum + state[4 * *slot as usize + W] * x)
    }

    fn step(&mut self, row: SparseRow<'_>, slope: f64) {
        for (slot, x) in row.index.iter().zip(row.value) {
            let at = 4 * *slot as usize;
            let state = self.state.as_slice().expect("the state is row-major");
            let [w, z, n, root] = [state[at + W], state[at + Z], state[at + N], state[at + ROOT]];
            let gradient = slope * x;
            let n = n + gradient * gradient;
            let new_root = n.sqrt();
            let z = z + (gradient - (new_root - root) * self.per_alpha * w);
            let w = self.weight_of(z, new_root);
            let cells = self.state.as_slice_mut().expect("the state is row-major");
            cells[at..at + 4].copy_from_slice(&[w, z, n, new_root]);
        }
    }

    fn forget(&mut self, slot: u32) {
        self.state.row_mut(slot as usize).fill(0.0);
    }

    fn clone_box(&self) -> Box<dyn Optimizer> {
        Box::new(self.clone())
    }

    fn weight(&self, slot: usize) -> f64 {
        self.state[(slot, W)]
    }

    fn save(&self) -> Tensors {
        let column = |column| Tensor::vector(self.column(column).to_vec());
        Tensors::from([("n".to_owned(), column(N)), ("z".to_owned(), column(Z))])
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        let slots = Some(self.state.nrows());
        let (n, z) = (floats(tensors, "n", slots)?, floats(tensors, "z", slots)?);
        let weights: Vec<[f64; 4]> = (n.iter().zip(z))
            .map(|(n, z)| match n.to_bits() | z.to_bits() {
                0 => [0.0; 4],
                _ => [self.weight_of(*z, n.sqrt()), *z, *n, n.sqrt()],
            })
            .collect();
        let cells = self.state.as_slice_mut().expect("the state is row-major");
        cells.copy_from_slice(weights.as_flattened());
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
