//! Parquet files: columns are matched by name, other columns are not read.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit as ArrowUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::{ContentHasher, FileContent, FileFormat, FileReader, FileSchema, OpenFile, OpenedFile};
use crate::source::dead_letter::head_of;
use crate::source::{Ingest, InputStatus, RawMessage};
use crate::time::parse_time;
use crate::value::{Column, ColumnBuilder, FieldError, FieldFault, Scalar, TimeUnit, Type};

pub static PARQUET: FileFormat = FileFormat {
    extension: "parquet",
    format: "parquet",
    summary: "Apache Parquet, uncompressed or with Snappy or Zstandard",
    open: OpenFile::Seek(open),
};

struct ParquetReader {
    batches: ParquetRecordBatchReader,
    /// The batch being read; `None` before the first.
    batch: Option<RecordBatch>,
    /// The next row of the batch.
    row: usize,
    columns: Vec<Column>,
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
fn batch_rows(metadata: &ParquetMetaData, columns: &[String]) -> usize {
    let is_read = |column: &&ColumnChunkMetaData| columns.contains(&column.column_path().parts()[0]);
    let row_bytes = |group: &RowGroupMetaData| {
        let bytes: i64 = group.columns().iter().filter(is_read).map(ColumnChunkMetaData::uncompressed_size).sum();
        bytes / group.num_rows().max(1)
    };
    let most = metadata.row_groups().iter().map(row_bytes).max().unwrap_or(0);
    (BATCH_BYTES / most.max(1)).clamp(1, BATCH_ROWS) as usize
}

fn open(mut file: File, schema: &FileSchema) -> OpenedFile {
    let hash = hash_of_ends(&mut file).map_err(|error| error.to_string())?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())?;
    let known: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let lacking = |column: &&Column| !known.contains(&column.name) && !schema.optional.contains(&column.name);
    if let Some(column) = schema.schema.columns.iter().find(lacking) {
        return Err(format!("has no column {:?}; it has {}", column.name, known.join(", ")));
    }
    let roots = known.iter().enumerate().filter(|(_, name)| schema.schema.index_of(name).is_some());
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots.map(|(index, _)| index));
    let names: Vec<String> = schema.schema.names().map(str::to_owned).collect();
    let rows = batch_rows(builder.metadata(), &names);
    let batches = builder.with_projection(mask).with_batch_size(rows).build().map_err(|error| error.to_string())?;
    let (columns, content) = (schema.schema.columns.clone(), FileContent { length: 0, hash });
    Ok(Box::new(ParquetReader { batches, batch: None, row: 0, columns, content }))
}

impl FileReader for ParquetReader {
    fn read(&mut self, max: usize, offset: &mut u64, ingest: &mut Ingest) -> Result<InputStatus, String> {
        if !self.load()? {
            return Ok(InputStatus::EndOfInput);
        }
        let batch = self.batch.as_ref().expect("just loaded");
        let arrays: Vec<_> = self.columns.iter().map(|column| batch.column_by_name(&column.name)).collect();
        let most = ingest.max_record_bytes();
        for row in self.row..batch.num_rows().min(self.row.saturating_add(max)) {
            let bytes: usize = arrays.iter().flatten().map(|array| text_bytes(array, row)).sum();
            if bytes > most {
                let head = || RawMessage::value(head_of(text(batch, row).as_bytes()));
                ingest.push_too_large(*offset, None, bytes as u64, head);
            } else {
                let raw = || RawMessage::value(format!("row {row} of a batch: {}", text(batch, row)));
                ingest.push(*offset, None, raw, |builders, present| {
                    append(&self.columns, &arrays, row, builders, present)
                });
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
            let left = self.batch.as_ref().expect("just loaded").num_rows() - self.row;
            let skipped = left.min(usize::try_from(length - self.content.length).unwrap_or(usize::MAX));
            self.row += skipped;
            self.content.length += skipped as u64;
        }
        Ok(())
    }
}

impl ParquetReader {
    /// Reads the next batch once the one before is used up. Returns whether there is a row.
    fn load(&mut self) -> Result<bool, String> {
        while self.batch.as_ref().is_none_or(|batch| self.row == batch.num_rows()) {
            match self.batches.next() {
                None => return Ok(false),
                Some(batch) => self.batch = Some(batch.map_err(|error| error.to_string())?),
            }
            self.row = 0;
        }
        Ok(true)
    }
}

/// Returns the bytes of a text, or 0 for a value of another type.
fn text_bytes(array: &dyn Array, row: usize) -> usize {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value_length(row) as usize,
        DataType::LargeUtf8 => array.as_string::<i64>().value_length(row) as usize,
        _ => 0,
    }
}

/// Appends a row to the builders of the columns, nulls where a value is missing or of another type, and sets `present` to
/// whether the row has each value.
///
/// # Errors
/// The first value of another type.
fn append(
    columns: &[Column],
    arrays: &[Option<&ArrayRef>],
    row: usize,
    builders: &mut [ColumnBuilder],
    present: &mut Vec<bool>,
) -> Result<(), FieldError> {
    present.clear();
    let mut fault = None;
    for ((column, array), builder) in columns.iter().zip(arrays).zip(builders) {
        match array.map_or(Ok(Scalar::Null), |array| scalar(column, array, row)) {
            Ok(value) => {
                present.push(!value.is_null());
                builder.append(&value);
            }
            Err(found) => {
                present.push(true);
                builder.append_null();
                fault.get_or_insert(FieldError { column: Some(column.name.clone()), fault: found });
            }
        }
    }
    fault.map_or(Ok(()), Err)
}

/// Returns the value of a row as the column's type, from any Arrow type that converts without loss.
fn scalar(column: &Column, array: &dyn Array, row: usize) -> Result<Scalar, FieldFault> {
    if array.is_null(row) {
        return Ok(Scalar::Null);
    }
    macro_rules! number {
        ($ty:ty) => {
            array.as_primitive::<$ty>().value(row)
        };
    }
    // The value as each kind of type that the array's converts to without loss.
    let int = match array.data_type() {
        DataType::Int8 => Some(number!(Int8Type).into()),
        DataType::Int16 => Some(number!(Int16Type).into()),
        DataType::Int32 => Some(number!(Int32Type).into()),
        DataType::Int64 => Some(number!(Int64Type)),
        DataType::UInt8 => Some(number!(UInt8Type).into()),
        DataType::UInt16 => Some(number!(UInt16Type).into()),
        DataType::UInt32 => Some(number!(UInt32Type).into()),
        _ => None,
    };
    let text = match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Some(array.as_string_view().value(row)),
        _ => None,
    };
    let time = match array.data_type() {
        DataType::Timestamp(unit, _) => match unit {
            ArrowUnit::Second => TimeUnit::Second.to_ms(number!(TimestampSecondType)),
            ArrowUnit::Millisecond => Some(number!(TimestampMillisecondType)),
            ArrowUnit::Microsecond => TimeUnit::Microsecond.to_ms(number!(TimestampMicrosecondType)),
            ArrowUnit::Nanosecond => TimeUnit::Nanosecond.to_ms(number!(TimestampNanosecondType)),
        },
        _ => int.and_then(|int| column.unit.to_ms(int)).or_else(|| text.and_then(parse_time)),
    };
    let float = match array.data_type() {
        DataType::Float32 => Some(number!(Float32Type).into()),
        DataType::Float64 => Some(number!(Float64Type)),
        _ => int.map(|int| int as f64),
    };
    // The one that the column declares.
    let found = || FieldFault::WrongType { expected: column.ty, found: array.data_type().to_string() };
    match column.ty {
        Type::String => text.map(|text| Scalar::String(text.into())).ok_or_else(found),
        Type::Int => int.map(Scalar::Int).ok_or_else(found),
        Type::Float => match float {
            Some(value) if value.is_finite() => Ok(Scalar::Float(value)),
            Some(_) => Err(FieldFault::NonFinite),
            None => Err(found()),
        },
        Type::Bool => array.as_boolean_opt().map(|flags| Scalar::Bool(flags.value(row))).ok_or_else(found),
        Type::Timestamp => match (time, text) {
            (Some(time), _) => Ok(Scalar::Timestamp(time)),
            (None, Some(text)) => Err(FieldFault::UnparsableTime(text.to_owned())),
            (None, None) => Err(found()),
        },
    }
}

/// Returns a row as text, for a dead letter.
fn text(batch: &RecordBatch, row: usize) -> String {
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(batch.columns());
    let shown = fields.map(|(field, array)| {
        let column = Column::new(field.name().clone(), Type::of_arrow(array.data_type()).unwrap_or(Type::String), true);
        format!(
            "{}={}",
            field.name(),
            scalar(&column, array, row).map_or_else(|_| "?".into(), |value| value.to_json().to_string())
        )
    });
    shown.collect::<Vec<_>>().join(" ")
}
