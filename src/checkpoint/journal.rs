//! The journal: records that came below the frontier, and when they took effect.
//!
//! A file with one JSON object a line, added to before anything follows from such a record. So a line that a crash cut
//! short is the last, and nothing followed from it: it is passed over, and taken away before the next is written. Any
//! other line that is no record is a mistake: a replay without it would differ, so it is refused.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CheckpointError;
use crate::disk;
use crate::time::{EventTime, Offset};

/// The journal's name in the folder of the checkpoints.
const NAME: &str = "journal.jsonl";

/// A record that came below the frontier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overtaken {
    /// Who read it: another source of the same topic may have had it in time.
    pub source: String,
    pub topic: String,
    pub partition: u32,
    pub offset: Offset,
    /// When it took effect, event ms.
    pub time: EventTime,
}

/// A journal on disk; the file need not be there.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
}

impl Journal {
    /// The journal that a path names: the file, or the folder that has it.
    pub fn at(path: &Path) -> Self {
        Journal { path: if path.is_dir() { path.join(NAME) } else { path.to_owned() } }
    }

    /// Adds records.
    ///
    /// # Errors
    /// If the file system refuses.
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

    /// Everything in it; nothing if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read, or a line is not a record; a last line that was cut short is passed over.
    pub fn read(&self) -> Result<Vec<Overtaken>, CheckpointError> {
        match std::fs::read(&self.path) {
            Ok(bytes) => self.records(&bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(self.failed("read", source)),
        }
    }

    /// As [`Journal::read`], where the file must be there.
    ///
    /// # Errors
    /// As above, and if there is no such file.
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

/// Cuts off a last line without an end; gives how long the rest is.
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
    fn a_line_that_was_cut_short_is_passed_over_and_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::at(folder.path());
        assert_eq!(journal.read().unwrap(), []);
        assert!(journal.must_read().is_err(), "what was asked for is not there");
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
    fn a_line_that_is_no_record_is_refused_with_its_place() {
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
