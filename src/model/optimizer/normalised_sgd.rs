//! Normalised, adaptive gradient descent with importance-invariant steps.
//!
//! The default step of Vowpal Wabbit: Ross, Mineiro and Langford 2013, "Normalized online learning"; Karampatziakis and
//! Langford 2011, "Online importance weight aware updates". For each slot are kept the weight w, A = Σ g², and s, the
//! largest |x| so far; for all, the number of rows and the sum of their norms Σ (x/s)²:
//! ```text
//! A += g²;  where |x| > s:  w *= s/|x|, s = |x|           with g = slope·x
//! r = 1/(sqrt(A)·s),   m = sqrt(rows/norms),   k = m·Σ x²·r
//! w += u·m·r·x                                            with u·k the descent of the loss over a time of rate·k
//! ```
//! So the unit of an input does not matter, and a step never passes the label, however large the rate is. An example of
//! weight h counts as h examples: its g², its norm, its row and its time are taken h times.
//!
//! Shards average w, A, s and the two sums.

use super::slot_states::SlotStates;
use super::{Loss, Optimizer, OptimizerKind};
use crate::model::tensor::{Tensor, Tensors, floats};
use crate::model::{Bounds, ModelError, Parameter, SparseRow};

pub(super) static KIND: OptimizerKind = OptimizerKind {
    name: "normalised_sgd",
    summary: "gradient descent as Vowpal Wabbit does it by default: normalised, adaptive, and with steps that do not overshoot",
    parameters: &[Parameter { name: "rate", default: 0.5, bounds: Bounds::Above(0.0), summary: "learning rate" }],
    build: |parameters, slots| {
        Box::new(NormalisedSgd { rate: parameters.get("rate"), totals: [0.0; 2], state: SlotStates::new(slots) })
    },
};

/// Numbers kept for each slot.
const WIDTH: usize = 3;

/// Names of the columns, as saved: w, A and s.
const NAMES: [&str; WIDTH] = ["w", "a", "s"];

/// The name of the number of rows and the sum of their norms.
const TOTALS: &str = "totals";

#[derive(Clone)]
struct NormalisedSgd {
    rate: f64,
    /// Rows learnt, and the sum of their norms.
    totals: [f64; 2],
    /// The weight w, A and s of each slot.
    state: SlotStates<WIDTH>,
}

impl NormalisedSgd {
    /// Adds a row of a weight with the slope of its loss to A, s and the norms. Returns m and k.
    fn prepare(&mut self, row: SparseRow<'_>, slope: f64, weight: f64) -> [f64; 2] {
        let mut reach = 0.0;
        for (slot, x) in row.index.iter().zip(row.value).filter(|(_, x)| **x != 0.0) {
            let [w, squares, most] = self.state.get_mut(*slot);
            let gradient = slope * x;
            *squares += weight * gradient * gradient;
            if x.abs() > *most {
                *w *= *most / x.abs();
                *most = x.abs();
            }
            self.totals[1] += weight * (x / *most) * (x / *most);
            if *squares > 0.0 {
                reach += x * x / (squares.sqrt() * *most);
            }
        }
        self.totals[0] += weight;
        let scale = if self.totals[1] > 0.0 { (self.totals[0] / self.totals[1]).sqrt() } else { 0.0 };
        [scale, scale * reach]
    }

    /// Moves the weights by `step`·r·x.
    fn shift(&mut self, row: SparseRow<'_>, step: f64) {
        for (slot, x) in row.index.iter().zip(row.value).filter(|(_, x)| **x != 0.0) {
            let cells = self.state.get_mut(*slot);
            if cells[1] == 0.0 {
                continue;
            }
            cells[0] += step * x / (cells[1].sqrt() * cells[2]);
        }
    }
}

impl Optimizer for NormalisedSgd {
    fn dot(&self, row: SparseRow<'_>) -> f64 {
        row.index.iter().zip(row.value).fold(0.0, |sum, (slot, x)| sum + self.state.get(*slot)[0] * x)
    }

    /// Takes the slope to be the same all the way.
    fn step(&mut self, row: SparseRow<'_>, slope: f64) {
        if slope != 0.0 {
            let [scale, _] = self.prepare(row, slope, 1.0);
            self.shift(row, -self.rate * slope * scale);
        }
    }

    fn learn(&mut self, row: SparseRow<'_>, target: f64, weight: f64, loss: &dyn Loss) {
        let sum = self.dot(row);
        let slope = loss.slope(sum, target);
        if slope == 0.0 || weight == 0.0 {
            return;
        }
        let [scale, reach] = self.prepare(row, slope, weight);
        // The rate at which the sum moves may be so small that the quotient below has no digits left.
        let step = match weight * self.rate * reach {
            time if time < 1e-6 => -weight * self.rate * slope,
            time => loss.descent(sum, target, time) / reach,
        };
        self.shift(row, step * scale);
    }

    fn forget(&mut self, slot: u32) {
        self.state.forget(slot);
    }

    fn clone_box(&self) -> Box<dyn Optimizer> {
        Box::new(self.clone())
    }

    fn share(&mut self) -> Box<dyn Optimizer> {
        Box::new(NormalisedSgd { state: self.state.share(), ..*self })
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
        let columns = NAMES.iter().enumerate().map(|(at, name)| ((*name).to_owned(), column(at)));
        columns.chain([(TOTALS.to_owned(), Tensor::vector(self.totals.to_vec()))]).collect()
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        self.state.load(tensors, &NAMES)?;
        self.totals.copy_from_slice(floats(tensors, TOTALS, Some(2))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Parameters;

    /// Squared loss.
    struct Squared;

    impl Loss for Squared {
        fn slope(&self, sum: f64, target: f64) -> f64 {
            sum - target
        }

        fn descent(&self, sum: f64, target: f64, time: f64) -> f64 {
            (target - sum) * -libm::expm1(-time)
        }
    }

    fn optimizer(rate: f64, slots: usize) -> Box<dyn Optimizer> {
        let written = [("rate".to_owned(), rate.into())];
        (KIND.build)(&Parameters::resolve("normalised_sgd", KIND.parameters, &written).unwrap(), slots)
    }

    #[test]
    fn the_unit_of_an_input_does_not_matter() {
        let learn = |unit: f64| {
            let mut optimizer = optimizer(0.5, 2);
            for round in 0..500_u32 {
                let x = f64::from(round * 7 % 11) - 5.0;
                optimizer.learn(SparseRow { index: &[0, 1], value: &[1.0, x * unit] }, 2.0 + x, 1.0, &Squared);
            }
            optimizer.dot(SparseRow { index: &[0, 1], value: &[1.0, 3.0 * unit] })
        };
        assert!((learn(1.0) - 5.0).abs() < 0.1, "{}", learn(1.0));
        assert!((learn(1.0) - learn(1024.0)).abs() < 1e-9 && (learn(1.0) - learn(1.0 / 1024.0)).abs() < 1e-9);
    }

    /// The rules as printed, for rows of one input, with the sums over all rows computed for each.
    #[test]
    fn oracle_weights_follow_the_rules_as_printed() {
        let mut optimizer = optimizer(0.5, 1);
        let mut rows: Vec<[f64; 2]> = Vec::new();
        let mut weight = 0.0;
        for round in 0..300_u32 {
            // Inputs grow, so the weight is scaled down now and then.
            let x = (f64::from(round * 7 % 11) - 5.0) * f64::from(1 + round / 100);
            let row = SparseRow { index: &[0], value: &[x] };
            let target = 2.0 * x + f64::from(round % 3);
            let slope = weight * x - target;
            optimizer.learn(row, target, 1.0, &Squared);
            if slope == 0.0 {
                continue;
            }
            let most = |rows: &[[f64; 2]]| rows.iter().fold(0.0_f64, |most, [x, _]| most.max(x.abs()));
            let before = most(&rows);
            rows.push([x, slope]);
            if x.abs() > before {
                weight *= before / x.abs();
            }
            let squares: f64 = rows.iter().map(|[x, slope]| (x * slope).powi(2)).sum();
            let norms = (0..rows.len()).map(|at| (rows[at][0] / most(&rows[..=at]).max(1e-300)).powi(2));
            let scale = (rows.len() as f64 / norms.sum::<f64>()).sqrt();
            if squares > 0.0 && x != 0.0 {
                let rate = scale / (squares.sqrt() * most(&rows));
                let reach = rate * x * x;
                weight -= slope * (1.0 - (-0.5 * reach).exp()) / reach * rate * x;
            }
            assert!((optimizer.weight(0) - weight).abs() < 1e-9 * (1.0 + weight.abs()), "{round}");
        }
        assert!((1.0..3.0).contains(&weight), "{weight}");
    }

    #[test]
    fn a_step_moves_the_sum_as_far_as_the_loss_descends() {
        // At the first row, A = g² and s = |x|, so r = 1/(|slope|·x²), m = 1/sqrt(2) and k = 2m/|slope|.
        let (row, target) = (SparseRow { index: &[0, 1], value: &[1.0, 3.0] }, 2.0);
        for rate in [1e-9, 0.5, 1e6] {
            let mut optimizer = optimizer(rate, 2);
            optimizer.learn(row, target, 1.0, &Squared);
            let expected = target * -libm::expm1(-rate * 2.0 / 2f64.sqrt() / target);
            assert!((optimizer.dot(row) - expected).abs() <= 1e-6 * expected, "{} {expected}", optimizer.dot(row));
        }
    }
}
