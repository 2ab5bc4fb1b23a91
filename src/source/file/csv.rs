//! CSV files with a header: columns are found by their paths or names, other columns are ignored.

use std::io::{BufRead, Cursor, Read};
use std::sync::Arc;

use super::csv_header;
use super::csv_records::{CsvRecord, CsvRecords};
use super::{
    FileBytes, FileContent, FileFormat, FileFunctions, FileReader, FileSchema, OpenFile, OpenedFile, SampledFile,
};
use crate::source::dead_letter::head_of;
use crate::source::message::{Csv, MessageFormat, append_text};
use crate::source::{DEFAULT_RECORD_BYTES, Ingest, InputStatus, RawMessage, RecordSample, SampleColumn, SampleValue};
use crate::value::{Column, ColumnBuilder, FieldError, FieldFault, Found, Separator};

pub static CSV: FileFormat = FileFormat {
    extension: "csv",
    format: Csv::NAME,
    summary: "CSV with a header; the config's `nulls` lists the fields that mean null",
    open: OpenFile::Stream(FileFunctions { open, sample }),
};

struct CsvReader {
    records: CsvRecords,
    /// The header as it was read.
    header: Arc<str>,
    /// Number of fields of the header.
    width: usize,
    /// For each column of the schema, its field in the file, if the file has one.
    fields: Vec<Option<usize>>,
    columns: Vec<Column>,
    nulls: Vec<String>,
}

/// Opens the bytes of a file.
pub(super) fn open(bytes: FileBytes, schema: &FileSchema) -> OpenedFile {
    let mut records = CsvRecords::new(bytes, schema.schema.separator).map_err(|error| error.to_string())?;
    let line: Arc<str> = match records.next(DEFAULT_RECORD_BYTES, None).map_err(|error| error.to_string())? {
        CsvRecord::End => "".into(),
        CsvRecord::Fields { raw } => String::from_utf8_lossy(records.raw(&raw)).into(),
        CsvRecord::Fault { why, .. } => return Err(format!("its header cannot be read: {why}")),
        CsvRecord::TooLong { bytes, .. } => return Err(format!("its header cannot be read: it has {bytes} bytes")),
    };
    let header: Vec<Vec<u8>> = records.fields().map(<[u8]>::to_vec).collect();
    let named = |name: &str| header.iter().position(|known| known == name.as_bytes());
    // A file that has nothing at the path may have the column by its own name.
    let field = |column: &Column| named(&column.flat_name()).or_else(|| named(&column.name));
    let fields: Vec<Option<usize>> = schema.schema.columns.iter().map(field).collect();
    for (column, field) in schema.schema.columns.iter().zip(&fields) {
        let again =
            field.and_then(|field| Some((field, (field + 1..header.len()).find(|at| header[*at] == header[field])?)));
        if let Some((first, again)) = again {
            let (name, first, again) = (String::from_utf8_lossy(&header[first]), first + 1, again + 1);
            return Err(format!("its header has {name:?} as column {first} and as column {again}; expected it once"));
        }
        if field.is_none() && !schema.optional.contains(&column.name) {
            let known: Vec<_> = header.iter().map(|name| String::from_utf8_lossy(name)).collect();
            let lacks = schema.lacks(column, &known.iter().map(AsRef::as_ref).collect::<Vec<_>>());
            return Err(lacks + &csv_header::other_separator(&line, schema.schema.separator));
        }
    }
    Ok(Box::new(CsvReader {
        records,
        header: line,
        width: header.len(),
        fields,
        columns: schema.schema.columns.clone(),
        nulls: schema.nulls.clone(),
    }))
}

/// Samples the first records. Every field is text; what an empty one means is not known yet. The separator is the one that
/// the header has most of.
fn sample(bytes: FileBytes, rows: usize) -> SampledFile {
    let (separator, bytes) = sampled_separator(bytes).map_err(|error| error.to_string())?;
    let mut records = CsvRecords::new(bytes, separator).map_err(|error| error.to_string())?;
    let next = |records: &mut CsvRecords, width| {
        let found = records.next(DEFAULT_RECORD_BYTES, width).map_err(|error| error.to_string())?;
        let fields = || records.fields().map(<[u8]>::to_vec).collect::<Vec<_>>();
        Ok::<_, String>(match found {
            CsvRecord::End => None,
            CsvRecord::Fields { .. } => Some(fields()),
            CsvRecord::Fault { .. } | CsvRecord::TooLong { .. } => Some(Vec::new()),
        })
    };
    let header = next(&mut records, None)?.ok_or("is empty; expected a header and records")?;
    let header: Vec<String> = header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let mut values: Vec<Vec<SampleValue>> = vec![Vec::new(); header.len()];
    let mut sample = RecordSample { is_text: true, separator, ..RecordSample::default() };
    while let Some(fields) = next(&mut records, Some(header.len()))? {
        if sample.rows == rows {
            sample.has_more = true;
            break;
        }
        if fields.len() != header.len() {
            sample.refused += 1;
            continue;
        }
        sample.rows += 1;
        for (field, values) in fields.into_iter().zip(&mut values) {
            let text = String::from_utf8(field);
            values.push(text.map_or(SampleValue::Unreadable, |text| SampleValue::Text(text.into())));
        }
    }
    csv_header::check_names(&header, &values)?;
    for (at, (name, values)) in header.iter().zip(values).enumerate() {
        match csv_header::fault_of(&header, at) {
            Some(why) => sample.left_out.push(why),
            None => sample.columns.push(SampleColumn { path: vec![name.clone()], values }),
        }
    }
    Ok(sample)
}

/// Returns the separator of a file by its first line, and the bytes of the file with that line again.
fn sampled_separator(mut bytes: FileBytes) -> std::io::Result<(Separator, FileBytes)> {
    let mut line = Vec::new();
    bytes.by_ref().take(DEFAULT_RECORD_BYTES as u64).read_until(b'\n', &mut line)?;
    let separator = Separator::most_of(&String::from_utf8_lossy(&line));
    Ok((separator, Box::new(Cursor::new(line).chain(bytes))))
}

impl CsvReader {
    /// Returns a record as it was read, for a dead letter.
    fn raw(&self, record: &[u8]) -> RawMessage {
        RawMessage::of_file(record, Csv::NAME, Some(self.header.clone()))
    }

    /// Appends the fields of the record that was found last as one row. A row is always completed, so that columns stay
    /// aligned.
    fn append(&self, builders: &mut [ColumnBuilder], present: &mut Vec<bool>) -> Result<(), FieldError> {
        present.clear();
        let mut fault = None;
        let bytes = self.records.bytes();
        // Checked once for all fields. A field may still begin or end within a character.
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        for ((column, field), builder) in self.columns.iter().zip(&self.fields).zip(builders) {
            let place = field.and_then(|field| self.records.field(field));
            let place = place.filter(|place| !is_null(&self.nulls, &bytes[place.clone()]));
            present.push(place.is_some());
            let appended = match place {
                None => {
                    builder.append_null();
                    Ok(())
                }
                Some(place) => match text.get(place.clone()) {
                    Some(text) => column.rules().write(Found::Text(text), builder),
                    None => append_text(column, &bytes[place], builder),
                },
            };
            if let Err(found) = appended {
                fault.get_or_insert(FieldError { column: Some(column.name.clone()), fault: found });
            }
        }
        if self.records.len() != self.width {
            let why = format!("{} fields where the header has {}", self.records.len(), self.width);
            return Err(FieldError { column: None, fault: FieldFault::Malformed(why) });
        }
        fault.map_or(Ok(()), Err)
    }
}

impl FileReader for CsvReader {
    fn read(&mut self, max: usize, offset: &mut u64, ingest: &mut Ingest) -> Result<InputStatus, String> {
        for _ in 0..max {
            let found = self.records.next(ingest.max_record_bytes(), Some(self.width));
            match found.map_err(|error| error.to_string())? {
                CsvRecord::End => return Ok(InputStatus::EndOfInput),
                CsvRecord::Fields { raw } => {
                    let raw = || self.raw(self.records.raw(&raw));
                    ingest.push(*offset, None, raw, |builders, present| self.append(builders, present));
                }
                CsvRecord::Fault { raw, why } => {
                    ingest.push_malformed(*offset, None, || self.raw(self.records.raw(&raw)), || why);
                }
                CsvRecord::TooLong { raw, bytes } => {
                    let head = || self.raw(head_of(self.records.raw(&raw)));
                    ingest.push_too_large(*offset, None, bytes, head);
                }
            }
            *offset += 1;
            if ingest.is_full() {
                break;
            }
        }
        Ok(InputStatus::MoreAvailable)
    }

    fn content(&self) -> FileContent {
        self.records.content().content()
    }

    fn skip_to(&mut self, length: u64) -> Result<(), String> {
        self.records.skip_to(length).map_err(|error| error.to_string())
    }

    fn is_within_line(&mut self) -> Result<bool, String> {
        self.records.is_within_line().map_err(|error| error.to_string())
    }
}

/// Returns whether a text means null.
fn is_null(nulls: &[String], text: &[u8]) -> bool {
    nulls.iter().any(|null| null.as_bytes() == text)
}
