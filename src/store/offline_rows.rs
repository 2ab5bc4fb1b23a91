//! The rows of an offline file, read back in their order.

use std::fs::File;
use std::path::Path;

use arrow_array::RecordBatch;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::offline::OfflineError;
use crate::aggregate::Feature;

/// The rows of a file, in order.
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
    type Item = Result<Vec<Feature>, OfflineError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|batch| self.row < batch.num_rows()) {
                self.row += 1;
                return Some(Ok(batch.columns().iter().map(|column| Feature::of(column, self.row - 1)).collect()));
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
