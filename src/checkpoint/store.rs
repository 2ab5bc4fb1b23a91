//! Checkpoints on an object store: snapshots that outlive the process.
//!
//! | object | what |
//! |---|---|
//! | `{number}/{operator}` | the parts of an operator, one after another |
//! | `{number}.json` | the manifest: written last, and whole or not at all; without it there is no checkpoint |
//! | `journal.jsonl` | records that came below the frontier, and when they took effect |
//!
//! Numbers count from 1, with eight digits. The manifest has the format's number, the dataflow's name and the hash of
//! its definition, what each topic is read from, the event time, and each part's length and SHA-256. A checkpoint that is
//! not whole is passed over with a warning; of those that are, the one with the highest number counts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use super::{CheckpointError, Journal, SnapshotParts};
use crate::time::EventTime;

const FORMAT: u32 = 2;

/// What a checkpoint belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    pub dataflow: String,
    /// The hash of the dataflow's definition.
    pub definition: String,
    /// What each topic is read from: offsets of one transport mean nothing to another.
    pub topics: BTreeMap<String, String>,
}

/// A snapshot with its number.
#[derive(Debug)]
pub struct StoredCheckpoint {
    pub number: u64,
    pub time: EventTime,
    pub fingerprint: Fingerprint,
    pub parts: SnapshotParts,
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

/// What the manifest of any version has.
#[derive(Debug, Deserialize)]
struct ManifestFormat {
    format: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct PartEntry {
    bytes: u64,
    sha256: String,
}

/// The checkpoints of one dataflow.
pub struct CheckpointStore {
    url: String,
    folder: PathBuf,
    store: Arc<dyn ObjectStore>,
    runtime: Runtime,
    newest: AtomicU64,
}

/// A checkpoint that has become current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenCheckpoint {
    pub number: u64,
    pub time: EventTime,
    /// The size of each operator's state.
    pub bytes: BTreeMap<String, u64>,
}

impl CheckpointStore {
    /// The folder that a path or `file://` url names.
    ///
    /// # Errors
    /// If the url has another scheme.
    pub fn folder(url: &str) -> Result<String, CheckpointError> {
        match url.strip_prefix("file://") {
            None if url.contains("://") || url.is_empty() => Err(CheckpointError::Url(url.to_owned())),
            rest => Ok(rest.unwrap_or(url).to_owned()),
        }
    }

    /// The checkpoints at a path or `file://` url; the folder is made if it is not there.
    ///
    /// # Errors
    /// If the url has another scheme or the folder cannot be made or listed.
    pub fn open(url: &str) -> Result<Self, CheckpointError> {
        let path = CheckpointStore::folder(url)?;
        let folder = |source| CheckpointError::Folder { path: path.clone(), source };
        std::fs::create_dir_all(&path).map_err(folder)?;
        let store = LocalFileSystem::new_with_prefix(&path).map_err(failed("opening", &path))?;
        let store = Arc::new(store.with_fsync(true).with_automatic_cleanup(true));
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(folder)?;
        let newest = AtomicU64::new(0);
        let store = CheckpointStore { url: url.to_owned(), folder: path.clone().into(), store, runtime, newest };
        store.newest.store(store.listed()?.0.into_iter().max().unwrap_or(0), SeqCst);
        Ok(store)
    }

    /// The checkpoint that a path names: of a folder the newest that is whole, with what is wrong with those after it,
    /// or the one of a manifest; and the journal beside it.
    ///
    /// # Errors
    /// If there is nothing, or it cannot be read.
    pub fn open_path(
        path: &std::path::Path,
    ) -> Result<(Option<StoredCheckpoint>, Vec<CheckpointError>, Journal), CheckpointError> {
        let shown = path.display().to_string();
        if path.is_dir() {
            let store = CheckpointStore::open(&shown)?;
            let (newest, damaged) = store.newest()?;
            return Ok((newest, damaged, store.journal()));
        }
        std::fs::metadata(path).map_err(|source| CheckpointError::Folder { path: shown.clone(), source })?;
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json")?.parse::<u64>().ok());
        let detail = "it is no manifest; expected NUMBER.json, or the folder".to_owned();
        let number = number.ok_or(CheckpointError::Damaged { path: shown, detail })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let store = CheckpointStore::open(&folder.unwrap_or(std::path::Path::new(".")).to_string_lossy())?;
        Ok((Some(store.read(number)?), Vec::new(), store.journal()))
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The newest checkpoint that is whole, and what is wrong with those after it.
    ///
    /// # Errors
    /// If the store cannot be listed, or one is of another version of tidemill.
    pub fn newest(&self) -> Result<(Option<StoredCheckpoint>, Vec<CheckpointError>), CheckpointError> {
        let mut damaged = Vec::new();
        let mut numbers = self.listed()?.1;
        numbers.sort_unstable();
        for number in numbers.into_iter().rev() {
            match self.read(number) {
                Ok(snapshot) => return Ok((Some(snapshot), damaged)),
                Err(error @ CheckpointError::Format { .. }) => return Err(error),
                Err(error) => damaged.push(error),
            }
        }
        Ok((None, damaged))
    }

    /// Writes a checkpoint and makes it current; then deletes all but the newest `keep`. One at a time.
    ///
    /// # Errors
    /// If the store fails: the checkpoint before it stays current.
    pub fn write(
        &self,
        fingerprint: &Fingerprint,
        time: EventTime,
        parts: impl IntoIterator<Item = (String, Vec<Vec<u8>>)>,
        keep: usize,
    ) -> Result<WrittenCheckpoint, CheckpointError> {
        let number = self.newest.load(SeqCst) + 1;
        let written = self.write_as(number, fingerprint, time, parts).inspect_err(|_| {
            // What is there of it takes up room that may be what is missing.
            let _ = std::fs::remove_dir_all(self.folder.join(name(number)));
        })?;
        self.newest.store(number, SeqCst);
        if let Err(error) = self.retain(keep.max(1)) {
            tracing::warn!("old checkpoints could not be deleted: {error}");
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
        let mut pieces: BTreeMap<String, Vec<PartEntry>> = BTreeMap::new();
        for (operator, parts) in parts {
            let piece = |part: &Vec<u8>| PartEntry { bytes: part.len() as u64, sha256: sha256(part) };
            let of_operator: Vec<PartEntry> = parts.iter().map(piece).collect();
            self.put(&part_path(number, &operator), joined(parts))?;
            pieces.insert(operator, of_operator);
        }
        let size = |pieces: &Vec<PartEntry>| pieces.iter().map(|piece| piece.bytes).sum();
        let bytes = pieces.iter().map(|(operator, pieces)| (operator.clone(), size(pieces))).collect();
        let manifest =
            CheckpointManifest { format: FORMAT, number, fingerprint: fingerprint.clone(), time, parts: pieces };
        let mut text = serde_json::to_vec_pretty(&manifest).expect("a manifest has a JSON form");
        text.push(b'\n');
        self.put(&manifest_path(number), text)?;
        Ok(WrittenCheckpoint { number, time, bytes })
    }

    /// Clears away what a process that was killed or had no room left behind: objects that were being written. Only for
    /// who is going to write.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn remove_orphans(&self) -> Result<(), CheckpointError> {
        let folder = |source| CheckpointError::Folder { path: self.folder.display().to_string(), source };
        for entry in std::fs::read_dir(&self.folder).map_err(folder)? {
            let path = entry.map_err(folder)?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().contains(".json#")) {
                std::fs::remove_file(&path).map_err(folder)?;
            }
        }
        Ok(())
    }

    /// Records that came below the frontier.
    pub fn journal(&self) -> Journal {
        Journal::at(&self.folder)
    }

    fn read(&self, number: u64) -> Result<StoredCheckpoint, CheckpointError> {
        let path = manifest_path(number);
        let damaged = |path: &Path, detail: String| CheckpointError::Damaged { path: path.to_string(), detail };
        let text = self.get(&path)?;
        let wrong = |error: serde_json::Error| damaged(&path, error.to_string());
        let ManifestFormat { format } = serde_json::from_slice(&text).map_err(wrong)?;
        if format != FORMAT {
            return Err(CheckpointError::Format { path: path.to_string(), format, expected: FORMAT });
        }
        let manifest: CheckpointManifest = serde_json::from_slice(&text).map_err(wrong)?;
        let mut parts = SnapshotParts::new();
        for (operator, pieces) in manifest.parts {
            let path = part_path(number, &operator);
            let mut rest = self.get(&path)?;
            let mut read = Vec::new();
            for piece in pieces {
                let bytes = usize::try_from(piece.bytes).unwrap_or(usize::MAX);
                if rest.len() < bytes {
                    return Err(damaged(&path, "it is cut short".to_owned()));
                }
                let part = rest.split_to(bytes);
                if sha256(&part) != piece.sha256 {
                    return Err(damaged(&path, "its sha256 is not the manifest's".to_owned()));
                }
                read.push(part.to_vec());
            }
            parts.insert(operator, read);
        }
        Ok(StoredCheckpoint { number, time: manifest.time, fingerprint: manifest.fingerprint, parts })
    }

    /// Every number that has any object, and those that have a manifest.
    fn listed(&self) -> Result<(Vec<u64>, Vec<u64>), CheckpointError> {
        let listed = self.runtime.block_on(self.store.list_with_delimiter(None));
        let listed = listed.map_err(failed("listing", &self.url))?;
        let number = |path: &Path| path.filename()?.trim_end_matches(".json").parse::<u64>().ok();
        let whole: Vec<u64> = listed.objects.iter().filter_map(|object| number(&object.location)).collect();
        let all = listed.common_prefixes.iter().filter_map(number).chain(whole.iter().copied()).collect();
        Ok((all, whole))
    }

    fn retain(&self, keep: usize) -> Result<(), CheckpointError> {
        let (all, mut whole) = self.listed()?;
        whole.sort_unstable();
        let oldest = whole.len().checked_sub(keep).and_then(|at| whole.get(at)).copied().unwrap_or(0);
        for number in all.into_iter().filter(|number| *number < oldest) {
            self.delete(&manifest_path(number))?;
            let folder = Path::from_iter([name(number)]);
            let listed = self.runtime.block_on(self.store.list_with_delimiter(Some(&folder)));
            for object in listed.map_err(failed("listing", folder.as_ref()))?.objects {
                self.delete(&object.location)?;
            }
            // Something that was being written may be left there.
            let _ = std::fs::remove_dir_all(self.folder.join(name(number)));
        }
        Ok(())
    }

    fn get(&self, path: &Path) -> Result<Bytes, CheckpointError> {
        let read = async { self.store.get(path).await?.bytes().await };
        self.runtime.block_on(read).map_err(failed("reading", path.as_ref()))
    }

    fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<(), CheckpointError> {
        let written = self.runtime.block_on(self.store.put(path, bytes.into()));
        written.map(drop).map_err(failed("writing", &format!("{}/{path}", self.url)))
    }

    fn delete(&self, path: &Path) -> Result<(), CheckpointError> {
        match self.runtime.block_on(self.store.delete(path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("deleting", path.as_ref())(error)),
        }
    }
}

fn name(number: u64) -> String {
    format!("{number:08}")
}

fn manifest_path(number: u64) -> Path {
    Path::from(format!("{}.json", name(number)))
}

fn part_path(number: u64, operator: &str) -> Path {
    Path::from_iter([name(number).as_str(), operator])
}

/// The parts one after another; of one part, without a copy.
fn joined(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    if parts.len() == 1 { parts.remove(0) } else { parts.concat() }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn failed(action: &'static str, path: &str) -> impl FnOnce(object_store::Error) -> CheckpointError {
    let path = path.to_owned();
    move |why| CheckpointError::Store { action, path, why }
}
