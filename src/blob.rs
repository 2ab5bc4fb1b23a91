//! Whole objects under a path or `file://` url: written, read, listed and deleted, blocking.
//!
//! Every write is of a whole object and atomic: a reader finds the old object or the new one, and after a crash there is no
//! half of one. The registry and the checkpoints are built on this, so another kind of object store is one more scheme
//! here.
//!
//! ```
//! use tidemill::blob::{BlobPath, Blobs, Durability};
//!
//! let folder = tempfile::tempdir().unwrap();
//! let url = format!("file://{}/some%20models", folder.path().display());
//! let blobs = Blobs::open(&url, Durability::Process).unwrap();
//! let path = BlobPath::from_iter(["late", "1", "model.json"]);
//! blobs.put(&path, b"{}".to_vec()).unwrap();
//! assert_eq!(blobs.get(&path).unwrap().unwrap(), "{}");
//! assert!(!blobs.create(&path, Vec::new()).unwrap(), "there is an object already");
//! assert_eq!(blobs.list(&BlobPath::from_iter(["late"])).unwrap().folders, ["1"]);
//! assert!(folder.path().join("some models/late/1/model.json").exists(), "the url is percent-decoded");
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use percent_encoding::percent_decode_str;
use tokio::runtime::Runtime;

/// The path of an object or a folder, relative to the url; its parts are percent-encoded where they must be.
pub use object_store::path::Path as BlobPath;

use crate::secret;

/// The failures that a write survives once it has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, in whatever way.
    Process,
    /// A power failure, too. Costs some 10 ms a write.
    PowerFailure,
}

/// An error of an object store.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("`{0}` is not supported; expected a path or file:///…")]
    Url(String),
    #[error("folder `{path}` cannot be used")]
    Folder {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// The message of an [`object_store::Error`] includes its causes.
    #[error("{action} `{path}` failed: {why}")]
    Store { action: &'static str, path: String, why: object_store::Error },
}

/// The direct contents of a folder, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    pub objects: Vec<String>,
    pub folders: Vec<String>,
}

/// The objects under an url. Cloning shares the store.
///
/// All methods block. They must not be called from an async task; a blocking task is fine.
#[derive(Clone)]
pub struct Blobs {
    url: Arc<str>,
    folder: Arc<Path>,
    store: Arc<dyn ObjectStore>,
    runtime: Arc<Runtime>,
}

impl Blobs {
    /// Returns the folder that a path or a `file://` url names. An url is percent-decoded, a path is not.
    ///
    /// # Errors
    /// If the url has another scheme, no `///` after `file:`, or is empty.
    pub fn folder_of(url: &str) -> Result<PathBuf, BlobError> {
        match url.strip_prefix("file:") {
            // An url names a folder from the root on: file://tmp/x would be x on the host tmp.
            Some(path) => match path.strip_prefix("//").filter(|path| path.starts_with('/')) {
                Some(path) => Ok(percent_decode_str(path).decode_utf8_lossy().into_owned().into()),
                None => Err(BlobError::Url(secret::masked(url).into_owned())),
            },
            None if url.contains("://") || url.is_empty() => Err(BlobError::Url(secret::masked(url).into_owned())),
            None => Ok(url.into()),
        }
    }

    /// Opens a path or a `file://` url. The folder is created if it does not exist.
    ///
    /// # Errors
    /// If the url has another scheme, or the folder cannot be created.
    pub fn open(url: &str, durability: Durability) -> Result<Self, BlobError> {
        let folder = Blobs::folder_of(url)?;
        let label = folder.display().to_string();
        let failed = |source| BlobError::Folder { path: label.clone(), source };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let store = LocalFileSystem::new_with_prefix(&folder).map_err(|why| BlobError::Store {
            action: "opening",
            path: label.clone(),
            why,
        })?;
        let is_synced = durability == Durability::PowerFailure;
        Ok(Blobs {
            url: url.into(),
            folder: folder.into(),
            store: Arc::new(store.with_fsync(is_synced).with_automatic_cleanup(true)),
            runtime: Arc::new(tokio::runtime::Builder::new_current_thread().build().map_err(failed)?),
        })
    }

    /// Returns the url as it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the folder of the objects.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns an object, or `None` if there is none.
    ///
    /// # Errors
    /// If the store fails.
    pub fn get(&self, path: &BlobPath) -> Result<Option<Bytes>, BlobError> {
        let read = async { self.store.get(path).await?.bytes().await };
        match self.runtime.block_on(read) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(why) => Err(self.failed("reading", path, why)),
        }
    }

    /// Writes an object, in place of one that exists.
    ///
    /// # Errors
    /// If the store fails; the object is unchanged then.
    pub fn put(&self, path: &BlobPath, bytes: Vec<u8>) -> Result<(), BlobError> {
        let written = self.runtime.block_on(self.store.put(path, bytes.into()));
        written.map(drop).map_err(|why| self.failed("writing", path, why))
    }

    /// Writes an object unless one exists. Returns whether it did.
    ///
    /// # Errors
    /// If the store fails.
    pub fn create(&self, path: &BlobPath, bytes: Vec<u8>) -> Result<bool, BlobError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.runtime.block_on(self.store.put_opts(path, bytes.into(), options)) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(why) => Err(self.failed("writing", path, why)),
        }
    }

    /// Returns the direct contents of a folder; the root is [`BlobPath::default`]. Empty if there is no such folder.
    ///
    /// # Errors
    /// If the store fails, or its own folder is gone.
    pub fn list(&self, folder: &BlobPath) -> Result<Listing, BlobError> {
        // An empty answer would be taken for a store without objects.
        if let Err(source) = std::fs::metadata(&self.folder) {
            return Err(BlobError::Folder { path: self.folder.display().to_string(), source });
        }
        let listed = self.runtime.block_on(self.store.list_with_delimiter(Some(folder)));
        let listed = listed.map_err(|why| self.failed("listing", folder, why))?;
        let names = |paths: Vec<&BlobPath>| {
            let mut names: Vec<String> =
                paths.into_iter().filter_map(|path| path.filename().map(str::to_owned)).collect();
            names.sort_unstable();
            names
        };
        Ok(Listing {
            objects: names(listed.objects.iter().map(|object| &object.location).collect()),
            folders: names(listed.common_prefixes.iter().collect()),
        })
    }

    /// Deletes an object, if it exists.
    ///
    /// # Errors
    /// If the store fails.
    pub fn delete(&self, path: &BlobPath) -> Result<(), BlobError> {
        match self.runtime.block_on(self.store.delete(path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(why) => Err(self.failed("deleting", path, why)),
        }
    }

    /// Deletes the objects of a folder, and what an interrupted write has left there.
    ///
    /// # Errors
    /// If the store fails. What an interrupted write has left is deleted if possible.
    pub fn delete_folder(&self, folder: &BlobPath) -> Result<(), BlobError> {
        for name in self.list(folder)?.objects {
            self.delete(&folder.clone().join(name))?;
        }
        let _ = std::fs::remove_dir_all(self.folder.join(folder.as_ref()));
        Ok(())
    }

    /// Deletes what interrupted writes have left beside the objects of a folder. Only for the one process that writes.
    ///
    /// # Errors
    /// If the folder cannot be read, or a file not deleted.
    pub fn delete_orphans(&self, folder: &BlobPath) -> Result<(), BlobError> {
        let folder = self.folder.join(folder.as_ref());
        if !folder.exists() {
            return Ok(());
        }
        let failed = |source| BlobError::Folder { path: folder.display().to_string(), source };
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            // An object is written as `{name}#{number}` and then renamed.
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let is_staged = |(_, number): (&str, &str)| number.parse::<u64>().is_ok();
            if path.is_file() && name.rsplit_once('#').is_some_and(is_staged) {
                std::fs::remove_file(&path).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn failed(&self, action: &'static str, path: &BlobPath, why: object_store::Error) -> BlobError {
        BlobError::Store { action, path: format!("{}/{path}", self.url), why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_an_url_name_the_same_folder_and_other_schemes_are_refused() {
        assert_eq!(Blobs::folder_of("/a b/c").unwrap(), Path::new("/a b/c"));
        assert_eq!(Blobs::folder_of("file:///a%20b/c").unwrap(), Path::new("/a b/c"));
        assert_eq!(Blobs::folder_of("/a%20b").unwrap(), Path::new("/a%20b"), "a path is taken literally");
        for wrong in ["", "s3://bucket/a", "http://host/a", "file:/a", "file://a/b", "file:a"] {
            let error = Blobs::folder_of(wrong).unwrap_err().to_string();
            assert_eq!(error, format!("`{wrong}` is not supported; expected a path or file:///…"));
        }
    }

    #[test]
    fn a_store_whose_folder_is_gone_is_not_taken_for_an_empty_one() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("models");
        let blobs = Blobs::open(&folder.to_string_lossy(), Durability::Process).unwrap();
        assert_eq!(blobs.list(&BlobPath::default()).unwrap(), Listing::default());
        std::fs::remove_dir(&folder).unwrap();
        let error = blobs.list(&BlobPath::from_iter(["late"])).unwrap_err().to_string();
        assert!(error.contains("models` cannot be used"), "{error}");
    }

    #[test]
    fn a_folder_is_deleted_with_what_an_interrupted_write_has_left() {
        let root = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&root.path().to_string_lossy(), Durability::Process).unwrap();
        let folder = BlobPath::from_iter(["7"]);
        blobs.put(&BlobPath::from_iter(["7", "a"]), b"x".to_vec()).unwrap();
        std::fs::write(root.path().join("7/b#1"), "half").unwrap();
        std::fs::write(root.path().join("8.json#2"), "half").unwrap();
        assert_eq!(blobs.list(&folder).unwrap().objects, ["a"], "half an object is not listed");
        blobs.delete_folder(&folder).unwrap();
        blobs.delete_orphans(&BlobPath::default()).unwrap();
        blobs.delete_orphans(&BlobPath::from_iter(["no such folder"])).unwrap();
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        assert_eq!(blobs.list(&folder).unwrap(), Listing::default());
        assert_eq!(blobs.get(&BlobPath::from_iter(["7", "a"])).unwrap(), None);
        blobs.delete(&BlobPath::from_iter(["7", "a"])).unwrap();
    }
}
