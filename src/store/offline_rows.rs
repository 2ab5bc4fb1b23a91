//! The rows of an offline file, read back in their order.

use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::offline::OfflineError;
use crate::value::Scalar;

/// A file being read; gives one row after another.
pub struct OfflineRows {
    path: String,
    names: Vec<String>,
    batches: ParquetRecordBatchReader,
    batch: Option<RecordBatch>,
    row: usize,
}

impl OfflineRows {
    /// # Errors
    /// If the file cannot be read.
    pub fn open(path: &Path) -> Result<Self, OfflineError> {
        let label = path.display().to_string();
        let open = || ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.build();
        let batches = open().map_err(|source| OfflineError::Read { path: label.clone(), source })?;
        let schema = arrow_array::RecordBatchReader::schema(&batches);
        let names = schema.fields().iter().map(|field| field.name().clone()).collect();
        Ok(OfflineRows { path: label, names, batches, batch: None, row: 0 })
    }

    /// The columns' names.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl Iterator for OfflineRows {
    type Item = Result<Vec<Scalar>, OfflineError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|batch| self.row < batch.num_rows()) {
                self.row += 1;
                return Some(Ok(batch.columns().iter().map(|column| cell(column, self.row - 1)).collect()));
            }
            match self.batches.next()? {
                Ok(batch) => (self.batch, self.row) = (Some(batch), 0),
                Err(error) => {
                    return Some(Err(OfflineError::Read { path: self.path.clone(), source: error.into() }));
                }
            }
        }
    }
}

/// Returns one value; a map as the text of a JSON object.
fn cell(column: &ArrayRef, row: usize) -> Scalar {
    match column.data_type() {
        DataType::Map(..) if column.is_valid(row) => {
            let map = column.as_map();
            let entries = map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize;
            let json = |column: &ArrayRef, entry| Scalar::of(column, entry).to_json().to_string();
            let entries = entries.map(|entry| format!("{}:{}", json(map.keys(), entry), json(map.values(), entry)));
            Scalar::String(format!("{{{}}}", entries.collect::<Vec<_>>().join(",")).into())
        }
        DataType::Map(..) => Scalar::Null,
        _ => Scalar::of(column, row),
    }
}
