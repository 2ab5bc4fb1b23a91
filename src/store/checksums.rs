//! `SHA256SUMS`: the hashes of the files of a folder, in the form that the command `sha256sum` reads.
//!
//! A file is hashed while it is written, so a bit that changes on its way to the disk or later is noticed. The list of the
//! parts of an offline file grows with them; [`PartSums`] keeps a hash of the list itself, which a checkpoint contains.
//!
//! ```
//! use tidemill::store::checksums::{FileSum, read, verify, write};
//!
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("a.parquet"), "rows")?;
//! let sum = FileSum { name: "a.parquet".to_owned(), sha256: tidemill::hash::sha256("rows") };
//! write(folder.path(), &[sum])?;
//! assert!(verify(folder.path()).is_ok());
//! std::fs::write(folder.path().join("a.parquet"), "bows")?;
//! assert!(verify(folder.path()).unwrap_err().to_string().contains("a.parquet: is damaged"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest, Sha256};

use crate::disk;
use crate::hash::hex;

/// The name of the list in its folder.
pub const LIST: &str = "SHA256SUMS";

/// An error of a list of hashes, or of a file that it names.
#[derive(Debug, thiserror::Error)]
pub enum ChecksumError {
    #[error("{path}: cannot be written")]
    Io {
        path: String,
        #[source]
        source: io::Error,
    },
    /// The file is not the one that was written.
    #[error("{path}: is damaged: {detail}")]
    Damaged { path: String, detail: String },
}

/// A file of a folder with the hash of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSum {
    /// The path, relative to the folder of the list.
    pub name: String,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

impl FileSum {
    fn line(&self) -> String {
        format!("{}  {}\n", self.sha256, self.name)
    }
}

/// A file that is hashed while it is written.
pub struct HashedFile {
    file: File,
    hash: Sha256,
}

impl HashedFile {
    /// Creates a file, in place of one that exists.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(HashedFile { file: File::create(path)?, hash: Sha256::new() })
    }

    /// Syncs the file with its entry in the folder, and returns the hash of what was written.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn finish(self, path: &Path) -> io::Result<String> {
        self.file.sync_all()?;
        disk::sync_folder_of(path)?;
        Ok(hex(&self.hash.finalize()))
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes the list of a folder, in place of one that exists.
///
/// # Errors
/// If the file system refuses.
pub fn write(folder: &Path, sums: &[FileSum]) -> Result<(), ChecksumError> {
    let (path, text) = (folder.join(LIST), sums.iter().map(FileSum::line).collect::<String>());
    let replaced = disk::replace(&path, text.as_bytes());
    replaced.map_err(|source| ChecksumError::Io { path: path.display().to_string(), source })
}

/// Reads the list of a folder.
///
/// # Errors
/// If there is none, or a line is not one of a list.
pub fn read(folder: &Path) -> Result<Vec<FileSum>, ChecksumError> {
    let path = folder.join(LIST);
    let damaged = |detail: String| ChecksumError::Damaged { path: path.display().to_string(), detail };
    let text = std::fs::read(&path).map_err(|error| damaged(format!("it cannot be read: {error}")))?;
    let text = String::from_utf8(text).map_err(|error| damaged(format!("it is not text: {error}")))?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(damaged("its last line has no end".to_owned()));
    }
    let sum = |(at, line): (usize, &str)| {
        let found = line.split_once("  ").filter(|(sha256, name)| {
            sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) && !name.is_empty()
        });
        let (sha256, name) = found.ok_or_else(|| damaged(format!("line {} is not a hash and a file", at + 1)))?;
        Ok(FileSum { name: name.to_owned(), sha256: sha256.to_owned() })
    };
    text.lines().enumerate().map(sum).collect()
}

/// Compares all files of a folder's list with it.
///
/// # Errors
/// If there is no list, or a file is missing or has other bytes; the error names it.
pub fn verify(folder: &Path) -> Result<Vec<FileSum>, ChecksumError> {
    let sums = read(folder)?;
    sums.iter().try_for_each(|sum| verify_file(folder, sum))?;
    Ok(sums)
}

/// Compares a file with its hash.
///
/// # Errors
/// If it is missing or has other bytes; the error names it.
pub fn verify_file(folder: &Path, sum: &FileSum) -> Result<(), ChecksumError> {
    let path = folder.join(&sum.name);
    let damaged = |detail: String| ChecksumError::Damaged { path: path.display().to_string(), detail };
    let found = hash_file(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => damaged("it does not exist".to_owned()),
        _ => damaged(format!("it cannot be read: {error}")),
    })?;
    if found != sum.sha256 {
        return Err(damaged(format!("its sha256 is {found}, {LIST} says {}", sum.sha256)));
    }
    Ok(())
}

fn hash_file(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut chunk) = (File::open(path)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&chunk[..read]),
        }
    }
}

/// The list of the parts of one file, which grows with each part that is closed.
pub struct PartSums {
    folder: PathBuf,
    /// The hash of the list so far.
    hash: Sha256,
}

impl PartSums {
    /// A list of no parts in a folder, which need not exist.
    pub fn new(folder: &Path) -> Self {
        PartSums { folder: folder.to_owned(), hash: Sha256::new() }
    }

    /// Deletes the list of an earlier run, if there is one.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn clear(&mut self) -> Result<(), ChecksumError> {
        self.hash = Sha256::new();
        let path = self.folder.join(LIST);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(ChecksumError::Io { path: path.display().to_string(), source: error })
            }
            _ => Ok(()),
        }
    }

    /// Adds a part that has been closed.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn add(&mut self, sum: &FileSum) -> Result<(), ChecksumError> {
        let (path, line) = (self.folder.join(LIST), sum.line());
        let append = || {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all(line.as_bytes())?;
            file.sync_data()?;
            disk::sync_folder_of(&path)
        };
        append().map_err(|source| ChecksumError::Io { path: path.display().to_string(), source })?;
        self.hash.update(&line);
        Ok(())
    }

    /// Returns the state of the list's hash, which [`PartSums::resume`] takes.
    pub fn save(&self) -> Vec<u8> {
        self.hash.serialize().as_slice().to_vec()
    }

    /// Goes on from a list of `parts` parts that was saved; parts after them are removed from it.
    ///
    /// # Errors
    /// If the list is damaged, or is not the one that was saved.
    pub fn resume(&mut self, parts: usize, saved: &[u8]) -> Result<Vec<FileSum>, ChecksumError> {
        let state = saved.try_into().ok().and_then(|state| Sha256::deserialize(state).ok());
        self.hash = state.ok_or_else(|| self.damaged("the hash of it that was saved is damaged".to_owned()))?;
        let mut sums = if parts == 0 { Vec::new() } else { self.read(parts)? };
        sums.truncate(parts);
        if self.folder.exists() {
            write(&self.folder, &sums)?;
        }
        Ok(sums)
    }

    /// Reads the list; the first `parts` parts must be those that were added.
    ///
    /// # Errors
    /// If they are not.
    pub fn read(&self, parts: usize) -> Result<Vec<FileSum>, ChecksumError> {
        let sums = read(&self.folder)?;
        let mut hash = Sha256::new();
        sums.iter().take(parts).for_each(|sum| hash.update(sum.line()));
        if sums.len() < parts || hash.finalize() != self.hash.clone().finalize() {
            return Err(self.damaged("it is not the list that was written".to_owned()));
        }
        Ok(sums)
    }

    fn damaged(&self, detail: String) -> ChecksumError {
        ChecksumError::Damaged { path: self.folder.join(LIST).display().to_string(), detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(name: &str, bytes: &str) -> FileSum {
        FileSum { name: name.to_owned(), sha256: crate::hash::sha256(bytes) }
    }

    #[test]
    fn a_list_goes_on_from_what_was_saved_and_forgets_what_came_after() {
        let folder = tempfile::tempdir().unwrap();
        let mut sums = PartSums::new(folder.path());
        sums.add(&sum("1", "a")).unwrap();
        let saved = sums.save();
        sums.add(&sum("2", "b")).unwrap();
        let mut again = PartSums::new(folder.path());
        assert_eq!(again.resume(1, &saved).unwrap(), [sum("1", "a")]);
        again.add(&sum("2", "c")).unwrap();
        assert_eq!(again.read(2).unwrap(), [sum("1", "a"), sum("2", "c")]);
        assert!(sums.read(2).is_err(), "a list of other parts");
        assert!(PartSums::new(folder.path()).resume(1, &saved[1..]).is_err(), "half a state");
    }

    #[test]
    fn each_flipped_bit_of_a_list_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut sums = PartSums::new(folder.path());
        sums.add(&sum("00000001.parquet", "a")).unwrap();
        sums.add(&sum("00000002.parquet", "b")).unwrap();
        let path = folder.path().join(LIST);
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &flipped).unwrap();
            let error = sums.read(2).map(|read| panic!("bit {bit}: {read:?}")).unwrap_err();
            assert!(error.to_string().contains(LIST), "{error}");
        }
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(sums.read(2).is_err());
    }
}
