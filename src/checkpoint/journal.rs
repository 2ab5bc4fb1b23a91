//! The journal: overtaken records, and the times at which they took effect.
//!
//! An overtaken record arrived behind the closed frontier, which depends on when it arrived; a recovery or a replay can
//! only repeat its effective time from here. The journal is a file with one JSON object a line. A line is written before
//! anything derived from its record is published, so a line that a crash has truncated is the last one and nothing depends
//! on it: it is skipped, and removed before the next line is written. Any other line that is not a record is an error, as a
//! replay without it would differ.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CheckpointError;
use crate::disk;
use crate::time::{EventTime, Offset};

/// The name of the journal in the folder of the checkpoints.
const NAME: &str = "journal.jsonl";

/// A record that arrived behind the frontier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overtaken {
    /// The source that read it. Another source of the same topic may have read it in time.
    pub source: String,
    pub topic: String,
    pub partition: u32,
    pub offset: Offset,
    /// The effective time, in ms of event time: the frontier when it arrived.
    pub time: EventTime,
}

/// A journal on disk. The file need not exist.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
}

impl Journal {
    /// Returns the journal that a path names: the file, or the folder that contains it.
    pub fn at(path: &Path) -> Self {
        Journal { path: if path.is_dir() { path.join(NAME) } else { path.to_owned() } }
    }

    /// Appends records and syncs the file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add(&self, records: &[Overtaken]) -> Result<(), CheckpointError> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record).expect("a record has a JSON form");
            lines.push(b'\n');
        }
        let write = || {
            let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&self.path)?;
            let end = whole(&mut file)?;
            file.seek(SeekFrom::Start(end))?;
            file.write_all(&lines)?;
            file.sync_data()?;
            if end == 0 { disk::sync_folder_of(&self.path) } else { Ok(()) }
        };
        write().map_err(|source| self.failed("written", source))
    }

    /// Reads all records; none if there is no such file. A truncated last line is skipped.
    ///
    /// # Errors
    /// If the file cannot be read, or another line is not a record.
    pub fn read(&self) -> Result<Vec<Overtaken>, CheckpointError> {
        match std::fs::read(&self.path) {
            Ok(bytes) => self.records(&bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(self.failed("read", source)),
        }
    }

    /// Reads all records of a file that must exist. A truncated last line is skipped.
    ///
    /// # Errors
    /// If there is no such file, it cannot be read, or another line is not a record.
    pub fn must_read(&self) -> Result<Vec<Overtaken>, CheckpointError> {
        match self.path.is_file() {
            true => self.read(),
            false => Err(self.failed("read", Error::from(ErrorKind::NotFound))),
        }
    }

    fn records(&self, bytes: &[u8]) -> Result<Vec<Overtaken>, CheckpointError> {
        let mut records = Vec::new();
        for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
            match (serde_json::from_slice(line), line.ends_with(b"\n")) {
                (Ok(record), true) => records.push(record),
                (Err(error), true) => {
                    let path = format!("{}:{number}", self.path.display());
                    return Err(CheckpointError::NoRecord { path, detail: error.to_string() });
                }
                (_, false) => break,
            }
        }
        Ok(records)
    }

    fn failed(&self, action: &'static str, source: Error) -> CheckpointError {
        CheckpointError::Journal { path: self.path.display().to_string(), action, source }
    }
}

/// Removes a last line without an end, and returns the length of the rest in bytes.
fn whole(file: &mut File) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.seek(SeekFrom::Start(length - 1))?;
        file.read_exact(&mut last)?;
    }
    if last == [b'\n'] {
        return Ok(length);
    }
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    let kept = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at as u64 + 1);
    file.set_len(kept)?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: Offset) -> Overtaken {
        Overtaken { source: "s".to_owned(), topic: "t".to_owned(), partition: 1, offset, time: -5 }
    }

    #[test]
    fn a_truncated_last_line_is_skipped_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::at(folder.path());
        assert_eq!(journal.read().unwrap(), []);
        assert!(journal.must_read().is_err(), "a journal that was named must exist");
        journal.add(&[record(1), record(2)]).unwrap();
        let path = folder.path().join(NAME);
        let text = std::fs::read(&path).unwrap();
        for cut in 1..text.len() / 2 {
            std::fs::write(&path, &text[..text.len() - cut]).unwrap();
            assert_eq!(journal.read().unwrap(), [record(1)], "{cut} bytes short");
        }
        journal.add(&[record(3)]).unwrap();
        assert_eq!(Journal::at(&path).must_read().unwrap(), [record(1), record(3)]);
    }

    #[test]
    fn a_line_that_is_not_a_record_is_refused_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let good = serde_json::to_string(&record(1)).unwrap();
        for wrong in ["{", "", "{\"topic\":\"t\"}"] {
            std::fs::write(&path, format!("{good}\n{wrong}\n{good}\n")).unwrap();
            let error = Journal::at(&path).read().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{}:2: not a record of the journal: ", path.display())), "{error}");
        }
    }
}
