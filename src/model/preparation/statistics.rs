//! Statistics of the examples seen so far: exact moments, quantiles where numbers are cut, and the labels.

use serde::{Deserialize, Serialize};

use super::admission::SlotUses;
use super::{ExactMoments, Observations, Sketch, SlotLayout};
use crate::model::Task;

/// Accumulated over training examples. Merging is exact and does not depend on order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    pub(super) numbers: Vec<ExactMoments>,
    /// The least and the largest of each number.
    pub(super) ranges: Vec<NumberRange>,
    /// Moments of the numbers of each map whose categories have entries, all categories together.
    pub(super) maps: Vec<ExactMoments>,
    /// One for each number if any is cut into bins or winsorised, else none.
    pub(super) sketches: Vec<Sketch>,
    pub(super) uses: SlotUses,
    pub(in crate::model) labels: LabelStatistics,
}

/// The numbers that an input has had, from the least to the largest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct NumberRange {
    low: f64,
    high: f64,
}

impl NumberRange {
    /// The range of no numbers.
    const EMPTY: NumberRange = NumberRange { low: f64::INFINITY, high: f64::NEG_INFINITY };

    #[inline]
    fn add(&mut self, x: f64) {
        // Adding 0 makes one zero of both.
        (self.low, self.high) = (self.low.min(x + 0.0), self.high.max(x + 0.0));
    }

    fn merge(&mut self, other: &NumberRange) {
        (self.low, self.high) = (self.low.min(other.low), self.high.max(other.high));
    }

    /// Returns the least and the largest number; zeros of no numbers.
    pub fn bounds(self) -> [f64; 2] {
        if self.low <= self.high { [self.low, self.high] } else { [0.0; 2] }
    }
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
        let has_sketches = layout.options.bins > 1 || layout.options.preparing.winsorise > 0.0;
        let sketches = if has_sketches { layout.numbers.len() } else { 0 };
        Statistics {
            numbers: vec![ExactMoments::default(); layout.numbers.len()],
            ranges: vec![NumberRange::EMPTY; layout.numbers.len()],
            maps: vec![ExactMoments::default(); layout.maps.len()],
            sketches: vec![Sketch::default(); sketches],
            uses: SlotUses::default(),
            labels: LabelStatistics::new(task),
        }
    }

    /// Adds the selected examples; there is a label for each observation, and NaN is none.
    pub fn observe(&mut self, observations: &Observations, labels: &[f64], select: &[u32]) {
        for row in select {
            let known = self.numbers.iter_mut().zip(&mut self.ranges);
            for ((moments, range), x) in known.zip(observations.numbers(*row as usize)) {
                if !x.is_nan() {
                    moments.add(*x);
                    range.add(*x);
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

    /// Counts the categories of the selected examples.
    pub fn observe_slots(&mut self, layout: &SlotLayout, observations: &Observations, select: &[u32]) {
        if layout.options.preparing.counts_slots() {
            self.uses.observe(layout, observations, select);
        }
    }

    /// Ends the window in which these were seen, adds those of the windows before, and returns the slots that are forgotten.
    pub(in crate::model) fn follow(&mut self, layout: &SlotLayout, earlier: Option<&Statistics>) -> Vec<u32> {
        let none = SlotUses::default();
        self.uses.follow(earlier.map_or(&none, |earlier| &earlier.uses));
        if let Some(earlier) = earlier {
            self.merge_all_but_uses(earlier);
        }
        let expire = layout.options.preparing.expire;
        if expire > 0 { self.uses.expire(expire) } else { Vec::new() }
    }

    /// Adds everything that `other` has seen.
    pub fn merge(&mut self, other: &Statistics) {
        self.uses.merge(&other.uses);
        self.merge_all_but_uses(other);
    }

    fn merge_all_but_uses(&mut self, other: &Statistics) {
        self.numbers.iter_mut().zip(&other.numbers).for_each(|(all, more)| all.merge(more));
        self.ranges.iter_mut().zip(&other.ranges).for_each(|(all, more)| all.merge(more));
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
            && self.ranges.len() == empty.ranges.len()
            && self.uses.fits(layout)
            && self.maps.len() == empty.maps.len()
            && self.sketches.len() == empty.sketches.len()
    }
}

impl Default for LabelStatistics {
    fn default() -> Self {
        LabelStatistics::Values(ExactMoments::default())
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
    pub(super) fn add(&mut self, label: f64) {
        match self {
            LabelStatistics::Values(moments) => moments.add(label),
            LabelStatistics::Classes(counts) => {
                let class = label as usize;
                counts.resize(counts.len().max(class + 1), 0);
                counts[class] += 1;
            }
        }
    }

    /// Adds everything that `other` has seen.
    pub fn merge(&mut self, other: &LabelStatistics) {
        match (self, other) {
            (LabelStatistics::Values(all), LabelStatistics::Values(more)) => all.merge(more),
            (LabelStatistics::Classes(all), LabelStatistics::Classes(more)) => {
                all.resize(all.len().max(more.len()), 0);
                all.iter_mut().zip(more).for_each(|(all, more)| *all += more);
            }
            _ => unreachable!("statistics of one model are of one task"),
        }
    }

    /// Returns the number of labels.
    pub fn count(&self) -> u64 {
        match self {
            LabelStatistics::Values(moments) => moments.count(),
            LabelStatistics::Classes(counts) => counts.iter().sum(),
        }
    }

    /// Returns how many labels are true, of labels that are 0 or 1.
    fn trues(&self) -> f64 {
        match self {
            LabelStatistics::Values(moments) => moments.sum(),
            LabelStatistics::Classes(_) => 0.0,
        }
    }

    /// Returns whether labels that are classes, or 0 and 1, are all of one.
    pub fn is_of_one_class(&self) -> bool {
        match self {
            LabelStatistics::Values(moments) => self.trues() == 0.0 || self.trues() == moments.count() as f64,
            LabelStatistics::Classes(counts) => counts.iter().filter(|count| **count > 0).count() < 2,
        }
    }

    /// Returns the log-odds of true, with half an example added to each side (Krichevsky and Trofimov 1981).
    pub fn log_odds(&self) -> f64 {
        let (all, trues) = (self.count() as f64, self.trues());
        libm::log((trues + 0.5) / (all - trues + 0.5))
    }

    /// Returns the log of the mean, with half an example of a mean of 1 added; 0 of no labels.
    pub fn log_mean(&self) -> f64 {
        match self {
            LabelStatistics::Values(moments) if moments.sum() >= 0.0 => {
                libm::log((moments.sum() + 0.5) / (moments.count() as f64 + 0.5))
            }
            _ => 0.0,
        }
    }

    /// Returns the log of the share of a class, by its number, with half an example added; `None` of one that is not known.
    pub fn log_share(&self, class: usize) -> Option<f64> {
        let LabelStatistics::Classes(counts) = self else { return None };
        let count = *counts.get(class).filter(|count| **count > 0)? as f64;
        let classes = counts.iter().filter(|count| **count > 0).count() as f64;
        Some(libm::log((count + 0.5) / (self.count() as f64 + 0.5 * classes)))
    }

    /// Returns the number of labels by that of labels of one class times the number of classes, with half an example added to
    /// each: the weight with which all classes weigh the same. 1 of a class that is not known.
    pub fn balance(&self, label: f64) -> f64 {
        let (own, classes) = match self {
            LabelStatistics::Values(_) if label > 0.5 => (self.trues(), 2.0),
            LabelStatistics::Values(moments) => (moments.count() as f64 - self.trues(), 2.0),
            LabelStatistics::Classes(counts) => {
                let own = counts.get(label as usize).copied().unwrap_or(0) as f64;
                (own, counts.iter().filter(|count| **count > 0).count() as f64)
            }
        };
        match self {
            LabelStatistics::Classes(_) if own == 0.0 => 1.0,
            _ => (self.count() as f64 + 0.5 * classes) / (classes * (own + 0.5)),
        }
    }

    /// Returns mean and standard deviation; zeros of classes.
    pub(in crate::model) fn mean_and_deviation(&self) -> [f64; 2] {
        match self {
            LabelStatistics::Values(moments) => [moments.mean(), moments.variance().sqrt()],
            LabelStatistics::Classes(_) => [0.0; 2],
        }
    }
}
