//! The composition root: command line, config, and the verbs.
//!
//! Invariant: a verb reads its files, checks them whole and locks what it writes before it changes anything. It fails
//! with the usage, the dataflow file or the config ([`Failure::Usage`], exit code 2), or else with an error and its causes
//! ([`Failure::Runtime`], exit code 1).
//!
//! ```
//! use clap::Parser;
//! use tidemill::run::Cli;
//!
//! assert!(Cli::try_parse_from(["tidemill", "check", "demo.toml", "--set", "http.listen=127.0.0.1:0"]).is_ok());
//! assert!(Cli::try_parse_from(["tidemill", "chekc", "demo.toml"]).err().unwrap().to_string().contains("'check'"));
//! ```
//!
//! | file | verb |
//! |---|---|
//! | `live` | `run` |
//! | `replay` | `replay` |
//! | `inspect` | `check`, `graph` |
//! | `load`, `mended` | `load` |
//! | `init` | `init` |
//! | `test`, `in_memory` | `test` |
//! | `features`, [`explain`] | `features` |
//! | `reference` | `completions`, `man`, `schema` |
//! | `models` | `models` |
//! | `top`, `tap` | `top`, `tap` |
//! | `replica`, `replica_models` | `serve` |
//! | `gateway` | `gateway` |
//!
//! Shared by the verbs:
//!
//! | file | contents |
//! |---|---|
//! | `cli` | the verbs and their flags |
//! | `args`, [`config`] | flags of every verb; the config file |
//! | [`inputs`], `kafka_supervisor` | open the files and Kafka topics of a plan |
//! | `http_client`, `job_tls` | ask the endpoint of a running job |
//! | `resume` | where the partitions of a plan are read on |
//! | [`job`] | assembles a plan's inputs, outputs and workers, and steps the workers |
//! | `job_events`, `dead_letters` | handle the running graph's events: versions, dead letters, overtaken records |
//! | `rollout` | follows the aliases and splits of models that others move, and reports them |
//! | `training` | the training of each model in the digest: versions, scores, labels |
//! | `model_reports` | the metrics and log lines that follow from what models report |
//! | `letter_limit` | ends a job of whose first records too many are dead letters |
//! | `signals`, `reload` | signals to a run, a replica or a gateway; how a run goes over to changed files |
//! | `endpoint` | opens the endpoint of a run, a replica or a gateway |
//! | `setup`, `locks` | the steps that open a live run; the locks on the folders that a run or a replay owns |
//! | `lost_folders` | warnings of folders that are removed while a run writes to them |
//! | `checkpoints` | decides when a live run takes a checkpoint, and finds the one to start from |
//! | `online` | connects the online store to its freshness metric and its Redis mirror |
//! | `replay_folder` | the folder of a replay, and what it deletes in it |
//! | `replay_start` | finds the state and the journal that a replay starts from |
//! | `digest`, `finish`, `verify` | the digest of a finished run, how it is made, and how two are compared |
//! | `late_records` | warnings of sources with many late records |
//! | `shortfall` | why a replay made no example, or no version |
//! | `output`, `panics` | what is printed: results, errors without secrets, bugs with their place |
//! | `picture` | the graph with its rates, for the dashboard |
//! | `logging`, `log_file` | the log, on stderr and in a file |
//! | `status`, `forecast` | the status line of a live run on the terminal |
//! | `system`, `watchdog` | what the system allows the process; ends it if a thread has ended or a run does not end |

mod args;
mod checkpoints;
mod cli;
pub mod config;
mod dead_letters;
mod digest;
mod endpoint;
pub mod explain;
mod features;
mod finish;
mod forecast;
mod gateway;
mod http_client;
mod in_memory;
mod init;
pub mod inputs;
mod inspect;
pub mod job;
mod job_events;
mod job_tls;
mod kafka_supervisor;
mod late_records;
mod letter_limit;
mod live;
mod load;
mod locks;
mod log_file;
mod logging;
mod lost_folders;
mod mended;
mod model_reports;
mod models;
mod online;
mod output;
mod panics;
mod picture;
mod reference;
mod reload;
mod replay;
mod replay_folder;
mod replay_start;
mod replica;
mod replica_models;
mod resume;
mod rollout;
mod setup;
mod shortfall;
mod signals;
mod status;
mod system;
mod tap;
mod test;
mod top;
mod training;
mod verify;
mod watchdog;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

pub use cli::Cli;
use output::print_err;

use crate::source::kafka::KafkaError;
use crate::threads;

/// Runs the command line and returns the exit code: 0 done, 1 failed, 2 wrong usage, dataflow file or config, 3 a thread
/// has ended. The watchdog may end the process before this returns.
pub fn main() -> ExitCode {
    panics::install_hook();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            let _ = error.print();
            return ExitCode::from(2);
        }
        // Help and version go to stdout.
        Err(text) => return exit_code(output::written(text.print()).map_err(Failure::Runtime)),
    };
    system::restrict_files();
    system::report_large_files();
    cli.start_logging();
    // A panic goes on after it has been recorded, and the hook has printed it.
    let done = catch_unwind(AssertUnwindSafe(|| threads::watch("main", || cli.run())));
    // Whatever else was reported follows from it.
    if let Some(end) = threads::process().first_end() {
        print_err(watchdog::describe(&end));
        return ExitCode::from(watchdog::THREAD_ENDED);
    }
    done.map_or(ExitCode::FAILURE, exit_code)
}

fn exit_code(ended: Result<(), Failure>) -> ExitCode {
    match ended {
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
            KafkaError::Config { .. } | KafkaError::Unauthorized { .. } | KafkaError::Rejected(_) => {
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
