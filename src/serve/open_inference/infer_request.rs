//! Reading an inference request: a JSON header, and binary tensors after it.
//!
//! The header `Inference-Header-Content-Length` says how long the JSON is; without it, all of the body is JSON. The binary
//! tensors follow in the order of the inputs that have a `binary_data_size`. Every byte must belong to one.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::tensor_columns::{TensorCells, TensorColumns, TensorHead, binary_cells};
use super::tensor_type::TensorType;
use crate::serve::payload::{Payload, text_of};
use crate::serve::{RequestError, json_error};

/// The header that tells the length of the JSON before binary tensors.
pub const HEADER_LENGTH: &str = "inference-header-content-length";

/// The body of a request, with its tensors still to be decoded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InferRequest<'a> {
    /// Repeated in the answer.
    #[serde(default, deserialize_with = "id")]
    pub id: Option<String>,
    #[serde(default)]
    pub parameters: Option<InferParameters>,
    #[serde(borrow)]
    inputs: Vec<InputTensor<'a>>,
    #[serde(default)]
    pub outputs: Option<Vec<RequestedOutput>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InferParameters {
    /// Outputs that do not say otherwise are binary.
    #[serde(default)]
    pub binary_data_output: bool,
    /// `pd`, of a data frame: a tensor is a column.
    content_type: Option<String>,
}

/// An output that a request asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestedOutput {
    pub name: String,
    #[serde(default)]
    pub parameters: Option<OutputParameters>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputParameters {
    pub binary_data: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputTensor<'a> {
    name: String,
    #[serde(deserialize_with = "shape")]
    shape: Vec<u64>,
    datatype: String,
    #[serde(default)]
    parameters: Option<InputParameters>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputParameters {
    binary_data_size: Option<u64>,
    content_type: Option<String>,
}

impl<'a> InferRequest<'a> {
    /// Reads the JSON of a body. Returns the binary tensors after it as well.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn read(payload: Payload<'a>) -> Result<(Self, &'a [u8]), RequestError> {
        let (json, binary) = match payload.headers.get(HEADER_LENGTH) {
            None => (payload.bytes, &[][..]),
            Some(length) => {
                let whole = payload.bytes.len();
                let length = length.to_str().ok().and_then(|text| text.trim().parse::<usize>().ok());
                let split = length.and_then(|length| payload.bytes.split_at_checked(length));
                split.ok_or_else(|| {
                    malformed(format!(
                        "Inference-Header-Content-Length: expected the length of the JSON, at most the {whole} bytes of \
                         the body"
                    ))
                })?
            }
        };
        let request: InferRequest<'a> =
            serde_json::from_str(text_of(json)?).map_err(|error| json_error::malformed(&error))?;
        if let Some(content_type) =
            request.parameters.as_ref().and_then(|parameters| parameters.content_type.as_deref())
            && content_type != "pd"
        {
            return Err(malformed(format!("parameters.content_type: expected pd, found {content_type:?}")));
        }
        Ok((request, binary))
    }

    /// Decodes the input tensors.
    ///
    /// # Errors
    /// If one is malformed or of another length than its shape or the others.
    pub fn columns(&self, mut binary: &'a [u8]) -> Result<TensorColumns<'a>, RequestError> {
        let mut columns = TensorColumns::default();
        for input in &self.inputs {
            columns.push(input.head(), |ty, rows| input.cells(ty, rows, &mut binary))?;
        }
        columns.check()?;
        if !binary.is_empty() {
            return Err(malformed(format!("{} bytes after the last binary tensor", binary.len())));
        }
        Ok(columns)
    }
}

impl<'a> InputTensor<'a> {
    fn head(&self) -> TensorHead<'_> {
        let content_type = self.parameters.as_ref().and_then(|parameters| parameters.content_type.as_deref());
        TensorHead { name: &self.name, datatype: &self.datatype, shape: &self.shape, content_type }
    }

    /// The values of the tensor, as many as `rows`. A binary one is taken from the beginning of `binary`.
    fn cells(&self, ty: TensorType, rows: usize, binary: &mut &'a [u8]) -> Result<TensorCells<'a>, String> {
        let parameters = self.parameters.as_ref();
        match (parameters.and_then(|parameters| parameters.binary_data_size), self.data) {
            (None, Some(data)) => json_cells(ty, data, rows),
            (Some(size), None) => {
                let split = usize::try_from(size).ok().and_then(|size| binary.split_at_checked(size));
                let (own, rest) =
                    split.ok_or_else(|| format!("binary_data_size {size}, of which {} bytes came", binary.len()))?;
                *binary = rest;
                binary_cells(ty, own, rows)
            }
            (None, None) => Err("neither data nor parameters.binary_data_size".to_owned()),
            (Some(_), Some(_)) => Err("both data and parameters.binary_data_size; expected one of them".to_owned()),
        }
    }
}

/// The values of `data`, a flat list or one nested as the shape is.
fn json_cells(ty: TensorType, data: &RawValue, rows: usize) -> Result<TensorCells<'_>, String> {
    let list = |raw: &RawValue| raw.get().starts_with('[');
    let items = |raw| items_of(raw).ok_or("data: expected a list of values");
    let mut cells = Vec::new();
    for item in items(data)? {
        match list(item) {
            true => cells.extend(items(item)?),
            false => cells.push(item),
        }
    }
    if let Some(at) = cells.iter().position(|cell| !is_of(ty, cell.get())) {
        let found: String = cells[at].get().chars().take(40).collect();
        return Err(format!("data[{at}]: expected a value of {}, found {found}", ty.name()));
    }
    if cells.len() != rows {
        return Err(format!("{} values; expected {rows} by the shape", cells.len()));
    }
    Ok(TensorCells::Json(cells))
}

/// The items of a JSON list; `None` if it is another value.
fn items_of(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

/// Returns whether JSON is a value of the kind that a datatype has. Null is one of any: pandas frames have them.
fn is_of(ty: TensorType, json: &str) -> bool {
    match (ty, json.as_bytes().first()) {
        (_, Some(b'n')) => true,
        (TensorType::Bytes, first) => first == Some(&b'"'),
        (TensorType::Bool, first) => matches!(first, Some(b't' | b'f')),
        (TensorType::Fp16 | TensorType::Bf16 | TensorType::Fp32 | TensorType::Fp64, first) => {
            matches!(first, Some(b'-' | b'0'..=b'9'))
        }
        _ => json.bytes().all(|byte| matches!(byte, b'-' | b'0'..=b'9')),
    }
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    named("id", deserializer)
}

fn shape<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    named("shape", deserializer)
}

/// Reads a field; an error names it.
fn named<'de, T: Deserialize<'de>, D: Deserializer<'de>>(name: &str, deserializer: D) -> Result<T, D::Error> {
    T::deserialize(deserializer).map_err(|error| {
        let text = error.to_string();
        // The position is appended again.
        let what = text.rfind(" at line ").map_or(text.as_str(), |at| &text[..at]);
        D::Error::custom(format!("{name}: {what}"))
    })
}

fn malformed(what: String) -> RequestError {
    RequestError::Malformed(what)
}
