//! Coin betting: no learning rate.
//!
//! Orabona and Tommasi 2017, "Training deep networks without learning rates through coin betting", in the form that Vowpal
//! Wabbit has as `--coin`. Each weight is a bet on the sign of its next gradient, sized by what it has won. For each slot are
//! kept θ = Σ −g, G = Σ|g|, the largest |x| as M, and the wealth W; for all, the largest slope as L and the number of rows:
//! ```text
//! w = (alpha + W)·θ / (L·M·(L·M + G)),   sum = Σ w·x / N
//! θ −= g;  G += |g|;  W −= g·w                            with g = slope·x
//! ```
//! N is the mean over all rows of Σ (x/M)². So the unit of an input does not matter, nor does the number of inputs.
//!
//! Shards average θ, G, M, W, L and the sums behind N.

use super::slot_states::SlotStates;
use super::{Optimizer, OptimizerKind};
use crate::model::tensor::{Tensor, Tensors, floats};
use crate::model::{Bounds, ModelError, Parameter, SparseRow};

pub(super) static KIND: OptimizerKind = OptimizerKind {
    name: "coin",
    summary: "coin betting: no learning rate, and no unit of an input matters",
    parameters: &[
        Parameter { name: "alpha", default: 4.0, bounds: Bounds::UpTo(0.0, 1e6), summary: "wealth to begin with" },
        Parameter {
            name: "beta",
            default: 1.0,
            bounds: Bounds::Within(1e-9, 1e9),
            summary: "slope of the loss that is expected at least",
        },
    ],
    build: |parameters, slots| {
        let [alpha, beta] = ["alpha", "beta"].map(|name| parameters.get(name));
        Box::new(Coin { alpha, steepest: beta, rows: 0.0, norm: 0.0, state: SlotStates::new(slots) })
    },
};

/// Numbers kept for each slot.
const WIDTH: usize = 4;

/// Names of the columns, as saved: θ, G, M and W.
const NAMES: [&str; WIDTH] = ["theta", "g", "m", "wealth"];

/// The name of L, the number of rows and the sum of their norms.
const TOTALS: &str = "totals";

#[derive(Clone)]
struct Coin {
    alpha: f64,
    /// L: the largest slope so far, at least beta.
    steepest: f64,
    /// Rows learnt; a float, so that shards can be averaged.
    rows: f64,
    /// The sum of Σ (x/M)² over the rows.
    norm: f64,
    /// The terms θ, G, M and W of each slot.
    state: SlotStates<WIDTH>,
}

impl Coin {
    /// Returns the weight of a slot whose largest |x| is `most`.
    #[inline]
    fn bet(&self, cells: &[f64; WIDTH], most: f64) -> f64 {
        let [theta, total, _, wealth] = *cells;
        let scale = self.steepest * most;
        if theta == 0.0 || scale == 0.0 { 0.0 } else { (self.alpha + wealth) * theta / (scale * (scale + total)) }
    }

    /// Returns 1/N.
    fn per_norm(&self) -> f64 {
        if self.norm > 0.0 { self.rows / self.norm } else { 1.0 }
    }
}

impl Optimizer for Coin {
    fn dot(&self, row: SparseRow<'_>) -> f64 {
        let sum = row.index.iter().zip(row.value).fold(0.0, |sum, (slot, x)| {
            let cells = self.state.get(*slot);
            sum + self.bet(cells, cells[2].max(x.abs())) * x
        });
        sum * self.per_norm()
    }

    fn step(&mut self, row: SparseRow<'_>, slope: f64) {
        self.steepest = self.steepest.max(slope.abs());
        self.rows += 1.0;
        for (slot, x) in row.index.iter().zip(row.value) {
            let mut cells = *self.state.get(*slot);
            cells[2] = cells[2].max(x.abs());
            if cells[2] > 0.0 {
                self.norm += (x / cells[2]) * (x / cells[2]);
            }
            let gradient = slope * x;
            let weight = self.bet(&cells, cells[2]);
            cells[0] -= gradient;
            cells[1] += gradient.abs();
            cells[3] -= gradient * weight;
            *self.state.get_mut(*slot) = cells;
        }
    }

    fn forget(&mut self, slot: u32) {
        self.state.forget(slot);
    }

    fn clone_box(&self) -> Box<dyn Optimizer> {
        Box::new(self.clone())
    }

    fn share(&mut self) -> Box<dyn Optimizer> {
        Box::new(Coin { state: self.state.share(), ..*self })
    }

    fn touch(&self, slots: &[u32]) -> u64 {
        self.state.touch(slots)
    }

    fn weight(&self, slot: usize) -> f64 {
        let cells = self.state.get(slot as u32);
        self.bet(cells, cells[2]) * self.per_norm()
    }

    fn append_weights(&self, weights: &mut Vec<f64>) {
        weights.extend((0..self.state.len()).map(|slot| self.weight(slot)));
    }

    fn save(&self) -> Tensors {
        let column = |column| self.state.column(column);
        let columns = NAMES.iter().enumerate().map(|(at, name)| ((*name).to_owned(), column(at)));
        let totals = Tensor::vector(vec![self.steepest, self.rows, self.norm]);
        columns.chain([(TOTALS.to_owned(), totals)]).collect()
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        self.state.load(tensors, &NAMES)?;
        let totals = floats(tensors, TOTALS, Some(3))?;
        (self.steepest, self.rows, self.norm) = (totals[0], totals[1], totals[2]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Parameters;

    fn coin(slots: usize) -> Box<dyn Optimizer> {
        (KIND.build)(&Parameters::resolve("coin", KIND.parameters, &[]).unwrap(), slots)
    }

    /// The rules as printed, for one input, with the sums over all rows computed for each.
    fn textbook(rows: &[(f64, f64)], x: f64) -> f64 {
        let most = |rows: &[(f64, f64)]| rows.iter().fold(0.0_f64, |most, (x, _)| most.max(x.abs()));
        let steepest = |rows: &[(f64, f64)]| rows.iter().fold(1.0_f64, |most, (_, slope)| most.max(slope.abs()));
        let weight = |wealth: f64, before: &[(f64, f64)], most: f64, steepest: f64| {
            let theta: f64 = before.iter().map(|(x, slope)| -slope * x).sum();
            let total: f64 = before.iter().map(|(x, slope)| (slope * x).abs()).sum();
            if theta == 0.0 { 0.0 } else { (4.0 + wealth) * theta / (steepest * most * (steepest * most + total)) }
        };
        let mut wealth = 0.0;
        for at in 0..rows.len() {
            let (x, slope) = rows[at];
            wealth -= slope * x * weight(wealth, &rows[..at], most(&rows[..=at]), steepest(&rows[..=at]));
        }
        let norms = (0..rows.len()).map(|at| (rows[at].0 / most(&rows[..=at])).powi(2));
        let norm = norms.sum::<f64>() / rows.len() as f64;
        weight(wealth, rows, most(rows).max(x.abs()), steepest(rows)) * x / norm
    }

    #[test]
    fn oracle_weights_follow_the_rules_as_printed() {
        let mut coin = coin(1);
        let mut rows = Vec::new();
        for round in 0..300_u32 {
            let x = f64::from(round * 7 % 11) - 4.5 + f64::from(round) / 50.0;
            let slope = f64::from(round * 5 % 13) / 6.0 - 1.2;
            coin.step(SparseRow { index: &[0], value: &[x] }, slope);
            rows.push((x, slope));
            let (found, expected) = (coin.dot(SparseRow { index: &[0], value: &[9.5] }), textbook(&rows, 9.5));
            assert!((found - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{found} {expected} at {round}");
        }
    }

    #[test]
    fn the_unit_of_an_input_does_not_matter() {
        let learn = |unit: f64| {
            let mut coin = coin(2);
            for round in 0..500_u32 {
                let x = (f64::from(round * 7 % 11) - 5.0) * unit;
                let row = SparseRow { index: &[0, 1], value: &[1.0, x] };
                let slope = coin.dot(row) - (2.0 + x / unit);
                coin.step(row, slope);
            }
            coin.dot(SparseRow { index: &[0, 1], value: &[1.0, 3.0 * unit] })
        };
        assert!((learn(1.0) - 5.0).abs() < 0.5, "{}", learn(1.0));
        assert!((learn(1.0) - learn(1024.0)).abs() < 1e-9 && (learn(1.0) - learn(1.0 / 1024.0)).abs() < 1e-9);
    }
}
