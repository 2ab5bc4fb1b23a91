//! `check` and `graph`: what a dataflow file says, without running it.

use std::path::Path;

use super::Failure;
use super::cli::{Common, GraphFormat};
use crate::spec::Spec;

/// Reads and checks a dataflow file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(file: &Path) -> Result<Spec, Failure> {
    crate::spec::load(file).map_err(|errors| Failure::Wrong(errors.to_string()))
}

/// `check`.
///
/// # Errors
/// Everything that is wrong with the file and the config.
pub fn check(file: &Path, common: &Common, _entities: Option<u64>, _json: bool) -> Result<(), Failure> {
    let _ = (load(file)?, common.load()?);
    Ok(())
}

/// `graph`.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn graph(file: &Path, _format: GraphFormat) -> Result<(), Failure> {
    let _ = load(file)?;
    Ok(())
}
