//! The one partition of a topic that is bound to files, read one after another.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{FileReader, FileSchema};
use crate::source::{Ingest, InputStatus, Partition, SourceError, SourcePlan};
use crate::time::Offset;
use crate::value::Schema;

/// Files that a topic is bound to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileBinding {
    /// Paths or globs, in order. The files that a glob matches are sorted by name.
    pub files: Vec<String>,
    /// Texts of a CSV that mean null.
    pub nulls: Vec<String>,
}

impl FileBinding {
    /// Returns the paths of all files.
    ///
    /// # Errors
    /// If a path or glob matches no file.
    pub fn paths(&self, base: &Path) -> Result<Vec<PathBuf>, SourceError> {
        let mut paths = Vec::new();
        for pattern in &self.files {
            let full = base.join(pattern).to_string_lossy().into_owned();
            let wrong = |what: String| SourceError::File { path: full.clone(), what };
            let found = glob::glob(&full).map_err(|error| wrong(error.to_string()))?;
            let before = paths.len();
            for path in found {
                paths.push(path.map_err(|error| wrong(error.to_string()))?);
            }
            if paths.len() == before {
                return Err(wrong("no such file".to_owned()));
            }
        }
        Ok(paths)
    }
}

/// The one partition of a topic of files.
pub struct FilePartition {
    waiting: VecDeque<PathBuf>,
    schema: FileSchema,
    open: Option<ReadingFile>,
    offset: Offset,
}

struct ReadingFile {
    path: PathBuf,
    reader: Box<dyn FileReader>,
}

impl FilePartition {
    /// Returns a partition of these files. The first is opened at once, so that a wrong path is an error at the start.
    ///
    /// # Errors
    /// If the first file cannot be opened or lacks a column.
    pub fn open(
        paths: Vec<PathBuf>,
        schema: Schema,
        nulls: Vec<String>,
        optional: Vec<String>,
    ) -> Result<Self, SourceError> {
        let schema = FileSchema { schema, nulls, optional };
        let mut partition = FilePartition { waiting: paths.into(), schema, open: None, offset: 0 };
        partition.next()?;
        Ok(partition)
    }

    /// Opens the next file. Returns whether there is one.
    fn next(&mut self) -> Result<bool, SourceError> {
        self.open = match self.waiting.pop_front() {
            None => None,
            Some(path) => Some(ReadingFile { reader: super::open(&path, &self.schema)?, path }),
        };
        Ok(self.open.is_some())
    }

    /// Skips the records below an offset.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn skip_to(&mut self, offset: Offset, plan: &Arc<SourcePlan>) -> Result<(), SourceError> {
        let mut skipped = Ingest::new(plan.clone(), 0);
        while self.offset < offset {
            let rest = usize::try_from(offset - self.offset).unwrap_or(usize::MAX);
            if self.read(rest.min(8192), &mut skipped)? == InputStatus::EndOfInput && self.offset < offset {
                let (path, what) = (plan.topic.clone(), format!("ends at record {}, before {offset}", self.offset));
                return Err(SourceError::File { path, what });
            }
            skipped.take_unsorted();
        }
        Ok(())
    }
}

impl Partition for FilePartition {
    fn read(&mut self, max: usize, ingest: &mut Ingest) -> Result<InputStatus, SourceError> {
        let Some(ReadingFile { path, reader }) = &mut self.open else { return Ok(InputStatus::EndOfInput) };
        let read = reader.read(max, &mut self.offset, ingest);
        match read.map_err(|what| SourceError::File { path: path.display().to_string(), what })? {
            InputStatus::EndOfInput if self.next()? => Ok(InputStatus::MoreAvailable),
            progress => Ok(progress),
        }
    }
}
