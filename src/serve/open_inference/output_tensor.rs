//! Predictions as output tensors, whatever they are sent in.

use std::sync::Arc;

use super::tensor_type::TensorType;
use crate::model::{Predictions, Task};
use crate::serve::RequestError;
use crate::serve::answered::Answered;

/// The name of the output that every model has.
pub const PREDICTIONS: &str = "predictions";
/// The name of the output that a model of classes has besides.
pub const CLASSES: &str = "classes";

/// The predictions for the rows of input tensors, before they are written.
#[derive(Clone, Copy, Debug)]
pub struct Inferred<'a> {
    pub answered: &'a Answered,
    pub predictions: &'a Predictions,
    pub watermark: Option<&'a str>,
}

impl Inferred<'_> {
    /// The parameters of an answer: names and texts.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let texts = [("watermark", self.watermark.map(str::to_owned)), ("arms", self.answered.arms_text())];
        texts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
    }
}

/// An output that a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct AskedOutput<'a> {
    pub name: &'a str,
    pub is_binary: bool,
}

/// An output tensor of an answer.
#[derive(Debug)]
pub struct OutputTensor<'a> {
    pub name: &'static str,
    pub shape: Vec<usize>,
    pub values: OutputValues<'a>,
    pub is_binary: bool,
}

/// The values of an output tensor, row-major.
#[derive(Clone, Copy, Debug)]
pub enum OutputValues<'a> {
    Floats(&'a [f64]),
    /// Numbers of clusters.
    Clusters(&'a [f64]),
    Classes(&'a [Arc<str>]),
}

/// The names of the outputs of a model, in order.
pub fn output_names(task: Task) -> &'static [&'static str] {
    match task {
        Task::Multiclass => &[PREDICTIONS, CLASSES],
        Task::Binary | Task::Regression | Task::Clustering | Task::Anomaly => &[PREDICTIONS],
    }
}

/// The datatype of an output of a model.
pub fn output_type(task: Task, name: &str) -> TensorType {
    match task {
        _ if name == CLASSES => TensorType::Bytes,
        Task::Clustering => TensorType::Int64,
        Task::Binary | Task::Multiclass | Task::Regression | Task::Anomaly => TensorType::Fp64,
    }
}

/// The outputs that a request asks for, in its order; all in theirs if it names none.
///
/// # Errors
/// If it asks for an output that there is not, or for one twice.
pub fn outputs<'a>(
    asked: &[AskedOutput<'_>],
    is_binary: bool,
    inferred: Inferred<'a>,
) -> Result<Vec<OutputTensor<'a>>, RequestError> {
    let Inferred { answered, predictions, .. } = inferred;
    let known = output_names(answered.task());
    let tensor = |name: &'static str, is_binary: bool| {
        let (classes, rows) = (answered.classes(), predictions.len());
        let (shape, values) = match answered.task() {
            Task::Multiclass if name == CLASSES => (vec![classes.len()], OutputValues::Classes(classes)),
            Task::Multiclass => (vec![rows, classes.len()], OutputValues::Floats(predictions.values())),
            Task::Clustering => (vec![rows], OutputValues::Clusters(predictions.values())),
            Task::Binary | Task::Regression | Task::Anomaly => (vec![rows], OutputValues::Floats(predictions.values())),
        };
        OutputTensor { name, shape, values, is_binary }
    };
    if asked.is_empty() {
        return Ok(known.iter().map(|name| tensor(name, is_binary)).collect());
    }
    let mut outputs: Vec<OutputTensor<'a>> = Vec::with_capacity(asked.len());
    for (at, output) in asked.iter().enumerate() {
        let wrong = |what: String| RequestError::Malformed(format!("outputs[{at}]: {what}"));
        let Some(name) = known.iter().find(|name| **name == output.name) else {
            return Err(wrong(format!("unknown output {}; expected {}", output.name, known.join(" or "))));
        };
        if outputs.iter().any(|other| other.name == *name) {
            return Err(wrong(format!("{name} is asked for twice")));
        }
        outputs.push(tensor(name, output.is_binary));
    }
    Ok(outputs)
}

impl OutputValues<'_> {
    /// Appends the values as those of a binary tensor.
    pub fn write_binary(self, out: &mut Vec<u8>) {
        match self {
            OutputValues::Floats(values) => values.iter().for_each(|value| out.extend(value.to_le_bytes())),
            OutputValues::Clusters(values) => {
                values.iter().for_each(|value| out.extend((*value as i64).to_le_bytes()));
            }
            OutputValues::Classes(classes) => {
                for class in classes {
                    let length = u32::try_from(class.len()).expect("a class is shorter than a body");
                    out.extend(length.to_le_bytes());
                    out.extend(class.as_bytes());
                }
            }
        }
    }
}
