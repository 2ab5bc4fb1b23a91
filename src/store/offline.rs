//! The offline store: Parquet files of examples and feature changes, and the hash of what is in them.
//!
//! Rows come in the total order, so equal content gives equal hashes, whatever the batches and workers were. The hash
//! is over the values, not over Parquet's bytes.
//!
//! A file that must survive its process is written in parts, `{name}.parts/{number}.parquet` beside it: each snapshot
//! closes a part, a restart deletes the parts after its snapshot, and the end gathers all of them in the one file. The
//! hash of each closed part is in the list beside them ([`PartSums`]), and is checked before the part is gathered.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, TimestampMillisecondArray, UInt32Array};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest as _, Sha256};

use super::checksums::{ChecksumError, FileSum, HashedFile, PartSums, verify_file};
use super::content::hash_rows;
use crate::hash::hex;
use crate::time::EventTime;
use crate::value::{Batch, Type};

/// The reason why the offline store cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    #[error("{path}: cannot be written")]
    Io {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: cannot be read")]
    Read {
        path: String,
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// The text of a Parquet error includes its causes, so they are not a source.
    #[error("{path}: cannot be written: {why}")]
    Parquet { path: String, why: parquet::errors::ParquetError },
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
}

/// The content of a file: its number of rows and the hash of their values in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub rows: u64,
    pub sha256: String,
}

/// A file that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedFile {
    pub content: Content,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// The saved state of a file in parts, besides its pending rows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedFile {
    /// The part to be written next; those before it are whole.
    part: u32,
    rows: u64,
    /// The state of the hash.
    hash: Vec<u8>,
    /// The state of the hash of the list of parts.
    sums: Vec<u8>,
}

/// A file that takes rows in any order and writes them in the total order, once no earlier ones can come.
pub struct OrderedFile {
    path: PathBuf,
    schema: SchemaRef,
    writer: Option<ArrowWriter<HashedFile>>,
    /// The number of the part being written, if it is written in parts.
    part: Option<u32>,
    /// The list of the parts that are closed.
    sums: PartSums,
    hash: Sha256,
    rows: u64,
    /// Rows before this are skipped.
    from: EventTime,
    /// Not written yet; each ascending in time.
    pending: Vec<Batch>,
}

impl OrderedFile {
    /// Creates the file, with its folder, for rows from a time on. Its first column is `_time`.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn create(path: &Path, columns: &Fields, from: Option<EventTime>) -> Result<Self, OfflineError> {
        let mut file = Self::in_parts(path, columns, from);
        file.part = None;
        file.open()?;
        Ok(file)
    }

    /// A file that is written in parts; nothing is made before there are rows.
    pub fn in_parts(path: &Path, columns: &Fields, from: Option<EventTime>) -> Self {
        let time = Field::new("_time", Type::Timestamp.arrow(), true);
        let columns = columns.iter().map(|field| field.as_ref().clone().with_nullable(true));
        let fields: Fields = std::iter::once(time).chain(columns).collect();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        OrderedFile {
            path: path.to_owned(),
            schema,
            writer: None,
            part: Some(1),
            sums: PartSums::new(&path.with_extension("parts")),
            hash: Sha256::new(),
            rows: 0,
            from: from.unwrap_or(EventTime::MIN),
            pending: Vec::new(),
        }
    }

    /// The folder of the parts.
    fn parts(&self) -> PathBuf {
        self.path.with_extension("parts")
    }

    fn part_path(&self, number: u32) -> PathBuf {
        self.parts().join(part_name(number))
    }

    /// The file that is being written, or its part.
    fn current(&self) -> PathBuf {
        self.part.map_or_else(|| self.path.clone(), |number| self.part_path(number))
    }

    fn open(&mut self) -> Result<(), OfflineError> {
        self.writer = Some(create(&self.current(), &self.schema)?);
        Ok(())
    }

    /// Returns the types of the columns after `_time`.
    pub fn types(&self) -> Vec<DataType> {
        self.schema.fields().iter().skip(1).map(|field| field.data_type().clone()).collect()
    }

    pub fn is_in_parts(&self) -> bool {
        self.part.is_some()
    }

    /// Starts over where it is written in parts: those of an earlier run are deleted.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn begin(&mut self) -> Result<(), OfflineError> {
        if self.part.is_none() {
            return Ok(());
        }
        self.delete_parts(1)?;
        Ok(self.sums.clear()?)
    }

    /// Goes on from what was saved: parts after it are deleted.
    ///
    /// # Errors
    /// If the file system refuses, or a part that was saved is not there.
    pub fn resume(&mut self, saved: &SavedFile, pending: Vec<Batch>) -> Result<(), OfflineError> {
        let Some(closed) = saved.part.checked_sub(1) else { return Err(self.damaged("the saved part has no number")) };
        for sum in self.sums.resume(closed as usize, &saved.sums)? {
            let path = self.parts().join(&sum.name);
            if !path.is_file() {
                let detail = "it does not exist".to_owned();
                return Err(ChecksumError::Damaged { path: path.display().to_string(), detail }.into());
            }
        }
        self.delete_parts(saved.part)?;
        let state = saved.hash.as_slice().try_into().ok();
        let hash = state.and_then(|state| Sha256::deserialize(state).ok());
        self.hash = hash.ok_or_else(|| self.damaged("the saved hash of its rows is invalid"))?;
        (self.rows, self.part, self.pending) = (saved.rows, Some(saved.part), pending);
        Ok(())
    }

    /// Writes all rows before `upto` and closes the part; what is pending is left to be saved with it.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn save(&mut self, upto: EventTime) -> Result<(SavedFile, &[Batch]), OfflineError> {
        self.release(upto)?;
        if self.part.is_some() {
            self.close()?;
        }
        let saved = SavedFile {
            part: self.part.unwrap_or(1),
            rows: self.rows,
            hash: self.hash.serialize().as_slice().to_vec(),
            sums: self.sums.save(),
        };
        Ok((saved, &self.pending))
    }

    /// Closes what is open, syncs it to the disk and returns its hash. A part is added to the list, and the next one gets
    /// the number after it.
    fn close(&mut self) -> Result<Option<String>, OfflineError> {
        let Some(writer) = self.writer.take() else { return Ok(None) };
        let path = self.current();
        let sha256 = close(writer, &path)?;
        if let Some(number) = self.part {
            self.sums.add(&FileSum { name: part_name(number), sha256: sha256.clone() })?;
            self.part = Some(number + 1);
        }
        Ok(Some(sha256))
    }

    fn delete_parts(&self, from: u32) -> Result<(), OfflineError> {
        let io = |source| OfflineError::Io { path: self.parts().display().to_string(), source };
        let entries = match std::fs::read_dir(self.parts()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io(error)),
        };
        for entry in entries {
            let path = entry.map_err(io)?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u32>().ok());
            if number.is_some_and(|number| number >= from) {
                std::fs::remove_file(&path).map_err(io)?;
            }
        }
        Ok(())
    }

    /// Gathers all parts in the one file, and returns its hash. Each part must be as it was written, and all together must
    /// have the rows that were written.
    fn gather(&self, parts: u32) -> Result<String, OfflineError> {
        let mut writer = create(&self.path, &self.schema)?;
        let (mut hash, mut rows) = (Sha256::new(), 0);
        let closed = if parts == 1 { Vec::new() } else { self.sums.read(parts as usize - 1)? };
        for sum in &closed {
            verify_file(&self.parts(), sum)?;
            let path = self.parts().join(&sum.name);
            let label = path.display().to_string();
            let file = File::open(&path).map_err(|source| OfflineError::Io { path: label.clone(), source })?;
            let read = |source| OfflineError::Read { path: label.clone(), source };
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
            for batch in reader.map_err(read)? {
                let batch = batch.map_err(|error| read(error.into()))?;
                hash_rows(&mut hash, batch.columns());
                rows += batch.num_rows() as u64;
                writer.write(&batch).map_err(|why| OfflineError::Parquet { path: label.clone(), why })?;
            }
        }
        if rows != self.rows || hash.finalize() != self.hash.clone().finalize() {
            return Err(self.damaged("its parts do not have the rows that were written"));
        }
        close(writer, &self.path)
    }

    /// Adds rows, ordered by their event times from here on.
    pub fn push(&mut self, batch: Batch) {
        let mut rows: Vec<u32> = (0..batch.len() as u32).collect();
        rows.sort_by_key(|row| batch.event_times[*row as usize]);
        let mut batch = batch.take(&UInt32Array::from(rows));
        batch.times = batch.event_times.clone();
        self.pending.push(batch.split(self.from).1);
    }

    /// Rows that are not written yet.
    pub fn pending(&self) -> usize {
        self.pending.iter().map(Batch::len).sum()
    }

    /// Writes all rows before `upto`.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn release(&mut self, upto: EventTime) -> Result<(), OfflineError> {
        let mut ready: Vec<Batch> = Vec::new();
        for batch in &mut self.pending {
            let (before, after) = batch.split(upto);
            *batch = after;
            if !before.is_empty() {
                ready.push(before);
            }
        }
        self.pending.retain(|batch| !batch.is_empty());
        if ready.is_empty() {
            return Ok(());
        }
        let mut rows: Vec<(usize, usize)> =
            ready.iter().enumerate().flat_map(|(index, batch)| (0..batch.len()).map(move |row| (index, row))).collect();
        let place = |(batch, row): &(usize, usize)| (ready[*batch].times[*row], ready[*batch].sort_key.value(*row));
        rows.sort_by(|a, b| place(a).cmp(&place(b)));
        let ready: Vec<&Batch> = ready.iter().collect();
        Batch::interleave(&ready, &rows).into_iter().try_for_each(|batch| self.write(batch))
    }

    /// Writes the next rows.
    fn write(&mut self, batch: Batch) -> Result<(), OfflineError> {
        let times = batch.times.iter().copied();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(TimestampMillisecondArray::from_iter_values(times))];
        columns.extend(batch.columns);
        hash_rows(&mut self.hash, &columns);
        self.rows += batch.times.len() as u64;
        let batch = RecordBatch::try_new(self.schema.clone(), columns).expect("the file was made for these columns");
        if self.writer.is_none() {
            self.open()?;
        }
        let label = self.current().display().to_string();
        let writer = self.writer.as_mut().expect("it was just opened");
        writer.write(&batch).map_err(|why| OfflineError::Parquet { path: label, why })
    }

    /// Writes what is left and closes the file.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn finish(mut self) -> Result<FinishedFile, OfflineError> {
        self.release(EventTime::MAX)?;
        let closed = self.close()?;
        let sha256 = match (self.part, closed) {
            // The parts stay, for another try; half a file would look like a whole one.
            (Some(parts), _) => self.gather(parts).inspect_err(|_| _ = std::fs::remove_file(&self.path))?,
            (None, closed) => closed.expect("a single file is open until it is finished"),
        };
        Ok(FinishedFile { content: Content { rows: self.rows, sha256: hex(&self.hash.finalize()) }, sha256 })
    }

    fn damaged(&self, detail: &str) -> OfflineError {
        ChecksumError::Damaged { path: self.path.display().to_string(), detail: detail.to_owned() }.into()
    }
}

fn part_name(number: u32) -> String {
    format!("{number:08}.parquet")
}

/// Closes a file and returns its hash.
fn close(writer: ArrowWriter<HashedFile>, path: &Path) -> Result<String, OfflineError> {
    let label = path.display().to_string();
    let file = writer.into_inner().map_err(|why| OfflineError::Parquet { path: label.clone(), why })?;
    file.finish(path).map_err(|source| OfflineError::Io { path: label, source })
}

fn create(path: &Path, schema: &SchemaRef) -> Result<ArrowWriter<HashedFile>, OfflineError> {
    let label = path.display().to_string();
    let io = |source| OfflineError::Io { path: label.clone(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    let file = HashedFile::create(path).map_err(io)?;
    let level = ZstdLevel::try_new(3).expect("3 is a level of Zstandard");
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
    ArrowWriter::try_new(file, schema.clone(), Some(properties))
        .map_err(|why| OfflineError::Parquet { path: label.clone(), why })
}
