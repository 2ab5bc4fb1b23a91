//! The journal: overtaken records, and the times at which they took effect.
//!
//! An overtaken record arrived behind the closed frontier, which depends on when it arrived; a recovery or a replay can
//! only repeat its effective time from here. Records are written before anything derived from them is published.
//!
//! The journal consists of objects `journal/{number}.jsonl` with one JSON object a line, in which `checksum` is the start of
//! the SHA-256 of the line without it. The newest object is replaced by a longer one until it has [`SEGMENT`] records; then
//! the next is begun. Each replacement is atomic, so a crash leaves the old object or the new one. Earlier versions of
//! tidemill appended to one file, `journal.jsonl`, without checksums, which is still read. Its last line may be truncated by
//! a crash: nothing depends on that record, and it is skipped. Any other line that is not a record is an error, as a replay
//! without it would differ.

use std::io::{Error, ErrorKind};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::CheckpointError;
use crate::blob::{BlobPath, Blobs, Durability};
use crate::hash::sha256;
use crate::time::{EventTime, Offset};

/// The folder of the objects.
pub(super) const FOLDER: &str = "journal";

/// The file of earlier versions of tidemill.
const FILE: &str = "journal.jsonl";

/// The length of a line's checksum.
const CHECKSUM: usize = 16;

/// The number of records from which on an object is not replaced any more.
const SEGMENT: usize = 1024;

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

/// The journal of the one process that adds to it.
pub struct Journal {
    blobs: Blobs,
    /// The number of the object that is being filled.
    number: u64,
    /// The lines of that object.
    lines: Vec<u8>,
    /// The number of its records.
    records: usize,
}

impl Journal {
    /// Opens the journal beside checkpoints; new records go to an object of their own.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub(super) fn open(blobs: &Blobs) -> Result<Self, CheckpointError> {
        let newest = numbers(blobs)?.last().copied().unwrap_or(0);
        Ok(Journal { blobs: blobs.clone(), number: newest + 1, lines: Vec::new(), records: 0 })
    }

    /// Adds records. They are durable when this returns.
    ///
    /// # Errors
    /// If the store fails: the journal is as it was before.
    pub fn add(&mut self, records: &[Overtaken]) -> Result<(), CheckpointError> {
        let before = self.lines.len();
        for record in records {
            self.lines.extend_from_slice(line(record).as_bytes());
        }
        self.blobs.put(&object_path(self.number), self.lines.clone()).inspect_err(|_| self.lines.truncate(before))?;
        self.records += records.len();
        if self.records >= SEGMENT {
            self.number += 1;
            self.lines.clear();
            self.records = 0;
        }
        Ok(())
    }

    /// Reads all records beside checkpoints, the oldest first. None if there is no journal.
    ///
    /// # Errors
    /// If an object cannot be read or is missing, or a line is not a record.
    pub(super) fn read(blobs: &Blobs) -> Result<Vec<Overtaken>, CheckpointError> {
        let label = |path: &BlobPath| format!("{}/{path}", blobs.url());
        let mut records = Vec::new();
        let file = BlobPath::from_iter([FILE]);
        if let Some(bytes) = blobs.get(&file)? {
            records.extend(parse(&bytes, &label(&file), LineForm::Appended)?);
        }
        let numbers = numbers(blobs)?;
        // Objects are replaced from the first one on, and none in between is deleted.
        let first = numbers.first().copied().unwrap_or(1);
        for (expected, number) in (first..).zip(numbers) {
            if number != expected {
                let (path, detail) = (label(&object_path(expected)), "it does not exist".to_owned());
                return Err(CheckpointError::Damaged { path, detail });
            }
            let path = object_path(number);
            let bytes = blobs.get(&path)?.unwrap_or_default();
            records.extend(parse(&bytes, &label(&path), LineForm::Checked)?);
        }
        Ok(records)
    }

    /// Removes records. The others are written to a new object before the old ones are deleted, so a crash leaves some of
    /// them twice and none out.
    ///
    /// # Errors
    /// If an object cannot be read, written or deleted.
    pub(super) fn retain(blobs: &Blobs, keep: impl Fn(&Overtaken) -> bool) -> Result<(), CheckpointError> {
        let (before, mut kept) = (numbers(blobs)?, Journal::read(blobs)?);
        let all = kept.len();
        kept.retain(keep);
        if kept.len() == all {
            return Ok(());
        }
        if !kept.is_empty() {
            Journal::open(blobs)?.add(&kept)?;
        }
        before.into_iter().try_for_each(|number| blobs.delete(&object_path(number)))?;
        Ok(blobs.delete(&BlobPath::from_iter([FILE]))?)
    }

    /// Reads the journal that a path names: the folder of the checkpoints, or one file of a journal.
    ///
    /// # Errors
    /// If there is no journal, it cannot be read, or a line is not a record.
    pub fn read_path(path: &Path) -> Result<Vec<Overtaken>, CheckpointError> {
        let label = path.display().to_string();
        let failed = |source| CheckpointError::Journal { path: label.clone(), source };
        if path.join(FILE).is_file() || path.join(FOLDER).is_dir() {
            return Journal::read(&Blobs::open(&label, Durability::Process)?);
        }
        if !path.is_file() {
            return Err(failed(Error::from(ErrorKind::NotFound)));
        }
        let is_of_earlier = path.file_name().is_some_and(|name| name == FILE);
        let form = if is_of_earlier { LineForm::Appended } else { LineForm::Any };
        parse(&std::fs::read(path).map_err(failed)?, &label, form)
    }
}

/// Returns the numbers of the objects, ascending.
fn numbers(blobs: &Blobs) -> Result<Vec<u64>, CheckpointError> {
    let objects = blobs.list(&BlobPath::from_iter([FOLDER]))?.objects;
    let mut numbers: Vec<u64> = objects.iter().filter_map(|name| name.strip_suffix(".jsonl")?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn object_path(number: u64) -> BlobPath {
    BlobPath::from_iter([FOLDER.to_owned(), format!("{number:08}.jsonl")])
}

/// The form of the lines of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineForm {
    /// Records with a checksum and an end each.
    Checked,
    /// Records without checksums, of which the last may be truncated.
    Appended,
    /// A copy of either: a checksum is compared where there is one.
    Any,
}

/// A record with the checksum of its line.
#[derive(Deserialize)]
struct CheckedRecord {
    #[serde(flatten)]
    record: Overtaken,
    checksum: Option<String>,
}

/// Returns the line of a record, with its checksum and its end.
fn line(record: &Overtaken) -> String {
    let mut text = serde_json::to_string(record).expect("a record has a JSON form");
    let checksum = &sha256(&text)[..CHECKSUM];
    text.pop();
    format!("{text},\"checksum\":\"{checksum}\"}}\n")
}

/// Reads the lines of a file; `label` is its name in errors.
fn parse(bytes: &[u8], label: &str, form: LineForm) -> Result<Vec<Overtaken>, CheckpointError> {
    let mut records = Vec::new();
    for (number, text) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        let is_whole = text.ends_with(b"\n");
        let CheckedRecord { record, checksum } = match serde_json::from_slice(text) {
            Ok(record) if is_whole => record,
            _ if form != LineForm::Checked && !is_whole => break,
            Ok(_) => return Err(no_record(label, number, "the line has no end")),
            Err(error) => return Err(no_record(label, number, &error.to_string())),
        };
        match checksum {
            None if form == LineForm::Checked => return Err(no_record(label, number, "it has no checksum")),
            Some(_) if line(&record).as_bytes() != text => {
                return Err(no_record(label, number, "its checksum is not that of its content"));
            }
            _ => records.push(record),
        }
    }
    Ok(records)
}

fn no_record(label: &str, line: usize, detail: &str) -> CheckpointError {
    CheckpointError::NoRecord { path: format!("{label}:{line}"), detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: Offset) -> Overtaken {
        Overtaken { source: "s".to_owned(), topic: "t".to_owned(), partition: 1, offset, time: -5 }
    }

    fn open(folder: &Path) -> Blobs {
        Blobs::open(&folder.to_string_lossy(), Durability::Process).unwrap()
    }

    fn unchecked(record: &Overtaken) -> String {
        serde_json::to_string(record).unwrap() + "\n"
    }

    #[test]
    fn each_flipped_bit_of_a_record_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path());
        Journal::open(&blobs).unwrap().add(&[record(12), record(13)]).unwrap();
        let object = folder.path().join(FOLDER).join("00000001.jsonl");
        let whole = std::fs::read(&object).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&object, flipped).unwrap();
            let error = Journal::read(&blobs).map(|read| panic!("bit {bit}: {read:?}")).unwrap_err();
            assert!(error.to_string().contains("00000001.jsonl:"), "{error}");
        }
    }

    #[test]
    fn records_are_read_back_in_order_whatever_the_restarts_and_objects() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path());
        assert_eq!(Journal::read(&blobs).unwrap(), []);
        let offsets = 0..3 * SEGMENT as u64;
        let records: Vec<Overtaken> = offsets.map(record).collect();
        // Five restarts, each of which adds batches of several sizes.
        for run in records.chunks(records.len() / 5 + 1) {
            let mut journal = Journal::open(&blobs).unwrap();
            run.chunks(100).for_each(|batch| journal.add(batch).unwrap());
        }
        assert_eq!(Journal::read(&blobs).unwrap(), records);
        assert_eq!(Journal::read_path(folder.path()).unwrap(), records);
        let objects = numbers(&blobs).unwrap();
        assert!(objects.len() <= 8, "objects are filled: {objects:?}");
        assert_eq!(objects, (1..=objects.len() as u64).collect::<Vec<_>>());
        let first = folder.path().join("journal/00000001.jsonl");
        assert_eq!(Journal::read_path(&first).unwrap()[0], records[0], "one file of it");
    }

    #[test]
    fn the_file_of_an_earlier_version_is_read_first_without_its_truncated_line() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path());
        let file = folder.path().join(FILE);
        let text = unchecked(&record(1)) + &unchecked(&record(2));
        let whole = unchecked(&record(1)).len();
        for length in whole..text.len() {
            std::fs::write(&file, &text[..length]).unwrap();
            assert_eq!(Journal::read(&blobs).unwrap(), [record(1)], "{length} bytes");
        }
        Journal::open(&blobs).unwrap().add(&[record(3)]).unwrap();
        for path in [folder.path(), &file] {
            let expected = if path == file { vec![record(1)] } else { vec![record(1), record(3)] };
            assert_eq!(Journal::read_path(path).unwrap(), expected);
        }
    }

    #[test]
    fn a_line_that_is_not_a_record_is_refused_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let good = unchecked(&record(1));
        for wrong in ["{", "", "{\"topic\":\"t\"}"] {
            std::fs::write(&path, format!("{good}{wrong}\n{good}")).unwrap();
            let error = Journal::read(&open(folder.path())).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{}:2: not a record of the journal: ", path.display())), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        let object = folder.path().join(FOLDER).join("00000001.jsonl");
        std::fs::create_dir(folder.path().join(FOLDER)).unwrap();
        for (text, said) in [(good.trim_end(), "the line has no end"), (&good, "it has no checksum")] {
            std::fs::write(&object, text).unwrap();
            let error = Journal::read(&open(folder.path())).unwrap_err().to_string();
            let expected = format!("00000001.jsonl:1: not a record of the journal: {said}");
            assert!(error.contains(&expected), "{error}");
        }
        assert!(Journal::read_path(&folder.path().join("nowhere")).is_err(), "a journal that was named must exist");
    }

    #[test]
    fn a_record_that_cannot_be_written_is_not_in_the_journal_later() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path());
        let mut journal = Journal::open(&blobs).unwrap();
        // The folder of the objects cannot be created where there is a file.
        std::fs::write(folder.path().join(FOLDER), "").unwrap();
        assert!(journal.add(&[record(1)]).is_err());
        std::fs::remove_file(folder.path().join(FOLDER)).unwrap();
        journal.add(&[record(2)]).unwrap();
        assert_eq!(Journal::read(&blobs).unwrap(), [record(2)]);
    }
}
