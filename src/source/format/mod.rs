//! Formats of files. Adding one is a file with a [`FileFormat`] and a line in [`FILE_FORMATS`].

mod csv;
mod json;
mod parquet;

use std::io::BufRead;
use std::path::Path;

use super::{Intake, Progress, SourceError};
use crate::value::Schema;

/// How a file says what its records are; told by its extension.
pub struct FileFormat {
    /// The extension, before that of a compression.
    pub extension: &'static str,
    /// One line for the reference.
    pub summary: &'static str,
    pub open: OpenFile,
}

/// A file's bytes in order.
pub type Bytes = Box<dyn BufRead + Send>;

/// A file that can be read, or what is wrong with it.
pub type Opened = Result<Box<dyn FileReader>, String>;

/// What a format needs to open a file.
pub enum OpenFile {
    /// Bytes in order, decompressed.
    Stream(fn(Bytes, &FileSchema) -> Opened),
    /// The file itself, for formats that seek.
    Seek(fn(std::fs::File, &FileSchema) -> Opened),
}

/// What is decoded from a file.
pub struct FileSchema {
    pub schema: Schema,
    /// Text that stands for null in a CSV.
    pub nulls: Vec<String>,
    /// Columns that a file may lack.
    pub optional: Vec<String>,
}

/// A file being read.
pub trait FileReader: Send {
    /// Hands up to `max` records to the intake, counting offsets up from `offset`; says whether there may be more.
    ///
    /// # Errors
    /// If the file cannot be read on: it is broken, not one record of it.
    fn read(&mut self, max: usize, offset: &mut u64, intake: &mut Intake) -> Result<Progress, String>;
}

/// Every format a file may have, by extension.
pub static FILE_FORMATS: &[&FileFormat] = &[&csv::CSV, &json::JSONL, &parquet::PARQUET];

/// Opens a file by its extension, `.gz` and `.zst` decompressed.
///
/// # Errors
/// If the extension is none of ours, or the file cannot be opened or lacks a column.
pub fn open(path: &Path, schema: &FileSchema) -> Result<Box<dyn FileReader>, SourceError> {
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
            wrong(format!("unknown extension; expected one of {}, plain, .gz or .zst", known.join(", ")))
        })?;
    let file = std::fs::File::open(path).map_err(io)?;
    match format.open {
        OpenFile::Seek(_) if name != plain => {
            Err(wrong(format!("a .{} file cannot be compressed as a whole", format.extension)))
        }
        OpenFile::Seek(open) => open(file, schema).map_err(wrong),
        OpenFile::Stream(open) => {
            let bytes: Box<dyn BufRead + Send> = if name.ends_with(".gz") {
                Box::new(std::io::BufReader::with_capacity(1 << 16, flate2::read::MultiGzDecoder::new(file)))
            } else if name.ends_with(".zst") {
                let decoder = zstd::stream::read::Decoder::new(file).map_err(io)?;
                Box::new(std::io::BufReader::with_capacity(1 << 16, decoder))
            } else {
                Box::new(std::io::BufReader::with_capacity(1 << 16, file))
            };
            open(bytes, schema).map_err(wrong)
        }
    }
}
