//! CSV files with a header: columns are matched by name, other columns are ignored.

use super::{FileBytes, FileFormat, FileReader, FileSchema, OpenFile, OpenedFile};
use crate::source::message::{Csv, MessageFormat, append_text};
use crate::source::{Ingest, InputStatus, RawMessage};
use crate::value::{Column, FieldError, FieldFault};

pub static CSV: FileFormat = FileFormat {
    extension: "csv",
    format: Csv::NAME,
    summary: "CSV with a header; the config's `nulls` lists the fields that mean null",
    open: OpenFile::Stream(open),
};

struct CsvReader {
    reader: csv::Reader<FileBytes>,
    record: csv::ByteRecord,
    /// Number of fields of the header.
    width: usize,
    /// For each column of the schema, its field in the file, if the file has one.
    fields: Vec<Option<usize>>,
    columns: Vec<Column>,
    nulls: Vec<String>,
}

fn open(bytes: FileBytes, schema: &FileSchema) -> OpenedFile {
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
    Ok(Box::new(CsvReader {
        reader,
        record: csv::ByteRecord::new(),
        width: header.len(),
        fields,
        columns: schema.schema.columns.clone(),
        nulls: schema.nulls.clone(),
    }))
}

impl FileReader for CsvReader {
    fn read(&mut self, max: usize, offset: &mut u64, ingest: &mut Ingest) -> Result<InputStatus, String> {
        for _ in 0..max {
            match self.reader.read_byte_record(&mut self.record) {
                Ok(false) => return Ok(InputStatus::EndOfInput),
                Ok(true) => {}
                Err(error) => return Err(error.to_string()),
            }
            let (record, whole) = (&self.record, self.record.len() == self.width);
            let raw = || RawMessage::value(line(record));
            ingest.push(*offset, None, raw, |builders, present| {
                present.clear();
                let mut fault = None;
                for ((column, field), builder) in self.columns.iter().zip(&self.fields).zip(builders) {
                    let text = field.and_then(|field| record.get(field)).filter(|text| !is_null(&self.nulls, text));
                    present.push(text.is_some());
                    // A row is always completed, so that columns stay aligned.
                    let appended = match text {
                        None => {
                            builder.append_null();
                            Ok(())
                        }
                        Some(text) => append_text(column, text, builder),
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
        Ok(InputStatus::MoreAvailable)
    }
}

/// Returns whether a text means null.
fn is_null(nulls: &[String], text: &[u8]) -> bool {
    nulls.iter().any(|null| null.as_bytes() == text)
}

/// Returns a record as one line, without its quotes.
fn line(record: &csv::ByteRecord) -> Vec<u8> {
    record.iter().collect::<Vec<_>>().join(&b',')
}
