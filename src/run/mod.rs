//! The composition root: command line, config, and the verbs.
//!
//! | file | verb |
//! |---|---|
//! | `live` | `run` |
//! | `replay` | `replay` |
//! | `inspect` | `check`, `graph` |
//! | `load` | `load` |
//!
//! What they share: [`config`] says where a dataflow runs, [`inputs`] opens what feeds it, [`job`] puts its parts
//! together and steps the workers, `mirror` looks after the online store, `outputs` follows what the graph tells,
//! `origin` finds what a replay starts from, `digest` sums a finished run up, `verify` compares two.

mod checkpoints;
mod cli;
pub mod config;
mod digest;
mod feeding;
pub mod inputs;
mod inspect;
pub mod job;
mod letters;
mod live;
mod load;
mod mirror;
mod origin;
mod outputs;
mod replay;
mod status;
mod verify;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

pub use cli::Cli;

/// Runs the command line and says with which code to exit: 0 done, 1 failed, 2 wrong usage, dataflow file or config.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    cli.start_logging();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Wrong(text)) => {
            say(text.trim_end());
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to stderr. Where that cannot be written, as to a log on a full disk, nothing ends for it.
fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Why a verb did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The usage, the dataflow file or the config is wrong; the text says where.
    Wrong(String),
    /// Something else failed.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Failed(error.into())
    }
}
