//! A version as it is served: preparation and frozen model, immutable and shared.
//!
//! Training, replay and the endpoint all predict through this, so their predictions have the same bits, also after a
//! predictor was saved and read back.

use std::fmt;
use std::sync::Arc;

use arrow_array::ArrayRef;

use super::explanation::PartMap;
use super::preparation::{FixedRows, Observations, Preparation, Prepared, SlotLayout};
use super::{
    Explainer, Explanations, InputCell, InputColumn, ModelError, ModelKind, ModelOptions, Predictions, Scorer,
    SparseRows, Task, Tensors, check_options,
};

/// Rows that are prepared at a time: few enough for a cache.
const MOST_ROWS: usize = 512;

/// Memory that predictions can be made in again and again.
#[derive(Debug, Default)]
pub struct PredictionMemory {
    observations: Observations,
    select: Vec<u32>,
    rows: SparseRows,
}

/// A frozen version that predicts. Cheap to share between threads.
pub struct Predictor {
    kind: &'static ModelKind,
    preparation: Arc<Preparation>,
    scorer: Box<dyn Scorer>,
}

impl Predictor {
    pub(super) fn new(kind: &'static ModelKind, preparation: Arc<Preparation>, scorer: Box<dyn Scorer>) -> Self {
        Predictor { kind, preparation, scorer }
    }

    /// Returns a prediction for each of `rows` rows; there is a column for each input in order.
    ///
    /// # Panics
    /// If a column is not of its input's type or does not have `rows` rows.
    pub fn predict(&self, columns: &[ArrayRef], rows: usize) -> Predictions {
        let PredictionMemory { mut observations, mut select, rows: mut prepared } = PredictionMemory::default();
        let mut predictions = Predictions::new(self.scorer.width());
        for from in (0..rows).step_by(MOST_ROWS) {
            let len = MOST_ROWS.min(rows - from);
            if len == rows {
                observations.refill(self.preparation.layout(), columns, len);
            } else {
                let part: Vec<ArrayRef> = columns.iter().map(|column| column.slice(from, len)).collect();
                observations.refill(self.preparation.layout(), &part, len);
            }
            select.clear();
            select.extend(0..len as u32);
            self.append_observed(&observations, &select, &mut prepared, &mut predictions);
        }
        predictions
    }

    /// Replaces `predictions` by those of single values; `value(row, input)` returns one.
    ///
    /// # Panics
    /// If a value is neither null nor of its input's type.
    pub fn predict_values<'a>(
        &self,
        rows: usize,
        value: impl Fn(usize, usize) -> InputCell<'a>,
        memory: &mut PredictionMemory,
        predictions: &mut Predictions,
    ) {
        let PredictionMemory { observations, select, rows: prepared } = memory;
        observations.refill_values(self.preparation.layout(), rows, value);
        select.clear();
        select.extend(0..rows as u32);
        self.predict_observed(observations, select, prepared, predictions);
    }

    /// Explains the predictions of single values; `value(row, input)` returns one. `None` if the kind has no attribution.
    ///
    /// # Panics
    /// If a value is neither null nor of its input's type.
    pub fn explain_values<'a>(
        &self,
        rows: usize,
        value: impl Fn(usize, usize) -> InputCell<'a>,
        memory: &mut PredictionMemory,
    ) -> Option<Explanations> {
        let explainer = self.scorer.explainer()?;
        let PredictionMemory { observations, select, rows: prepared } = memory;
        observations.refill_values(self.preparation.layout(), rows, value);
        select.clear();
        select.extend(0..rows as u32);
        let parts = PartMap::of(self.preparation.layout());
        let mut explanations = Explanations::new(parts.names().to_vec(), self.width());
        let batch = Prepared::new(&self.preparation, observations, select).with_memory(std::mem::take(prepared));
        explainer.explain(&batch, &parts, &mut explanations);
        *prepared = batch.into_memory();
        Some(explanations)
    }

    /// Returns about how many steps an explanation takes, where that is more than a prediction takes.
    pub fn explanation_cost(&self) -> usize {
        self.scorer.explainer().map_or(0, Explainer::explanation_cost)
    }

    /// Returns how many numbers an explanation has.
    pub fn explanation_width(&self) -> usize {
        let layout = self.preparation.layout();
        self.width() * (1 + layout.inputs().len() + layout.options().crosses.len())
    }

    /// Returns how many values are null to the model because they are numbers beyond ±10^18.
    pub fn out_of_range<'a>(&self, rows: usize, value: impl Fn(usize, usize) -> InputCell<'a>) -> u64 {
        self.preparation.layout().values_out_of_range(rows, value)
    }

    /// Replaces `predictions` by those of the selected observations; `rows` is working memory.
    pub(super) fn predict_observed(
        &self,
        observations: &Observations,
        select: &[u32],
        rows: &mut SparseRows,
        predictions: &mut Predictions,
    ) {
        predictions.reset(self.scorer.width());
        self.append_observed(observations, select, rows, predictions);
    }

    /// Replaces `predictions` by those of the selected observations of a chunk; `rows` is working memory.
    pub(super) fn predict_chunk(
        &self,
        observations: &Observations,
        select: &[u32],
        fixed: &mut FixedRows,
        rows: &mut SparseRows,
        predictions: &mut Predictions,
    ) {
        predictions.reset(self.scorer.width());
        let encoded = fixed.of(&self.preparation, observations, select);
        let batch = Prepared::new(&self.preparation, observations, select).with_rows(encoded);
        self.append_prepared(batch, rows, predictions);
    }

    /// Appends the predictions of the selected observations; `rows` is working memory.
    fn append_observed(
        &self,
        observations: &Observations,
        select: &[u32],
        rows: &mut SparseRows,
        predictions: &mut Predictions,
    ) {
        self.append_prepared(Prepared::new(&self.preparation, observations, select), rows, predictions);
    }

    fn append_prepared(&self, batch: Prepared<'_>, rows: &mut SparseRows, predictions: &mut Predictions) {
        let known = predictions.values().len();
        let batch = batch.with_memory(std::mem::take(rows));
        self.scorer.predict(&batch, predictions);
        *rows = batch.into_memory();
        let negatives = self.options().sampling.negatives();
        if self.kind.task == Task::Binary && negatives < 1.0 {
            // The odds among the examples that were learnt, times the share of those that are not true.
            for p in &mut predictions.values_mut()[known..] {
                *p = *p * negatives / (*p * negatives + 1.0 - *p);
            }
        }
    }

    pub fn kind(&self) -> &'static ModelKind {
        self.kind
    }

    /// Returns how many rows of a linear model take as long to predict as an example takes here, about.
    pub(super) fn cost(&self) -> usize {
        self.scorer.cost()
    }

    /// Returns how many numbers a prediction has.
    pub fn width(&self) -> usize {
        self.scorer.width()
    }

    /// Returns the class that each number of a prediction is the probability of, ascending; empty for other tasks.
    pub fn classes(&self) -> &[Arc<str>] {
        self.scorer.classes()
    }

    pub fn inputs(&self) -> &[InputColumn] {
        self.preparation.layout().inputs()
    }

    pub fn options(&self) -> &ModelOptions {
        self.preparation.layout().options()
    }

    /// Returns everything that [`Predictor::load`] needs beside inputs and options.
    pub fn save(&self) -> Tensors {
        let mut tensors = Tensors::new();
        self.preparation.save(&mut tensors);
        self.scorer.save(&mut tensors);
        tensors
    }

    /// Reads the tensors that [`Predictor::save`] returned.
    ///
    /// # Errors
    /// If the options are wrong, or a tensor is missing or does not fit them.
    pub fn load(inputs: &[InputColumn], options: &ModelOptions, tensors: &Tensors) -> Result<Self, ModelError> {
        let first = |mut errors: Vec<ModelError>| errors.swap_remove(0);
        check_options(options, inputs).map_err(first)?;
        let layout = Arc::new(ModelKind::of(&options.kind)?.layout(inputs, options).map_err(first)?);
        Self::load_into(&layout, tensors)
    }

    pub(super) fn load_into(layout: &Arc<SlotLayout>, tensors: &Tensors) -> Result<Self, ModelError> {
        let kind = ModelKind::of(&layout.options().kind)?;
        let preparation = Arc::new(Preparation::load(layout, tensors)?);
        Ok(Predictor { kind, preparation, scorer: (kind.load)(layout, tensors)? })
    }
}

impl fmt::Debug for Predictor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predictor").field("kind", &self.kind.name).field("inputs", &self.inputs().len()).finish()
    }
}
