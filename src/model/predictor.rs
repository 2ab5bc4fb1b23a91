//! A version as it is served: preparation and frozen weights, immutable and shared.
//!
//! Training, replay and the endpoint all predict through this, so their predictions have the same bits; so has one that
//! was saved and read back.

use std::fmt;
use std::sync::Arc;

use arrow_array::ArrayRef;

use super::preparation::{Layout, Observations, Preparation};
use super::{Input, Kind, ModelError, ModelOptions, Rows, Scorer, Tensors};

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
