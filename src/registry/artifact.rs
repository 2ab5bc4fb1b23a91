//! `weights.safetensors`: the byte form of a predictor.
//!
//! The tensors are the predictor's own, preparation included. Inputs and options are JSON in the file's metadata, under
//! the single key `tidemill` (single, because the order of several keys is not fixed). Equal predictors have equal
//! bytes, and a predictor that is read back returns the same predictions, bit for bit.

use std::borrow::Cow;
use std::collections::HashMap;

use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use super::RegistryError;
use crate::model::{InputColumn, ModelOptions, Predictor, Tensor, Tensors};

const METADATA: &str = "tidemill";
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct ArtifactHeader<'a> {
    format: u32,
    inputs: Cow<'a, [InputColumn]>,
    options: Cow<'a, ModelOptions>,
}

struct TensorView {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for &TensorView {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Encodes a predictor as a safetensors file.
pub fn encode(predictor: &Predictor) -> Vec<u8> {
    let header = ArtifactHeader {
        format: FORMAT,
        inputs: Cow::Borrowed(predictor.inputs()),
        options: Cow::Borrowed(predictor.options()),
    };
    let header = serde_json::to_string(&header).expect("inputs and options are plain values");
    let cells: Vec<(String, TensorView)> = predictor
        .save()
        .into_iter()
        .map(|(name, tensor)| {
            let dtype = match tensor {
                Tensor::F64(_) => Dtype::F64,
                Tensor::U32(_) => Dtype::U32,
                Tensor::U8(_) => Dtype::U8,
            };
            (name, TensorView { dtype, shape: tensor.shape().to_vec(), bytes: tensor.to_le_bytes() })
        })
        .collect();
    let views = cells.iter().map(|(name, cells)| (name.as_str(), cells));
    let metadata = HashMap::from([(METADATA.to_owned(), header)]);
    safetensors::serialize(views, Some(metadata)).expect("cells are as many as their shapes say")
}

/// Decodes a safetensors file; `path` is for errors only.
///
/// # Errors
/// If the bytes are not a whole file, lack a tensor, or hold a tensor that does not fit the options.
pub fn decode(bytes: &[u8], path: &str) -> Result<Predictor, RegistryError> {
    let damaged = |source| RegistryError::DamagedTensors { path: path.to_owned(), source };
    let not_a_model = |detail: String| RegistryError::NotAModel { path: path.to_owned(), detail };
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(METADATA));
    let header = header.ok_or_else(|| not_a_model(format!("its metadata has no `{METADATA}`")))?;
    let header: ArtifactHeader<'_> = serde_json::from_str(header)
        .map_err(|source| RegistryError::DamagedJson { path: format!("{path}#{METADATA}"), source })?;
    if header.format != FORMAT {
        return Err(not_a_model(format!("it has format {}, expected {FORMAT}", header.format)));
    }
    let mut tensors = Tensors::new();
    for (name, view) in SafeTensors::deserialize(bytes).map_err(damaged)?.iter() {
        let tensor = match view.dtype() {
            Dtype::F64 => Tensor::floats(view.shape(), cells(view.data(), f64::from_le_bytes)),
            Dtype::U8 => Tensor::bytes(view.shape(), view.data().to_vec()),
            Dtype::U32 => Tensor::integers(view.shape(), cells(view.data(), u32::from_le_bytes)),
            other => return Err(not_a_model(format!("tensor `{name}` is of type {other:?}"))),
        };
        let tensor = tensor.ok_or_else(|| not_a_model(format!("tensor `{name}` does not fill its shape")))?;
        tensors.insert(name.to_owned(), tensor);
    }
    Predictor::load(&header.inputs, &header.options, &tensors)
        .map_err(|source| RegistryError::Model { path: path.to_owned(), source })
}

fn cells<T, const N: usize>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
    bytes.chunks_exact(N).map(|cell| read(cell.try_into().expect("chunks have the size asked for"))).collect()
}
