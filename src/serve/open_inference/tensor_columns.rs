//! The input tensors of a request as columns, whatever they are sent in.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::tensor_type::TensorType;
use crate::serve::RequestError;
use crate::serve::instance_table::{InstanceTable, TableCell};

/// Values of `content_type`, a parameter of MLServer's clients, that mean what a tensor of a column is here.
const COLUMN_TYPES: [&str; 4] = ["np", "str", "pd", "datetime"];

/// The description of an input tensor.
#[derive(Clone, Copy, Debug)]
pub struct TensorHead<'a> {
    pub name: &'a str,
    pub datatype: &'a str,
    pub shape: &'a [u64],
    pub content_type: Option<&'a str>,
}

/// The values of an input tensor.
#[derive(Debug)]
pub enum TensorCells<'a> {
    Json(Vec<&'a RawValue>),
    /// Values of one width, as in a binary tensor.
    Fixed {
        ty: TensorType,
        width: usize,
        bytes: Cow<'a, [u8]>,
    },
    Texts(Vec<&'a str>),
}

/// The input tensors of a request as columns of the same length.
#[derive(Debug, Default)]
pub struct TensorColumns<'a> {
    names: Vec<String>,
    columns: Vec<TensorCells<'a>>,
    rows: usize,
}

impl<'a> TensorColumns<'a> {
    /// Adds a tensor. `cells` returns its values, of a datatype and as many as there are rows.
    ///
    /// # Errors
    /// If it is malformed or of another length than its shape or the others.
    pub fn push(
        &mut self,
        head: TensorHead<'_>,
        cells: impl FnOnce(TensorType, usize) -> Result<TensorCells<'a>, String>,
    ) -> Result<(), RequestError> {
        let at = self.columns.len();
        let wrong = |what: String| malformed(format!("inputs[{at}] ({}): {what}", head.name));
        let rows = head.rows().map_err(wrong)?;
        if at > 0 && rows != self.rows {
            return Err(wrong(format!("it has {rows} rows and {} has {}", self.names[0], self.rows)));
        }
        self.rows = rows;
        self.columns.push(head.datatype().and_then(|ty| cells(ty, rows)).map_err(wrong)?);
        self.names.push(head.name.to_owned());
        Ok(())
    }

    /// Checks that there is a tensor.
    ///
    /// # Errors
    /// If there is none.
    pub fn check(&self) -> Result<(), RequestError> {
        match self.columns.is_empty() {
            true => Err(malformed("inputs: expected a tensor for each column".to_owned())),
            false => Ok(()),
        }
    }

    /// The columns as instances.
    pub fn table<'c>(&'c self) -> InstanceTable<'c, impl Fn(usize, usize) -> TableCell<'c>> {
        let cell = |row: usize, column: usize| match &self.columns[column] {
            TensorCells::Json(cells) => TableCell::Json(cells[row]),
            TensorCells::Fixed { ty, width, bytes } => ty.decode(&bytes[row * width..(row + 1) * width]),
            TensorCells::Texts(texts) => TableCell::Text(texts[row]),
        };
        InstanceTable { names: &self.names, rows: self.rows, cell }
    }
}

impl TensorHead<'_> {
    /// The number of rows by the shape.
    fn rows(&self) -> Result<usize, String> {
        match self.shape[..] {
            [rows] | [rows, 1] => Ok(usize::try_from(rows).unwrap_or(usize::MAX)),
            _ => Err(format!("shape {:?}; expected [N] or [N, 1], for a tensor is one column", self.shape)),
        }
    }

    fn datatype(&self) -> Result<TensorType, String> {
        let ty = TensorType::find(self.datatype).ok_or_else(|| {
            let known: Vec<&str> = TensorType::ALL.iter().map(|known| known.name()).collect();
            format!("datatype {:?}; expected one of {}", self.datatype, known.join(", "))
        })?;
        match self.content_type {
            Some(content_type) if !COLUMN_TYPES.contains(&content_type) => {
                Err(format!("content_type {content_type:?}; expected one of {}", COLUMN_TYPES.join(", ")))
            }
            _ => Ok(ty),
        }
    }
}

/// The values in the bytes of a binary tensor.
///
/// # Errors
/// If they are not as many as `rows`, or a text is not UTF-8.
pub fn binary_cells(ty: TensorType, bytes: &[u8], rows: usize) -> Result<TensorCells<'_>, String> {
    if let Some(width) = ty.width() {
        if rows.checked_mul(width) != Some(bytes.len()) {
            return Err(format!("{} bytes; expected {rows} values of {width} bytes by the shape", bytes.len()));
        }
        return Ok(TensorCells::Fixed { ty, width, bytes: bytes.into() });
    }
    let (mut texts, mut left) = (Vec::new(), bytes);
    while !left.is_empty() {
        let (length, rest) = left.split_first_chunk::<4>().ok_or("the length of the last text is cut off")?;
        let length = u32::from_le_bytes(*length) as usize;
        let (text, rest) = rest
            .split_at_checked(length)
            .ok_or_else(|| format!("text {} has {length} bytes, of which {} are there", texts.len(), rest.len()))?;
        texts.push(std::str::from_utf8(text).map_err(|_| format!("text {} is not UTF-8", texts.len()))?);
        left = rest;
    }
    if texts.len() != rows {
        return Err(format!("{} texts; expected {rows} by the shape", texts.len()));
    }
    Ok(TensorCells::Texts(texts))
}

fn malformed(what: String) -> RequestError {
    RequestError::Malformed(what)
}
