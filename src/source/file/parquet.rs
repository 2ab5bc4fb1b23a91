//! Parquet files: columns are matched by name, other columns are not read.

use std::fs::File;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit as ArrowUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{FileFormat, FileReader, FileSchema, OpenFile, OpenedFile};
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
}

fn open(file: File, schema: &FileSchema) -> OpenedFile {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())?;
    let known: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let lacking = |column: &&Column| !known.contains(&column.name) && !schema.optional.contains(&column.name);
    if let Some(column) = schema.schema.columns.iter().find(lacking) {
        return Err(format!("has no column {:?}; it has {}", column.name, known.join(", ")));
    }
    let roots = known.iter().enumerate().filter(|(_, name)| schema.schema.index_of(name).is_some());
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots.map(|(index, _)| index));
    let batches = builder.with_projection(mask).build().map_err(|error| error.to_string())?;
    Ok(Box::new(ParquetReader { batches, batch: None, row: 0, columns: schema.schema.columns.clone() }))
}

impl FileReader for ParquetReader {
    fn read(&mut self, max: usize, offset: &mut u64, ingest: &mut Ingest) -> Result<InputStatus, String> {
        if self.batch.as_ref().is_none_or(|batch| self.row == batch.num_rows()) {
            match self.batches.next() {
                None => return Ok(InputStatus::EndOfInput),
                Some(batch) => self.batch = Some(batch.map_err(|error| error.to_string())?),
            }
            self.row = 0;
        }
        let batch = self.batch.as_ref().expect("just read");
        let arrays: Vec<_> = self.columns.iter().map(|column| batch.column_by_name(&column.name)).collect();
        let end = batch.num_rows().min(self.row + max);
        for row in self.row..end {
            let raw = || RawMessage::value(format!("row {row} of a batch: {}", text(batch, row)));
            ingest.push(*offset, None, raw, |builders, present| append(&self.columns, &arrays, row, builders, present));
            *offset += 1;
        }
        self.row = end;
        Ok(InputStatus::MoreAvailable)
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
