//! Files that outlive a power failure.
//!
//! That a file's content was seen to the disk does not mean that its name was: a folder is a file, too.

use std::fs::File;
use std::io::Result;
use std::path::Path;

/// Sees to the disk that a file which was made, renamed or deleted is so in its folder, too.
///
/// # Errors
/// If the file system refuses.
pub fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
