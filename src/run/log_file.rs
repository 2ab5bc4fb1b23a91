//! The log file: lines are appended until it has `max_bytes`, then it is renamed and a new one is begun.
//!
//! `tidemill.log` is the file that is written; `tidemill.log.1` is the one before it, `tidemill.log.2` the one before
//! that, up to as many as are kept. A line is never divided between two files, and one that could be written in part
//! only, as on a full disk, is removed. A file that is moved or deleted by others is written until it is full, as
//! others may still read it.

use std::fs::{File, OpenOptions, remove_file, rename};
use std::io::{ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// A log file and the older ones beside it.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    /// The length of the file.
    length: u64,
    /// The bytes that count towards `max_bytes`: all of the file, unless it is written on for want of a new one.
    bytes: u64,
    max_bytes: u64,
    /// The number of older files that are kept.
    keep: usize,
}

impl LogFile {
    /// Checks whether a file could be opened, without creating anything.
    ///
    /// # Errors
    /// If it, or the folder that it would be created in, cannot be written.
    pub fn check(path: &Path) -> Result<()> {
        if path.exists() {
            return OpenOptions::new().append(true).open(path).map(drop);
        }
        let absolute = std::path::absolute(path)?;
        let known = absolute.ancestors().skip(1).find(|folder| folder.exists());
        let Some(folder) = known else { return Err(ErrorKind::NotFound.into()) };
        if !folder.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
    }

    /// Creates a file and its directory unless they exist, and returns it to append to.
    ///
    /// # Errors
    /// If it cannot be created or opened.
    pub fn create(path: &Path) -> Result<File> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        append_to(path)
    }

    /// Opens a file to append to, or creates it, and its directory. A last line without its end, as an interrupted process
    /// leaves it, is removed.
    ///
    /// # Errors
    /// If it cannot be created or opened.
    pub fn open(path: &Path, max_bytes: u64, keep: usize) -> Result<Self> {
        let file = LogFile::create(path)?;
        let bytes = whole_lines(path)?;
        file.set_len(bytes)?;
        Ok(LogFile { path: path.to_owned(), file, length: bytes, bytes, max_bytes, keep })
    }

    /// Appends a line, to a new file if this one would exceed its length. A line that is longer than a file may be has a
    /// file of its own.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append(&mut self, line: &[u8]) -> Result<()> {
        let bytes = line.len() as u64;
        if self.bytes > 0 && self.bytes + bytes > self.max_bytes {
            // Set first: if a step fails, the file is written on, and no line tries again before it is as full, which
            // would rename the older files once more.
            self.bytes = 0;
            let _ = self.rotate();
        }
        if let Err(error) = self.file.write_all(line) {
            // A partly written line would be joined with the next one.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.bytes += bytes;
        self.length += bytes;
        Ok(())
    }

    /// Begins a new file.
    fn rotate(&mut self) -> Result<()> {
        match self.keep {
            0 => found(remove_file(&self.path))?,
            keep => {
                for older in (1..keep).rev() {
                    found(rename(self.older(older), self.older(older + 1)))?;
                }
                found(rename(&self.path, self.older(1)))?;
            }
        }
        self.file = append_to(&self.path)?;
        self.length = self.file.metadata()?.len();
        self.bytes = self.length;
        Ok(())
    }

    /// Returns the path of an older file; 1 is the newest of them.
    fn older(&self, number: usize) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{number}"));
        path.into()
    }
}

fn append_to(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Returns the length of the whole lines of a file.
fn whole_lines(path: &Path) -> Result<u64> {
    const BLOCK: u64 = 8192;
    let mut file = File::open(path)?;
    let mut end = file.metadata()?.len();
    let mut block = Vec::new();
    while end > 0 {
        let begin = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(begin))?;
        block.clear();
        (&file).take(end - begin).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

/// Returns the result of a step on a file that need not exist.
fn found(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(folder: &Path) -> Vec<(String, String)> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<(String, String)> = entries
            .map(|path| {
                (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn expect(folder: &Path, expected: &[(&str, &str)]) {
        let expected: Vec<(String, String)> =
            expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        assert_eq!(contents(folder), expected);
    }

    #[test]
    fn a_full_file_is_renamed_and_the_oldest_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(&folder.path().join("a.log"), 8, 2).unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n"] {
            log.append(line.as_bytes()).unwrap();
        }
        expect(folder.path(), &[("a.log", "five\n"), ("a.log.1", "four\n"), ("a.log.2", "three\n")]);
    }

    #[test]
    fn a_line_that_is_longer_than_a_file_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(&folder.path().join("a.log"), 3, 1).unwrap();
        log.append(b"longer\n").unwrap();
        log.append(b"x\n").unwrap();
        expect(folder.path(), &[("a.log", "x\n"), ("a.log.1", "longer\n")]);
    }

    #[test]
    fn a_file_is_continued_and_none_is_kept_if_none_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs").join("a.log");
        LogFile::open(&path, 6, 0).unwrap().append(b"one\n").unwrap();
        let mut log = LogFile::open(&path, 6, 0).unwrap();
        log.append(b"2\n").unwrap();
        expect(&folder.path().join("logs"), &[("a.log", "one\n2\n")]);
        log.append(b"3\n").unwrap();
        expect(&folder.path().join("logs"), &[("a.log", "3\n")]);
    }

    #[test]
    fn a_last_line_that_was_written_in_part_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let long = "x".repeat(20_000);
        for (before, after) in [("", ""), ("half", ""), ("one\n", "one\n"), ("one\nha", "one\n"), (&long, "")] {
            std::fs::write(&path, before).unwrap();
            let mut log = LogFile::open(&path, 1_000, 1).unwrap();
            log.append(b"two\n").unwrap();
            expect(folder.path(), &[("a.log", &format!("{after}two\n"))]);
        }
        std::fs::write(&path, format!("one\n{long}")).unwrap();
        LogFile::open(&path, 1_000, 1).unwrap();
        expect(folder.path(), &[("a.log", "one\n")]);
    }

    #[test]
    fn a_file_that_cannot_be_begun_does_not_push_out_the_older_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut log = LogFile::open(&path, 8, 1).unwrap();
        log.append(b"one\n").unwrap();
        // A folder in its place cannot replace an older file.
        log.path = folder.path().join("b.log");
        std::fs::create_dir(&log.path).unwrap();
        std::fs::write(log.older(1), "older\n").unwrap();
        for line in ["three\n", "four\n", "five\n"] {
            log.append(line.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\nthree\nfour\nfive\n", "no line is lost");
        assert_eq!(std::fs::read_to_string(log.older(1)).unwrap(), "older\n");
    }

    #[test]
    fn files_that_others_have_deleted_are_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(&folder.path().join("a.log"), 4, 3).unwrap();
        log.append(b"one\n").unwrap();
        log.append(b"two\n").unwrap();
        std::fs::remove_file(folder.path().join("a.log")).unwrap();
        std::fs::remove_file(folder.path().join("a.log.1")).unwrap();
        log.append(b"six\n").unwrap();
        expect(folder.path(), &[("a.log", "six\n")]);
    }
}
