//! Parquet files: columns are found by their paths, other columns are not read.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use arrow_array::RecordBatch;
use arrow_schema::Field;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use serde_json::{Map, Value};

use super::parquet_column::{FileColumn, FileValues};
use super::{
    ContentHasher, FileContent, FileFormat, FileFunctions, FileReader, FileSchema, OpenFile, OpenedFile, SampledFile,
};
use crate::source::dead_letter::head_of;
use crate::source::message::{Json, MessageFormat};
use crate::source::{Ingest, InputStatus, RawMessage, RecordSample, SampleColumn, SampleValue};
use crate::value::{ColumnBuilder, FieldError, Found, TimeRules};

pub static PARQUET: FileFormat = FileFormat {
    extension: "parquet",
    format: "parquet",
    summary: "Apache Parquet, uncompressed or with Snappy, gzip, LZ4, Brotli or Zstandard",
    open: OpenFile::Seek(FileFunctions { open, sample }),
};

struct ParquetReader {
    batches: ParquetRecordBatchReader,
    columns: Vec<FileColumn>,
    /// The values of the columns in the batch being read.
    values: Vec<FileValues>,
    /// The next row of the batch, and their number.
    row: usize,
    rows: usize,
    /// The rows read, and the hash of the file's beginning and end.
    content: FileContent,
}

/// Bytes at the beginning and at the end of a file by which it is known. The end describes all pages.
const ENDS: u64 = 1 << 16;

/// Bytes of the columns of one batch, about.
const BATCH_BYTES: i64 = 8 << 20;

/// The most rows of a batch.
const BATCH_ROWS: i64 = 1024;

/// Returns the hash of the beginning and the end of a file.
fn hash_of_ends(file: &mut File) -> std::io::Result<u64> {
    let (mut hasher, length) = (ContentHasher::default(), file.metadata()?.len());
    for start in [0, length.saturating_sub(ENDS)] {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.take(ENDS).read_to_end(&mut bytes)?;
        hasher.push(&bytes);
    }
    hasher.push(&length.to_le_bytes());
    Ok(hasher.content().hash)
}

/// Returns the rows of a batch of about [`BATCH_BYTES`], by the row group whose rows are largest.
fn batch_rows(metadata: &ParquetMetaData, columns: &[FileColumn]) -> usize {
    let is_read = |column: &&ColumnChunkMetaData| {
        let root = column.column_path().parts().first().map(String::as_str);
        columns.iter().any(|column| column.root() == root)
    };
    let row_bytes = |group: &RowGroupMetaData| {
        let bytes: i64 = group.columns().iter().filter(is_read).map(ColumnChunkMetaData::uncompressed_size).sum();
        bytes / group.num_rows().max(1)
    };
    let most = metadata.row_groups().iter().map(row_bytes).max().unwrap_or(0);
    (BATCH_BYTES / most.max(1)).clamp(1, BATCH_ROWS) as usize
}

fn open(mut file: File, schema: &FileSchema) -> OpenedFile {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let hash = hash_of_ends(&mut file).map_err(|error| text(&error))?;
    let scanned = file.try_clone().map_err(|error| text(&error))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| text(&error))?;
    let roots: Vec<Field> = builder.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    let columns = find(schema, &roots)?;
    let batches = project(builder, &columns).map_err(|error| text(&error))?;

    // Text is a number or a bool only if every value of the column is one.
    let scan: Vec<FileColumn> = find(schema, &roots)?.into_iter().filter(FileColumn::must_be_scanned).collect();
    if !scan.is_empty() {
        let builder = ParquetRecordBatchReaderBuilder::try_new(scanned).map_err(|error| text(&error))?;
        for batch in project(builder, &scan).map_err(|error| text(&error))? {
            let batch = batch.map_err(|error| text(&error))?;
            scan.iter().try_for_each(|column| column.scan(&batch))?;
        }
    }
    let content = FileContent { length: 0, hash };
    Ok(Box::new(ParquetReader { batches, columns, values: Vec::new(), row: 0, rows: 0, content }))
}

/// Samples the first rows, in columns whose types may convert.
fn sample(file: File, rows: usize) -> SampledFile {
    let text = |error: parquet::errors::ParquetError| error.to_string();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(text)?;
    let roots: Vec<Field> = builder.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut sample = RecordSample::default();
    let columns = FileColumn::all_readable(&roots.iter().collect::<Vec<_>>(), &mut sample.left_out);
    let total = builder.metadata().file_metadata().num_rows();
    sample.has_more = usize::try_from(total).is_ok_and(|total| total > rows);
    let path = |column: &FileColumn| SampleColumn { path: column.path().to_vec(), values: Vec::new() };
    sample.columns = columns.iter().map(path).collect();
    for batch in project(builder, &columns).map_err(text)? {
        let batch = batch.map_err(|error| error.to_string())?;
        let taken = batch.num_rows().min(rows - sample.rows);
        for (column, into) in columns.iter().zip(&mut sample.columns) {
            let values = column.values(&batch);
            into.values.extend((0..taken).map(|row| SampleValue::of(values.found(row))));
        }
        sample.rows += taken;
        if sample.rows == rows {
            break;
        }
    }
    Ok(sample)
}

/// Finds the columns of a schema in the fields of a file.
fn find(schema: &FileSchema, roots: &[Field]) -> Result<Vec<FileColumn>, String> {
    let roots: Vec<&Field> = roots.iter().collect();
    let mut columns = Vec::with_capacity(schema.schema.len());
    for column in &schema.schema.columns {
        columns.push(match FileColumn::find(column, &roots)? {
            Some(found) => found,
            None if schema.optional.contains(&column.name) => FileColumn::absent(column),
            None => {
                let known: Vec<&str> = roots.iter().map(|field| field.name().as_str()).collect();
                return Err(schema.lacks(column, &known));
            }
        });
    }
    Ok(columns)
}

/// Returns a reader of the root fields that have these columns.
fn project(
    builder: ParquetRecordBatchReaderBuilder<File>,
    columns: &[FileColumn],
) -> parquet::errors::Result<ParquetRecordBatchReader> {
    let is_used = |name: &str| columns.iter().any(|column| column.root() == Some(name));
    let fields = builder.schema().fields().iter().enumerate();
    let used: Vec<usize> = fields.filter(|(_, field)| is_used(field.name())).map(|(index, _)| index).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), used);
    let rows = batch_rows(builder.metadata(), columns);
    builder.with_projection(mask).with_batch_size(rows).build()
}

impl FileReader for ParquetReader {
    fn read(&mut self, max: usize, offset: &mut u64, ingest: &mut Ingest) -> Result<InputStatus, String> {
        if !self.load()? {
            return Ok(InputStatus::EndOfInput);
        }
        let most = ingest.max_record_bytes();
        for row in self.row..self.rows.min(self.row.saturating_add(max)) {
            let bytes: usize = self.values.iter().map(|values| values.text_bytes(row)).sum();
            let json = || self.json(row).to_string();
            if bytes > most {
                let head = || RawMessage::of_file(head_of(json().as_bytes()), Json::NAME, None);
                ingest.push_too_large(*offset, None, bytes as u64, head);
            } else {
                let raw = || RawMessage::of_file(json(), Json::NAME, None);
                ingest.push(*offset, None, raw, |builders, present| self.append(row, builders, present));
            }
            *offset += 1;
            self.content.length += 1;
            self.row = row + 1;
            if ingest.is_full() {
                break;
            }
        }
        Ok(InputStatus::MoreAvailable)
    }

    fn content(&self) -> FileContent {
        self.content
    }

    fn skip_to(&mut self, length: u64) -> Result<(), String> {
        while self.content.length < length && self.load()? {
            let left = self.rows - self.row;
            let skipped = left.min(usize::try_from(length - self.content.length).unwrap_or(usize::MAX));
            self.row += skipped;
            self.content.length += skipped as u64;
        }
        Ok(())
    }

    fn is_within_line(&mut self) -> Result<bool, String> {
        Ok(false)
    }
}

impl ParquetReader {
    /// Reads the next batch once the one before is used up. Returns whether there is a row.
    fn load(&mut self) -> Result<bool, String> {
        while self.row == self.rows {
            let Some(batch) = self.batches.next() else { return Ok(false) };
            let batch: RecordBatch = batch.map_err(|error| error.to_string())?;
            self.values = self.columns.iter().map(|column| column.values(&batch)).collect();
            (self.row, self.rows) = (0, batch.num_rows());
        }
        Ok(true)
    }

    /// Appends a row to the builders of the columns, nulls where a value is missing or at fault, and sets `present` to
    /// whether the row has each value.
    ///
    /// # Errors
    /// The first value that is at fault.
    fn append(&self, row: usize, builders: &mut [ColumnBuilder], present: &mut Vec<bool>) -> Result<(), FieldError> {
        present.clear();
        let mut fault = None;
        for ((column, values), builder) in self.columns.iter().zip(&self.values).zip(builders) {
            let found = values.found(row);
            present.push(found != Found::Null);
            match found {
                Found::Null => builder.append_null(),
                found => {
                    if let Err(found) = column.column().rules().write(found, builder) {
                        let name = column.column().name.clone();
                        fault.get_or_insert(FieldError { column: Some(name), fault: found });
                    }
                }
            }
        }
        fault.map_or(Ok(()), Err)
    }

    /// Returns a row as a JSON message of the same columns, for a dead letter.
    fn json(&self, row: usize) -> Value {
        let mut object = Map::new();
        for (column, values) in self.columns.iter().zip(&self.values) {
            let (last, outer) = column.column().path.split_last().expect("a path has at least one name");
            let mut inner = Some(&mut object);
            for name in outer {
                let entry = inner.map(|inner| inner.entry(name.clone()).or_insert_with(|| Map::new().into()));
                inner = entry.and_then(Value::as_object_mut);
            }
            if let Some(inner) = inner {
                inner.insert(last.clone(), json_of(values.found(row), &column.column().time));
            }
        }
        object.into()
    }
}

/// Returns a value as JSON that is read as the same value. What JSON has no number for is text.
fn json_of(found: Found<'_>, rules: &TimeRules) -> Value {
    match found {
        Found::Null | Found::List | Found::Object => Value::Null,
        Found::Bool(value) => value.into(),
        Found::Int(value) | Found::Wide { int: Some(value), .. } => value.into(),
        Found::Float(value) | Found::Wide { float: value, .. } if value.is_finite() => value.into(),
        Found::Float(value) | Found::Wide { float: value, .. } => value.to_string().into(),
        Found::Text(text) => text.into(),
        Found::Time(time) => rules.write(time).into(),
    }
}
