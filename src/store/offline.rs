//! The offline store: Parquet files of examples and feature changes, and the hash of what is in them.
//!
//! Rows come in the total order, so equal content gives equal hashes, whatever the batches and workers were. The hash
//! is over the values, not over Parquet's bytes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, RecordBatch, TimestampMillisecondArray, UInt32Array};
use arrow_schema::{Field, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::time::EventTime;
use crate::value::{Batch, Column, Schema, Type};

/// Why the offline store cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    #[error("{path}: cannot be written")]
    Io {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: cannot be written")]
    Parquet {
        path: String,
        #[source]
        source: parquet::errors::ParquetError,
    },
}

/// What a file holds: its number of rows and the hash of their values in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub rows: u64,
    pub sha256: String,
}

/// A file that takes rows in any order and writes them in the total order, once no earlier ones can come.
pub struct OrderedFile {
    path: PathBuf,
    schema: SchemaRef,
    writer: ArrowWriter<File>,
    hash: Sha256,
    rows: u64,
    /// Rows before this are passed over.
    from: EventTime,
    /// Not written yet; each ascending in time.
    pending: Vec<Batch>,
}

impl OrderedFile {
    /// Creates the file, with its folder, for rows from a time on. Its first column is `_time`.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn create(path: &Path, columns: &Schema, from: Option<EventTime>) -> Result<Self, OfflineError> {
        let label = path.display().to_string();
        let io = |source| OfflineError::Io { path: label.clone(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        let mut all = vec![Column::new("_time", Type::Timestamp, false)];
        all.extend(columns.columns.iter().cloned());
        let schema = Schema::new(all).arrow();
        let nullable: Vec<Field> =
            schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let schema: SchemaRef = Arc::new(arrow_schema::Schema::new(nullable));
        let file = File::create(path).map_err(io)?;
        let level = ZstdLevel::try_new(3).expect("3 is a level of Zstandard");
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))
            .map_err(|source| OfflineError::Parquet { path: label, source })?;
        Ok(OrderedFile {
            path: path.to_owned(),
            schema,
            writer,
            hash: Sha256::new(),
            rows: 0,
            from: from.unwrap_or(EventTime::MIN),
            pending: Vec::new(),
        })
    }

    /// Takes in rows, ordered by their event times from here on.
    pub fn push(&mut self, batch: Batch) {
        let mut rows: Vec<u32> = (0..batch.len() as u32).collect();
        rows.sort_by_key(|row| batch.event_times[*row as usize]);
        let mut batch = batch.take(&UInt32Array::from(rows));
        batch.times = batch.event_times.clone();
        self.pending.push(batch.split(self.from).1);
    }

    /// Rows that are not written yet.
    pub fn pending(&self) -> usize {
        self.pending.iter().map(Batch::len).sum()
    }

    /// Writes all rows before `upto`.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn release(&mut self, upto: EventTime) -> Result<(), OfflineError> {
        let mut ready: Vec<Batch> = Vec::new();
        for batch in &mut self.pending {
            let (before, after) = batch.split(upto);
            *batch = after;
            if !before.is_empty() {
                ready.push(before);
            }
        }
        self.pending.retain(|batch| !batch.is_empty());
        if ready.is_empty() {
            return Ok(());
        }
        let mut rows: Vec<(usize, usize)> =
            ready.iter().enumerate().flat_map(|(index, batch)| (0..batch.len()).map(move |row| (index, row))).collect();
        let place = |(batch, row): &(usize, usize)| (ready[*batch].times[*row], ready[*batch].order.value(*row));
        rows.sort_by(|a, b| place(a).cmp(&place(b)));
        let times = rows.iter().map(|(batch, row)| ready[*batch].times[*row]);
        let mut columns: Vec<ArrayRef> = vec![Arc::new(TimestampMillisecondArray::from_iter_values(times))];
        for column in 0..ready[0].columns.len() {
            let arrays: Vec<&dyn Array> = ready.iter().map(|batch| batch.columns[column].as_ref()).collect();
            columns.push(arrow_select::interleave::interleave(&arrays, &rows).expect("batches of one stream"));
        }
        hash_rows(&mut self.hash, &columns);
        self.rows += rows.len() as u64;
        let batch = RecordBatch::try_new(self.schema.clone(), columns).expect("the file was made for these columns");
        self.writer.write(&batch).map_err(|source| self.failed(source))
    }

    /// Writes what is left and closes the file.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn finish(mut self) -> Result<Content, OfflineError> {
        self.release(EventTime::MAX)?;
        let label = self.path.display().to_string();
        self.writer.close().map_err(|source| OfflineError::Parquet { path: label, source })?;
        Ok(Content { rows: self.rows, sha256: hex(&self.hash.finalize()) })
    }

    fn failed(&self, source: parquet::errors::ParquetError) -> OfflineError {
        OfflineError::Parquet { path: self.path.display().to_string(), source }
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Feeds rows to a hash, value by value: a byte that says null or not, then the value (numbers and times as 8 bytes,
/// little-endian; text with its length before it).
fn hash_rows(hash: &mut Sha256, columns: &[ArrayRef]) {
    let rows = columns.first().map_or(0, |column| column.len());
    let types: Vec<Type> = columns
        .iter()
        .map(|column| Type::of_arrow(column.data_type()).expect("columns are made from tidemill's types"))
        .collect();
    let mut bytes = Vec::new();
    for row in 0..rows {
        for (column, ty) in columns.iter().zip(&types) {
            if column.is_null(row) {
                bytes.push(0);
                continue;
            }
            bytes.push(1);
            match ty {
                Type::String => {
                    let text = column.as_string::<i32>().value(row);
                    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
                    bytes.extend_from_slice(text.as_bytes());
                }
                Type::Int => bytes.extend_from_slice(&column.as_primitive::<Int64Type>().value(row).to_le_bytes()),
                Type::Float => {
                    bytes.extend_from_slice(&column.as_primitive::<Float64Type>().value(row).to_bits().to_le_bytes());
                }
                Type::Bool => bytes.push(u8::from(column.as_boolean().value(row))),
                Type::Timestamp => {
                    let time = column.as_primitive::<TimestampMillisecondType>().value(row);
                    bytes.extend_from_slice(&time.to_le_bytes());
                }
            }
        }
        if bytes.len() > 1 << 16 {
            hash.update(&bytes);
            bytes.clear();
        }
    }
    hash.update(&bytes);
}
