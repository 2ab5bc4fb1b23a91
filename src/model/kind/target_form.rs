//! Statistics of targets: cells of a few numbers, which can be added to and merged.

use serde::{Deserialize, Serialize};

/// The form of the statistics of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TargetForm {
    /// A cell is the weight of each of so many classes; a target is the position of a class.
    Classes(usize),
    /// A cell is weight, mean, and sum of squared deviations from the mean (Welford 1962).
    Value,
}

impl TargetForm {
    /// Returns the numbers of a cell.
    #[inline]
    pub fn width(self) -> usize {
        match self {
            TargetForm::Classes(classes) => classes,
            TargetForm::Value => 3,
        }
    }

    /// Returns the numbers of a prediction.
    #[inline]
    pub fn outputs(self) -> usize {
        match self {
            TargetForm::Classes(classes) => classes,
            TargetForm::Value => 1,
        }
    }

    /// Adds a target to a cell.
    #[inline]
    pub fn add(self, cell: &mut [f64], target: f64, weight: f64) {
        match self {
            TargetForm::Classes(_) => cell[target as usize] += weight,
            TargetForm::Value => {
                cell[0] += weight;
                let off = target - cell[1];
                cell[1] += off * weight / cell[0];
                cell[2] += weight * off * (target - cell[1]);
            }
        }
    }

    /// Adds all targets of another cell to a cell (Chan et al. 1979).
    pub fn merge(self, cell: &mut [f64], other: &[f64]) {
        match self {
            TargetForm::Classes(_) => cell.iter_mut().zip(other).for_each(|(sum, more)| *sum += more),
            TargetForm::Value if other[0] > 0.0 => {
                let weight = cell[0] + other[0];
                let off = other[1] - cell[1];
                cell[1] += off * other[0] / weight;
                cell[2] += other[2] + off * off * cell[0] * other[0] / weight;
                cell[0] = weight;
            }
            TargetForm::Value => {}
        }
    }

    /// Returns the weight of the targets of a cell.
    #[inline]
    pub fn weight(self, cell: &[f64]) -> f64 {
        match self {
            TargetForm::Classes(_) => cell.iter().fold(0.0, |sum, weight| sum + weight),
            TargetForm::Value => cell[0],
        }
    }

    /// Returns the entropy of the classes in bits, or the standard deviation of the values.
    pub fn impurity(self, cell: &[f64]) -> f64 {
        let weight = self.weight(cell);
        match self {
            _ if weight <= 0.0 => 0.0,
            TargetForm::Classes(_) => {
                let bits =
                    |sum: f64, own: &f64| if *own > 0.0 { sum - own / weight * libm::log2(own / weight) } else { sum };
                cell.iter().fold(0.0, bits)
            }
            TargetForm::Value => (cell[2].max(0.0) / weight).sqrt(),
        }
    }

    /// Returns a number that the weight of a cell of two classes times its impurity is not below, nearly: by less than a
    /// millionth of the weight.
    ///
    /// With t = (1 − 2p)², the entropy of a class of share p is 1 − Σ t^k/(2k(2k − 1)) / ln 2. The terms after the third are at most
    /// their sum at t = 1, times t⁴.
    #[inline]
    pub fn least_impurity([one, other]: [f64; 2]) -> f64 {
        const SCALE: f64 = std::f64::consts::LOG2_E / 2.0;
        const REST: f64 = 0.153;
        let weight = one + other;
        let share = (one - other) / weight;
        let t = share * share;
        let missing = t * (1.0 + t * (1.0 / 6.0 + t * (1.0 / 15.0 + t * REST)));
        if weight > 0.0 { weight * (1.0 - SCALE * missing) } else { 0.0 }
    }

    /// Returns the largest difference between two merits, to which the Hoeffding bound is relative: the bits of all
    /// classes. Merits of values are compared by their ratio, which is below 1.
    pub fn range(self, cell: &[f64]) -> f64 {
        match self {
            TargetForm::Classes(_) => libm::log2(cell.iter().filter(|weight| **weight > 0.0).count().max(2) as f64),
            TargetForm::Value => 1.0,
        }
    }

    /// Returns whether all targets of a cell are equal, so that no split can tell them apart.
    pub fn is_pure(self, cell: &[f64]) -> bool {
        match self {
            TargetForm::Classes(_) => cell.iter().filter(|weight| **weight > 0.0).count() < 2,
            TargetForm::Value => cell[2] <= 0.0,
        }
    }

    /// Returns whether a cell could have come from targets.
    pub fn fits(self, cells: &[f64]) -> bool {
        let is_cell = |cell: &[f64]| match self {
            TargetForm::Classes(_) => cell.iter().all(|weight| weight.is_finite() && *weight >= 0.0),
            TargetForm::Value => cell.iter().all(|number| number.is_finite()) && cell[0] >= 0.0,
        };
        cells.len().is_multiple_of(self.width().max(1)) && cells.chunks_exact(self.width().max(1)).all(is_cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_impurity_is_close_below_the_impurity() {
        for one in 0..=2000 {
            let cell = [f64::from(one) / 6.0, 2000.0 / 6.0 - f64::from(one) / 6.0];
            let form = TargetForm::Classes(2);
            let (weight, impurity) = (form.weight(&cell), form.impurity(&cell));
            let least = TargetForm::least_impurity(cell) / weight;
            assert!((impurity - 0.03..impurity + 1e-6).contains(&least), "{cell:?}: {least} {impurity}");
        }
        assert_eq!(TargetForm::least_impurity([0.0; 2]), 0.0);
    }
}
