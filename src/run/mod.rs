//! The composition root: command line, config, and the verbs.
//!
//! | file | verb |
//! |---|---|
//! | `live` | `run` |
//! | `replay` | `replay` |
//! | `inspect` | `check`, `graph` |
//! | `load`, `mended` | `load` |
//!
//! Shared by the verbs:
//!
//! | file | contents |
//! |---|---|
//! | `args`, [`config`] | flags of every verb; the config file |
//! | [`inputs`], `kafka_supervisor` | open the files and Kafka topics of a plan |
//! | `resume` | where the partitions of a plan are read on |
//! | [`job`] | assembles a plan's inputs, outputs and workers, and steps the workers |
//! | `job_events`, `dead_letters` | handle the running graph's events: versions, dead letters, overtaken records |
//! | `letter_limit` | ends a job of whose first records too many are dead letters |
//! | `setup`, `locks` | the steps that open a live run; the locks on the folders that a run or a replay owns |
//! | `checkpoints` | decides when a live run takes a checkpoint, and finds the one to start from |
//! | `online` | connects the online store to its freshness metric and its Redis mirror |
//! | `replay_start` | finds the state and the journal that a replay starts from |
//! | `digest`, `finish`, `verify` | the digest of a finished run, how it is made, and how two are compared |
//! | `shortfall` | why a replay made no example, or no version |
//! | `status` | the status line of a live run on the terminal |
//! | `system`, `watchdog` | what the system allows the process; ends it if a thread has ended or a run does not end |

mod args;
mod checkpoints;
mod cli;
pub mod config;
mod dead_letters;
mod digest;
mod finish;
pub mod inputs;
mod inspect;
pub mod job;
mod job_events;
mod kafka_supervisor;
mod letter_limit;
mod live;
mod load;
mod locks;
mod mended;
mod online;
mod replay;
mod replay_start;
mod resume;
mod setup;
mod shortfall;
mod status;
mod system;
mod verify;
mod watchdog;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

pub use cli::Cli;

use crate::source::kafka::KafkaError;
use crate::threads;

/// Runs the command line and returns the exit code: 0 done, 1 failed, 2 wrong usage, dataflow file or config, 3 a thread
/// has ended. The watchdog may end the process before this returns.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    system::restrict_files();
    cli.start_logging();
    let done = threads::watch("main", || cli.run());
    // Whatever else was reported follows from it.
    if let Some(end) = threads::process().first_end() {
        print_err(watchdog::describe(&end));
        return ExitCode::from(watchdog::THREAD_ENDED);
    }
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(text)) => {
            print_err(text.trim_end());
            ExitCode::from(2)
        }
        Err(Failure::Runtime(error)) => {
            print_err(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to stderr. An error is ignored, as when stderr is a file on a full disk: no verb ends for it.
fn print_err(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The reason why a verb failed; it decides the exit code.
#[derive(Debug)]
pub enum Failure {
    /// The usage, the dataflow file or the config is wrong. The text says where.
    Usage(String),
    /// Something else failed.
    Runtime(anyhow::Error),
}

impl Failure {
    /// Converts an error of Kafka: what the user can mend is wrong usage.
    fn of_kafka(error: KafkaError) -> Self {
        match error {
            KafkaError::Config(_) | KafkaError::Unauthorized { .. } | KafkaError::Rejected(_) => {
                Failure::Usage(format!("error: {error}"))
            }
            KafkaError::Unavailable { .. } => {
                Failure::Runtime(anyhow::Error::new(error).context("the brokers cannot be reached"))
            }
            KafkaError::DataLoss(_) => Failure::Runtime(anyhow::Error::new(error).context("a topic cannot be read on")),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Runtime(error.into())
    }
}
