//! What preparation needs to know of the examples seen so far: exact moments, quantiles where numbers are cut.

use serde::{Deserialize, Serialize};

use super::{Layout, Moments, Observations, Sketch};

/// Accumulated over training examples; merging two is exact and in any order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    pub(super) numbers: Vec<Moments>,
    /// One for each number if any is cut into bins, else none.
    pub(super) sketches: Vec<Sketch>,
    pub(super) label: Moments,
}

impl Statistics {
    /// Of no examples.
    pub fn new(layout: &Layout) -> Self {
        let sketches = if layout.options.bins > 1 { layout.numbers.len() } else { 0 };
        Statistics {
            numbers: vec![Moments::default(); layout.numbers.len()],
            sketches: vec![Sketch::default(); sketches],
            label: Moments::default(),
        }
    }

    /// Adds the selected examples, with their labels (of which there is one for each observation).
    pub fn observe(&mut self, observations: &Observations, labels: &[f64], select: &[u32]) {
        for row in select {
            for (moments, x) in self.numbers.iter_mut().zip(observations.numbers(*row as usize)) {
                if !x.is_nan() {
                    moments.add(*x);
                }
            }
            for (sketch, x) in self.sketches.iter_mut().zip(observations.numbers(*row as usize)) {
                sketch.add(*x);
            }
            self.label.add(labels[*row as usize]);
        }
    }

    pub fn merge(&mut self, other: &Statistics) {
        self.numbers.iter_mut().zip(&other.numbers).for_each(|(all, more)| all.merge(more));
        self.sketches.iter_mut().zip(&other.sketches).for_each(|(all, more)| all.merge(more));
        self.label.merge(&other.label);
    }

    /// Examples seen.
    pub fn examples(&self) -> u64 {
        self.label.count()
    }

    /// The mean label: what a model without inputs would predict.
    pub fn base_rate(&self) -> f64 {
        self.label.mean()
    }

    /// Whether these were made for `layout`.
    pub(crate) fn fits(&self, layout: &Layout) -> bool {
        let empty = Statistics::new(layout);
        self.numbers.len() == empty.numbers.len() && self.sketches.len() == empty.sketches.len()
    }
}
