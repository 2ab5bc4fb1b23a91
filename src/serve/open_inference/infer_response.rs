//! Writing predictions as output tensors, in JSON or binary.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::infer_request::{HEADER_LENGTH, InferRequest};
use super::tensor_type::TensorType;
use crate::model::{Predictions, Task};
use crate::serve::RequestError;
use crate::serve::answered::Answered;
use crate::serve::reply::{self, Reply};

/// The name of the output that every model has.
pub const PREDICTIONS: &str = "predictions";
/// The name of the output that a model of classes has besides.
pub const CLASSES: &str = "classes";

/// The content type of an answer with binary tensors.
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// An output tensor of an answer.
#[derive(Debug)]
struct OutputTensor<'a> {
    name: &'static str,
    shape: Vec<usize>,
    values: OutputValues<'a>,
    is_binary: bool,
}

/// The values of an output tensor, row-major.
#[derive(Clone, Copy, Debug)]
enum OutputValues<'a> {
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

/// The answer with the outputs that a request asks for, or all.
///
/// # Errors
/// If it asks for an output that there is not, or for one twice.
pub fn answer(
    request: &InferRequest<'_>,
    answered: &Answered,
    watermark: Option<&str>,
    predictions: &Predictions,
) -> Result<Reply, RequestError> {
    let outputs = outputs(request, answered, predictions)?;
    let mut json = head(request, answered, watermark);
    let mut binary = Vec::new();
    for (at, output) in outputs.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        output.write(answered.task(), &mut json, &mut binary);
    }
    json.extend_from_slice(b"]}");
    if !outputs.iter().any(|output| output.is_binary) {
        return Ok(reply::json(json));
    }
    let length = HeaderValue::from(json.len());
    json.extend_from_slice(&binary);
    let mut reply = reply::json(Bytes::from(json));
    reply.headers_mut().insert(CONTENT_TYPE, BINARY);
    reply.headers_mut().insert(HeaderName::from_static(HEADER_LENGTH), length);
    Ok(reply)
}

/// The beginning of an answer, up to its outputs.
fn head(request: &InferRequest<'_>, answered: &Answered, watermark: Option<&str>) -> Vec<u8> {
    let version = &answered.version;
    let mut json = Vec::with_capacity(256);
    json.extend_from_slice(b"{\"model_name\":");
    reply::write_text(&version.manifest.name, &mut json);
    json.extend_from_slice(b",\"model_version\":");
    reply::write_text(&version.version.to_string(), &mut json);
    if let Some(id) = &request.id {
        json.extend_from_slice(b",\"id\":");
        reply::write_text(id, &mut json);
    }
    let arms = answered.arms_text();
    let parameters = [("watermark", watermark), ("arms", arms.as_deref())];
    for (at, (name, text)) in parameters.into_iter().filter_map(|(name, text)| Some((name, text?))).enumerate() {
        json.extend_from_slice(if at == 0 { b",\"parameters\":{" } else { b"," });
        reply::write_text(name, &mut json);
        json.push(b':');
        reply::write_text(text, &mut json);
    }
    if watermark.is_some() || arms.is_some() {
        json.push(b'}');
    }
    json.extend_from_slice(b",\"outputs\":[");
    json
}

/// The outputs that a request asks for, in its order; all in theirs if it names none.
fn outputs<'a>(
    request: &InferRequest<'_>,
    answered: &'a Answered,
    predictions: &'a Predictions,
) -> Result<Vec<OutputTensor<'a>>, RequestError> {
    let binary = request.parameters.as_ref().is_some_and(|parameters| parameters.binary_data_output);
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
    let Some(asked) = request.outputs.as_ref().filter(|asked| !asked.is_empty()) else {
        return Ok(known.iter().map(|name| tensor(name, binary)).collect());
    };
    let mut outputs: Vec<OutputTensor<'a>> = Vec::with_capacity(asked.len());
    for (at, output) in asked.iter().enumerate() {
        let wrong = |what: String| RequestError::Malformed(format!("outputs[{at}]: {what}"));
        let Some(name) = known.iter().find(|name| **name == output.name) else {
            return Err(wrong(format!("unknown output {}; expected {}", output.name, known.join(" or "))));
        };
        if outputs.iter().any(|other| other.name == *name) {
            return Err(wrong(format!("{name} is asked for twice")));
        }
        let own = output.parameters.as_ref().and_then(|parameters| parameters.binary_data);
        outputs.push(tensor(name, own.unwrap_or(binary)));
    }
    Ok(outputs)
}

impl OutputTensor<'_> {
    /// Appends the tensor: to the JSON, and its values to the binary tensors if it is one.
    fn write(&self, task: Task, json: &mut Vec<u8>, binary: &mut Vec<u8>) {
        json.extend_from_slice(b"{\"name\":");
        reply::write_text(self.name, json);
        json.extend_from_slice(b",\"datatype\":");
        reply::write_text(output_type(task, self.name).name(), json);
        json.extend_from_slice(b",\"shape\":");
        serde_json::to_writer(&mut *json, &self.shape).expect("writing to memory cannot fail");
        if !self.is_binary {
            json.extend_from_slice(b",\"data\":");
            self.values.write_json(json);
        } else {
            let before = binary.len();
            self.values.write_binary(binary);
            let size = (binary.len() - before).to_string();
            json.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
            json.extend_from_slice(size.as_bytes());
            json.push(b'}');
        }
        json.push(b'}');
    }
}

impl OutputValues<'_> {
    fn write_json(self, out: &mut Vec<u8>) {
        let written = match self {
            OutputValues::Floats(values) => serde_json::to_writer(out, values),
            OutputValues::Clusters(values) => {
                serde_json::to_writer(out, &values.iter().map(|value| *value as i64).collect::<Vec<_>>())
            }
            OutputValues::Classes(classes) => serde_json::to_writer(out, classes),
        };
        written.expect("writing to memory cannot fail");
    }

    fn write_binary(self, out: &mut Vec<u8>) {
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
