//! Checkpoints as objects, which outlive the process.
//!
//! | object | contents |
//! |---|---|
//! | `{number}/{operator}` | the parts of an operator, concatenated |
//! | `{number}.json` | the manifest, written last: without it there is no checkpoint |
//! | `journal/{number}.jsonl` | the overtaken records, and when they took effect: see [`Journal`] |
//!
//! Numbers count from 1, with eight digits. The manifest contains the number of the format, the dataflow's name and the
//! hash of its definition, the transport of each topic, the event time, the length and SHA-256 of each part, and a checksum
//! of itself. The current checkpoint is the one with the highest number that is whole; one that is not is skipped with a
//! warning.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::journal::{self, Journal, Overtaken};
use super::{CheckpointError, SnapshotParts};
use crate::blob::{BlobPath, Blobs, Durability};
use crate::hash::{Seal, seal, seal_of, sha256};
use crate::time::EventTime;

/// The format that is written, and the only one that is read.
const FORMAT: u32 = 11;

/// The largest distance of a checkpoint's time from the epoch, in ms: arithmetic on it does not overflow.
const FARTHEST: u64 = 1 << 60;

/// The identity of the dataflow and the inputs that a checkpoint belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    pub dataflow: String,
    /// The hash of the dataflow's definition.
    pub definition: String,
    /// The transport that each topic is read from: offsets of one transport mean nothing to another.
    pub topics: BTreeMap<String, String>,
}

/// A checkpoint that was read.
#[derive(Debug)]
pub struct StoredCheckpoint {
    pub number: u64,
    /// The event time before which everything is in the parts.
    pub time: EventTime,
    pub fingerprint: Fingerprint,
    pub parts: SnapshotParts,
}

/// A checkpoint that has become current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenCheckpoint {
    pub number: u64,
    pub time: EventTime,
    /// The size of each operator's state.
    pub bytes: BTreeMap<String, u64>,
}

/// The newest complete checkpoint of a store, and the errors of those after it.
#[derive(Debug, Default)]
pub struct NewestCheckpoint {
    /// `None` if no checkpoint is complete.
    pub checkpoint: Option<StoredCheckpoint>,
    /// The errors for which newer checkpoints were skipped.
    pub skipped: Vec<CheckpointError>,
}

#[derive(Debug, Serialize, Deserialize)]
struct CheckpointManifest {
    format: u32,
    number: u64,
    #[serde(flatten)]
    fingerprint: Fingerprint,
    /// Event time, ms.
    time: EventTime,
    parts: BTreeMap<String, Vec<PartEntry>>,
}

/// The field that the manifests of all formats share.
#[derive(Debug, Deserialize)]
struct ManifestFormat {
    format: u32,
}

/// One part of an operator in the manifest.
#[derive(Debug, Serialize, Deserialize)]
struct PartEntry {
    bytes: u64,
    sha256: String,
}

/// The numbers that a store has objects of.
struct CheckpointNumbers {
    /// All numbers, those of incomplete checkpoints too.
    all: Vec<u64>,
    /// Numbers with a manifest, ascending.
    complete: Vec<u64>,
}

/// The checkpoints of one dataflow.
pub struct CheckpointStore {
    blobs: Blobs,
    /// The highest number in use.
    newest: AtomicU64,
}

impl CheckpointStore {
    /// Opens the checkpoints at a path or `file://` url. The folder is created if it does not exist.
    ///
    /// # Errors
    /// If the url has another scheme, or the folder cannot be created or listed.
    pub fn open(url: &str) -> Result<Self, CheckpointError> {
        let store = CheckpointStore { blobs: Blobs::open(url, Durability::PowerFailure)?, newest: AtomicU64::new(0) };
        store.newest.store(store.numbers()?.all.into_iter().max().unwrap_or(0), SeqCst);
        Ok(store)
    }

    /// Reads what a path names: a manifest, or the newest whole checkpoint of a folder, in which `fault` finds nothing
    /// wrong. Returns it with the records of the journal beside it.
    ///
    /// # Errors
    /// If there is no such path, or it is neither, or cannot be read.
    pub fn read_path(
        path: &Path,
        fault: impl Fn(&StoredCheckpoint) -> Option<String>,
    ) -> Result<(NewestCheckpoint, Vec<Overtaken>), CheckpointError> {
        let shown = path.display().to_string();
        if path.is_dir() {
            let store = CheckpointStore::open(&shown)?;
            return Ok((store.newest(fault)?, store.overtaken()?));
        }
        std::fs::metadata(path).map_err(|source| CheckpointError::Missing { path: shown.clone(), source })?;
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json")?.parse::<u64>().ok());
        let detail = "it is not a manifest; expected NUMBER.json, or the folder".to_owned();
        let number = number.ok_or(CheckpointError::Damaged { path: shown, detail })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let store = CheckpointStore::open(&folder.unwrap_or(Path::new(".")).to_string_lossy())?;
        let checkpoint = Some(store.read_sound(number, fault)?);
        Ok((NewestCheckpoint { checkpoint, skipped: Vec::new() }, store.overtaken()?))
    }

    /// Reads the checkpoint of a manifest, which must be one of this store, and in which `fault` finds nothing wrong.
    ///
    /// # Errors
    /// If the path is not that of a manifest, or the checkpoint cannot be read.
    pub fn checkpoint_at(
        &self,
        path: &Path,
        fault: impl Fn(&StoredCheckpoint) -> Option<String>,
    ) -> Result<StoredCheckpoint, CheckpointError> {
        let label = || path.display().to_string();
        std::fs::metadata(path).map_err(|source| CheckpointError::Missing { path: label(), source })?;
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json")?.parse::<u64>().ok());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let is_here = folder
            .canonicalize()
            .ok()
            .is_some_and(|folder| self.folder().canonicalize().is_ok_and(|own| own == folder));
        let detail = format!("expected a manifest NUMBER.json in {}", self.url());
        let refused = || CheckpointError::Damaged { path: path.display().to_string(), detail };
        self.read_sound(number.filter(|_| is_here).ok_or_else(refused)?, fault)
    }

    /// Sets the checkpoints after one aside: their manifests are renamed. Returns their numbers.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_aside_after(&self, chosen: u64) -> Result<Vec<u64>, CheckpointError> {
        let later: Vec<u64> = self.numbers()?.complete.into_iter().filter(|number| *number > chosen).collect();
        for number in &later {
            let manifest = self.get(&manifest_path(*number))?;
            self.blobs.put(&BlobPath::from_iter([format!("{number:08}.json.set_aside")]), manifest.to_vec())?;
            self.blobs.delete(&manifest_path(*number))?;
        }
        Ok(later)
    }

    /// Removes the records of the journal that are not to be kept.
    ///
    /// # Errors
    /// If the journal cannot be read or written.
    pub fn keep_overtaken(&self, keep: impl Fn(&Overtaken) -> bool) -> Result<(), CheckpointError> {
        Journal::retain(&self.blobs, keep)
    }

    /// Returns the url of the store, as it was given.
    pub fn url(&self) -> &str {
        self.blobs.url()
    }

    /// Returns the folder of the checkpoints.
    pub fn folder(&self) -> &Path {
        self.blobs.folder()
    }

    /// Returns all records of the journal, the oldest first.
    ///
    /// # Errors
    /// If it cannot be read, or a line is not a record.
    pub fn overtaken(&self) -> Result<Vec<Overtaken>, CheckpointError> {
        Journal::read(&self.blobs)
    }

    /// Opens the journal to add to it. Only for the process that writes.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub fn journal(&self) -> Result<Journal, CheckpointError> {
        Journal::open(&self.blobs)
    }

    /// Reads the newest checkpoint that is whole, and in which `fault` finds nothing wrong.
    ///
    /// # Errors
    /// If the store cannot be listed, or a checkpoint was written by another version of tidemill.
    pub fn newest(
        &self,
        fault: impl Fn(&StoredCheckpoint) -> Option<String>,
    ) -> Result<NewestCheckpoint, CheckpointError> {
        let mut skipped = Vec::new();
        for number in self.numbers()?.complete.into_iter().rev() {
            match self.read_sound(number, &fault) {
                Ok(checkpoint) => return Ok(NewestCheckpoint { checkpoint: Some(checkpoint), skipped }),
                Err(error @ CheckpointError::Format { .. }) => return Err(error),
                Err(error) => skipped.push(error),
            }
        }
        Ok(NewestCheckpoint { checkpoint: None, skipped })
    }

    /// Writes a checkpoint and makes it current; then deletes all but the newest `keep`. One call at a time.
    ///
    /// # Errors
    /// If the store fails. The checkpoint before it stays current, and what was written is deleted.
    pub fn write(
        &self,
        fingerprint: &Fingerprint,
        time: EventTime,
        parts: impl IntoIterator<Item = (String, Vec<Vec<u8>>)>,
        keep: usize,
    ) -> Result<WrittenCheckpoint, CheckpointError> {
        let number = self.newest.load(SeqCst) + 1;
        let written = self.write_as(number, fingerprint, time, parts).inspect_err(|_| {
            // Its objects may take up the very space that is missing.
            let _ = self.blobs.delete_folder(&folder_path(number));
        })?;
        self.newest.store(number, SeqCst);
        if let Err(error) = self.retain(keep.max(1)) {
            tracing::warn!("old checkpoints could not be deleted: {}", crate::error::chain(&error));
        }
        Ok(written)
    }

    fn write_as(
        &self,
        number: u64,
        fingerprint: &Fingerprint,
        time: EventTime,
        parts: impl IntoIterator<Item = (String, Vec<Vec<u8>>)>,
    ) -> Result<WrittenCheckpoint, CheckpointError> {
        let mut entries: BTreeMap<String, Vec<PartEntry>> = BTreeMap::new();
        for (operator, parts) in parts {
            let entry = |part: &Vec<u8>| PartEntry { bytes: part.len() as u64, sha256: sha256(part) };
            let of_operator: Vec<PartEntry> = parts.iter().map(entry).collect();
            self.blobs.put(&part_path(number, &operator), concatenated(parts))?;
            entries.insert(operator, of_operator);
        }
        let size = |entries: &Vec<PartEntry>| entries.iter().map(|entry| entry.bytes).sum();
        let bytes = entries.iter().map(|(operator, entries)| (operator.clone(), size(entries))).collect();
        let manifest =
            CheckpointManifest { format: FORMAT, number, fingerprint: fingerprint.clone(), time, parts: entries };
        self.blobs.put(&manifest_path(number), seal(&manifest))?;
        Ok(WrittenCheckpoint { number, time, bytes })
    }

    /// Deletes what an interrupted run has left: manifests and objects of the journal that were being written. Only for the
    /// process that writes.
    ///
    /// # Errors
    /// If the folder cannot be read, or a file not deleted.
    pub fn remove_orphans(&self) -> Result<(), CheckpointError> {
        self.blobs.delete_orphans(&BlobPath::default())?;
        Ok(self.blobs.delete_orphans(&BlobPath::from_iter([journal::FOLDER]))?)
    }

    /// Reads a checkpoint in which `fault` finds nothing wrong.
    fn read_sound(
        &self,
        number: u64,
        fault: impl Fn(&StoredCheckpoint) -> Option<String>,
    ) -> Result<StoredCheckpoint, CheckpointError> {
        let checkpoint = self.read(number)?;
        match fault(&checkpoint) {
            None => Ok(checkpoint),
            Some(detail) => Err(CheckpointError::Damaged { path: manifest_path(number).to_string(), detail }),
        }
    }

    fn read(&self, number: u64) -> Result<StoredCheckpoint, CheckpointError> {
        let path = manifest_path(number);
        let damaged = |path: &BlobPath, detail: String| CheckpointError::Damaged { path: path.to_string(), detail };
        // The manifest.
        let text = self.get(&path)?;
        let wrong = |error: serde_json::Error| damaged(&path, error.to_string());
        let seal = seal_of(&text);
        if seal == Seal::Broken {
            return Err(damaged(&path, "its checksum is not that of its content".to_owned()));
        }
        let ManifestFormat { format } = serde_json::from_slice(&text).map_err(wrong)?;
        if format != FORMAT {
            return Err(CheckpointError::Format { path: path.to_string(), format, expected: FORMAT });
        }
        if seal == Seal::Missing {
            return Err(damaged(&path, "it has no checksum".to_owned()));
        }
        let manifest: CheckpointManifest = serde_json::from_slice(&text).map_err(wrong)?;
        if manifest.number != number {
            return Err(damaged(&path, format!("it is the manifest of checkpoint {}", manifest.number)));
        }
        if manifest.time.unsigned_abs() > FARTHEST {
            return Err(damaged(&path, format!("its time {} is out of range", manifest.time)));
        }
        // The parts that it lists.
        let mut parts = SnapshotParts::new();
        for (operator, entries) in manifest.parts {
            let path = part_path(number, &operator);
            let mut rest = self.get(&path)?;
            let mut read = Vec::new();
            for entry in entries {
                let bytes = usize::try_from(entry.bytes).unwrap_or(usize::MAX);
                if rest.len() < bytes {
                    return Err(damaged(&path, "it is truncated".to_owned()));
                }
                let part = rest.split_to(bytes);
                if sha256(&part) != entry.sha256 {
                    return Err(damaged(&path, "its sha256 is not the one in the manifest".to_owned()));
                }
                read.push(part.to_vec());
            }
            if !rest.is_empty() {
                return Err(damaged(&path, "it is longer than the manifest says".to_owned()));
            }
            parts.insert(operator, read);
        }
        Ok(StoredCheckpoint { number, time: manifest.time, fingerprint: manifest.fingerprint, parts })
    }

    /// Returns an object that must exist.
    fn get(&self, path: &BlobPath) -> Result<Bytes, CheckpointError> {
        let detail = || "it does not exist".to_owned();
        self.blobs.get(path)?.ok_or_else(|| CheckpointError::Damaged { path: path.to_string(), detail: detail() })
    }

    fn numbers(&self) -> Result<CheckpointNumbers, CheckpointError> {
        let listed = self.blobs.list(&BlobPath::default())?;
        let number = |name: &String| name.trim_end_matches(".json").parse::<u64>().ok();
        let mut complete: Vec<u64> = listed.objects.iter().filter_map(number).collect();
        complete.sort_unstable();
        let all = listed.folders.iter().filter_map(number).chain(complete.iter().copied()).collect();
        Ok(CheckpointNumbers { all, complete })
    }

    /// Deletes all but the newest `keep` complete checkpoints, and older ones that are not complete.
    fn retain(&self, keep: usize) -> Result<(), CheckpointError> {
        let CheckpointNumbers { all, complete } = self.numbers()?;
        let oldest = complete.len().checked_sub(keep).and_then(|at| complete.get(at)).copied().unwrap_or(0);
        for number in all.into_iter().filter(|number| *number < oldest) {
            // The manifest first: without it, the rest is no checkpoint.
            self.blobs.delete(&manifest_path(number))?;
            self.blobs.delete_folder(&folder_path(number))?;
        }
        Ok(())
    }
}

fn folder_path(number: u64) -> BlobPath {
    BlobPath::from_iter([format!("{number:08}")])
}

fn manifest_path(number: u64) -> BlobPath {
    BlobPath::from_iter([format!("{number:08}.json")])
}

fn part_path(number: u64, operator: &str) -> BlobPath {
    folder_path(number).join(operator)
}

/// Returns the parts as one; a single part is not copied.
fn concatenated(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    if parts.len() == 1 { parts.remove(0) } else { parts.concat() }
}
