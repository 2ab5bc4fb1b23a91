//! Dead letters: records that were refused, kept with the reason and the place that they came from.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use serde::{Deserialize, Serialize};

use super::SourceError;
use crate::disk;
use crate::time::{EventTime, Offset, PartitionId};
use crate::value::{FieldError, FieldFault};

/// The reason why a record is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Malformed,
    MissingField,
    WrongType,
    NonFinite,
    UnparsableTime,
    TimeOutOfRange,
    TooLate,
}

impl Reason {
    /// All reasons, in the order of the reference.
    pub const ALL: [Reason; 7] = [
        Reason::Malformed,
        Reason::MissingField,
        Reason::WrongType,
        Reason::NonFinite,
        Reason::UnparsableTime,
        Reason::TimeOutOfRange,
        Reason::TooLate,
    ];

    /// Returns the spelling in letters and messages.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Malformed => "malformed",
            Reason::MissingField => "missing_field",
            Reason::WrongType => "wrong_type",
            Reason::NonFinite => "non_finite",
            Reason::UnparsableTime => "unparsable_time",
            Reason::TimeOutOfRange => "time_out_of_range",
            Reason::TooLate => "too_late",
        }
    }
}

impl From<&FieldError> for Reason {
    fn from(error: &FieldError) -> Reason {
        match error.fault {
            FieldFault::Malformed(_) => Reason::Malformed,
            FieldFault::Missing | FieldFault::Null(_) => Reason::MissingField,
            FieldFault::WrongType { .. } => Reason::WrongType,
            FieldFault::NonFinite => Reason::NonFinite,
            FieldFault::UnparsableTime(_) => Reason::UnparsableTime,
        }
    }
}

/// A record that was refused.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeadLetter {
    /// The source that refused it. Another source of the same topic may accept it.
    pub source: String,
    pub topic: String,
    pub partition: u32,
    pub offset: Offset,
    /// The record's event time, if it has one.
    pub time: Option<EventTime>,
    /// The step that refused it: `decode` or `watermark`.
    pub stage: &'static str,
    pub reason: Reason,
    /// The fault in words.
    pub detail: String,
    #[serde(serialize_with = "text_or_base64")]
    pub key: Option<Vec<u8>>,
    #[serde(serialize_with = "text_or_base64")]
    pub value: Option<Vec<u8>>,
    /// The format in which the value is loaded again: `json` or `csv`; `None` if the topic's messages have no format.
    pub format: Option<&'static str>,
    /// The header of the CSV file that it is from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Arc<str>>,
    /// Headers of the message, in order. They are written to topics, not to files.
    #[serde(skip)]
    pub headers: Vec<Header>,
}

/// A header of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: Option<Vec<u8>>,
}

/// A message as it was received.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawMessage {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
    /// The format of a record of a file; `None` for that of the topic's messages.
    pub format: Option<&'static str>,
    /// The header of a CSV file.
    pub csv_header: Option<Arc<str>>,
}

impl RawMessage {
    /// Returns a record of a file, in a format of messages or, with the file's header, in CSV.
    pub fn of_file(bytes: impl Into<Vec<u8>>, format: &'static str, csv_header: Option<Arc<str>>) -> Self {
        RawMessage { value: Some(bytes.into()), format: Some(format), csv_header, ..RawMessage::default() }
    }

    /// Returns a message with a value only.
    pub fn value(bytes: impl Into<Vec<u8>>) -> Self {
        RawMessage { value: Some(bytes.into()), ..RawMessage::default() }
    }

    /// Returns the size of the message in bytes.
    pub fn bytes(&self) -> usize {
        let part = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|header| header.name.len() + part(&header.value)).sum();
        part(&self.key) + part(&self.value) + headers
    }
}

/// The number of bytes that are kept of a record that is too large.
pub const HEAD_BYTES: usize = 4096;

/// Returns the beginning of a text or of other bytes, at most [`HEAD_BYTES`] long. A character of a text is kept whole.
pub fn head_of(bytes: &[u8]) -> &[u8] {
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    let cut = match std::str::from_utf8(head) {
        // Not more than a character is cut off.
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => head.len(),
    };
    &head[..cut]
}

fn text_or_base64<S: serde::Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    match bytes.as_ref().map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => serializer.serialize_none(),
        Some((Ok(text), _)) => serializer.serialize_str(text),
        Some((Err(_), bytes)) => serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(bytes)),
    }
}

/// The letters of an earlier run that were kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptLetters {
    pub by_partition: BTreeMap<PartitionId, u64>,
    /// Lines that are not letters, as after damage.
    pub unreadable: u64,
    /// True if a last line without its end was removed.
    pub incomplete: bool,
}

/// A file of dead letters, one JSON object a line.
pub struct DeadLetterFile {
    path: String,
    file: BufWriter<File>,
}

impl DeadLetterFile {
    /// Returns the path of the file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Opens the file and creates its folder. If `truncate`, the file is emptied, else appended to.
    ///
    /// # Errors
    /// If the file system reports an error.
    pub fn open(path: &Path, truncate: bool) -> Result<Self, SourceError> {
        let label = path.display().to_string();
        let io = |source| SourceError::Unwritten { path: label.clone(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).write(true).append(!truncate).truncate(truncate);
        let file = options.open(path).map_err(io)?;
        disk::sync_folder_of(path).map_err(io)?;
        Ok(DeadLetterFile { path: label, file: BufWriter::new(file) })
    }

    /// Opens the file of an earlier run. Its letters are kept if `known` returns true for their partition and offset; the
    /// records of the others will be read again. Lines that are not letters are kept as they are, but for a last line
    /// without its end, which an interrupted write leaves: its record will be read again, too.
    ///
    /// # Errors
    /// If the file system reports an error.
    pub fn resume(
        path: &Path,
        known: impl Fn(&PartitionId, Offset) -> bool,
    ) -> Result<(Self, KeptLetters), SourceError> {
        #[derive(Deserialize)]
        struct LetterOrigin {
            source: String,
            partition: u32,
            offset: Offset,
        }
        let io = |source| SourceError::Io { path: path.display().to_string(), source };
        let unwritten = |source| SourceError::Unwritten { path: path.display().to_string(), source };
        let text = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(io)?,
        };
        let mut letters = KeptLetters::default();
        let mut kept = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let is_ended = line.ends_with(b"\n");
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            match serde_json::from_slice(line) {
                _ if line.is_empty() => continue,
                Ok(LetterOrigin { source, partition, offset }) => {
                    let id = PartitionId { source, partition };
                    if !known(&id, offset) {
                        continue;
                    }
                    *letters.by_partition.entry(id).or_default() += 1;
                }
                Err(_) if !is_ended => {
                    letters.incomplete = true;
                    continue;
                }
                Err(_) => letters.unreadable += 1,
            }
            kept.extend_from_slice(line);
            kept.push(b'\n');
        }
        disk::replace(path, &kept).map_err(unwritten)?;
        Ok((Self::open(path, false)?, letters))
    }

    /// Flushes the written letters to the disk.
    ///
    /// # Errors
    /// If the file system reports an error.
    pub fn sync(&self) -> Result<(), SourceError> {
        let synced = self.file.get_ref().sync_data();
        synced.map_err(|source| SourceError::Unwritten { path: self.path.clone(), source })
    }

    /// Writes letters, without flushing them to the disk.
    ///
    /// # Errors
    /// If the file system reports an error.
    pub fn write(&mut self, letters: &[DeadLetter]) -> Result<(), SourceError> {
        let mut write = || {
            for letter in letters {
                serde_json::to_writer(&mut self.file, letter)?;
                self.file.write_all(b"\n")?;
            }
            self.file.flush()
        };
        write().map_err(|source| SourceError::Unwritten { path: self.path.clone(), source })
    }
}
