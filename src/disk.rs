//! File-system steps that survive a crash or a power failure.
//!
//! Syncing a file does not make its directory entry durable: the directory is a file of its own and needs a sync, too.
//!
//! ```
//! let folder = tempfile::tempdir()?;
//! let data = folder.path().join("data");
//! std::fs::create_dir(&data)?;
//! assert_eq!(tidemill::disk::archive_previous(&data)?, None, "an empty folder stays");
//! std::fs::write(data.join("a"), "x")?;
//! assert_eq!(tidemill::disk::archive_previous(&data)?, Some(folder.path().join("data.1")));
//! assert!(!data.exists());
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::File;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};

/// Fsyncs the parent directory of `path`, so that a created, renamed or deleted entry survives a power failure.
///
/// # Errors
/// If the directory cannot be opened or synced.
pub fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Renames a non-empty folder to the first free one of `{folder}.1`, `{folder}.2` and so on, and returns the new path.
/// Returns `None` if there is no such folder or it is empty.
///
/// # Errors
/// If the folder cannot be renamed; the error names it.
pub fn archive_previous(folder: &Path) -> Result<Option<PathBuf>> {
    if std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none()) {
        return Ok(None);
    }
    let numbered = |number: u32| {
        let mut path = folder.as_os_str().to_owned();
        path.push(format!(".{number}"));
        PathBuf::from(path)
    };
    let free = (1..).map(numbered).find(|path| !path.exists()).expect("some number is free");
    std::fs::rename(folder, &free).map_err(|error| {
        Error::new(error.kind(), format!("{} cannot be renamed to {}: {error}", folder.display(), free.display()))
    })?;
    Ok(Some(free))
}
