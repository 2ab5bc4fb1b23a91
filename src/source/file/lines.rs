//! Files with one message a line.

use std::io::BufRead;

use super::{FileBytes, FileFormat, FileReader, FileSchema, OpenFile, OpenedFile};
use crate::source::message::{Json, MessageFormat};
use crate::source::{Ingest, InputStatus, RawMessage};

pub static JSONL: FileFormat = FileFormat {
    extension: "jsonl",
    format: Json::NAME,
    summary: "one JSON object per line",
    open: OpenFile::Stream(open::<Json>),
};

struct LineReader<F> {
    bytes: FileBytes,
    line: Vec<u8>,
    format: F,
}

fn open<F: MessageFormat>(bytes: FileBytes, schema: &FileSchema) -> OpenedFile {
    Ok(Box::new(LineReader { bytes, line: Vec::new(), format: F::new(&schema.schema) }))
}

impl<F: MessageFormat> FileReader for LineReader<F> {
    fn read(&mut self, max: usize, offset: &mut u64, ingest: &mut Ingest) -> Result<InputStatus, String> {
        for _ in 0..max {
            self.line.clear();
            if self.bytes.read_until(b'\n', &mut self.line).map_err(|error| error.to_string())? == 0 {
                return Ok(InputStatus::EndOfInput);
            }
            let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            let raw = || RawMessage::value(line);
            ingest.push(*offset, None, raw, |columns, present| self.format.decode(line, columns, present));
            *offset += 1;
        }
        Ok(InputStatus::MoreAvailable)
    }
}
