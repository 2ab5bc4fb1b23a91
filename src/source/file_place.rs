//! Identity of files: what has been read of them, so that a restart can tell whether they are still the same.
//!
//! A file is known by the bytes that were read from it, decompressed, and not by its name: another file of the same name
//! has other bytes, and one that was appended to begins with the same ones. Where a restart resumes, everything before is
//! hashed again and compared.

use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::time::Offset;

/// The part of a file that has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    /// Bytes, decompressed; rows of a format that seeks.
    pub length: u64,
    /// XXH3 of these bytes; of a format that seeks, of what identifies the file.
    pub hash: u64,
}

/// A place in the files of a topic, between two records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePlace {
    /// The number of records before it.
    pub offset: Offset,
    /// The files that were read whole, in order.
    pub finished: Vec<FileContent>,
    /// The part of the next file that was read.
    pub current: FileContent,
}

/// The running hash of what is read of a file.
#[derive(Clone)]
pub struct ContentHasher {
    length: u64,
    hasher: XxHash3_64,
    last: Option<u8>,
}

impl Default for ContentHasher {
    fn default() -> Self {
        ContentHasher { length: 0, hasher: XxHash3_64::with_seed(0), last: None }
    }
}

impl ContentHasher {
    /// Adds bytes that have been read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.hasher.write(bytes);
        self.last = bytes.last().copied().or(self.last);
    }

    /// Returns the number of bytes that have been read.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns whether a file whose next byte is this one goes on in the line that was read last.
    pub fn is_within_line(&self, next: Option<u8>) -> bool {
        let is_line_break = |byte: u8| matches!(byte, b'\n' | b'\r');
        self.last.is_some_and(|last| !is_line_break(last)) && next.is_some_and(|next| !is_line_break(next))
    }

    /// Returns what has been read.
    pub fn content(&self) -> FileContent {
        FileContent { length: self.length, hash: self.hasher.finish() }
    }
}
