//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::args::{CommonArgs, GraphFormat};
use super::replay_start::ReplayOptions;
use super::{Failure, config, inspect, live, load, replay};
use crate::source::Pace;
use crate::time::{EventTime, parse_time};

/// Kafka topics in; fresh features, models retrained on every window and a prediction endpoint out.
#[derive(Parser, Debug)]
#[command(name = "tidemill", version, max_term_width = 100, after_long_help = config::help())]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Runs a dataflow live: features, models and the endpoint, until SIGINT or SIGTERM.
    #[command(after_help = "Example: tidemill run dataflows/flights.toml --set http.listen=127.0.0.1:0")]
    Run {
        /// The dataflow file.
        file: PathBuf,
        /// Ends when every input is used up.
        #[arg(long)]
        until_end: bool,
        /// Starts without a checkpoint; those of an earlier run are kept as `checkpoints.1`, `checkpoints.2` and so on.
        #[arg(long)]
        fresh: bool,
    },
    /// Runs a dataflow over a bounded range as fast as it goes, into a folder; disturbs no live run.
    #[command(after_help = "Example: tidemill replay dataflows/flights.toml --out /tmp/january --to 2013-02-01")]
    Replay {
        /// The dataflow file.
        file: PathBuf,
        /// The folder for what comes out: examples, features, models, the digest.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Only outputs from this time on: RFC 3339, a date, epoch ms, or `earliest`. Everything before it is still
        /// read, so that windows are full.
        #[arg(long, value_name = "T", value_parser = time_argument)]
        from: Option<Bound>,
        /// Only outputs before this time: RFC 3339, a date, epoch ms, or `latest`. Windows that end at it are in.
        #[arg(long, value_name = "T", value_parser = time_argument)]
        to: Option<Bound>,
        /// Reads from `--from` less the longest window on, not from the earliest record.
        #[arg(long, requires = "from")]
        cold: bool,
        /// Starts from a checkpoint of a run: their folder, for the newest whole one, or one manifest.
        #[arg(long, value_name = "PATH", conflicts_with = "cold")]
        checkpoint: Option<PathBuf>,
        /// Repeats what a live run made of records that time had passed: its `journal.jsonl`, or the folder that has it.
        #[arg(long, value_name = "PATH")]
        journal: Option<PathBuf>,
        /// Compares with another replay, or with the `offline` folder of a run with `--until-end`: exit code 1 if something
        /// differs, and stderr names the first row, version or count that does.
        #[arg(long, value_name = "DIR")]
        verify: Option<PathBuf>,
    },
    /// Copies the topics of a dataflow into Kafka from the files that CONFIG binds them to.
    #[command(after_help = "Example: tidemill load dataflows/flights.toml --from config/embedded.toml \\\n    \
                            --config config/production.toml --partitions 4")]
    Load {
        /// The dataflow file.
        file: PathBuf,
        /// The config that binds topics to files; Kafka is that of `--config`.
        #[arg(long, value_name = "CONFIG")]
        from: PathBuf,
        /// Makes topics that are missing, with this many partitions.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        partitions: Option<u32>,
        /// Event seconds per second, or `max`.
        #[arg(long, value_name = "X", default_value = "max", value_parser = speed_argument)]
        speed: Pace,
    },
    /// Reports every problem of a dataflow file and its config; then the plan.
    #[command(after_help = "Example: tidemill check dataflows/flights.toml --entities 1000000")]
    Check {
        /// The dataflow file.
        file: PathBuf,
        /// Entities of each group to reckon memory for.
        #[arg(long, value_name = "N")]
        entities: Option<u64>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Draws the operators and edges of a dataflow.
    #[command(after_help = "Example: tidemill graph dataflows/flights.toml --format svg > flights.svg")]
    Graph {
        /// The dataflow file.
        file: PathBuf,
        /// How it is drawn.
        #[arg(long, default_value = "text", value_name = "F")]
        format: GraphFormat,
    },
}

/// A bound of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Earliest,
    Latest,
    At(EventTime),
}

fn time_argument(text: &str) -> Result<Bound, String> {
    match text {
        "earliest" => Ok(Bound::Earliest),
        "latest" => Ok(Bound::Latest),
        text => text
            .parse()
            .ok()
            .or_else(|| parse_time(text))
            .map(Bound::At)
            .ok_or_else(|| "expected RFC 3339, a date, epoch ms, earliest or latest".to_owned()),
    }
}

fn speed_argument(text: &str) -> Result<Pace, String> {
    match (text, text.parse::<f64>()) {
        ("max", _) => Ok(Pace::Max),
        (_, Ok(speed)) if speed > 0.0 && speed.is_finite() => Ok(Pace::Times(speed)),
        _ => Err("expected a positive number of event seconds per second, or max".to_owned()),
    }
}

impl Cli {
    /// Starts logging to stderr: for people on a terminal, JSON otherwise.
    pub fn start_logging(&self) {
        use std::io::IsTerminal;
        let level = match (self.common.quiet, self.common.verbose) {
            (true, _) => "error",
            (false, 0) => "warn",
            (false, 1) => "info",
            (false, _) => "debug",
        };
        let builder = tracing_subscriber::fmt().with_env_filter(level).with_writer(std::io::stderr);
        // What cannot be logged is not complained of where it cannot be written either.
        let builder = builder.log_internal_errors(false);
        if std::io::stderr().is_terminal() {
            builder.with_target(false).init();
        } else {
            builder.json().init();
        }
    }

    /// Does what was asked.
    ///
    /// # Errors
    /// If it cannot be done.
    pub fn run(self) -> Result<(), Failure> {
        let common = self.common;
        match self.verb {
            Verb::Run { file, until_end, fresh } => live::run(&file, &common, live::Start { until_end, fresh }),
            Verb::Replay { file, out, from, to, cold, checkpoint, journal, verify } => {
                let bound = |bound: Option<Bound>| match bound {
                    Some(Bound::At(time)) => Some(time),
                    Some(Bound::Earliest | Bound::Latest) | None => None,
                };
                if from == Some(Bound::Latest) || to == Some(Bound::Earliest) {
                    return Err(Failure::Usage("--from and --to leave nothing to replay".to_owned()));
                }
                let (from, to) = (bound(from), bound(to));
                replay::run(&file, &common, &ReplayOptions { out, from, to, cold, checkpoint, journal, verify })
            }
            Verb::Load { file, from, partitions, speed } => load::run(&file, &common, &from, partitions, speed),
            Verb::Check { file, entities, json } => inspect::check(&file, &common, entities, json),
            Verb::Graph { file, format } => inspect::graph(&file, format),
        }
    }
}
