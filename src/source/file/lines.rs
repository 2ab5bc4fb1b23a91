//! Files with one message a line. A byte order mark and blank lines are no messages.

use std::io::{BufRead, Read};

use super::{
    ContentHasher, FileBytes, FileContent, FileFormat, FileFunctions, FileReader, FileSchema, OpenFile, OpenedFile,
    SampledFile, advance,
};
use crate::source::dead_letter::{HEAD_BYTES, head_of};
use crate::source::message::{BYTE_ORDER_MARK, Json, MessageFormat};
use crate::source::{DEFAULT_RECORD_BYTES, Ingest, InputStatus, RawMessage, RecordSample};
use crate::value::Schema;

pub static JSONL: FileFormat = FileFormat {
    extension: "jsonl",
    format: Json::NAME,
    summary: "one JSON object per line",
    open: OpenFile::Stream(FileFunctions { open: open::<Json>, sample }),
};

struct LineReader<F> {
    bytes: FileBytes,
    line: Vec<u8>,
    content: ContentHasher,
    format: F,
    /// True once the file had no more. What is appended from then on is not read: it may be the rest of the last line.
    at_end: bool,
}

impl<F> LineReader<F> {
    fn new(bytes: FileBytes, format: F) -> Self {
        LineReader { bytes, line: Vec::new(), content: ContentHasher::default(), format, at_end: false }
    }
}

/// The size of a line, without its line break.
enum FoundLine {
    End,
    Whole,
    /// Only the beginning is kept; the line has this many bytes.
    TooLong(u64),
}

fn open<F: MessageFormat>(bytes: FileBytes, schema: &FileSchema) -> OpenedFile {
    let format = F::new(&schema.schema);
    Ok(Box::new(LineReader::new(bytes, format)))
}

/// Samples the first objects of JSON.
fn sample(bytes: FileBytes, rows: usize) -> SampledFile {
    let format = Json::new(&Schema::new(Vec::new()));
    let mut reader = LineReader::new(bytes, format);
    let mut sample = RecordSample::default();
    loop {
        let is_first = reader.content.length() == 0;
        let found = reader.next(DEFAULT_RECORD_BYTES).map_err(|error| error.to_string())?;
        let line = reader.line.as_slice();
        let line = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| is_first).unwrap_or(line);
        match found {
            FoundLine::End => break,
            FoundLine::Whole if line.trim_ascii().is_empty() => continue,
            _ if sample.rows == rows => {
                sample.has_more = true;
                break;
            }
            FoundLine::TooLong(_) => sample.refused += 1,
            FoundLine::Whole => match serde_json::from_slice(line) {
                Ok(record) => sample.push_json(&record),
                Err(error) => {
                    sample.refused += 1;
                    let why = match std::str::from_utf8(line) {
                        Ok(_) => error.to_string(),
                        Err(error) => format!("it is not UTF-8 at byte {}", error.valid_up_to()),
                    };
                    sample.first_refusal.get_or_insert(why);
                }
            },
        }
    }
    Ok(sample)
}

impl<F> LineReader<F> {
    /// Reads the next line, of which no more than `most` bytes are kept.
    fn next(&mut self, most: usize) -> std::io::Result<FoundLine> {
        self.line.clear();
        let bounded = most as u64 + 1;
        if self.at_end || (&mut self.bytes).take(bounded).read_until(b'\n', &mut self.line)? == 0 {
            self.at_end = true;
            return Ok(FoundLine::End);
        }
        self.content.push(&self.line);
        let is_whole = self.line.pop_if(|last| *last == b'\n').is_some();
        if is_whole || self.line.len() <= most {
            self.at_end = !is_whole;
            return Ok(FoundLine::Whole);
        }
        // The rest of a line that is too long is skipped.
        self.line.truncate(HEAD_BYTES);
        self.line.shrink_to(HEAD_BYTES);
        let mut length = bounded;
        loop {
            let chunk = self.bytes.fill_buf()?;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(chunk.len(), |at| at + 1);
            if used == 0 {
                self.at_end = true;
                return Ok(FoundLine::TooLong(length));
            }
            self.content.push(&chunk[..used]);
            self.bytes.consume(used);
            length += used as u64;
            if end.is_some() {
                return Ok(FoundLine::TooLong(length - 1));
            }
        }
    }
}

impl<F: MessageFormat> FileReader for LineReader<F> {
    fn read(&mut self, max: usize, offset: &mut u64, ingest: &mut Ingest) -> Result<InputStatus, String> {
        for _ in 0..max {
            let is_first = self.content.length() == 0;
            let found = self.next(ingest.max_record_bytes()).map_err(|error| error.to_string())?;
            let line = self.line.as_slice();
            let line = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| is_first).unwrap_or(line);
            match found {
                FoundLine::End => return Ok(InputStatus::EndOfInput),
                FoundLine::Whole if line.trim_ascii().is_empty() => continue,
                FoundLine::Whole => {
                    let raw = || RawMessage::of_file(line, F::NAME, None);
                    ingest.push(*offset, None, raw, |columns, present| self.format.decode(line, columns, present));
                }
                FoundLine::TooLong(length) => {
                    ingest.push_too_large(*offset, None, length, || RawMessage::of_file(head_of(line), F::NAME, None));
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
        self.content.content()
    }

    fn skip_to(&mut self, length: u64) -> Result<(), String> {
        advance(&mut self.bytes, &mut self.content, length).map_err(|error| error.to_string())
    }

    fn is_within_line(&mut self) -> Result<bool, String> {
        let next = self.bytes.fill_buf().map_err(|error| error.to_string())?.first().copied();
        Ok(self.content.is_within_line(next))
    }
}
