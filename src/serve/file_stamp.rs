//! The stamp of a file, by which a change of it is noticed.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The longest time after which a change of a file is noticed.
pub const CHECK: Duration = Duration::from_secs(1);

/// The identity, the size and the time of the newest change of a file. Of a link, those of the file that it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: SystemTime,
}

impl FileStamp {
    /// Returns the present stamp of a file; `None` if there is no such file, or it cannot be reached.
    pub fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        let changed = found.modified().ok()?;
        Some(FileStamp { device: found.dev(), inode: found.ino(), bytes: found.len(), changed })
    }
}
