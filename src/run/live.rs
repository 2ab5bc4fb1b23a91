//! `run`: a dataflow as a job that serves.

use std::path::Path;

use super::Failure;
use super::cli::Common;

/// Flags of `run`.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub until_end: bool,
    pub fresh: bool,
}

/// Runs a dataflow until it is told to stop.
///
/// # Errors
/// If the file or config is wrong, or the job fails.
pub fn run(_file: &Path, _common: &Common, _options: Options) -> Result<(), Failure> {
    Ok(())
}
