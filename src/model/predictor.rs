//! A version as it is served: preparation and frozen weights, immutable and shared.
//!
//! Training, replay and the endpoint all predict through this, so their predictions have the same bits; so has one that
//! was saved and read back.

use std::fmt;
use std::sync::Arc;

use arrow_array::ArrayRef;

use super::preparation::{Layout, Observations, Preparation};
use super::{Input, Kind, ModelError, ModelOptions, Rows, Scorer, Tensors};
use crate::value::Scalar;

/// Memory that predictions can be made in again and again.
#[derive(Debug, Default)]
pub struct Working {
    observations: Observations,
    select: Vec<u32>,
    rows: Rows,
}

/// Predicts. Cheap to share between threads.
pub struct Predictor {
    kind: &'static Kind,
    preparation: Arc<Preparation>,
    scorer: Box<dyn Scorer>,
}

impl Predictor {
    pub(super) fn new(kind: &'static Kind, preparation: Arc<Preparation>, scorer: Box<dyn Scorer>) -> Self {
        Predictor { kind, preparation, scorer }
    }

    /// A prediction for each row of `columns`, one column for each input in order.
    ///
    /// # Panics
    /// If a column is not of its input's type or does not have `rows` rows.
    pub fn predict(&self, columns: &[ArrayRef], rows: usize) -> Vec<f64> {
        let observations = Observations::decode(self.preparation.layout(), columns, rows);
        let select: Vec<u32> = (0..rows as u32).collect();
        let mut predictions = Vec::with_capacity(rows);
        self.predict_observed(&observations, &select, &mut Rows::default(), &mut predictions);
        predictions
    }

    /// As [`Predictor::predict`], of single values: `value` gives that of a row for an input. Predictions are appended.
    ///
    /// # Panics
    /// If a value is neither null nor of its input's type.
    pub fn predict_values<'a>(
        &self,
        rows: usize,
        value: impl Fn(usize, usize) -> &'a Scalar,
        working: &mut Working,
        predictions: &mut Vec<f64>,
    ) {
        let Working { observations, select, rows: prepared } = working;
        observations.refill_values(self.preparation.layout(), rows, value);
        select.clear();
        select.extend(0..rows as u32);
        self.predict_observed(observations, select, prepared, predictions);
    }

    /// Appends a prediction for each selected observation; `rows` is working memory.
    pub(super) fn predict_observed(
        &self,
        observations: &Observations,
        select: &[u32],
        rows: &mut Rows,
        predictions: &mut Vec<f64>,
    ) {
        let from = predictions.len();
        self.preparation.encode(observations, select, rows);
        self.scorer.predict(rows, predictions);
        if self.kind.standardised {
            for prediction in &mut predictions[from..] {
                *prediction = self.preparation.restore_label(*prediction);
            }
        }
    }

    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    pub fn inputs(&self) -> &[Input] {
        self.preparation.layout().inputs()
    }

    pub fn options(&self) -> &ModelOptions {
        self.preparation.layout().options()
    }

    /// Everything that [`Predictor::load`] needs beside inputs and options.
    pub fn save(&self) -> Tensors {
        let mut tensors = Tensors::new();
        self.preparation.save(&mut tensors);
        self.scorer.save(&mut tensors);
        tensors
    }

    /// Reads what [`Predictor::save`] wrote.
    ///
    /// # Errors
    /// If the options are wrong, or a tensor is missing or does not fit them.
    pub fn load(inputs: &[Input], options: &ModelOptions, tensors: &Tensors) -> Result<Self, ModelError> {
        let first = |mut errors: Vec<ModelError>| errors.swap_remove(0);
        let layout = Arc::new(Layout::new(inputs, options).map_err(first)?);
        Self::load_into(&layout, tensors)
    }

    pub(super) fn load_into(layout: &Arc<Layout>, tensors: &Tensors) -> Result<Self, ModelError> {
        let kind = Kind::find(&layout.options().kind)?;
        let preparation = Arc::new(Preparation::load(layout, tensors)?);
        Ok(Predictor { kind, preparation, scorer: (kind.thaw)(layout, tensors)? })
    }
}

impl fmt::Debug for Predictor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predictor").field("kind", &self.kind.name).field("inputs", &self.inputs().len()).finish()
    }
}
