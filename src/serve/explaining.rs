//! Explanations of predictions, of models that have some and as many as a request may ask for.

use super::RequestError;
use super::served_model::ServedModel;
use crate::model::{Explanations, InputCell, ModelKind, PredictionMemory, Predictor};

/// Steps that the explanations of a request may take, at most: about half a second.
const MOST_STEPS: usize = 1 << 27;

/// Numbers in the explanations of a request, at most.
const MOST_NUMBERS: usize = 1 << 20;

/// Explains what a version of a model predicts for `rows` rows; `value(row, input)` returns a value.
///
/// # Errors
/// If the kind of the model does not explain, or there are too many rows.
pub fn explain<'a>(
    model: &ServedModel,
    predictor: &Predictor,
    rows: usize,
    value: impl Fn(usize, usize) -> InputCell<'a>,
    memory: &mut PredictionMemory,
) -> Result<Explanations, RequestError> {
    let most = MOST_STEPS / predictor.explanation_cost().max(1);
    let most = most.min(MOST_NUMBERS / predictor.explanation_width().max(1));
    if rows > most && predictor.kind().explains() {
        return Err(RequestError::TooManyExplained { model: model.name.clone(), found: rows, most });
    }
    predictor.explain_values(rows, value, memory).ok_or_else(|| RequestError::NotExplained {
        model: model.name.clone(),
        kind: model.kind.clone(),
        expected: ModelKind::explained().join(", "),
    })
}
