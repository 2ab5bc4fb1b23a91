//! The output of a verb: results to stdout, everything else to stderr, both without secrets.
//!
//! A reader that closes stdout has what it wanted, as `head` does: that is no error, and nothing more is printed. A full
//! device is one. A verb that has other results than those on stdout completes them first.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

use super::logging::STDERR;
use crate::secret;

/// Prints to stdout.
///
/// # Errors
/// If stdout cannot be written, for another reason than that its reader has closed it.
pub fn print(text: &str) -> anyhow::Result<()> {
    written(write_all(&mut io::stdout().lock(), secret::masked(text).as_bytes()))
}

/// Prints a line to stdout as a part of an endless result. Returns false once its reader has closed it.
///
/// # Errors
/// If stdout cannot be written, for another reason.
pub fn print_line(line: &str) -> anyhow::Result<bool> {
    let line = format!("{}\n", secret::masked(line));
    let result = write_all(&mut io::stdout().lock(), line.as_bytes());
    let is_open = result.is_ok();
    written(result).map(|()| is_open)
}

/// Returns the result of writing to stdout, which is no error if its reader has closed it.
///
/// # Errors
/// Any other error.
pub fn written(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("stdout cannot be written"),
    }
}

fn write_all(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes)?;
    out.flush()
}

/// Writes a line to stderr. An error is ignored, as when stderr is a file on a full disk: no verb ends for it.
/// The log file has it, too.
pub fn print_err(line: impl Display) {
    let line = line.to_string();
    let _ = writeln!(io::stderr(), "{}", secret::masked(&line));
    tracing::info!(target: STDERR, "{line}");
}
