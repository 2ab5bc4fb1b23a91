//! A partition of records that are given one by one, as dead letters are that have been mended.

use std::io::Cursor;
use std::sync::Arc;

use super::{FileSchema, csv};
use crate::source::message::{Format, MessageFormat, WithFormat};
use crate::source::{Ingest, InputStatus, Partition, RawMessage, SourceError};
use crate::value::{ColumnBuilder, FieldError, Schema};

/// A record as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordText {
    pub format: &'static Format,
    /// The header of the CSV file that it is from; `None` if it is a message.
    pub header: Option<Arc<str>>,
    pub value: String,
}

/// Records that are given one by one; the offset of each is its position.
pub struct RecordsPartition {
    records: Vec<RecordText>,
    schema: FileSchema,
    next: usize,
}

impl RecordsPartition {
    /// Returns a partition of records with these columns. `nulls` are the texts of a CSV file that mean null.
    pub fn new(records: Vec<RecordText>, schema: Schema, nulls: Vec<String>, optional: Vec<String>) -> Self {
        RecordsPartition { records, schema: FileSchema { schema, nulls, optional }, next: 0 }
    }

    /// Pushes a record of a CSV file.
    fn push_csv(&self, header: &str, value: &str, mut offset: u64, ingest: &mut Ingest) {
        let before = offset;
        let file = Cursor::new(format!("{header}\n{value}\n").into_bytes());
        let pushed = csv::open(Box::new(file), &self.schema).and_then(|mut file| file.read(2, &mut offset, ingest));
        let why = match (pushed, offset - before) {
            (Ok(_), 1) => return,
            (Ok(_), count) => format!("{count} records, expected one"),
            (Err(why), _) => why,
        };
        ingest.push_malformed(before, None, || RawMessage::value(value), || why);
    }
}

impl Partition for RecordsPartition {
    fn read(&mut self, max: usize, ingest: &mut Ingest) -> Result<InputStatus, SourceError> {
        let end = self.records.len().min(self.next.saturating_add(max));
        for (offset, record) in (self.next as u64..).zip(&self.records[self.next..end]) {
            let RecordText { format, header, value } = record;
            match header {
                Some(header) => self.push_csv(header, value, offset, ingest),
                None => ingest.push(offset, None, RawMessage::default, |columns, present| {
                    format.with(DecodeMessage { schema: &self.schema.schema, value, columns, present })
                }),
            }
        }
        self.next = end;
        Ok(if end == self.records.len() { InputStatus::EndOfInput } else { InputStatus::MoreAvailable })
    }
}

/// Decodes one message.
struct DecodeMessage<'a> {
    schema: &'a Schema,
    value: &'a str,
    columns: &'a mut [ColumnBuilder],
    present: &'a mut Vec<bool>,
}

impl WithFormat for DecodeMessage<'_> {
    type Output = Result<(), FieldError>;

    fn run<F: MessageFormat>(self) -> Self::Output {
        F::new(self.schema).decode(self.value.as_bytes(), self.columns, self.present)
    }
}
