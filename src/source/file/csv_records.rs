//! Records of a CSV file, found so that a stray quote costs one record.
//!
//! A quoted field may have line breaks. So after a quote that does not belong there, all lines up to the next quote look
//! like one field, and without another one the rest of the file does. A record is therefore at fault if it spans lines and
//!
//! - is not closed within the largest size of a record, or before the end of the file;
//! - has text after a closing quote, which is where a later quoted field begins;
//! - has another number of fields than the header, while one of its later lines has the right number by itself.
//!
//! Then its first line is the record that is refused, and reading goes on at the next line. Bytes are buffered up to the
//! largest size of a record. A line that is longer is skipped.
//!
//! Most lines have no quotes. Such a line is split at its separators where it is, without a parser.

use std::io::BufRead;
use std::ops::Range;

use csv_core::ReadRecordResult;
use memchr::{memchr, memchr_iter, memchr2};

use super::csv_quotes::{QuoteFault, quote_fault};
use super::{ContentHasher, FileBytes, advance};
use crate::value::Separator;

/// The next record of a file.
pub enum CsvRecord {
    End,
    /// Its fields are in [`CsvRecords::fields`].
    Fields {
        raw: Range<usize>,
    },
    /// A record that is refused, with the reason.
    Fault {
        raw: Range<usize>,
        why: String,
    },
    /// A line of this many bytes, more than a record may have; `raw` is its beginning.
    TooLong {
        raw: Range<usize>,
        bytes: u64,
    },
}

/// The end of a record, relative to its start.
enum RecordEnd {
    /// After this many bytes, with the line break.
    At(usize),
    /// The file ends in a quoted field, or may do so.
    EndOfFile(usize),
    /// Not within the largest size.
    Beyond,
}

/// The records of a CSV file.
pub struct CsvRecords {
    file: FileBytes,
    /// Between two fields.
    separator: u8,
    /// True once the file had no more. What is appended from then on is not read: it may be the rest of the last line.
    at_end: bool,
    core: csv_core::Reader,
    /// Bytes that have been read from the file; those from `start` on have not been used.
    buffer: Vec<u8>,
    start: usize,
    /// The content and the lines, counted from 1, of what has been used up to this position in the buffer.
    counted: usize,
    content: ContentHasher,
    line: u64,
    /// The bytes of the record that was found last.
    record: RecordBytes,
    /// The text of all fields of a record that was parsed.
    text: Vec<u8>,
    /// The end of each field of the record.
    ends: Vec<usize>,
    /// The number of fields of the record.
    count: usize,
}

/// The bytes that fields are parts of.
enum RecordBytes {
    /// `text`, where each field begins at the end of the one before.
    Parsed,
    /// A part of the buffer, where a separator is between two fields.
    Line(Range<usize>),
}

impl CsvRecords {
    /// Returns the records of a file from its beginning, whose fields have a separator between them; a byte order mark is
    /// skipped.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn new(bytes: FileBytes, separator: Separator) -> std::io::Result<Self> {
        let separator = separator.byte();
        let mut records = CsvRecords {
            file: bytes,
            separator,
            core: parser(separator),
            at_end: false,
            buffer: Vec::new(),
            start: 0,
            counted: 0,
            content: ContentHasher::default(),
            line: 1,
            record: RecordBytes::Parsed,
            text: vec![0; 1024],
            ends: Vec::new(),
            count: 0,
        };
        while records.buffer.len() < 3 && records.fill()? {}
        if records.buffer.starts_with(b"\xef\xbb\xbf") {
            records.consume(3);
        }
        Ok(records)
    }

    /// Returns the fields of the record that was found last.
    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count).filter_map(|index| Some(&self.bytes()[self.field(index)?]))
    }

    /// Returns the bytes that the fields of the record that was found last are parts of.
    pub fn bytes(&self) -> &[u8] {
        match &self.record {
            RecordBytes::Parsed => &self.text[..self.ends[..self.count].last().copied().unwrap_or(0)],
            RecordBytes::Line(line) => &self.buffer[line.clone()],
        }
    }

    /// Returns where in its bytes a field of the record that was found last is.
    pub fn field(&self, index: usize) -> Option<Range<usize>> {
        let ends = &self.ends[..self.count];
        let between = usize::from(matches!(self.record, RecordBytes::Line(_)));
        let start = index.checked_sub(1).map_or(Some(0), |before| Some(ends.get(before)? + between))?;
        Some(start..*ends.get(index)?)
    }

    /// Returns the number of fields of the record that was found last.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns the bytes of a record that was found last.
    pub fn raw(&self, raw: &Range<usize>) -> &[u8] {
        &self.buffer[raw.clone()]
    }

    /// Returns what has been read.
    pub fn content(&self) -> ContentHasher {
        let mut content = self.content.clone();
        content.push(&self.buffer[self.counted..self.start]);
        content
    }

    /// Returns whether what has been read ends within a line of the file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn is_within_line(&mut self) -> std::io::Result<bool> {
        if self.start == self.buffer.len() {
            self.fill()?;
        }
        Ok(self.content().is_within_line(self.buffer.get(self.start).copied()))
    }

    /// Skips to a number of bytes from the beginning of the file, or to its end.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn skip_to(&mut self, length: u64) -> std::io::Result<()> {
        self.count_used();
        let wanted = length.saturating_sub(self.content.length());
        let buffered = usize::try_from(wanted).unwrap_or(usize::MAX).min(self.buffer.len() - self.start);
        self.consume(buffered);
        self.count_used();
        advance(&mut self.file, &mut self.content, length)
    }

    /// Finds the next record: of at most `most` bytes, and of `width` fields if it spans lines.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn next(&mut self, most: usize, width: Option<usize>) -> std::io::Result<CsvRecord> {
        if !self.skip_line_breaks()? {
            return Ok(CsvRecord::End);
        }
        if let Some(end) = self.split_line(most) {
            let raw = self.start..self.start + end;
            self.record = RecordBytes::Line(raw.clone());
            // With the line break.
            self.consume(end + 1);
            return Ok(CsvRecord::Fields { raw });
        }
        let (end, at_end) = match self.parse(most)? {
            RecordEnd::At(end) => (end, false),
            RecordEnd::EndOfFile(end) => (end, true),
            RecordEnd::Beyond => return self.refuse_line(most, "is not closed within max_record_bytes"),
        };
        let raw = trimmed(&self.buffer[self.start..self.start + end]);
        if raw.len() > most {
            return self.refuse_line(most, "is not closed within max_record_bytes");
        }
        let has_quote = memchr(b'"', raw).is_some();
        let spans_lines = has_quote && raw.iter().any(|byte| is_line_break(*byte));
        let fault = if has_quote { quote_fault(raw, self.separator) } else { None };
        let why = match fault {
            Some(QuoteFault::NotClosed) if at_end => Some("is not closed before the end of the file"),
            Some(QuoteFault::TextAfter) if spans_lines => Some("is closed in a later line, with text after the quote"),
            _ if spans_lines
                && width.is_some_and(|width| self.count != width && has_line_of(raw, width, self.separator)) =>
            {
                Some("is closed in a later line, which gives another number of fields than the header has")
            }
            _ => None,
        };
        match why {
            Some(why) => self.refuse_line(most, why),
            None => {
                let raw = self.start..self.start + raw.len();
                self.consume(end);
                Ok(CsvRecord::Fields { raw })
            }
        }
    }

    /// Splits the line at the start at its separators and returns its length, if it is buffered whole, is no longer than a
    /// record may be, and has no quotes.
    fn split_line(&mut self, most: usize) -> Option<usize> {
        let rest = &self.buffer[self.start..];
        let line = &rest[..memchr(b'\n', &rest[..rest.len().min(most.saturating_add(1))])?];
        if memchr2(b'"', b'\r', line).is_some() {
            return None;
        }
        self.ends.clear();
        self.ends.extend(memchr_iter(self.separator, line));
        self.ends.push(line.len());
        self.count = self.ends.len();
        Some(line.len())
    }

    /// Parses the record at the start into `text` and `ends`.
    fn parse(&mut self, most: usize) -> std::io::Result<RecordEnd> {
        self.core.reset();
        self.record = RecordBytes::Parsed;
        self.ends.resize(self.ends.len().max(64), 0);
        let (mut at, mut written, mut count, mut at_end) = (0, 0, 0, false);
        loop {
            let input = &self.buffer[self.start + at..];
            let (result, read, text, ends) =
                self.core.read_record(input, &mut self.text[written..], &mut self.ends[count..]);
            (at, written, count) = (at + read, written + text, count + ends);
            match result {
                ReadRecordResult::InputEmpty if at > most => return Ok(RecordEnd::Beyond),
                // An empty input ends the record.
                ReadRecordResult::InputEmpty => at_end = !self.fill()?,
                ReadRecordResult::OutputFull => self.text.resize(2 * self.text.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::Record | ReadRecordResult::End => {
                    self.count = count;
                    return Ok(if at_end { RecordEnd::EndOfFile(at) } else { RecordEnd::At(at) });
                }
            }
        }
    }

    /// Refuses the line at the start, and everything of it that is too long.
    fn refuse_line(&mut self, most: usize, why: &str) -> std::io::Result<CsvRecord> {
        let mut at = 0;
        let end = loop {
            let rest = &self.buffer[self.start + at..];
            if let Some(length) = rest.iter().position(|byte| is_line_break(*byte)) {
                break at + length;
            }
            at += rest.len();
            if at > most || !self.fill()? {
                break at;
            }
        };
        if end <= most {
            self.count_used();
            let why = format!("line {}: a quoted field that begins here {why}", self.line);
            let raw = self.start..self.start + end;
            self.consume(end);
            return Ok(CsvRecord::Fault { raw, why });
        }
        self.skip_line()
    }

    /// Skips a line that is too long; only its beginning is kept.
    fn skip_line(&mut self) -> std::io::Result<CsvRecord> {
        let mut bytes = 0;
        let head = self.buffer[self.start..].iter().take(super::HEAD_BYTES).copied().collect::<Vec<u8>>();
        loop {
            let rest = &self.buffer[self.start..];
            let end = rest.iter().position(|byte| is_line_break(*byte));
            let used = end.unwrap_or(rest.len());
            bytes += used as u64;
            self.consume(used);
            if end.is_some() || !self.fill()? {
                break;
            }
        }
        // The head takes the place of what has been used.
        self.count_used();
        self.buffer.drain(..self.start);
        self.buffer.splice(..0, head.iter().copied());
        (self.start, self.counted) = (head.len(), head.len());
        Ok(CsvRecord::TooLong { raw: 0..head.len(), bytes })
    }

    /// Skips line breaks, which are empty lines or end a record. Returns whether there is anything after them.
    fn skip_line_breaks(&mut self) -> std::io::Result<bool> {
        loop {
            match self.buffer.get(self.start).copied() {
                Some(byte) if is_line_break(byte) => self.consume(1),
                Some(_) => return Ok(true),
                None if self.fill()? => {}
                None => return Ok(false),
            }
        }
    }

    /// Marks bytes of the buffer as used.
    fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// Counts the content and the lines of what has been used since the last time.
    fn count_used(&mut self) {
        let used = &self.buffer[self.counted..self.start];
        self.line += memchr_iter(b'\n', used).count() as u64;
        self.content.push(used);
        self.counted = self.start;
    }

    /// Adds the next bytes of the file to the buffer. Returns whether there are any.
    fn fill(&mut self) -> std::io::Result<bool> {
        // The unread rest is moved to the front only if it is small, so each byte is moved few times.
        if self.start > self.buffer.len() / 2 {
            self.count_used();
            self.buffer.drain(..self.start);
            (self.start, self.counted) = (0, 0);
        }
        if self.at_end {
            return Ok(false);
        }
        let chunk = self.file.fill_buf()?;
        let count = chunk.len();
        self.at_end = count == 0;
        self.buffer.extend_from_slice(chunk);
        self.file.consume(count);
        Ok(count > 0)
    }
}

/// Returns whether a line of a record, after its first, is by itself a record of this many fields.
fn has_line_of(record: &[u8], width: usize, separator: u8) -> bool {
    let is_record = |line: &[u8]| {
        let mut core = parser(separator);
        let (mut text, mut ends) = (vec![0; line.len()], vec![0; width + 1]);
        let (_, _, _, count) = core.read_record(line, &mut text, &mut ends);
        let (_, _, _, last) = core.read_record(&[], &mut text, &mut ends[count..]);
        count + last == width && quote_fault(line, separator).is_none()
    };
    record.split(|byte| is_line_break(*byte)).skip(1).filter(|line| !line.is_empty()).any(is_record)
}

/// Returns a parser of fields with this separator.
fn parser(separator: u8) -> csv_core::Reader {
    csv_core::ReaderBuilder::new().delimiter(separator).build()
}

/// Returns a record without the line break at its end.
fn trimmed(record: &[u8]) -> &[u8] {
    let end = record.iter().rposition(|byte| !is_line_break(*byte)).map_or(0, |last| last + 1);
    &record[..end]
}

fn is_line_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The records of a text, in order: their fields and their bytes.
    fn records(text: &str, separator: Separator, chunk: usize) -> Vec<(Vec<Vec<u8>>, Vec<u8>)> {
        let file = std::io::BufReader::with_capacity(chunk, std::io::Cursor::new(text.as_bytes().to_vec()));
        let mut records = CsvRecords::new(Box::new(file), separator).unwrap();
        let mut found = Vec::new();
        loop {
            match records.next(1000, None).unwrap() {
                CsvRecord::End => break,
                CsvRecord::Fields { raw } => {
                    let fields: Vec<Vec<u8>> = records.fields().map(<[u8]>::to_vec).collect();
                    assert_eq!(fields.len(), records.len());
                    found.push((fields, records.raw(&raw).to_vec()));
                }
                CsvRecord::Fault { .. } | CsvRecord::TooLong { .. } => panic!("the text is right"),
            }
        }
        assert_eq!(records.content().length(), text.len() as u64);
        found
    }

    proptest! {
        #[test]
        fn lines_have_the_fields_that_a_parser_finds(
            lines in prop::collection::vec("[a-c, \u{e9}]{0,6}(,\"[a,]{0,2}\"){0,1}\n{1,2}|[a,]{1,3}\r\n{0,1}", 0..8),
            last in "[a,]{0,3}",
            chunk in 1..20_usize,
            separator in prop::sample::select(Separator::ALL.to_vec()),
        ) {
            // Commas are then text like any other.
            let swapped = |letter| match letter {
                ',' => separator.text().to_owned(),
                letter if separator.text().starts_with(letter) => ",".to_owned(),
                letter => letter.to_string(),
            };
            let text: String = (lines.concat() + &last).chars().map(swapped).collect();
            let mut builder = csv::ReaderBuilder::new();
            let mut parser = builder.delimiter(separator.byte()).has_headers(false).flexible(true).from_reader(text.as_bytes());
            let parsed: Vec<Vec<Vec<u8>>> =
                parser.byte_records().map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect()).collect();
            let found = records(&text, separator, chunk);
            prop_assert_eq!(found.iter().map(|(fields, _)| fields.clone()).collect::<Vec<_>>(), parsed);
            for (fields, raw) in &found {
                let is_plain = !raw.contains(&b'"');
                prop_assert!(!is_plain || fields.join(&separator.byte()) == *raw);
            }
        }
    }
}
