//! `completions`, `man` and `schema`: what shells, `man` and editors know, generated from the program's own tables.

use std::path::Path;

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;

use super::args::SchemaOf;
use super::{Failure, config, output};
use crate::spec;

/// Prints a shell's completion script.
///
/// # Errors
/// If stdout cannot be written.
pub fn completions(mut command: Command, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    Ok(output::print(&String::from_utf8_lossy(&script))?)
}

/// Writes the manual pages of a command and of its subcommands to a directory, and prints their paths.
///
/// # Errors
/// If a page cannot be written.
pub fn man(command: Command, out: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(out).with_context(|| format!("{} cannot be created", out.display()))?;
    clap_mangen::generate_to(command, out).with_context(|| format!("a page cannot be written to {}", out.display()))?;
    Ok(output::print(&format!("{}\n", out.join("tidemill.1").display()))?)
}

/// Prints the JSON schema of a kind of files.
///
/// # Errors
/// If stdout cannot be written.
pub fn schema(of: SchemaOf) -> Result<(), Failure> {
    let schema = match of {
        SchemaOf::Dataflow => spec::schema(),
        SchemaOf::Config => config::schema(),
    };
    Ok(output::print(&format!("{schema:#}\n"))?)
}
