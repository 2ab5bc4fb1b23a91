//! CSV with a header: columns are matched by name, other columns are passed over.

use std::io::BufRead;

use super::{FileFormat, FileReader, FileSchema, OpenFile};
use crate::source::{Intake, Progress, Raw};
use crate::time::parse_time;
use crate::value::{Column, ColumnBuilder, FieldError, FieldFault};

pub static CSV: FileFormat = FileFormat {
    extension: "csv",
    summary: "comma-separated with a header; `nulls` says which texts are null",
    open: OpenFile::Stream(open),
};

struct CsvFile {
    reader: csv::Reader<Box<dyn BufRead + Send>>,
    record: csv::ByteRecord,
    width: usize,
    /// For each column of the schema, its field in the file.
    fields: Vec<Option<usize>>,
    columns: Vec<Column>,
    nulls: Vec<String>,
}

fn open(bytes: Box<dyn BufRead + Send>, schema: &FileSchema) -> Result<Box<dyn FileReader>, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let header = reader.byte_headers().map_err(|error| error.to_string())?.clone();
    let field = |name: &str| header.iter().position(|known| known == name.as_bytes());
    let fields: Vec<Option<usize>> = schema.schema.names().map(field).collect();
    for (column, field) in schema.schema.columns.iter().zip(&fields) {
        if field.is_none() && !schema.optional.contains(&column.name) {
            let known = String::from_utf8_lossy(&line(&header)).into_owned();
            return Err(format!("has no column {:?}; its header is {known}", column.name));
        }
    }
    Ok(Box::new(CsvFile {
        reader,
        record: csv::ByteRecord::new(),
        width: header.len(),
        fields,
        columns: schema.schema.columns.clone(),
        nulls: schema.nulls.clone(),
    }))
}

impl FileReader for CsvFile {
    fn read(&mut self, max: usize, offset: &mut u64, intake: &mut Intake) -> Result<Progress, String> {
        for _ in 0..max {
            match self.reader.read_byte_record(&mut self.record) {
                Ok(false) => return Ok(Progress::End),
                Ok(true) => {}
                Err(error) => return Err(error.to_string()),
            }
            let (record, whole) = (&self.record, self.record.len() == self.width);
            let raw = || Raw::value(line(record));
            intake.accept(*offset, None, raw, |builders, present| {
                present.clear();
                let mut fault = None;
                for ((column, field), builder) in self.columns.iter().zip(&self.fields).zip(builders) {
                    let text = field.and_then(|field| record.get(field)).filter(|text| !is_null(&self.nulls, text));
                    present.push(text.is_some());
                    let appended = match text {
                        None => {
                            builder.append_null();
                            Ok(())
                        }
                        Some(text) => append(column, text, builder),
                    };
                    if let Err(found) = appended {
                        fault.get_or_insert(FieldError { column: Some(column.name.clone()), fault: found });
                    }
                }
                if !whole {
                    let why = format!("{} fields where the header has {}", record.len(), self.width);
                    return Err(FieldError { column: None, fault: FieldFault::Malformed(why) });
                }
                fault.map_or(Ok(()), Err)
            });
            *offset += 1;
        }
        Ok(Progress::More)
    }
}

fn is_null(nulls: &[String], text: &[u8]) -> bool {
    nulls.iter().any(|null| null.as_bytes() == text)
}

fn line(record: &csv::ByteRecord) -> Vec<u8> {
    record.iter().collect::<Vec<_>>().join(&b',')
}

/// Appends one field, null where it does not fit.
fn append(column: &Column, bytes: &[u8], builder: &mut ColumnBuilder) -> Result<(), FieldFault> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        builder.append_null();
        return Err(FieldFault::Malformed("not UTF-8".to_owned()));
    };
    let fault = match builder {
        ColumnBuilder::String(b) => {
            b.append_value(text);
            return Ok(());
        }
        ColumnBuilder::Int(b) => match text.parse() {
            Ok(value) => {
                b.append_value(value);
                return Ok(());
            }
            Err(_) => wrong(column, text),
        },
        ColumnBuilder::Float(b) => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => {
                b.append_value(value);
                return Ok(());
            }
            Ok(_) => FieldFault::NonFinite,
            Err(_) => wrong(column, text),
        },
        ColumnBuilder::Bool(b) => match text {
            "true" | "True" | "TRUE" | "1" => {
                b.append_value(true);
                return Ok(());
            }
            "false" | "False" | "FALSE" | "0" => {
                b.append_value(false);
                return Ok(());
            }
            _ => wrong(column, text),
        },
        ColumnBuilder::Timestamp(b) => {
            let number = || text.parse().ok().and_then(|number| column.unit.to_ms(number));
            match number().or_else(|| parse_time(text)) {
                Some(time) => {
                    b.append_value(time);
                    return Ok(());
                }
                None => FieldFault::UnparsableTime(text.to_owned()),
            }
        }
    };
    builder.append_null();
    Err(fault)
}

fn wrong(column: &Column, text: &str) -> FieldFault {
    FieldFault::WrongType { expected: column.ty, found: format!("the text {text:?}") }
}
