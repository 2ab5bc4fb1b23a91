//! Named tensors, in which models are saved, averaged and loaded.
//!
//! Most of a hashed model is untouched and zero, so the serialised form of a tensor (in checkpoints) lists its
//! non-zero cells where they are few. Reading gives back the same bits.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::ArrayD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ModelError;

/// Numbers of any shape, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    F64(ArrayD<f64>),
    U32(ArrayD<u32>),
    U8(ArrayD<u8>),
}

/// Tensors by name, in the order of their names.
pub type Tensors = BTreeMap<String, Tensor>;

impl Tensor {
    /// A vector of floats.
    pub fn vector(values: Vec<f64>) -> Tensor {
        Tensor::F64(ArrayD::from_shape_vec(vec![values.len()], values).expect("a vector fits its own length"))
    }

    /// A vector of indices.
    pub fn indices(values: Vec<u32>) -> Tensor {
        Tensor::U32(ArrayD::from_shape_vec(vec![values.len()], values).expect("a vector fits its own length"))
    }

    /// Texts, as the bytes of a JSON array of strings.
    pub fn texts(texts: &[&str]) -> Tensor {
        let bytes = serde_json::to_vec(texts).expect("strings have a JSON form");
        Tensor::U8(ArrayD::from_shape_vec(vec![bytes.len()], bytes).expect("a vector fits its own length"))
    }

    /// Bytes of a shape, row-major. None if there are not as many as the shape has cells.
    pub fn bytes(shape: &[usize], cells: Vec<u8>) -> Option<Tensor> {
        ArrayD::from_shape_vec(shape.to_vec(), cells).ok().map(Tensor::U8)
    }

    /// Floats of a shape, row-major. None if there are not as many as the shape has cells.
    pub fn floats(shape: &[usize], cells: Vec<f64>) -> Option<Tensor> {
        ArrayD::from_shape_vec(shape.to_vec(), cells).ok().map(Tensor::F64)
    }

    /// Integers of a shape, row-major. None if there are not as many as the shape has cells.
    pub fn integers(shape: &[usize], cells: Vec<u32>) -> Option<Tensor> {
        ArrayD::from_shape_vec(shape.to_vec(), cells).ok().map(Tensor::U32)
    }

    /// Returns the cells as little-endian bytes, row-major.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        match self {
            Tensor::F64(array) => array.iter().flat_map(|cell| cell.to_le_bytes()).collect(),
            Tensor::U32(array) => array.iter().flat_map(|cell| cell.to_le_bytes()).collect(),
            Tensor::U8(array) => array.iter().copied().collect(),
        }
    }

    pub fn shape(&self) -> &[usize] {
        match self {
            Tensor::F64(array) => array.shape(),
            Tensor::U32(array) => array.shape(),
            Tensor::U8(array) => array.shape(),
        }
    }
}

/// Returns the cells of a float tensor, row-major.
///
/// # Errors
/// If there is no such tensor, or it does not have `len` cells where that is given.
pub(super) fn floats<'a>(tensors: &'a Tensors, name: &str, len: Option<usize>) -> Result<&'a [f64], ModelError> {
    let cells = match tensors.get(name) {
        Some(Tensor::F64(array)) => array.as_slice(),
        Some(_) => return Err(misfit(name, "it does not hold floats")),
        None => return Err(ModelError::MissingTensor { name: name.to_owned() }),
    };
    check(name, cells.ok_or_else(|| misfit(name, "it is not row-major"))?, len)
}

/// Returns the cells of an integer tensor, row-major.
///
/// # Errors
/// The same as of [`floats`].
pub(super) fn integers<'a>(tensors: &'a Tensors, name: &str, len: Option<usize>) -> Result<&'a [u32], ModelError> {
    let cells = match tensors.get(name) {
        Some(Tensor::U32(array)) => array.as_slice(),
        Some(_) => return Err(misfit(name, "it does not hold integers")),
        None => return Err(ModelError::MissingTensor { name: name.to_owned() }),
    };
    check(name, cells.ok_or_else(|| misfit(name, "it is not row-major"))?, len)
}

/// Returns the cells of a tensor of bytes, row-major.
///
/// # Errors
/// If there is no such tensor, or it does not hold bytes.
pub(super) fn bytes<'a>(tensors: &'a Tensors, name: &str) -> Result<&'a [u8], ModelError> {
    let cells = match tensors.get(name) {
        Some(Tensor::U8(array)) => array.as_slice(),
        Some(_) => return Err(misfit(name, "it does not hold bytes")),
        None => return Err(ModelError::MissingTensor { name: name.to_owned() }),
    };
    cells.ok_or_else(|| misfit(name, "it is not row-major"))
}

/// Returns the texts that [`Tensor::texts`] holds.
///
/// # Errors
/// If there is no such tensor, or it does not hold texts.
pub(super) fn texts(tensors: &Tensors, name: &str) -> Result<Vec<Arc<str>>, ModelError> {
    let cells = bytes(tensors, name)?;
    serde_json::from_slice(cells)
        .map_err(|error| misfit(name, &format!("it does not hold an array of strings: {error}")))
}

fn check<'a, T>(name: &str, cells: &'a [T], len: Option<usize>) -> Result<&'a [T], ModelError> {
    match len {
        Some(len) if len != cells.len() => Err(misfit(name, &format!("{} cells, expected {len}", cells.len()))),
        _ => Ok(cells),
    }
}

pub(super) fn misfit(name: &str, detail: &str) -> ModelError {
    ModelError::MisfitTensor { name: name.to_owned(), detail: detail.to_owned() }
}

/// Returns the mean of states of the same learner, weighted by their examples, in the order given. Tensors of integers
/// and bytes must agree and are taken from the first state. Returns the first if no state has examples.
pub(super) fn average(states: &[(Tensors, u64)]) -> Tensors {
    let mut mean = states.first().map(|(first, _)| first.clone()).unwrap_or_default();
    let total: u64 = states.iter().map(|(_, examples)| examples).sum();
    if total == 0 || states.len() == 1 {
        return mean;
    }
    for (name, tensor) in &mut mean {
        let Tensor::F64(cells) = tensor else { continue };
        cells.fill(0.0);
        for (state, examples) in states {
            let weight = *examples as f64 / total as f64;
            if let (true, Some(Tensor::F64(shard))) = (*examples > 0, state.get(name)) {
                cells.zip_mut_with(shard, |sum, cell| *sum += weight * cell);
            }
        }
    }
    mean
}

/// The form of a tensor in a checkpoint.
#[derive(Serialize, Deserialize)]
enum Packed {
    Dense(Vec<usize>, Vec<f64>),
    /// Shape, positions of the cells that are not +0.0, and those cells.
    Sparse(Vec<usize>, Vec<u32>, Vec<f64>),
    Integers(Vec<usize>, Vec<u32>),
    Bytes(Vec<usize>, Vec<u8>),
}

impl Serialize for Tensor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let packed = match self {
            Tensor::U32(array) => Packed::Integers(array.shape().to_vec(), array.iter().copied().collect()),
            Tensor::U8(array) => Packed::Bytes(array.shape().to_vec(), array.iter().copied().collect()),
            Tensor::F64(array) => {
                let set = || array.iter().enumerate().filter(|(_, cell)| cell.to_bits() != 0);
                let shape = array.shape().to_vec();
                if set().count() * 3 < array.len() && u32::try_from(array.len()).is_ok() {
                    let (positions, cells) = set().map(|(at, cell)| (at as u32, *cell)).unzip();
                    Packed::Sparse(shape, positions, cells)
                } else {
                    Packed::Dense(shape, array.iter().copied().collect())
                }
            }
        };
        packed.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tensor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        /// Sparse shapes are not bounded by the bytes that follow; a damaged one must not exhaust memory.
        const MOST_CELLS: usize = 1 << 28;
        let misfit = |_| D::Error::custom("a tensor's cells do not fit its shape");
        Ok(match Packed::deserialize(deserializer)? {
            Packed::Dense(shape, cells) => Tensor::F64(ArrayD::from_shape_vec(shape, cells).map_err(misfit)?),
            Packed::Integers(shape, cells) => Tensor::U32(ArrayD::from_shape_vec(shape, cells).map_err(misfit)?),
            Packed::Bytes(shape, cells) => Tensor::U8(ArrayD::from_shape_vec(shape, cells).map_err(misfit)?),
            Packed::Sparse(shape, positions, cells) => {
                let len = shape.iter().try_fold(1_usize, |product, axis| product.checked_mul(*axis));
                let Some(len) = len.filter(|len| *len <= MOST_CELLS && positions.len() == cells.len()) else {
                    return Err(D::Error::custom("a tensor's shape is out of range"));
                };
                let mut dense = vec![0.0; len];
                for (position, cell) in positions.into_iter().zip(cells) {
                    let Some(slot) = dense.get_mut(position as usize) else {
                        return Err(D::Error::custom("a tensor's cell is outside its shape"));
                    };
                    *slot = cell;
                }
                Tensor::F64(ArrayD::from_shape_vec(shape, dense).map_err(misfit)?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_survives_being_packed_sparse_or_dense() {
        let mut sparse = vec![0.0; 1000];
        sparse[7] = -0.0;
        sparse[999] = f64::MIN_POSITIVE / 2.0;
        for cells in [sparse, vec![1.5; 10], vec![]] {
            let tensor = Tensor::vector(cells.clone());
            let bytes = postcard::to_extend(&tensor, Vec::new()).unwrap();
            let Tensor::F64(back) = postcard::from_bytes(&bytes).unwrap() else { panic!("floats stay floats") };
            let bits = |cells: &[f64]| cells.iter().map(|c| c.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(back.as_slice().unwrap()), bits(&cells));
        }
    }

    #[test]
    fn a_shard_without_examples_does_not_count_in_the_average() {
        let state = |x: f64| Tensors::from([("w".to_owned(), Tensor::vector(vec![x]))]);
        let mean = average(&[(state(1.0), 3), (state(5.0), 1), (state(100.0), 0)]);
        assert_eq!(mean["w"], Tensor::vector(vec![2.0]));
    }
}
