//! Files as topics: one partition, the files one after another.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{self, FileReader, FileSchema};
use super::{Intake, Partition, Progress, SourceError, TopicReader};
use crate::time::Offset;
use crate::value::Schema;

/// The files that stand for a topic, and how their text is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileBinding {
    /// Paths or globs, in order; what a glob finds is sorted by name.
    pub files: Vec<String>,
    /// Texts of a CSV that mean null.
    pub nulls: Vec<String>,
}

impl FileBinding {
    /// The files that there are.
    ///
    /// # Errors
    /// If a path or glob finds nothing.
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
    open: Option<(PathBuf, Box<dyn FileReader>)>,
    offset: u64,
}

impl FilePartition {
    /// A partition that reads these files. The first is opened at once, so that a wrong path is found at the start.
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

    /// Opens the next file; says whether there is one.
    fn next(&mut self) -> Result<bool, SourceError> {
        self.open = match self.waiting.pop_front() {
            None => None,
            Some(path) => Some((path.clone(), format::open(&path, &self.schema)?)),
        };
        Ok(self.open.is_some())
    }
}

impl FilePartition {
    /// Passes over the records below an offset.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn skip_to(&mut self, offset: Offset, reader: &Arc<TopicReader>) -> Result<(), SourceError> {
        let mut passed = Intake::new(reader.clone(), 0);
        while self.offset < offset {
            let rest = usize::try_from(offset - self.offset).unwrap_or(usize::MAX);
            if self.read(rest.min(8192), &mut passed)? == Progress::End && self.offset < offset {
                let (path, what) = (reader.topic.clone(), format!("ends at record {}, before {offset}", self.offset));
                return Err(SourceError::File { path, what });
            }
            passed.take();
        }
        Ok(())
    }
}

impl Partition for FilePartition {
    fn read(&mut self, max: usize, intake: &mut Intake) -> Result<Progress, SourceError> {
        let Some((path, reader)) = &mut self.open else { return Ok(Progress::End) };
        let read = reader.read(max, &mut self.offset, intake);
        match read.map_err(|what| SourceError::File { path: path.display().to_string(), what })? {
            Progress::End if self.next()? => Ok(Progress::More),
            progress => Ok(progress),
        }
    }
}
