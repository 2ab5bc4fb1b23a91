//! Locks on the folders that a run or a replay owns: one owner at a time.
//!
//! A lock is a file `tidemill.lock` in the folder, locked as long as its owner lives: the system releases it however the
//! process ends. The file names the owner. That of a run's own folder, and of folders elsewhere that it writes, stays: a
//! replay does not write to the folder of a run. All others are deleted at the end.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::disk::LOCK;
use crate::time::format_time;

/// The longest time to wait for a process that is ending.
const PATIENCE: Duration = Duration::from_secs(1);

/// The verb of a live run.
pub const RUN: &str = "run";

/// The process that holds a lock, or held it last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockOwner {
    pub verb: String,
    pub dataflow: String,
    pub pid: u32,
    pub host: String,
    /// Wall-clock time, RFC 3339.
    pub since: String,
}

impl LockOwner {
    fn this(verb: &str, dataflow: &str) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64);
        LockOwner {
            verb: verb.to_owned(),
            dataflow: dataflow.to_owned(),
            pid: std::process::id(),
            host: host.trim().to_owned(),
            since: format_time(now),
        }
    }

    /// Returns the owner that a folder's lock file names, if there is one.
    pub fn of(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.join(LOCK)).ok()?).ok()
    }
}

/// The locks of this process.
pub struct Locks {
    owner: LockOwner,
    held: Vec<HeldLock>,
}

struct HeldLock {
    folder: PathBuf,
    file: File,
    /// True if the file stays.
    is_kept: bool,
}

impl Drop for Locks {
    /// Deletes files before their locks are released, so that none is deleted that another process has locked.
    fn drop(&mut self) {
        for lock in self.held.iter().filter(|lock| !lock.is_kept) {
            let path = lock.folder.join(LOCK);
            if is_at(&lock.file, &path) {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

impl Locks {
    /// Returns no locks of a verb on a dataflow.
    pub fn new(verb: &'static str, dataflow: &str) -> Self {
        Locks { owner: LockOwner::this(verb, dataflow), held: Vec::new() }
    }

    /// Locks a folder, which is created if it does not exist, unless this process holds its lock already. On a file system
    /// without locks the lock is skipped with a warning. `advice` says what to do if another process holds it.
    ///
    /// # Errors
    /// If another process holds the lock, or the folder cannot be written.
    pub fn acquire(&mut self, folder: &Path, advice: &str) -> Result<(), Failure> {
        let path = folder.join(LOCK);
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be created", folder.display()))?;
        let canonical = folder.canonicalize().with_context(|| format!("{} cannot be read", folder.display()))?;
        if self.held.iter().any(|lock| lock.folder == canonical && is_at(&lock.file, &path)) {
            return Ok(());
        }
        self.held.retain(|lock| lock.folder != canonical);
        let begun = Instant::now();
        loop {
            let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = opened.with_context(|| format!("{} cannot be written", path.display()))?;
            match file.try_lock() {
                // Another process may have moved the folder away in between.
                Ok(()) if !is_at(&file, &path) => continue,
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(PATIENCE / 20);
                    continue;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Failure::Usage(format!("error: {}; {advice}", held_by_another(folder, &mut file))));
                }
                Err(TryLockError::Error(error)) => {
                    let path = path.display();
                    tracing::warn!("{path} cannot be locked, so a second owner would not be refused: {error}");
                }
            }
            if let Err(error) = self.sign(&mut file) {
                tracing::warn!("{} cannot be written, so it does not name its owner: {error}", path.display());
            }
            // The first one is that of the run's own folder.
            let is_elsewhere = self.held.first().is_none_or(|own| !canonical.starts_with(&own.folder));
            let is_kept = self.owner.verb == RUN && is_elsewhere;
            self.held.push(HeldLock { folder: canonical, file, is_kept });
            return Ok(());
        }
    }

    /// Returns the folders that are gone, or were replaced by others.
    pub fn lost(&self) -> impl Iterator<Item = &Path> {
        let is_lost = |lock: &&HeldLock| !is_at(&lock.file, &lock.folder.join(LOCK));
        self.held.iter().filter(is_lost).map(|lock| lock.folder.as_path())
    }

    /// Writes the owner to a lock file.
    fn sign(&self, file: &mut File) -> io::Result<()> {
        let mut text = serde_json::to_vec(&self.owner)?;
        text.push(b'\n');
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&text)
    }
}

/// Returns who holds the lock of a folder, in words.
fn held_by_another(folder: &Path, file: &mut File) -> String {
    let mut text = String::new();
    let owner = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str::<LockOwner>(&text).ok());
    let folder = folder.display();
    match owner {
        Some(LockOwner { verb, dataflow, pid, host, since }) => {
            format!("{folder} is locked by another {verb}: of {dataflow}, process {pid} on {host}, since {since}")
        }
        None => format!("{folder} is locked by another run"),
    }
}

/// Returns whether a path still names an open file.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let (file, path) = (file.metadata().map(id), std::fs::metadata(path).map(id));
    matches!((file, path), (Ok(file), Ok(path)) if file == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(locks: &mut Locks, folder: &Path) -> String {
        match locks.acquire(folder, "stop it") {
            Err(Failure::Usage(text)) => text,
            other => panic!("{:?} is locked: {other:?}", folder),
        }
    }

    #[test]
    fn a_second_owner_is_refused_by_the_name_of_the_first() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("home");
        let mut first = Locks::new(RUN, "flights");
        first.acquire(&folder, "").unwrap();
        first.acquire(&root.path().join("home/../home"), "").unwrap();
        let text = refusal(&mut Locks::new("replay", "flights"), &folder);
        let owner = LockOwner::of(&folder).unwrap();
        assert_eq!((owner.verb.as_str(), owner.pid), ("run", std::process::id()));
        let expected = format!("is locked by another run: of flights, process {} on {}", owner.pid, owner.host);
        assert!(text.contains(&expected) && text.ends_with(&format!("since {}; stop it", owner.since)), "{text}");
        drop(first);
        assert_eq!(LockOwner::of(&folder), Some(owner), "the folder is still that of a run");
        let mut second = Locks::new("replay", "flights");
        second.acquire(&folder, "").unwrap();
        assert_eq!(LockOwner::of(&folder).unwrap().verb, "replay");
        drop(second);
        assert_eq!(LockOwner::of(&folder), None);
    }

    #[test]
    fn only_the_locks_of_a_runs_own_folder_and_of_folders_elsewhere_stay() {
        let root = tempfile::tempdir().unwrap();
        let mut locks = Locks::new(RUN, "flights");
        let folders = ["home", "home/checkpoints", "registry"].map(|name| root.path().join(name));
        folders.iter().for_each(|folder| locks.acquire(folder, "").unwrap());
        assert!(folders.iter().all(|folder| folder.join(LOCK).exists()));
        drop(locks);
        assert_eq!(folders.map(|folder| folder.join(LOCK).exists()), [true, false, true]);
    }

    #[test]
    fn a_folder_that_was_moved_away_is_locked_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("registry");
        let mut locks = Locks::new(RUN, "flights");
        locks.acquire(&folder, "").unwrap();
        assert_eq!(crate::disk::archive_previous(&folder).unwrap(), None, "a folder of a lock alone is empty");
        std::fs::write(folder.join("model"), "").unwrap();
        let kept = crate::disk::archive_previous(&folder).unwrap().unwrap();
        assert!(kept.join("model").exists() && !kept.join(LOCK).exists());
        locks.acquire(&folder, "").unwrap();
        refusal(&mut Locks::new(RUN, "flights"), &folder);
    }

    #[test]
    fn a_folder_that_is_removed_is_lost_even_if_there_is_another_one() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("registry");
        let mut locks = Locks::new(RUN, "flights");
        locks.acquire(&folder, "").unwrap();
        assert_eq!(locks.lost().count(), 0);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(locks.lost().count(), 1);
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(locks.lost().next(), Some(folder.canonicalize().unwrap().as_path()));
    }
}
