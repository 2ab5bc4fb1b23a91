//! JSON, one object a line.

use std::io::BufRead;

use super::{FileFormat, FileReader, FileSchema, OpenFile};
use crate::source::{Intake, Progress, Raw};
use crate::value::JsonDecoder;

pub static JSONL: FileFormat =
    FileFormat { extension: "jsonl", summary: "one JSON object a line", open: OpenFile::Stream(open) };

struct JsonFile {
    bytes: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    decoder: JsonDecoder,
}

fn open(bytes: Box<dyn BufRead + Send>, schema: &FileSchema) -> Result<Box<dyn FileReader>, String> {
    Ok(Box::new(JsonFile { bytes, line: Vec::new(), decoder: JsonDecoder::new(&schema.schema) }))
}

impl FileReader for JsonFile {
    fn read(&mut self, max: usize, offset: &mut u64, intake: &mut Intake) -> Result<Progress, String> {
        for _ in 0..max {
            self.line.clear();
            if self.bytes.read_until(b'\n', &mut self.line).map_err(|error| error.to_string())? == 0 {
                return Ok(Progress::End);
            }
            let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            let raw = || Raw::value(line);
            intake.accept(*offset, None, raw, |columns, present| self.decoder.decode(line, columns, present));
            *offset += 1;
        }
        Ok(Progress::More)
    }
}
