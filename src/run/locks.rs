//! The lock on a dataflow's folder: one run at a time.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::Context;

use super::Failure;
use crate::disk;

/// The lock, held as long as this exists; the system releases it however the process ends.
pub struct DataDirLock {
    _file: File,
}

/// Locks the folder of a dataflow, which is made if it does not exist. On a file system without locks the lock is skipped
/// with a warning.
///
/// # Errors
/// If another run holds the lock, or the folder cannot be written.
pub fn lock_data_dir(home: &Path) -> Result<DataDirLock, Failure> {
    let path = home.join("run.lock");
    let opened = std::fs::create_dir_all(home).and_then(|()| File::create(&path));
    let file = opened.with_context(|| format!("{} cannot be written", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let home = home.display();
            return Err(Failure::Usage(format!(
                "error: {home} is locked by another run; stop it or set another data_dir"
            )));
        }
        Err(TryLockError::Error(error)) => {
            tracing::warn!("{} cannot be locked, so a second run would not be refused: {error}", path.display());
        }
    }
    // Files of an earlier version may be readable by every user of this machine.
    disk::restrict(home).with_context(|| format!("{} cannot be read", home.display()))?;
    Ok(DataDirLock { _file: file })
}
