//! The format of a file by its extension, and its bytes, decompressed.

use std::fs::File;
use std::path::Path;

use super::{FILE_FORMATS, FileBytes, FileFunctions, FileReader, FileSchema, OpenFile};
use crate::source::{RecordSample, SourceError};

/// Opens a file by its extension, `.gz` and `.zst` decompressed.
///
/// # Errors
/// If the extension is not one of [`FILE_FORMATS`], or the file cannot be opened or lacks a column.
pub(super) fn open(path: &Path, schema: &FileSchema) -> Result<Box<dyn FileReader>, SourceError> {
    let opened = match found_file(path)? {
        FoundFile::Stream(format, bytes) => (format.open)(bytes, schema),
        FoundFile::Seek(format, file) => (format.open)(file, schema),
    };
    opened.map_err(|what| SourceError::File { path: path.display().to_string(), what })
}

/// Samples the first `rows` records of a file, whatever columns it has.
///
/// # Errors
/// If the extension is not one of [`FILE_FORMATS`], or the file cannot be read.
pub fn sample(path: &Path, rows: usize) -> Result<RecordSample, SourceError> {
    let sampled = match found_file(path)? {
        FoundFile::Stream(format, bytes) => (format.sample)(bytes, rows),
        FoundFile::Seek(format, file) => (format.sample)(file, rows),
    };
    sampled.map_err(|what| SourceError::File { path: path.display().to_string(), what })
}

/// A file whose format is known, as that format reads it.
enum FoundFile {
    Stream(&'static FileFunctions<FileBytes>, FileBytes),
    Seek(&'static FileFunctions<File>, File),
}

/// Finds the format of a file by its extension, and opens its bytes.
fn found_file(path: &Path) -> Result<FoundFile, SourceError> {
    let label = path.display().to_string();
    let wrong = |what: String| SourceError::File { path: label.clone(), what };
    let io = |source| SourceError::Io { path: label.clone(), source };

    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
    let format = FILE_FORMATS
        .iter()
        .find(|format| plain.strip_suffix(format.extension).is_some_and(|stem| stem.ends_with('.')))
        .ok_or_else(|| {
            let known: Vec<_> = FILE_FORMATS.iter().map(|format| format!(".{}", format.extension)).collect();
            wrong(format!("unknown extension; expected one of {}, or .gz or .zst after one of them", known.join(", ")))
        })?;

    // Opening a pipe would wait for someone who writes to it.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(wrong("is not a regular file".to_owned()));
    }
    let file = File::open(path).map_err(io)?;
    let buffered = |bytes: Box<dyn std::io::Read + Send>| std::io::BufReader::with_capacity(1 << 16, bytes);
    match &format.open {
        OpenFile::Seek(_) if name != plain => {
            Err(wrong(format!("a .{} file cannot be compressed as a whole", format.extension)))
        }
        OpenFile::Seek(functions) => Ok(FoundFile::Seek(functions, file)),
        OpenFile::Stream(functions) => {
            let bytes: FileBytes = if name.ends_with(".gz") {
                Box::new(buffered(Box::new(flate2::read::MultiGzDecoder::new(file))))
            } else if name.ends_with(".zst") {
                Box::new(buffered(Box::new(zstd::stream::read::Decoder::new(file).map_err(io)?)))
            } else {
                Box::new(buffered(Box::new(file)))
            };
            Ok(FoundFile::Stream(functions, bytes))
        }
    }
}
