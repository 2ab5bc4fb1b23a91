//! Files as topics, told apart by their extension. Adding a format of files is a file with a [`FileFormat`] and a line in
//! [`FILE_FORMATS`].
//!
//! A format of files is a container: it finds the records in the bytes of a file and passes each to the partition's
//! [`Ingest`]. Containers of messages, such as lines of JSON, decode them by a [`super::MessageFormat`]; others, such as
//! Parquet, have values of their own.
//!
//! ```
//! use tidemill::source::FILE_FORMATS;
//! let parquet = FILE_FORMATS.iter().find(|format| format.extension == "parquet").unwrap();
//! assert_eq!(parquet.format, "parquet");
//! ```

mod csv;
mod csv_header;
mod csv_quotes;
mod csv_records;
mod found_file;
mod lines;
mod natural_order;
mod parquet;
mod parquet_column;
mod partition;
mod records;

use std::fs::File;
use std::io::BufRead;

use self::found_file::open;
pub use self::found_file::sample;
pub use self::partition::{FileBinding, FilePartition};
pub use self::records::{RecordText, RecordsPartition};
use super::dead_letter::HEAD_BYTES;
use super::file_place::{ContentHasher, FileContent, FilePlace};
use super::{Ingest, InputStatus, RecordSample};
use crate::expr::nearest;
use crate::value::{Column, Schema};

/// A format of files.
pub struct FileFormat {
    /// The extension, before that of a compression.
    pub extension: &'static str,
    /// The spelling in a dataflow file: that of the message format, if the file is made of messages.
    pub format: &'static str,
    /// One line for the reference.
    pub summary: &'static str,
    pub open: OpenFile,
}

/// A file's bytes in order.
pub type FileBytes = Box<dyn BufRead + Send>;

/// A file that can be read, or the reason why it cannot.
pub type OpenedFile = Result<Box<dyn FileReader>, String>;

/// A sample of a file, or the reason why there is none.
pub type SampledFile = Result<RecordSample, String>;

/// The functions of a format, by what they need.
pub enum OpenFile {
    /// Bytes in order, decompressed.
    Stream(FileFunctions<FileBytes>),
    /// The file itself, for formats that seek.
    Seek(FileFunctions<File>),
}

/// The functions that open a file with declared columns, and that sample its first records.
pub struct FileFunctions<F> {
    pub open: fn(F, &FileSchema) -> OpenedFile,
    pub sample: fn(F, usize) -> SampledFile,
}

/// The columns to read from a file.
pub struct FileSchema {
    pub schema: Schema,
    /// Texts of a CSV that mean null.
    pub nulls: Vec<String>,
    /// Columns that a file may lack.
    pub optional: Vec<String>,
}

impl FileSchema {
    /// Returns the error of a file that lacks a column.
    fn lacks(&self, column: &Column, known: &[&str]) -> String {
        let name = column.flat_name();
        let meant = nearest(&name, known.iter().copied());
        let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant:?}?"));
        let path = if name == column.name { String::new() } else { format!(", the path of {:?}", column.name) };
        let there = if known.is_empty() { "no header".to_owned() } else { known.join(", ") };
        format!("has no column {name:?}{path}; it has {there}{meant}")
    }
}

/// A file being read.
pub trait FileReader: Send {
    /// Pushes up to `max` records, with offsets counted up from `offset`.
    ///
    /// # Errors
    /// If the file cannot be read on. A fault of a single record is no error: it becomes a dead letter.
    fn read(&mut self, max: usize, offset: &mut u64, ingest: &mut Ingest) -> Result<InputStatus, String>;

    /// Returns what has been read, up to the last record that was pushed.
    fn content(&self) -> FileContent;

    /// Skips to a length from the beginning of the file, or to its end if it is shorter.
    ///
    /// # Errors
    /// If the file cannot be read.
    fn skip_to(&mut self, length: u64) -> Result<(), String>;

    /// Returns whether what has been read ends within a line of the file.
    ///
    /// # Errors
    /// If the file cannot be read.
    fn is_within_line(&mut self) -> Result<bool, String>;
}

/// Reads bytes until `length` have been hashed in all, or there are no more.
///
/// # Errors
/// If they cannot be read.
fn advance(bytes: &mut FileBytes, content: &mut ContentHasher, length: u64) -> std::io::Result<()> {
    while content.length() < length {
        let chunk = bytes.fill_buf()?;
        let wanted = usize::try_from(length - content.length()).unwrap_or(usize::MAX);
        let used = chunk.len().min(wanted);
        if used == 0 {
            break;
        }
        content.push(&chunk[..used]);
        bytes.consume(used);
    }
    Ok(())
}

/// All formats of files, by extension.
pub static FILE_FORMATS: &[&FileFormat] = &[&csv::CSV, &lines::JSONL, &parquet::PARQUET];
