//! Input tensors as columns, and predictions as output tensors.
//!
//! A request has its values in `raw_input_contents`, as binary tensors, or in the `contents` of its inputs; an answer has
//! them in the same form.

use std::collections::BTreeMap;

use prost::encoding::{DecodeContext, decode_key, skip_field};

use super::messages::{
    InferInputTensor, InferOutputTensor, InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse,
    ParameterChoice,
};
use crate::serve::RequestError;
use crate::serve::open_inference::output_tensor::{AskedOutput, Inferred, OutputValues, output_type, outputs};
use crate::serve::open_inference::tensor_columns::{TensorCells, TensorColumns, TensorHead, binary_cells};
use crate::serve::open_inference::tensor_type::TensorType;

/// The most fields of a request: parameters, inputs, outputs and raw contents. A field of two bytes takes a hundred times
/// as many once it is read.
const MOST_FIELDS: usize = 1 << 14;

/// Checks that the message of a request has no more fields than any model has inputs, before they are read.
///
/// # Errors
/// If it has, or is malformed.
pub fn check_count(mut message: &[u8]) -> Result<(), RequestError> {
    let mut count = 0;
    while !message.is_empty() {
        let skipped = decode_key(&mut message)
            .and_then(|(tag, wire)| skip_field(wire, tag, &mut message, DecodeContext::default()));
        skipped.map_err(|error| malformed(error.to_string()))?;
        count += 1;
    }
    match count > MOST_FIELDS {
        true => Err(malformed(format!("the message has {count} fields; expected {MOST_FIELDS} at most"))),
        false => Ok(()),
    }
}

/// Returns whether the answer is to have its values as binary tensors.
///
/// # Errors
/// If a parameter of the request is not known.
pub fn wants_raw(request: &ModelInferRequest) -> Result<bool, RequestError> {
    let mut is_raw = !request.raw_input_contents.is_empty();
    for (name, parameter) in &request.parameters {
        match (name.as_str(), &parameter.parameter_choice) {
            ("binary_data_output", Some(ParameterChoice::Bool(asked))) => is_raw |= asked,
            ("content_type", Some(ParameterChoice::String(text))) if text == "pd" => {}
            ("binary_data_output", _) => return Err(malformed(format!("parameters.{name}: expected a bool"))),
            ("content_type", _) => return Err(malformed(format!("parameters.{name}: expected pd"))),
            _ => {
                let expected = "expected binary_data_output or content_type";
                return Err(malformed(format!("parameters: unknown parameter {name}; {expected}")));
            }
        }
    }
    Ok(is_raw)
}

/// The input tensors of a request.
///
/// # Errors
/// If one is malformed or of another length than its shape or the others.
pub fn columns(request: &ModelInferRequest) -> Result<TensorColumns<'_>, RequestError> {
    let (raw, inputs) = (&request.raw_input_contents, &request.inputs);
    if !raw.is_empty() && raw.len() != inputs.len() {
        let (raw, inputs) = (raw.len(), inputs.len());
        return Err(malformed(format!("raw_input_contents: {raw} of them for {inputs} inputs; expected one for each")));
    }
    let mut columns = TensorColumns::default();
    for (at, input) in inputs.iter().enumerate() {
        let content_type = content_type(at, input)?;
        let shape = shape(at, input)?;
        let head = TensorHead { name: &input.name, datatype: &input.datatype, shape: &shape, content_type };
        // Some clients send a message without values beside raw contents.
        let contents = input.contents.as_ref().filter(|contents| **contents != InferTensorContents::default());
        columns.push(head, |ty, rows| match (raw.get(at), contents) {
            (Some(_), Some(_)) => Err("both contents and raw_input_contents; expected one of them".to_owned()),
            (Some(raw), None) => binary_cells(ty, raw, rows),
            (None, Some(contents)) => typed_cells(ty, contents, rows),
            (None, None) if rows == 0 => binary_cells(ty, &[], rows),
            (None, None) => Err("neither contents nor raw_input_contents".to_owned()),
        })?;
    }
    columns.check()?;
    Ok(columns)
}

/// The shape of an input, whose sizes are not negative.
fn shape(at: usize, input: &InferInputTensor) -> Result<Vec<u64>, RequestError> {
    let sizes: Option<Vec<u64>> = input.shape.iter().map(|size| u64::try_from(*size).ok()).collect();
    sizes.ok_or_else(|| {
        let (name, shape) = (&input.name, &input.shape);
        malformed(format!("inputs[{at}] ({name}): shape {shape:?}; expected sizes that are not negative"))
    })
}

/// The parameter `content_type` of an input.
fn content_type(at: usize, input: &InferInputTensor) -> Result<Option<&str>, RequestError> {
    let mut found = None;
    for (name, parameter) in &input.parameters {
        match (name.as_str(), &parameter.parameter_choice) {
            ("content_type", Some(ParameterChoice::String(text))) => found = Some(text.as_str()),
            _ => {
                let what = format!("unknown parameter {name}; expected the text content_type");
                return Err(malformed(format!("inputs[{at}] ({}): {what}", input.name)));
            }
        }
    }
    Ok(found)
}

/// The values of `contents`: those of one width as the bytes of a binary tensor.
fn typed_cells(ty: TensorType, contents: &InferTensorContents, rows: usize) -> Result<TensorCells<'_>, String> {
    use TensorType::*;
    let (field, count) = match ty {
        Bool => ("bool_contents", contents.bool_contents.len()),
        Int8 | Int16 | Int32 => ("int_contents", contents.int_contents.len()),
        Int64 => ("int64_contents", contents.int64_contents.len()),
        Uint8 | Uint16 | Uint32 => ("uint_contents", contents.uint_contents.len()),
        Uint64 => ("uint64_contents", contents.uint64_contents.len()),
        Fp32 => ("fp32_contents", contents.fp32_contents.len()),
        Fp64 => ("fp64_contents", contents.fp64_contents.len()),
        Bytes => ("bytes_contents", contents.bytes_contents.len()),
        Fp16 | Bf16 => return Err(format!("{} has no contents; expected raw_input_contents", ty.name())),
    };
    if contents.count() != count {
        return Err(format!("values of {} in another field than {field}", ty.name()));
    }
    if count != rows {
        return Err(format!("{count} values in {field}; expected {rows} by the shape"));
    }
    let bytes = match ty {
        Bool => contents.bool_contents.iter().map(|value| u8::from(*value)).collect(),
        Int8 => little_endian(ty, &contents.int_contents, |value| i8::try_from(value).ok().map(i8::to_le_bytes))?,
        Int16 => little_endian(ty, &contents.int_contents, |value| i16::try_from(value).ok().map(i16::to_le_bytes))?,
        Int32 => little_endian(ty, &contents.int_contents, |value| Some(value.to_le_bytes()))?,
        Int64 => little_endian(ty, &contents.int64_contents, |value| Some(value.to_le_bytes()))?,
        Uint8 => little_endian(ty, &contents.uint_contents, |value| u8::try_from(value).ok().map(u8::to_le_bytes))?,
        Uint16 => little_endian(ty, &contents.uint_contents, |value| u16::try_from(value).ok().map(u16::to_le_bytes))?,
        Uint32 => little_endian(ty, &contents.uint_contents, |value| Some(value.to_le_bytes()))?,
        Uint64 => little_endian(ty, &contents.uint64_contents, |value| Some(value.to_le_bytes()))?,
        Fp32 => little_endian(ty, &contents.fp32_contents, |value| Some(value.to_le_bytes()))?,
        Fp64 => little_endian(ty, &contents.fp64_contents, |value| Some(value.to_le_bytes()))?,
        Fp16 | Bf16 | Bytes => {
            let texts = contents.bytes_contents.iter().enumerate();
            let texts =
                texts.map(|(at, bytes)| std::str::from_utf8(bytes).map_err(|_| format!("text {at} is not UTF-8")));
            return Ok(TensorCells::Texts(texts.collect::<Result<_, _>>()?));
        }
    };
    let width = ty.width().expect("texts have returned");
    Ok(TensorCells::Fixed { ty, width, bytes: bytes.into() })
}

/// The bytes of values in a binary tensor.
fn little_endian<T: Copy + std::fmt::Display, const WIDTH: usize>(
    ty: TensorType,
    values: &[T],
    bytes: impl Fn(T) -> Option<[u8; WIDTH]>,
) -> Result<Vec<u8>, String> {
    let mut all = Vec::with_capacity(WIDTH * values.len());
    for (at, value) in values.iter().enumerate() {
        all.extend(bytes(*value).ok_or_else(|| format!("value {at}: {value} is not of type {}", ty.name()))?);
    }
    Ok(all)
}

impl InferTensorContents {
    /// The number of values in all fields.
    fn count(&self) -> usize {
        [
            self.bool_contents.len(),
            self.int_contents.len(),
            self.int64_contents.len(),
            self.uint_contents.len(),
            self.uint64_contents.len(),
            self.fp32_contents.len(),
            self.fp64_contents.len(),
            self.bytes_contents.len(),
        ]
        .iter()
        .sum()
    }
}

/// The answer with the outputs that a request asks for, or all.
///
/// # Errors
/// If it asks for an output that there is not, for one twice, or with a parameter.
pub fn response(
    request: &ModelInferRequest,
    is_raw: bool,
    inferred: Inferred<'_>,
) -> Result<ModelInferResponse, RequestError> {
    for (at, output) in request.outputs.iter().enumerate() {
        if let Some(name) = output.parameters.keys().next() {
            return Err(malformed(format!("outputs[{at}]: unknown parameter {name}; expected none")));
        }
    }
    let asked = request.outputs.iter().map(|output| AskedOutput { name: &output.name, is_binary: is_raw });
    let outputs = outputs(&asked.collect::<Vec<_>>(), is_raw, inferred)?;
    let text = |(name, text): (&str, String)| {
        let parameter_choice = Some(ParameterChoice::String(text));
        (name.to_owned(), InferParameter { parameter_choice })
    };
    let version = &inferred.answered.version;
    let mut response = ModelInferResponse {
        model_name: version.manifest.name.clone(),
        model_version: version.version.to_string(),
        id: request.id.clone(),
        parameters: inferred.parameters().into_iter().map(text).collect(),
        ..ModelInferResponse::default()
    };
    for output in outputs {
        let mut raw = Vec::new();
        let contents = if output.is_binary {
            output.values.write_binary(&mut raw);
            response.raw_output_contents.push(raw);
            None
        } else {
            Some(contents(output.values))
        };
        response.outputs.push(InferOutputTensor {
            name: output.name.to_owned(),
            datatype: output_type(inferred.answered.task(), output.name).name().to_owned(),
            shape: output.shape.iter().map(|size| *size as i64).collect(),
            parameters: BTreeMap::new(),
            contents,
        });
    }
    Ok(response)
}

/// The values of an output in the field of their datatype.
fn contents(values: OutputValues<'_>) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    match values {
        OutputValues::Floats(values) => contents.fp64_contents = values.to_vec(),
        OutputValues::Clusters(values) => contents.int64_contents = values.iter().map(|value| *value as i64).collect(),
        OutputValues::Classes(classes) => {
            contents.bytes_contents = classes.iter().map(|class| class.as_bytes().to_vec()).collect();
        }
    }
    contents
}

fn malformed(what: String) -> RequestError {
    RequestError::Malformed(what)
}
