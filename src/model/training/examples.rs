//! Examples on their way into a trainer, and their scores on the way out.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringArray};

use crate::time::EventTime;

/// Examples of one window, ascending by (known, total order).
#[derive(Clone, Debug, Default)]
pub struct Examples {
    /// A column for each input, in order.
    pub columns: Vec<ArrayRef>,
    pub labels: Labels,
    /// The examples' own times.
    pub time: Vec<EventTime>,
    /// The times at which their labels became known.
    pub known: Vec<EventTime>,
    /// Hashes of the examples' keys, by which they are held out and dealt to shards.
    pub hash: Vec<u64>,
    /// The weights of the examples; empty if all are 1. One that is null counts once, a negative one not at all.
    pub weights: Vec<f64>,
    /// By column that segments are of, the text of each example's value.
    pub segments: Vec<Vec<Arc<str>>>,
    /// Hashes of the keys whose last labels predictions are compared with, `None` of an unknown one; empty if they are not.
    pub keys: Vec<Option<u64>>,
    /// Hashes of the users whose lists they are scored in, `None` of an unknown one; empty if they are not.
    pub users: Vec<Option<u64>>,
}

/// A label for each example.
#[derive(Clone, Debug)]
pub enum Labels {
    /// Labels of a binary model, 0 or 1, or of a regression. NaN is a missing label.
    Numbers(Vec<f64>),
    /// Labels of a multiclass model. Null is a missing label.
    Classes(StringArray),
}

impl Default for Labels {
    fn default() -> Self {
        Labels::Numbers(Vec::new())
    }
}

impl Labels {
    pub fn len(&self) -> usize {
        match self {
            Labels::Numbers(labels) => labels.len(),
            Labels::Classes(labels) => labels.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns `rows` labels from row `from` on.
    pub fn slice(&self, from: usize, rows: usize) -> Labels {
        match self {
            Labels::Numbers(labels) => Labels::Numbers(labels[from..from + rows].to_vec()),
            Labels::Classes(labels) => Labels::Classes(labels.slice(from, rows)),
        }
    }
}

impl Examples {
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Returns `rows` examples from row `from` on.
    pub fn slice(&self, from: usize, rows: usize) -> Examples {
        Examples {
            columns: self.columns.iter().map(|column| column.slice(from, rows)).collect(),
            labels: self.labels.slice(from, rows),
            time: self.time[from..from + rows].to_vec(),
            known: self.known[from..from + rows].to_vec(),
            hash: self.hash[from..from + rows].to_vec(),
            weights: self.weights.get(from..from + rows).unwrap_or_default().to_vec(),
            segments: self.segments.iter().map(|column| column[from..from + rows].to_vec()).collect(),
            keys: self.keys.get(from..from + rows).unwrap_or_default().to_vec(),
            users: self.users.get(from..from + rows).unwrap_or_default().to_vec(),
        }
    }
}

/// The predictions of the versions that were champion at each example's own time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scored {
    /// 0 before the first version.
    pub version: Vec<u64>,
    /// All predictions, one after another.
    values: Vec<f64>,
    /// The end of each example's prediction in `values`.
    ends: Vec<usize>,
    /// The classes of the versions, for multiclass models.
    classes: BTreeMap<u64, Vec<Arc<str>>>,
}

impl Scored {
    /// Returns the numbers of one prediction; none before the first version.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn prediction(&self, row: usize) -> &[f64] {
        let from = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.values[from..self.ends[row]]
    }

    /// Returns the class that each number of a row's prediction is the probability of; none for other tasks.
    pub fn classes(&self, row: usize) -> &[Arc<str>] {
        self.classes.get(&self.version[row]).map_or(&[], Vec::as_slice)
    }

    /// Returns all predictions, one after another.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    pub fn len(&self) -> usize {
        self.version.len()
    }

    pub fn is_empty(&self) -> bool {
        self.version.is_empty()
    }

    /// Appends a prediction; an empty one, of version 0, before the first version.
    pub(super) fn push(&mut self, version: u64, prediction: &[f64]) {
        self.version.push(version);
        self.values.extend_from_slice(prediction);
        self.ends.push(self.values.len());
    }

    /// Sets the classes of a version.
    pub(super) fn describe(&mut self, version: u64, classes: &[Arc<str>]) {
        self.classes.entry(version).or_insert_with(|| classes.to_vec());
    }

    /// Appends all rows of `other`.
    pub fn append(&mut self, other: Scored) {
        let from = self.values.len();
        self.version.extend(other.version);
        self.values.extend(other.values);
        self.ends.extend(other.ends.into_iter().map(|end| from + end));
        self.classes.extend(other.classes);
    }
}
