//! A prepared batch: the examples that a kind of model learns or predicts.

use std::cell::{Cell, OnceCell};

use super::{ClassWeigher, LabelScale, MapEntry, Observations, Preparation, SlotLayout};
use crate::model::{Classes, SparseRows};

/// Selected observations, as a version prepares them, with the targets that are learnt.
///
/// A kind reads either the encoded [`Prepared::rows`] or the raw [`Prepared::observations`], in the same order. Rows are
/// encoded at the first call, and only then.
pub struct Prepared<'a> {
    preparation: &'a Preparation,
    observations: &'a Observations,
    select: &'a [u32],
    targets: &'a [f64],
    /// The weight of each example; none if all are 1.
    weights: &'a [f64],
    classes: Option<&'a Classes>,
    /// The rows, if they are encoded already.
    encoded: Option<&'a SparseRows>,
    memory: Cell<SparseRows>,
    rows: OnceCell<SparseRows>,
}

/// One example before preparation.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// NaN is null.
    pub numbers: &'a [f64],
    /// Hashes of the categories.
    pub categories: &'a [u64],
}

impl<'a> Prepared<'a> {
    /// A batch to be predicted: the observations at `select`, in that order.
    pub fn new(preparation: &'a Preparation, observations: &'a Observations, select: &'a [u32]) -> Self {
        let (memory, rows) = (Cell::default(), OnceCell::new());
        Prepared {
            preparation,
            observations,
            select,
            targets: &[],
            weights: &[],
            classes: None,
            encoded: None,
            memory,
            rows,
        }
    }

    /// Adds a target for each example: 0 or 1, a value, or the number of a class in `classes`. NaN is no label.
    pub fn with_targets(self, targets: &'a [f64], classes: &'a Classes) -> Self {
        debug_assert_eq!(targets.len(), self.select.len());
        Prepared { targets, classes: Some(classes), ..self }
    }

    /// Adds a weight for each example, or none where all are 1.
    pub fn with_weights(self, weights: &'a [f64]) -> Self {
        debug_assert!(weights.is_empty() || weights.len() == self.select.len());
        Prepared { weights, ..self }
    }

    /// Encodes into the memory of an earlier batch.
    pub fn with_memory(self, memory: SparseRows) -> Self {
        Prepared { memory: Cell::new(memory), ..self }
    }

    /// Takes rows that were encoded already.
    pub(in crate::model) fn with_rows(self, encoded: Option<&'a SparseRows>) -> Self {
        Prepared { encoded, ..self }
    }

    /// Returns the memory, for another batch.
    pub fn into_memory(self) -> SparseRows {
        self.rows.into_inner().unwrap_or_else(|| self.memory.into_inner())
    }

    /// Returns the number of examples.
    pub fn len(&self) -> usize {
        self.select.len()
    }

    pub fn is_empty(&self) -> bool {
        self.select.is_empty()
    }

    /// Returns the examples as sparse rows. Encodes them at the first call.
    pub fn rows(&self) -> &SparseRows {
        if let Some(encoded) = self.encoded {
            return encoded;
        }
        self.rows.get_or_init(|| {
            let mut rows = self.memory.take();
            self.preparation.encode(self.observations, self.select, &mut rows);
            rows
        })
    }

    /// Returns whether rows have hashed slots.
    pub(in crate::model) fn has_hashed(&self) -> bool {
        self.preparation.layout().has_hashed()
    }

    /// Returns the examples as numbers and hashed categories.
    pub fn observations(&self) -> impl Iterator<Item = Observation<'a>> {
        let observations = self.observations;
        self.select.iter().map(move |row| Observation {
            numbers: observations.numbers(*row as usize),
            categories: observations.categories(*row as usize),
        })
    }

    /// Returns the entries of maps of each example, which are the last ones of its row.
    pub(in crate::model) fn map_entries(&self) -> impl Iterator<Item = &'a [MapEntry]> {
        let observations = self.observations;
        self.select.iter().map(move |row| observations.entries(*row as usize))
    }

    /// Returns the scale of labels.
    pub(in crate::model) fn label_scale(&self) -> LabelScale {
        self.preparation.label_scale()
    }

    /// Returns the targets; none for a batch that is predicted.
    pub fn targets(&self) -> &'a [f64] {
        self.targets
    }

    /// Returns the weights, as many as there are targets.
    pub fn weights(&self) -> impl Iterator<Item = f64> + use<'a> {
        let weights = self.weights;
        (0..self.targets.len()).map(move |at| weights.get(at).copied().unwrap_or(1.0))
    }

    /// Returns the weights of classes.
    pub(in crate::model) fn weigher(&self) -> ClassWeigher<'a> {
        self.preparation.weigher(self.classes)
    }

    /// Returns the classes that targets are numbers of.
    ///
    /// # Panics
    /// If the batch has no targets.
    pub fn classes(&self) -> &'a Classes {
        self.classes.expect("a batch that is learnt has classes, if only none")
    }
}

impl SlotLayout {
    /// Returns whether rows have hashed slots.
    pub(in crate::model) fn has_hashed(&self) -> bool {
        !(self.categories.is_empty() && self.crosses.is_empty() && self.maps.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array};

    use super::*;
    use crate::model::preparation::Statistics;
    use crate::model::{InputColumn, ModelOptions, Task};
    use crate::value::Type;

    #[test]
    fn rows_and_observations_have_the_order_of_the_selection() {
        let layout = SlotLayout::new(&[InputColumn::new("x", Type::Float)], &ModelOptions::default()).unwrap();
        let layout = Arc::new(layout);
        let column: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0]));
        let seen = Observations::decode(&layout, &[column], 3);
        let mut statistics = Statistics::new(&layout, Task::Regression);
        statistics.observe(&seen, &[0.0; 3], &[0, 1, 2]);
        let preparation = Preparation::new(&layout, &statistics);
        let batch = Prepared::new(&preparation, &seen, &[2, 0]);
        let raw: Vec<f64> = batch.observations().map(|example| example.numbers[0]).collect();
        let encoded: Vec<f64> = batch.rows().iter().map(|row| row.value[1]).collect();
        assert_eq!((batch.len(), raw, encoded), (2, vec![3.0, 1.0], vec![1.0, -1.0]));
        assert_eq!(batch.into_memory().len(), 2, "the memory is that of the rows");
    }
}
