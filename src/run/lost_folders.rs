//! Folders of a live run that are removed while it writes to them.
//!
//! Nothing fails then: a new registry is written, without the versions and the moves of the old one. So the loss is reported as
//! soon as it is found, and not by the next start alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::locks::Locks;
use super::print_err;
use crate::serve::Readiness;

/// The folders whose loss has been reported.
#[derive(Debug, Default)]
pub struct LostFolders(BTreeSet<PathBuf>);

impl LostFolders {
    /// Reports folders that are gone: once on stderr, and in the readiness of the endpoint until the run ends.
    pub fn report(&mut self, locks: &Locks, readiness: &Readiness) {
        for folder in locks.lost().map(Path::to_owned) {
            let label = folder.display().to_string();
            if self.0.insert(folder) {
                let what = "the folder is gone, or another one is in its place: a restart does not find what was in it";
                print_err(format_args!("warning: {label}: {what}"));
                readiness.warn(label, what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_removed_becomes_a_warning() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("registry");
        let (mut locks, readiness, mut lost) =
            (Locks::new("run", "demo"), Readiness::default(), LostFolders::default());
        locks.acquire(&folder, "").unwrap();
        lost.report(&locks, &readiness);
        assert_eq!(readiness.warnings(), Vec::<String>::new());
        std::fs::remove_dir_all(&folder).unwrap();
        lost.report(&locks, &readiness);
        lost.report(&locks, &readiness);
        let warnings = readiness.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains("registry: the folder is gone"), "{warnings:?}");
    }
}
