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
use std::io::{Error, ErrorKind, Result, Write};
use std::path::{Path, PathBuf};

use crate::error::LineColumn;

/// The name of the file that locks a folder, which does not count among the folder's contents.
pub const LOCK: &str = "tidemill.lock";

/// Fsyncs the parent directory of `path`, so that a created, renamed or deleted entry survives a power failure.
///
/// # Errors
/// If the directory cannot be opened or synced.
pub fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Takes from everything in a folder, and from the folder itself, the permissions that no file of tidemill has: writing
/// for the group, anything for others. Files of earlier versions may have them. Links are not followed, and what belongs
/// to another user stays as it is.
///
/// # Errors
/// If a directory cannot be read.
#[cfg(unix)]
pub fn restrict(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() || metadata.is_file() => metadata,
            Ok(_) => continue,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mode = metadata.permissions().mode();
        if mode & 0o027 != 0 {
            // Refused for a file of another user, who has decided who may read it.
            let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode & !0o027));
        }
        if metadata.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        }
    }
    Ok(())
}

/// Replaces a file by other contents, or creates it. After a crash or a power failure, the file has the old contents or
/// the new ones.
///
/// # Errors
/// If the file cannot be written or renamed.
pub fn replace(path: &Path, contents: &[u8]) -> Result<()> {
    let mut staged = path.as_os_str().to_owned();
    staged.push(".new");
    let staged = PathBuf::from(staged);
    let write = || {
        let mut file = File::create(&staged)?;
        file.write_all(contents)?;
        file.sync_all()
    };
    write().inspect_err(|_| _ = std::fs::remove_file(&staged))?;
    std::fs::rename(&staged, path)?;
    sync_folder_of(path)
}

/// Renames a non-empty folder to the first free one of `{folder}.1`, `{folder}.2` and so on, and returns the new path.
/// Returns `None` if there is no such folder or it is empty. The renamed folder is not locked.
///
/// # Errors
/// If the folder cannot be renamed; the error names it.
pub fn archive_previous(folder: &Path) -> Result<Option<PathBuf>> {
    let is_content = |entry: Result<std::fs::DirEntry>| entry.map_or(true, |entry| entry.file_name() != LOCK);
    if !std::fs::read_dir(folder).is_ok_and(|mut entries| entries.any(is_content)) {
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
    let _ = std::fs::remove_file(free.join(LOCK));
    Ok(Some(free))
}

/// Deletes the contents of a folder, if there is one.
///
/// # Errors
/// If something cannot be deleted; the error names it.
pub fn clear(folder: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name() == LOCK {
            continue;
        }
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let deleted = if is_folder { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        deleted.map_err(|error| Error::new(error.kind(), format!("{} cannot be deleted: {error}", path.display())))?;
    }
    Ok(())
}

/// Reads a text file.
///
/// # Errors
/// If it cannot be read; with the line and the column, both from 1, if it is not UTF-8.
pub fn read_text(path: &Path) -> std::result::Result<String, TextError> {
    let bytes = std::fs::read(path).map_err(|error| TextError { place: None, source: error })?;
    String::from_utf8(bytes).map_err(|error| {
        let bytes = error.as_bytes();
        let at = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&bytes[..at]);
        let line = before.rsplit('\n').next().unwrap_or_default();
        let message = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "this is UTF-16; expected a text in UTF-8".to_owned(),
            _ => format!("the byte 0x{:02x} is not UTF-8 here; expected a text in UTF-8", bytes[at]),
        };
        let place = LineColumn { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 };
        TextError { place: Some(place), source: Error::new(ErrorKind::InvalidData, message) }
    })
}

/// The reason why a text file cannot be read.
#[derive(Debug)]
pub struct TextError {
    /// `None` if the file as a whole cannot be read.
    pub place: Option<LineColumn>,
    pub source: Error,
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn no_other_user_can_read_what_a_folder_has_once_it_is_restricted() {
        let folder = tempfile::tempdir().unwrap();
        let (home, outside) = (folder.path().join("home"), folder.path().join("outside"));
        std::fs::create_dir_all(home.join("registry/late")).unwrap();
        let set = |path: &Path, mode: u32| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for (path, mode) in [("letters", 0o666), ("registry/late/weights", 0o644), ("secret", 0o600), ("tool", 0o755)] {
            std::fs::write(home.join(path), "x").unwrap();
            set(&home.join(path), mode);
        }
        std::fs::write(&outside, "x").unwrap();
        set(&outside, 0o644);
        symlink(&outside, home.join("link")).unwrap();
        [&home, &home.join("registry"), &home.join("registry/late")].into_iter().for_each(|path| set(path, 0o777));
        restrict(&home).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for (path, expected) in [
            ("", 0o750),
            ("registry", 0o750),
            ("registry/late", 0o750),
            ("letters", 0o640),
            ("registry/late/weights", 0o640),
            ("secret", 0o600),
            ("tool", 0o750),
        ] {
            assert_eq!(mode(&home.join(path)), expected, "{path}");
        }
        assert_eq!(mode(&outside), 0o644, "links are not followed");
    }

    #[test]
    fn a_byte_that_is_not_utf8_is_found_by_line_and_column() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for (bytes, (line, column), part) in [
            (&b"a = 1\nb = \"\xe9\"\n"[..], (2, 6), "0xe9"),
            (b"\xff\xfea\0", (1, 1), "UTF-16"),
            ("é = \"".as_bytes().iter().copied().chain([0xc3]).collect::<Vec<u8>>().as_slice(), (1, 6), "0xc3"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = read_text(&path).unwrap_err();
            assert_eq!(error.place, Some(LineColumn { line, column }));
            assert!(error.source.to_string().contains(part), "{}", error.source);
        }
        assert!(read_text(&folder.path().join("none")).unwrap_err().place.is_none());
    }
}
