//! The scale of labels: where a standardised label is 0, and what it counts in.

use crate::model::score_sum::ScoreSum;

/// Mean and standard deviation of labels.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct LabelScale {
    pub mean: f64,
    pub stddev: f64,
}

impl LabelScale {
    /// The scale of labels that are learnt as they are.
    pub const AS_IS: LabelScale = LabelScale { mean: 0.0, stddev: 1.0 };

    /// Returns a standardised label in the unit of labels.
    #[inline]
    pub fn restore(self, standardised: f64) -> f64 {
        self.mean + standardised * self.stddev
    }

    /// Returns a sum in the unit of labels.
    #[inline]
    pub fn restore_sum(self, sum: ScoreSum) -> ScoreSum {
        sum.scaled(self.stddev, self.mean)
    }
}
