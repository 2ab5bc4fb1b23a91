//! Writing predictions as output tensors, in JSON or binary.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::infer_request::{HEADER_LENGTH, InferRequest, RequestedOutput};
use super::output_tensor::{AskedOutput, Inferred, OutputTensor, OutputValues, output_type, outputs};
use crate::model::Task;
use crate::serve::RequestError;
use crate::serve::reply::{self, Reply};

/// The content type of an answer with binary tensors.
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The answer with the outputs that a request asks for, or all.
///
/// # Errors
/// If it asks for an output that there is not, or for one twice.
pub fn answer(request: &InferRequest<'_>, inferred: Inferred<'_>) -> Result<Reply, RequestError> {
    let task = inferred.answered.task();
    let is_binary = request.parameters.as_ref().is_some_and(|parameters| parameters.binary_data_output);
    let own = |output: &RequestedOutput| output.parameters.as_ref().and_then(|parameters| parameters.binary_data);
    let asked = request.outputs.iter().flatten();
    let asked = asked.map(|output| AskedOutput { name: &output.name, is_binary: own(output).unwrap_or(is_binary) });
    let outputs = outputs(&asked.collect::<Vec<_>>(), is_binary, inferred)?;
    let mut json = head(request, inferred);
    let mut binary = Vec::new();
    for (at, output) in outputs.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        write(output, task, &mut json, &mut binary);
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
fn head(request: &InferRequest<'_>, inferred: Inferred<'_>) -> Vec<u8> {
    let version = &inferred.answered.version;
    let mut json = Vec::with_capacity(256);
    json.extend_from_slice(b"{\"model_name\":");
    reply::write_text(&version.manifest.name, &mut json);
    json.extend_from_slice(b",\"model_version\":");
    reply::write_text(&version.version.to_string(), &mut json);
    if let Some(id) = &request.id {
        json.extend_from_slice(b",\"id\":");
        reply::write_text(id, &mut json);
    }
    let parameters = inferred.parameters();
    for (at, (name, text)) in parameters.iter().enumerate() {
        json.extend_from_slice(if at == 0 { b",\"parameters\":{" } else { b"," });
        reply::write_text(name, &mut json);
        json.push(b':');
        reply::write_text(text, &mut json);
    }
    if !parameters.is_empty() {
        json.push(b'}');
    }
    json.extend_from_slice(b",\"outputs\":[");
    json
}

/// Appends a tensor: to the JSON, and its values to the binary tensors if it is one.
fn write(output: &OutputTensor<'_>, task: Task, json: &mut Vec<u8>, binary: &mut Vec<u8>) {
    json.extend_from_slice(b"{\"name\":");
    reply::write_text(output.name, json);
    json.extend_from_slice(b",\"datatype\":");
    reply::write_text(output_type(task, output.name).name(), json);
    json.extend_from_slice(b",\"shape\":");
    serde_json::to_writer(&mut *json, &output.shape).expect("writing to memory cannot fail");
    if !output.is_binary {
        json.extend_from_slice(b",\"data\":");
        write_json(output.values, json);
    } else {
        let before = binary.len();
        output.values.write_binary(binary);
        let size = (binary.len() - before).to_string();
        json.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
        json.extend_from_slice(size.as_bytes());
        json.push(b'}');
    }
    json.push(b'}');
}

/// Appends values as a JSON list.
fn write_json(values: OutputValues<'_>, out: &mut Vec<u8>) {
    let written = match values {
        OutputValues::Floats(values) => serde_json::to_writer(out, values),
        OutputValues::Clusters(values) => {
            serde_json::to_writer(out, &values.iter().map(|value| *value as i64).collect::<Vec<_>>())
        }
        OutputValues::Classes(classes) => serde_json::to_writer(out, classes),
    };
    written.expect("writing to memory cannot fail");
}
