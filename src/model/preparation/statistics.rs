//! Statistics of the examples seen so far: exact moments, quantiles where numbers are cut, and the labels.

use serde::{Deserialize, Serialize};

use super::{ExactMoments, Observations, Sketch, SlotLayout};
use crate::model::Task;

/// Accumulated over training examples. Merging is exact and does not depend on order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    pub(super) numbers: Vec<ExactMoments>,
    /// Of the numbers of each map whose categories have entries, all categories together.
    pub(super) maps: Vec<ExactMoments>,
    /// One for each number if any is cut into bins, else none.
    pub(super) sketches: Vec<Sketch>,
    pub(in crate::model) labels: LabelStatistics,
}

/// Statistics of the labels, as far as the task needs them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum LabelStatistics {
    Values(ExactMoments),
    /// Examples of each class, by its number in the trainer's [`crate::model::Classes`].
    Classes(Vec<u64>),
}

impl Statistics {
    /// Statistics of no examples.
    pub fn new(layout: &SlotLayout, task: Task) -> Self {
        let sketches = if layout.options.bins > 1 { layout.numbers.len() } else { 0 };
        Statistics {
            numbers: vec![ExactMoments::default(); layout.numbers.len()],
            maps: vec![ExactMoments::default(); layout.maps.len()],
            sketches: vec![Sketch::default(); sketches],
            labels: LabelStatistics::new(task),
        }
    }

    /// Adds the selected examples; there is a label for each observation, and NaN is none.
    pub fn observe(&mut self, observations: &Observations, labels: &[f64], select: &[u32]) {
        for row in select {
            for (moments, x) in self.numbers.iter_mut().zip(observations.numbers(*row as usize)) {
                if !x.is_nan() {
                    moments.add(*x);
                }
            }
            for entry in observations.entries(*row as usize) {
                self.maps[entry.map as usize].add(entry.number);
            }
            for (sketch, x) in self.sketches.iter_mut().zip(observations.numbers(*row as usize)) {
                sketch.add(*x);
            }
            if !labels[*row as usize].is_nan() {
                self.labels.add(labels[*row as usize]);
            }
        }
    }

    /// Adds everything that `other` has seen.
    pub fn merge(&mut self, other: &Statistics) {
        self.numbers.iter_mut().zip(&other.numbers).for_each(|(all, more)| all.merge(more));
        self.maps.iter_mut().zip(&other.maps).for_each(|(all, more)| all.merge(more));
        self.sketches.iter_mut().zip(&other.sketches).for_each(|(all, more)| all.merge(more));
        self.labels.merge(&other.labels);
    }

    /// Returns whether these were made for a layout and a task with so many classes.
    pub(crate) fn fits(&self, layout: &SlotLayout, task: Task, classes: usize) -> bool {
        let empty = Statistics::new(layout, task);
        let labels = match (&self.labels, &empty.labels) {
            (LabelStatistics::Values(_), LabelStatistics::Values(_)) => true,
            (LabelStatistics::Classes(counts), LabelStatistics::Classes(_)) => counts.len() <= classes,
            _ => false,
        };
        labels
            && self.numbers.len() == empty.numbers.len()
            && self.maps.len() == empty.maps.len()
            && self.sketches.len() == empty.sketches.len()
    }
}

impl LabelStatistics {
    fn new(task: Task) -> Self {
        match task {
            Task::Multiclass => LabelStatistics::Classes(Vec::new()),
            _ => LabelStatistics::Values(ExactMoments::default()),
        }
    }

    #[inline]
    fn add(&mut self, label: f64) {
        match self {
            LabelStatistics::Values(moments) => moments.add(label),
            LabelStatistics::Classes(counts) => {
                let class = label as usize;
                counts.resize(counts.len().max(class + 1), 0);
                counts[class] += 1;
            }
        }
    }

    fn merge(&mut self, other: &LabelStatistics) {
        match (self, other) {
            (LabelStatistics::Values(all), LabelStatistics::Values(more)) => all.merge(more),
            (LabelStatistics::Classes(all), LabelStatistics::Classes(more)) => {
                all.resize(all.len().max(more.len()), 0);
                all.iter_mut().zip(more).for_each(|(all, more)| *all += more);
            }
            _ => unreachable!("statistics of one model are of one task"),
        }
    }

    /// Returns mean and standard deviation; zeros of classes.
    pub(super) fn mean_and_deviation(&self) -> [f64; 2] {
        match self {
            LabelStatistics::Values(moments) => [moments.mean(), moments.variance().sqrt()],
            LabelStatistics::Classes(_) => [0.0; 2],
        }
    }
}
