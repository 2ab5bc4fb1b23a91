//! The one partition of a topic that is bound to files, which are read one after another.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};

use super::natural_order;
use super::{FileContent, FilePlace, FileReader, FileSchema};
use crate::source::{Ingest, InputStatus, Partition, SourceError};
use crate::time::Offset;
use crate::value::Schema;

/// Files that a topic is bound to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileBinding {
    /// Paths or globs, in order. The files that a glob matches are sorted in natural order.
    pub files: Vec<String>,
    /// Texts of a CSV that mean null.
    pub nulls: Vec<String>,
}

impl FileBinding {
    /// Returns the paths of all files. One that several patterns match is read once, at its first place.
    ///
    /// # Errors
    /// If a path or glob matches no file.
    pub fn paths(&self, base: &Path) -> Result<Vec<PathBuf>, SourceError> {
        let (mut paths, mut known) = (Vec::new(), HashSet::new());
        for pattern in &self.files {
            let full = base.join(pattern).to_string_lossy().into_owned();
            let wrong = |what: String| SourceError::File { path: full.clone(), what };
            let found = glob::glob(&full).map_err(|error| wrong(error.to_string()))?;
            let mut found: Vec<PathBuf> = found.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
            if found.is_empty() {
                return Err(wrong("no such file".to_owned()));
            }
            found.sort_by(|one, other| natural_order::compare(one, other));
            // A link, or another spelling of a path, is the same file.
            let is_new = |path: &PathBuf| known.insert(path.canonicalize().unwrap_or_else(|_| path.clone()));
            paths.extend(found.into_iter().filter(is_new));
        }
        Ok(paths)
    }
}

/// The one partition of a topic of files.
pub struct FilePartition {
    waiting: VecDeque<PathBuf>,
    schema: FileSchema,
    open: Option<ReadingFile>,
    /// The files that have been read whole.
    finished: Vec<FileContent>,
    offset: Offset,
    /// The place up to which an earlier run has read, while records before it are read again.
    read_before: Option<FilePlace>,
}

struct ReadingFile {
    path: PathBuf,
    reader: Box<dyn FileReader>,
}

impl FilePartition {
    /// Returns a partition of these files. All are opened once, so that a wrong one is an error at the start.
    ///
    /// # Errors
    /// If a file cannot be opened, lacks a column, or has one of a type that does not convert.
    pub fn open(
        paths: Vec<PathBuf>,
        schema: Schema,
        nulls: Vec<String>,
        optional: Vec<String>,
    ) -> Result<Self, SourceError> {
        let schema = FileSchema { schema, nulls, optional };
        paths.iter().skip(1).try_for_each(|path| super::open(path, &schema).map(|_| ()))?;
        let mut partition = FilePartition {
            waiting: paths.into(),
            schema,
            open: None,
            finished: Vec::new(),
            offset: 0,
            read_before: None,
        };
        partition.next()?;
        Ok(partition)
    }

    /// Opens the next file. Returns false, and leaves the last one open, if there is none.
    fn next(&mut self) -> Result<bool, SourceError> {
        let Some(path) = self.waiting.pop_front() else { return Ok(false) };
        let next = ReadingFile { reader: super::open(&path, &self.schema)?, path };
        if let Some(before) = self.open.replace(next) {
            self.finished.push(before.reader.content());
        }
        Ok(true)
    }

    /// Resumes from a place that an earlier run had come to.
    ///
    /// # Errors
    /// If the files cannot be read, or are not those that were read up to there. Appended records and files are allowed.
    pub fn resume(&mut self, place: &FilePlace) -> Result<(), SourceError> {
        self.advance_to(place)?;
        self.offset = place.offset;
        Ok(())
    }

    /// Compares what is read again with what an earlier run had read, which came to `place`.
    ///
    /// # Errors
    /// If nothing is read again, as for [`FilePartition::resume`]. Otherwise a read fails.
    pub fn compare_to(&mut self, place: &FilePlace) -> Result<(), SourceError> {
        self.read_before = Some(place.clone());
        self.compare()
    }

    /// Compares what has been read with what an earlier run had read, once all of its records have been read again.
    fn compare(&mut self) -> Result<(), SourceError> {
        match self.read_before.take_if(|place| self.offset >= place.offset) {
            Some(place) => self.advance_to(&place),
            None => Ok(()),
        }
    }

    /// Skips to a place, and compares the files before it that are not finished yet.
    fn advance_to(&mut self, place: &FilePlace) -> Result<(), SourceError> {
        while let Some(read) = place.finished.get(self.finished.len()) {
            self.skip(u64::MAX, *read)?;
            if !self.next()? {
                let (there, were) = (self.finished.len() + 1, place.finished.len() + 1);
                return Err(self.changed(&format!("it is the last of {there} files, and {were} were read before")));
            }
        }
        self.skip(place.current.length, place.current)
    }

    /// Skips to a length of the open file, and compares what is before it with what was read there.
    fn skip(&mut self, length: u64, read: FileContent) -> Result<(), SourceError> {
        let Some(ReadingFile { path, reader }) = &mut self.open else { return Ok(()) };
        let failed = |what| SourceError::File { path: path.display().to_string(), what };
        reader.skip_to(length).map_err(failed)?;
        // A last line that has been read again may have a line break now, which was read with it.
        let mut shorter = None;
        if length != u64::MAX && reader.content().length > length {
            let fresh = shorter.insert(super::open(path, &self.schema)?);
            fresh.skip_to(length).map_err(failed)?;
        }
        let reader = shorter.as_mut().unwrap_or(reader);
        let (found, is_within_line) = (reader.content(), reader.is_within_line().map_err(failed)?);
        match found == read {
            true if is_within_line => Err(self.changed(&format!(
                "its last line was not complete when it was read: it had no line break after {length}, where it goes on now"
            ))),
            true => Ok(()),
            false if found.length < read.length => {
                let (length, before) = (found.length, read.length);
                Err(self.changed(&format!("it ends after {length}, before the {before} that were read")))
            }
            false if length == u64::MAX && found.length > read.length => {
                Err(self.changed("it has grown after the files that follow it were begun"))
            }
            false => Err(self.changed(&format!("its first {} are others than those that were read", read.length))),
        }
    }

    /// Returns the error of a file that is not the one that was read.
    fn changed(&self, what: &str) -> SourceError {
        let path = self.open.as_ref().map_or_else(String::new, |open| open.path.display().to_string());
        let what = format!(
            "is not the file that was read before the restart: {what} (bytes, decompressed; rows of Parquet); expected the same files, with whole records or files appended at most; a run with --fresh starts over"
        );
        SourceError::File { path, what }
    }
}

impl Partition for FilePartition {
    fn read(&mut self, max: usize, ingest: &mut Ingest) -> Result<InputStatus, SourceError> {
        let left = self.read_before.as_ref().map_or(u64::MAX, |place| place.offset - self.offset);
        let max = usize::try_from(left).unwrap_or(usize::MAX).min(max);
        let Some(ReadingFile { path, reader }) = &mut self.open else { return Ok(InputStatus::EndOfInput) };
        let read = reader.read(max, &mut self.offset, ingest);
        let status = read.map_err(|what| SourceError::File { path: path.display().to_string(), what })?;
        self.compare()?;
        if status != InputStatus::EndOfInput {
            return Ok(status);
        }
        // The whole file was read again. Without another record, it must have been finished before, too.
        if let Some(place) = &self.read_before {
            let read = place.finished.get(self.finished.len()).copied().unwrap_or(place.current);
            self.skip(u64::MAX, read)?;
        }
        Ok(if self.next()? { InputStatus::MoreAvailable } else { InputStatus::EndOfInput })
    }

    fn place(&self) -> Option<FilePlace> {
        let current = self.open.as_ref().map(|open| open.reader.content()).unwrap_or_default();
        Some(FilePlace { offset: self.offset, finished: self.finished.clone(), current })
    }
}
